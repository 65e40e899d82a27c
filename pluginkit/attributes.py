"""Plugin attributes: their declaration, their validation, and the form in which they travel.

An attribute's journey is ONNX node -> TensorRT's parser -> PluginField -> plugin -> plan -> plugin.
TensorRT truncates int64 to 32 bits, turns doubles into floats, has no booleans, joins strings with
NULs and mislabels tensors. So a value travels in a *wire form* that no stop on the way can change:
an ``int`` of 32 bits, a ``float`` that float32 holds exactly, a ``str``, a list of such ints or
floats; and everything else as text, ``json:`` and a JSON document. The ONNX node, the PluginFields
and the serialized plugin all carry the same wire form.
"""

from __future__ import annotations

import base64
import binascii
import json
import math
import struct
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Union

from pluginkit.errors import AttributeValueError, DeclarationError

Wire = int | float | str | list[int] | list[float]

_TEXT = "json:"
_SCALARS: dict[str, type] = {"int": int, "float": float, "str": str, "bool": bool}


class _Required:
    def __repr__(self) -> str:
        return "required"


REQUIRED: Any = _Required()


@dataclass(frozen=True)
class AttributeDeclaration:
    """What ``attribute(...)`` returns, before the class gives it a name and a type."""

    default: Any
    choices: tuple[Any, ...] | None
    check: Callable[[Any], str | None] | None
    doc: str


def attribute(
    *,
    default: Any = REQUIRED,
    choices: Sequence[Any] | None = None,
    check: Callable[[Any], str | None] | None = None,
    doc: str = "",
) -> Any:
    """Declare an attribute of a plugin; its type is the annotation beside it.

    Args:
        default: the value when the node or the constructor gives none; without one the attribute is
            required.
        choices: the allowed values; ``Literal["none", "add"]`` as the annotation says the same.
        check: gets the value and returns what is wrong with it, or None.
        doc: one line for ``pluginkit show``.

    The annotation is ``int``, ``float``, ``str``, ``bool``, ``Literal[...]``, ``tuple[T, ...]``,
    ``tuple[T, T]`` (``T`` one of the four scalars) or ``numpy.ndarray``.
    """
    return AttributeDeclaration(
        default, tuple(choices) if choices is not None else None, check, doc
    )


