"""Compare the declaration with the ONNX schema."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pluginkit.checking.check import check
from pluginkit.checking.outcomes import Failure, NotRun
from pluginkit.checking.plugin_under_test import Subject

if TYPE_CHECKING:
    from onnx.defs import OpSchema

    from pluginkit.contract.spec import OnnxOp, PluginSpec, Port

_ONNX_TYPES = {
    "float32": "float", "float16": "float16", "bfloat16": "bfloat16", "int64": "int64",
    "int32": "int32", "int8": "int8", "uint8": "uint8", "bool": "bool",
}  # fmt: skip
_KINDS = {
    "int": ("INT",), "float": ("FLOAT",), "str": ("STRING",), "bool": ("INT",),
    "array": ("TENSOR",),
}  # fmt: skip


def schema_of(op: OnnxOp) -> OpSchema:
    """Return the operator's schema.

    Errors:
        NotRun: onnx does not know the operator.
    """
    import onnx.defs

    try:
        return onnx.defs.get_schema(op.op_type, op.since, op.domain)
    except onnx.defs.SchemaError as error:
        raise NotRun(
            f"a schema: onnx has none of {op.domain or 'ai.onnx'}::{op.op_type}"
        ) from error


@check(10, needs=("onnx_op",))
def declaration(subject: Subject) -> str:
    """Inputs, outputs, types and attributes agree with the schema of ``onnx_op``.

    Required inputs are declared in the schema's order. The plugin declares no type that the
    operator lacks, and tensors that share a type in the schema share a type variable. Attributes
    have the schema's names, kinds and defaults; attributes that the schema lacks have defaults.

    Does not prove that the plugin computes what the operator's text says, nor that its types are
    complete: a plugin may take fewer.
    """
    spec = subject.plugin_class.spec
    if spec.onnx_op is None:
        raise NotRun("onnx_op")
    schema = schema_of(spec.onnx_op)
    _check_counts(spec, schema)
    _check_types(spec.inputs, schema.inputs, schema)
    _check_types(spec.results, schema.outputs, schema)
    _check_shared_types(spec, schema)
    _check_attributes(spec, schema)
    return f"{schema.name}-{schema.since_version}"


def _check_counts(spec: PluginSpec, schema: Any) -> None:
    for kind, ports, low, high in (
        ("inputs", spec.inputs, schema.min_input, schema.max_input),
        ("outputs", spec.results, schema.min_output, schema.max_output),
    ):
        if not low <= len(ports) <= high:
            raise Failure(f"the declared {kind}", len(ports), f"{low} to {high}, as {schema.name}")
    for port, formal in zip(spec.inputs, schema.inputs, strict=False):
        if port.optional and formal.option.name == "Single":
            raise Failure(f"input '{port.name}'", "optional", f"required, as '{formal.name}'")


def _check_types(ports: Sequence[Port], formals: Sequence[Any], schema: OpSchema) -> None:
    for index, port in enumerate(ports):
        formal = formals[min(index, len(formals) - 1)]  # the last one may be variadic
        extra = [
            d.name for d in port.dtypes if f"tensor({_ONNX_TYPES[d.name]})" not in formal.types
        ]
        if extra:
            raise Failure(
                f"'{port.name}'", ", ".join(extra), f"types of {schema.name}'s '{formal.name}'"
            )


def _check_shared_types(spec: PluginSpec, schema: OpSchema) -> None:
    pairs = [*zip(spec.inputs, schema.inputs, strict=False)]
    pairs += zip(spec.results, schema.outputs, strict=False)
    for index, (port, formal) in enumerate(pairs):
        for other, other_formal in pairs[:index]:
            is_shared = formal.type_str == other_formal.type_str and "(" not in formal.type_str
            is_tied = port.variable is not None and port.variable == other.variable
            is_single = len(port.dtypes) == 1 and port.dtypes == other.dtypes
            if is_shared and not is_tied and not is_single:
                raise Failure(
                    f"'{other.name}' and '{port.name}'",
                    "types that vary apart",
                    f"one type variable, as {schema.name} has '{formal.type_str}' for both",
                )


def _check_attributes(spec: PluginSpec, schema: Any) -> None:
    import onnx.helper

    for one in spec.attributes:
        if one.name not in schema.attributes:
            if one.is_required:
                raise Failure(
                    f"attribute '{one.name}'",
                    "required",
                    f"a default, as {schema.name} has none of that name",
                )
            continue
        formal = schema.attributes[one.name]
        (kind,) = _KINDS[str(one.item if one.kind == "tuple" else one.kind)]
        kinds = (f"{kind}S",) if one.kind == "tuple" else (kind,)
        if formal.type.name not in kinds:
            raise Failure(f"attribute '{one.name}'", one.type_name, f"{formal.type.name}")
        if formal.default_value.type:
            default = onnx.helper.get_attribute_value(formal.default_value)
            wire = default.decode() if isinstance(default, bytes) else default
            if one.is_required or not _is_same(one.default, one.from_wire(spec.name, wire)):
                got = "required" if one.is_required else repr(one.default)
                raise Failure(f"attribute '{one.name}'", f"default {got}", f"default {wire!r}")
    absent = sorted(set(schema.attributes) - {one.name for one in spec.attributes})
    if absent:
        raise Failure(
            f"attribute '{absent[0]}'", "not declared", f"declared, as {schema.name} has it"
        )


def _is_same(ours: object, schemas: object) -> bool:
    """Compare two values; the schema's floats are float32."""
    if isinstance(ours, float) and isinstance(schemas, float):
        return struct.pack("f", ours) == struct.pack("f", schemas)
    return ours == schemas
