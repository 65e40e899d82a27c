"""Declare the attributes of a plugin, validate their values and convert them to the wire form.

An attribute travels from the ONNX node through TensorRT's parser and a PluginField to the plugin,
and from there through the plan to the plugin that runs. On the way TensorRT truncates int64 to 32
bits, turns doubles into floats, has no booleans, joins strings with NULs and mislabels tensors. The
*wire form* survives all of that: an ``int`` of 32 bits, a ``float`` that float32 holds exactly, a
``str``, or a list of such ints or floats. Every other value travels as text: ``json:`` and a JSON
document. None travels by being absent. The ONNX node, the PluginFields and the plan all hold the
same wire form.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from numbers import Number
from typing import Any, cast

from pluginkit.contract.attribute_values import (
    document_from_array,
    fits_float32,
    fits_int32,
    frozen_array,
    is_json_text,
    json_text,
    value_from_json_text,
)
from pluginkit.errors import AttributeValueError, DeclarationError

#: The wire form of one attribute.
WireValue = int | float | str | list[int] | list[float]
_BITS: tuple[object, ...] = (0, 1)


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
    """Declare an attribute of a plugin; its annotation on the class gives its type.

    Args:
        default: the value when neither the node nor the constructor gives one; without a default
            the attribute is required.
        choices: the allowed values; ``Literal["none", "add"]`` as the annotation says the same.
        check: gets the value and returns what is wrong with it, or None.
        doc: one line for ``pluginkit show``.

    The annotation is ``int``, ``float``, ``str``, ``bool``, ``Literal[...]``, ``tuple[T, ...]``,
    ``tuple[T, T]`` (``T`` one of the four scalars) or ``numpy.ndarray``; or one of these ``| None``
    with ``default=None``, for an attribute that a node may leave out.
    """
    if choices is not None and not _are_choices(choices):
        raise DeclarationError(
            "PK101",
            f"choices is {shown(choices)}; expected a tuple of values.",
            fix='write, for example, choices=("none", "add").',
        )
    if check is not None and not callable(check):
        raise DeclarationError(
            "PK101",
            f"check is {check!r}; expected a function of the value.",
            fix="write a function that returns what is wrong with the value, or None.",
        )
    return AttributeDeclaration(
        default, tuple(choices) if choices is not None else None, check, doc
    )


def _are_choices(choices: Any) -> bool:
    return isinstance(choices, Sequence) and all(isinstance(one, Hashable) for one in choices)


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
        is_optional: whether it may be None, which is then its default.
    """

    name: str
    kind: str
    item: str | None
    length: int | None
    default: Any
    choices: tuple[Any, ...] | None
    check: Callable[[Any], str | None] | None
    doc: str
    is_optional: bool = False

    @property
    def is_required(self) -> bool:
        """Whether the attribute has no default."""
        return self.default is REQUIRED

    @property
    def type_name(self) -> str:
        """The type in Python's notation, ``"tuple[int, ...]"``."""
        return f"{self._value_type_name} | None" if self.is_optional else self._value_type_name

    @property
    def _value_type_name(self) -> str:
        if self.choices is not None:
            return " | ".join(repr(choice) for choice in self.choices)
        if self.kind == "tuple":
            items = (
                [str(self.item), "..."] if self.length is None else [str(self.item)] * self.length
            )
            return f"tuple[{', '.join(items)}]"
        return "numpy.ndarray" if self.kind == "array" else self.kind

    def validate(self, owner: str, value: Any, where: str | None = None) -> Any:
        """Return ``value`` as the plugin holds it: exact Python types, tuples, read-only arrays.

        Errors:
            PK104: the value has another type, length or range than declared.
        """
        if value is None and self.is_optional:
            return None
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
        return AttributeValueError(
            "PK104",
            f"{owner}: attribute '{self.name}' is {shown(value)}; expected {self.type_name}.",
            where=where,
            cause=cause,
            fix=f"give '{self.name}' a value that the declaration in {owner} allows.",
        )

    def _convert(self, value: Any) -> Any:
        if self.kind == "array":
            return frozen_array(value)
        if self.kind != "tuple":
            return _SCALAR_CONVERTERS[self.kind](value)
        if isinstance(value, (str, bytes)) or not hasattr(value, "__iter__"):
            raise TypeError("not a sequence")
        convert = _SCALAR_CONVERTERS[str(self.item)]
        items = tuple(convert(item) for item in value)
        if self.length is not None and len(items) != self.length:
            raise ValueError(f"has {len(items)} elements, not {self.length}")
        return items

    def to_wire(self, value: Any) -> WireValue:
        """Return the wire form of a validated value."""
        if self.kind == "array":
            return json_text(document_from_array(value))
        if self.kind == "bool":
            return int(value)
        if self.kind == "tuple":
            return self._tuple_to_wire(value)
        if self.kind == "int" and not fits_int32(value):
            return json_text(value)
        if self.kind == "float" and not fits_float32(value):
            return json_text(value)
        if self.kind == "str" and (is_json_text(value) or "\0" in value):
            return json_text(value)
        return cast(WireValue, value)

    def _tuple_to_wire(self, value: tuple[Any, ...]) -> WireValue:
        if self.item == "bool" and value:
            return [int(item) for item in value]
        fits = {"int": fits_int32, "float": fits_float32}.get(str(self.item))
        if fits is not None and value and all(map(fits, value)):
            return list(value)
        return json_text(list(value))

    def from_wire(self, owner: str, wire: Any, where: str | None = None) -> Any:
        """Return the validated value of a wire form, or of what a person wrote by hand.

        Errors:
            PK104: the value has another type, length or range than declared.
        """
        if is_json_text(wire):
            try:
                wire = value_from_json_text(wire)
            except (ValueError, LookupError, TypeError, OverflowError, RecursionError) as error:
                raise self._refusal(owner, wire, f"damaged text form: {error}", where) from error
        if self.kind != "array" and hasattr(wire, "tolist"):  # numpy is not imported here
            wire = self._from_tensor(wire)
        if self.kind == "bool" and isinstance(wire, int):
            wire = _bool_from_number(wire)
        elif self.item == "bool" and isinstance(wire, (list, tuple)):
            wire = [_bool_from_number(item) for item in wire]
        return self.validate(owner, wire, where)

    def _from_tensor(self, tensor: Any) -> Any:
        """Return a tensor of one element as that element, a list's tensor as a list."""
        if self.kind == "tuple":
            return tensor.tolist() if tensor.ndim == 1 else tensor
        return tensor.item() if tensor.size == 1 else tensor


def _bool_from_number(item: Any) -> Any:
    """Return 0 and 1 as bools, and anything else unchanged for ``validate`` to refuse."""
    return bool(item) if isinstance(item, Number) and item in _BITS else item


def shown(value: Any) -> str:
    """Return the start of a value's repr, for a message."""
    try:
        text = repr(value)
    except (RecursionError, ValueError):  # nested too deeply, or an int of thousands of digits
        return f"a {type(value).__name__}"
    return text if len(text) <= 80 else text[:77] + "..."


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
    return str(value)


def _to_bool(value: Any) -> bool:
    if isinstance(value, bool) or type(value).__name__ in ("bool_", "bool"):
        return bool(value)
    raise TypeError(f"is a {type(value).__name__}, not a bool")


#: For each scalar kind, the conversion to the exact Python type; TypeError or ValueError if none.
_SCALAR_CONVERTERS: dict[str, Callable[[Any], Any]] = {
    "int": _to_int,
    "float": _to_float,
    "str": _to_str,
    "bool": _to_bool,
}