@dataclass(frozen=True)
class AttributeSpec:
    """One attribute of a plugin.

    Attributes:
        name: its name on the class, the ONNX node and the PluginField.
        kind: ``"int"``, ``"float"``, ``"str"``, ``"bool"``, ``"tuple"`` or ``"array"``.
        item: the scalar kind of a tuple's elements, else None.
        length: a tuple's exact length, None when any.
        default: the default, or REQUIRED.
        choices: the allowed values, or None for all.
        check: the author's own check, or None.
        doc: one line of documentation.
    """

    name: str
    kind: str
    item: str | None
    length: int | None
    default: Any
    choices: tuple[Any, ...] | None
    check: Callable[[Any], str | None] | None
    doc: str

    @property
    def is_required(self) -> bool:
        """Whether the attribute has no default."""
        return self.default is REQUIRED

    @property
    def type_name(self) -> str:
        """The type in Python's notation, ``"tuple[int, ...]"``."""
        if self.choices is not None:
            return " | ".join(repr(choice) for choice in self.choices)
        if self.kind == "tuple":
            items = (
                [str(self.item), "..."] if self.length is None else [str(self.item)] * self.length
            )
            return f"tuple[{', '.join(items)}]"
        return "numpy.ndarray" if self.kind == "array" else self.kind

    def validate(self, owner: str, value: Any, where: str | None = None) -> Any:
        """``value`` as the plugin holds it: exact Python types, tuples, read-only arrays.

        Errors:
            PK104: the value has another type, length or range than declared.
        """
        try:
            checked = self._convert(value)
            problem = self.check(checked) if self.check else None
        except (TypeError, ValueError, OverflowError) as error:
            raise self._refusal(owner, value, str(error), where) from error
        if self.choices is not None and checked not in self.choices:
            raise self._refusal(owner, value, None, where)
        if problem:
            raise self._refusal(owner, value, problem, where)
        return checked

    def _refusal(
        self, owner: str, value: Any, cause: str | None, where: str | None
    ) -> AttributeValueError:
        shown = repr(value) if len(repr(value)) <= 80 else repr(value)[:77] + "..."
        return AttributeValueError(
            "PK104",
            f"{owner}: attribute '{self.name}' is {shown}; expected {self.type_name}.",
            where=where,
            cause=cause,
            fix=f"give '{self.name}' a value that the declaration in {owner} allows.",
        )

    def _convert(self, value: Any) -> Any:
        if self.kind == "array":
            return _frozen_array(value)
        if self.kind != "tuple":
            return _SCALAR_CONVERTERS[self.kind](value)
        if isinstance(value, (str, bytes)) or not hasattr(value, "__iter__"):
            raise TypeError("not a sequence")
        convert = _SCALAR_CONVERTERS[str(self.item)]
        items = tuple(convert(item) for item in value)
        if self.length is not None and len(items) != self.length:
            raise ValueError(f"has {len(items)} elements, not {self.length}")
        return items

    def to_wire(self, value: Any) -> Wire:
        """The wire form of a validated value."""
        if self.kind == "array":
            return _text(_array_document(value))
        if self.kind == "bool":
            return int(value)
        if self.kind == "tuple":
            return self._tuple_to_wire(value)
        if self.kind == "int" and not _fits_int32(value):
            return _text(value)
        if self.kind == "float" and not _fits_float32(value):
            return _text(value)
        if self.kind == "str" and (value.startswith(_TEXT) or "\0" in value):
            return _text(value)
        return typing.cast(Wire, value)

    def _tuple_to_wire(self, value: tuple[Any, ...]) -> Wire:
        if self.item == "bool" and value:
            return [int(item) for item in value]
        fits = {"int": _fits_int32, "float": _fits_float32}.get(str(self.item))
        if fits is not None and value and all(map(fits, value)):
            return list(value)
        return _text(list(value))

    def from_wire(self, owner: str, wire: Any, where: str | None = None) -> Any:
        """The validated value behind a wire form, or behind what a person wrote by hand.

        Errors:
            PK104: the value has another type, length or range than declared.
        """
        if isinstance(wire, str) and wire.startswith(_TEXT):
            try:
                wire = _from_document(json.loads(wire.removeprefix(_TEXT)))
            except (ValueError, KeyError, TypeError, binascii.Error) as error:
                raise self._refusal(owner, wire, f"damaged text form: {error}", where) from error
        wants_bool = self.kind == "bool" and isinstance(wire, int)
        if wants_bool or (self.item == "bool" and isinstance(wire, (list, tuple))):
            wire = _bools_from_ints(wire)
        return self.validate(owner, wire, where)


def attribute_spec(
    owner: str, name: str, annotation: Any, declared: AttributeDeclaration
) -> AttributeSpec:
    """The spec of one declared attribute.

    Errors:
        PK101: the annotation is missing or of a type that cannot travel.
        PK102: the default does not satisfy the declaration.
    """
    kind, item, length, choices = _parse_annotation(owner, name, annotation)
    if (
        choices is not None
        and declared.choices is not None
        and set(choices) != set(declared.choices)
    ):
        raise DeclarationError(
            "PK101",
            f"{owner}.{name}: Literal{list(choices)} and choices={list(declared.choices)} differ.",
            fix="drop choices=, the annotation says it all.",
        )
    spec = AttributeSpec(
        name,
        kind,
        item,
        length,
        declared.default,
        choices if choices is not None else declared.choices,
        declared.check,
        declared.doc,
    )
    if spec.is_required:
        return spec
    try:
        default = spec.validate(owner, declared.default)
    except AttributeValueError as error:
        raise DeclarationError(
            "PK102",
            f"{owner}.{name}: default {declared.default!r}; expected {spec.type_name}.",
            cause=error.cause,
            fix="change the default or the annotation.",
        ) from error
    return AttributeSpec(name, kind, item, length, default, spec.choices, spec.check, spec.doc)


