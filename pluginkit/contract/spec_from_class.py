"""Read a Plugin class into its PluginSpec; a wrong declaration raises an error that names the line.

Attributes are read here, ports and names in ``class_members``; ``class_rules`` then checks that the
parts fit together.
"""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, Union, get_args, get_origin

from pluginkit.contract.attributes import AttributeDeclaration, AttributeSpec, shown
from pluginkit.contract.class_members import (
    read_onnx_op,
    read_port,
    read_tactics,
    read_text,
    read_types,
)
from pluginkit.contract.class_rules import check_spec
from pluginkit.contract.class_source import ClassSource
from pluginkit.contract.launches import CudaKernel, NumbaKernel
from pluginkit.contract.spec import Input, Output, PluginSpec, Port, ShapeInput, SizeOutput
from pluginkit.errors import AttributeValueError, DeclarationError

OPTIONAL_METHODS = (
    *("check", "output_types", "workspace_bytes", "workspace_bound"),
    *("launches", "enqueue", "cases"),
)
_SCALARS = (int, float, str, bool)


def spec_from_class(cls: type) -> PluginSpec:
    """Read and check the declaration of a Plugin class.

    Errors:
        PK100 to PK109, as in docs/errors.md, each naming the line.
    """
    source = ClassSource(cls)
    variables = read_types(source)

    def ports(*kinds: type) -> tuple[Port, ...]:
        members = source.members(kinds)
        return tuple(read_port(source, name, declared, variables) for name, declared in members)

    spec = PluginSpec(
        name=cls.__name__,
        plugin_name=read_text(source, "plugin_name", f"{cls.__name__}_PK"),
        plugin_version=read_text(source, "plugin_version", "1"),
        plugin_namespace=read_text(source, "plugin_namespace", "pluginkit"),
        inputs=ports(Input, ShapeInput),
        outputs=ports(Output) + ports(SizeOutput),
        attributes=_attributes(source),
        types=variables,
        kernels=dict(source.members((CudaKernel, NumbaKernel))),
        onnx_op=read_onnx_op(source),
        tactics=read_tactics(source),
        overrides=frozenset(name for name in OPTIONAL_METHODS if source.overrides(name)),
        doc=inspect.cleandoc(str(cls.__doc__ or "")),
        module=cls.__module__,
    )
    check_spec(source, spec)
    return spec


def _attributes(source: ClassSource) -> tuple[AttributeSpec, ...]:
    hints = _annotations(source)
    specs = []
    for name, declared in source.members(AttributeDeclaration):
        if name not in hints:
            raise source.error(
                "PK101",
                name,
                f"attribute '{name}' has no type.",
                f"write {name}: int = attribute(...)",
            )
        try:
            specs.append(attribute_spec(source.cls.__name__, name, hints[name], declared))
        except DeclarationError as error:
            error.where = source.line_of(name)
            raise
    return tuple(specs)


def _annotations(source: ClassSource) -> dict[str, Any]:
    try:
        return typing.get_type_hints(source.cls)
    except (NameError, TypeError, ValueError, SyntaxError, AttributeError, LookupError) as error:
        raise source.error(
            "PK101",
            "attribute",
            f"an annotation cannot be read: {error}.",
            "import what the annotation names outside `if TYPE_CHECKING`.",
        ) from error


def attribute_spec(
    owner: str, name: str, annotation: Any, declared: AttributeDeclaration
) -> AttributeSpec:
    """Return the spec of one declared attribute.

    Errors:
        PK101: the annotation is missing or of a type that cannot travel.
        PK102: the default does not satisfy the declaration.
    """
    given = type_from_annotation(owner, name, annotation)
    choices = given.choices if given.choices is not None else declared.choices
    _check_choices(owner, name, given, declared.choices)
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
            f"{owner}.{name}: default {shown(declared.default)}; expected None.",
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
            f"{owner}.{name}: default {shown(declared.default)}; expected {spec.type_name}.",
            cause=error.cause,
            fix="change the default or the annotation.",
        ) from error
    return replace(spec, default=default)


@dataclass(frozen=True)
class AttributeType:
    """The type that an annotation gives an attribute; members as in AttributeSpec."""

    kind: str
    item: str | None = None
    length: int | None = None
    choices: tuple[Any, ...] | None = None
    is_optional: bool = False


def _check_choices(
    owner: str, name: str, given: AttributeType, choices: tuple[Any, ...] | None
) -> None:
    """Refuse ``choices=`` that contradict a Literal, or that an array cannot have."""
    if choices is None:
        return
    if given.choices is not None and not _same_values(given.choices, choices):
        raise DeclarationError(
            "PK101",
            f"{owner}.{name}: Literal{list(given.choices)} and choices={list(choices)} differ.",
            fix="drop choices=, the annotation says it all.",
        )
    if given.kind == "array":
        raise DeclarationError(
            "PK101",
            f"{owner}.{name}: an array has choices; expected none.",
            fix="say what is allowed with check=.",
        )


def _same_values(some: Sequence[Any], others: Sequence[Any]) -> bool:
    return all(one in others for one in some) and all(one in some for one in others)


def type_from_annotation(owner: str, name: str, annotation: Any) -> AttributeType:
    """Return the type of an attribute.

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
