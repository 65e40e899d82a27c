"""What the annotation beside an attribute says."""

from __future__ import annotations

import types
from dataclasses import dataclass, replace
from typing import Any, Literal, Union, get_args, get_origin

from pluginkit.errors import DeclarationError

_SCALARS = (int, float, str, bool)


@dataclass(frozen=True)
class AttributeType:
    """The type of an attribute.

    Attributes:
        kind: ``"int"``, ``"float"``, ``"str"``, ``"bool"``, ``"tuple"`` or ``"array"``.
        item: the scalar kind of a tuple's elements, else None.
        length: a tuple's exact length, None when any.
        choices: the values of a Literal, else None.
        is_optional: whether it is ``| None``.
    """

    kind: str
    item: str | None = None
    length: int | None = None
    choices: tuple[Any, ...] | None = None
    is_optional: bool = False


def type_from_annotation(owner: str, name: str, annotation: Any) -> AttributeType:
    """The type of an attribute.

    Errors:
        PK101: the annotation is missing or of a type that cannot travel.
    """
    arguments = get_args(annotation)
    if _is_union(annotation) and len(arguments) == 2 and arguments[1] is types.NoneType:
        return replace(_type(owner, name, arguments[0]), is_optional=True)
    return _type(owner, name, annotation)


def _type(owner: str, name: str, annotation: Any) -> AttributeType:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        kinds = {type(argument) for argument in arguments}
        if len(kinds) == 1 and kinds.issubset(_SCALARS):
            return AttributeType(kinds.pop().__name__, choices=arguments)
    elif origin is tuple and arguments:
        is_variadic = len(arguments) == 2 and arguments[1] is Ellipsis
        items = set(arguments[:1] if is_variadic else arguments)
        if len(items) == 1 and items.issubset(_SCALARS):
            length = None if is_variadic else len(arguments)
            return AttributeType("tuple", items.pop().__name__, length)
    elif annotation in _SCALARS:
        return AttributeType(annotation.__name__)
    elif not _is_union(annotation) and _is_ndarray(origin or annotation):
        return AttributeType("array")
    raise DeclarationError(
        "PK101",
        f"{owner}.{name}: annotation {annotation!r} cannot travel; "
        "expected int, float, str, bool, Literal[...], tuple[T, ...] or numpy.ndarray, or one "
        "of these and None.",
        fix=f"write, for example, `{name}: int = attribute(default=0)`.",
    )


def _is_union(annotation: Any) -> bool:
    return get_origin(annotation) in (Union, types.UnionType)


def _is_ndarray(annotation: Any) -> bool:
    module = getattr(annotation, "__module__", "")
    return module.partition(".")[0] == "numpy" and getattr(annotation, "__name__", "") == "ndarray"