def _parse_annotation(
    owner: str, name: str, annotation: Any
) -> tuple[str, str | None, int | None, tuple[Any, ...] | None]:
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is Literal:
        kinds = {type(argument) for argument in arguments}
        if len(kinds) == 1 and next(iter(kinds)) in _SCALARS.values():
            return next(iter(kinds)).__name__, None, None, arguments
    elif origin is tuple and arguments:
        is_variadic = len(arguments) == 2 and arguments[1] is Ellipsis
        items = set(arguments[:1] if is_variadic else arguments)
        if len(items) == 1 and next(iter(items)) in _SCALARS.values():
            return (
                "tuple",
                next(iter(items)).__name__,
                None if is_variadic else len(arguments),
                None,
            )
    elif annotation in _SCALARS.values():
        return annotation.__name__, None, None, None
    elif origin not in (Union, types.UnionType) and _is_ndarray(origin or annotation):
        return "array", None, None, None
    raise DeclarationError(
        "PK101",
        f"{owner}.{name}: annotation {annotation!r} cannot travel; "
        "expected int, float, str, bool, Literal[...], tuple[T, ...] or numpy.ndarray.",
        fix=f"write, for example, `{name}: int = attribute(default=0)`.",
    )


def _is_ndarray(annotation: Any) -> bool:
    module = getattr(annotation, "__module__", "")
    return module.partition(".")[0] == "numpy" and getattr(annotation, "__name__", "") == "ndarray"


def _to_int(value: Any) -> int:
    if isinstance(value, bool) or type(value).__name__ == "bool_":
        raise TypeError("is a bool, not an integer")
    number = value.__index__() if hasattr(value, "__index__") else None
    if number is None:
        raise TypeError(f"is a {type(value).__name__}, not an integer")
    if not -(2**63) <= number < 2**63:
        raise ValueError("does not fit in 64 bits")
    return int(number)


def _to_float(value: Any) -> float:
    if isinstance(value, (str, bytes, bool)) or not hasattr(value, "__float__"):
        raise TypeError(f"is a {type(value).__name__}, not a float")
    return float(value)


def _to_str(value: Any) -> str:
    if isinstance(value, bytes):
        return value.decode()
    if not isinstance(value, str):
        raise TypeError(f"is a {type(value).__name__}, not a string")
    value.encode()  # a lone surrogate cannot travel
    return value


def _to_bool(value: Any) -> bool:
    if isinstance(value, bool) or type(value).__name__ in ("bool_", "bool"):
        return bool(value)
    raise TypeError(f"is a {type(value).__name__}, not a bool")


_SCALAR_CONVERTERS: dict[str, Callable[[Any], Any]] = {
    "int": _to_int,
    "float": _to_float,
    "str": _to_str,
    "bool": _to_bool,
}


def _bools_from_ints(wire: Any) -> Any:
    def one(item: Any) -> Any:
        return bool(item) if not isinstance(item, bool) and item in (0, 1) else item

    return [one(item) for item in wire] if isinstance(wire, (list, tuple)) else one(wire)


def _frozen_array(value: Any) -> Any:
    import numpy as np

    if not isinstance(value, (np.ndarray, np.generic, list, tuple, int, float, bool)):
        raise TypeError(f"is a {type(value).__name__}, not an array")
    array = np.array(value, order="C")
    if array.dtype.hasobject or (array.dtype.kind in "USMmV" and array.dtype.name != "bfloat16"):
        raise TypeError(f"has dtype {array.dtype}, which cannot travel")
    array.setflags(write=False)
    return array


def _fits_int32(value: Any) -> bool:
    return bool(-(2**31) <= value < 2**31)


def _fits_float32(value: Any) -> bool:
    if not math.isfinite(value):
        return False
    try:
        return bool(struct.unpack("f", struct.pack("f", value))[0] == value)
    except OverflowError:
        return False


def _text(document: Any) -> str:
    return _TEXT + json.dumps(document, separators=(",", ":"))


def _array_document(array: Any) -> Mapping[str, Any]:
    data = base64.b64encode(array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes())
    return {"dtype": array.dtype.name, "shape": list(array.shape), "data": data.decode()}


def _from_document(document: Any) -> Any:
    if not isinstance(document, dict):
        return document
    import numpy as np

    if document["dtype"] == "bfloat16":
        import ml_dtypes

        dtype = np.dtype(ml_dtypes.bfloat16)
    else:
        dtype = np.dtype(str(document["dtype"])).newbyteorder("<")
    data = base64.b64decode(document["data"], validate=True)
    return np.frombuffer(data, dtype).reshape(document["shape"]).astype(dtype.newbyteorder("="))
