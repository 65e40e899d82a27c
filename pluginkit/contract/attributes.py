"""Plugin attributes: their declaration, their validation, and the form in which they travel.

An attribute's journey is ONNX node -> TensorRT's parser -> PluginField -> plugin -> plan -> plugin.
TensorRT truncates int64 to 32 bits, turns doubles into floats, has no booleans, joins strings with
NULs and mislabels tensors. So a value travels in a *wire form* that no stop on the way can change:
an ``int`` of 32 bits, a ``float`` that float32 holds exactly, a ``str``, a list of such ints or
floats; and everything else as text, ``json:`` and a JSON document. None is not sent at all. The
ONNX node, the PluginFields and the serialized plugin all carry the same wire form.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

from pluginkit.contract.attribute_types import type_from_annotation
from pluginkit.contract.attribute_values import (
    SCALAR_CONVERTERS,
    TEXT,
    bools_from_ints,
    document_from_array,
    fits_float32,
    fits_int32,
    frozen_array,
    text_from_document,
    value_from_document,
)
from pluginkit.errors import AttributeValueError, DeclarationError

Wire = int | float | str | list[int] | list[float]


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
    ``tuple[T, T]`` (``T`` one of the four scalars) or ``numpy.ndarray``; or one of these ``| None``
    with ``default=None``, for an attribute that a node may leave out.
    """
    if choices is not None and not _are_choices(choices):
        raise DeclarationError(
            "PK101",
            f"choices is {_shown(choices)}; expected a tuple of values.",
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
        is_optional: whether it may be None, which is its default and travels by being absent.
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
        """``value`` as the plugin holds it: exact Python types, tuples, read-only arrays.

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
            f"{owner}: attribute '{self.name}' is {_shown(value)}; expected {self.type_name}.",
            where=where,
            cause=cause,
            fix=f"give '{self.name}' a value that the declaration in {owner} allows.",
        )

    def _convert(self, value: Any) -> Any:
        if self.kind == "array":
            return frozen_array(value)
        if self.kind != "tuple":
            return SCALAR_CONVERTERS[self.kind](value)
        if isinstance(value, (str, bytes)) or not hasattr(value, "__iter__"):
            raise TypeError("not a sequence")
        convert = SCALAR_CONVERTERS[str(self.item)]
        items = tuple(convert(item) for item in value)
        if self.length is not None and len(items) != self.length:
            raise ValueError(f"has {len(items)} elements, not {self.length}")
        return items

    def to_wire(self, value: Any) -> Wire:
        """The wire form of a validated value."""
        if self.kind == "array":
            return text_from_document(document_from_array(value))
        if self.kind == "bool":
            return int(value)
        if self.kind == "tuple":
            return self._tuple_to_wire(value)
        if self.kind == "int" and not fits_int32(value):
            return text_from_document(value)
        if self.kind == "float" and not fits_float32(value):
            return text_from_document(value)
        if self.kind == "str" and (value.startswith(TEXT) or "\0" in value):
            return text_from_document(value)
        return cast(Wire, value)

    def _tuple_to_wire(self, value: tuple[Any, ...]) -> Wire:
        if self.item == "bool" and value:
            return [int(item) for item in value]
        fits = {"int": fits_int32, "float": fits_float32}.get(str(self.item))
        if fits is not None and value and all(map(fits, value)):
            return list(value)
        return text_from_document(list(value))

    def from_wire(self, owner: str, wire: Any, where: str | None = None) -> Any:
        """The validated value behind a wire form, or behind what a person wrote by hand.

        Errors:
            PK104: the value has another type, length or range than declared.
        """
        if isinstance(wire, str) and wire.startswith(TEXT):
            try:
                wire = value_from_document(json.loads(wire.removeprefix(TEXT)))
            except (ValueError, LookupError, TypeError, OverflowError, RecursionError) as error:
                raise self._refusal(owner, wire, f"damaged text form: {error}", where) from error
        wants_bool = self.kind == "bool" and isinstance(wire, int)
        if wants_bool or (self.item == "bool" and isinstance(wire, (list, tuple))):
            wire = bools_from_ints(wire)
        return self.validate(owner, wire, where)


def _are_choices(choices: Any) -> bool:
    return isinstance(choices, Sequence) and all(isinstance(one, Hashable) for one in choices)


def _same_values(some: Sequence[Any], others: Sequence[Any]) -> bool:
    return all(one in others for one in some) and all(one in some for one in others)


def _shown(value: Any) -> str:
    try:
        text = repr(value)
    except (RecursionError, ValueError):  # nested too deeply, or an int of thousands of digits
        return f"a {type(value).__name__}"
    return text if len(text) <= 80 else text[:77] + "..."


def attribute_spec(
    owner: str, name: str, annotation: Any, declared: AttributeDeclaration
) -> AttributeSpec:
    """The spec of one declared attribute.

    Errors:
        PK101: the annotation is missing or of a type that cannot travel.
        PK102: the default does not satisfy the declaration.
    """
    given = type_from_annotation(owner, name, annotation)
    choices = given.choices if given.choices is not None else declared.choices
    if choices and declared.choices is not None and not _same_values(choices, declared.choices):
        raise DeclarationError(
            "PK101",
            f"{owner}.{name}: Literal{list(choices)} and choices={list(declared.choices)} differ.",
            fix="drop choices=, the annotation says it all.",
        )
    if given.kind == "array" and declared.choices is not None:
        raise DeclarationError(
            "PK101",
            f"{owner}.{name}: an array has choices; expected none.",
            fix="say what is allowed with check=.",
        )
    spec = AttributeSpec(
        name,
        given.kind,
        given.item,
        given.length,
        declared.default,
        choices,
        declared.check,
        declared.doc,
        given.is_optional,
    )
    if spec.is_optional and declared.default is not None:
        raise DeclarationError(
            "PK102",
            f"{owner}.{name}: default {_shown(declared.default)}; expected None.",
            cause="nodes and plans cannot hold None: an attribute that is absent is None.",
            fix="write attribute(default=None), or drop None from the annotation.",
        )
    if spec.is_required:
        return spec
    try:
        default = spec.validate(owner, declared.default)
    except AttributeValueError as error:
        raise DeclarationError(
            "PK102",
            f"{owner}.{name}: default {_shown(declared.default)}; expected {spec.type_name}.",
            cause=error.cause,
            fix="change the default or the annotation.",
        ) from error
    return replace(spec, default=default)
