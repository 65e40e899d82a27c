"""Correct the types and shapes that a model declares, where its nodes say otherwise.

TensorRT and ONNX Runtime compute the shapes of values anew and ignore what is declared of them, so
that models with stale declarations are common: after a change of the batch size, or a conversion
to float16.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from typing import Any

import onnx

from pluginkit.onnx.inference.branch_shapes import infer_through_branches
from pluginkit.onnx.inference.value_types import Types, dims_of
from pluginkit.onnx.model.graphs import Scope, is_in_function, producer_of, scopes
from pluginkit.onnx.model.structure import find_schema
from pluginkit.onnx.model.weightless_model import skeleton_for_inference

#: The prefix of the names that onnx invents for dimensions that it cannot relate to others.
INVENTED = "unk__"


def correct_annotations(model: onnx.ModelProto) -> bool:
    """Correct a model's declarations in place; a model that declares nothing wrong stays the same.

    A negative size, or a name that is not UTF-8, means an unknown one. If a declared type or size
    contradicts what follows from the nodes, all declarations of values that follow from nodes are
    removed, since the rest is as old. Outputs of the graph get the shape that follows from the
    nodes instead.

    Returns:
        Whether a declaration is left that does not follow from the nodes, because onnx does not
        know all of their operators or shapes. It may be wrong as well.

    Errors:
        PK408: the model's types contradict each other.
    """
    _clear_invalid_sizes(model)
    found = [each for each in scopes(model) if not is_in_function(each)]
    is_complete = all(
        each.type.tensor_type.HasField("shape")
        for each in model.graph.output
        if each.type.WhichOneof("value") in ("tensor_type", None)
    )
    if is_complete and not any(scope.graph.value_info for scope in found) and not _may_lie(model):
        return False
    types = _types_from_nodes(model, _foreign_values)
    if any(_is_stale(scope, value, types) for scope in found for value in scope.graph.value_info):
        for scope in found:
            foreign = _foreign_values(scope)
            kept = [value for value in scope.graph.value_info if value.name in foreign]
            kept = [onnx.ValueInfoProto.FromString(each.SerializeToString()) for each in kept]
            del scope.graph.value_info[:]
            scope.graph.value_info.extend(kept)
    for value in model.graph.output:
        _correct_output(value, types.find(found[0], value.name))
    for scope in found[1:]:
        _correct_ranks(scope, types)
    return any(_has_unverified(scope, model, types) for scope in found)


def _has_unverified(scope: Scope, model: onnx.ModelProto, types: Types) -> bool:
    """Whether a declaration in a scope may be wrong: the nodes do not tell all of it."""
    foreign = _foreign_values(scope)
    outputs = model.graph.output if scope.outer is None else ()
    return any(
        value.name in foreign or _is_unverified(value, types.find(scope, value.name))
        for value in (*scope.graph.value_info, *outputs)
    )


def _is_unverified(value: onnx.ValueInfoProto, inferred: onnx.TypeProto | None) -> bool:
    """Whether the nodes do not tell all of a declared shape: it may be wrong unseen."""
    declared, known = dims_of(value.type), dims_of(inferred)
    if declared is None or known is None or len(declared) != len(known):
        return declared is not None
    return any(
        one.HasField("dim_value") and not other.HasField("dim_value")
        for one, other in zip(declared, known, strict=True)
    )


def _may_lie(model: onnx.ModelProto) -> bool:
    """Whether an output declares a shape: sizes, and its rank, may be wrong."""
    return any(len(value.type.tensor_type.shape.dim) > 0 for value in model.graph.output)


def _clear_invalid_sizes(model: onnx.ModelProto) -> None:
    for scope in scopes(model):
        for value in _declared_values(scope):
            for dim in value.type.tensor_type.shape.dim:
                # protobuf returns bytes for a name that is not UTF-8.
                if dim.dim_value < 0 or isinstance(dim.dim_param, bytes):
                    dim.Clear()


def _declared_values(scope: Scope) -> Iterator[onnx.ValueInfoProto]:
    yield from scope.graph.value_info
    if isinstance(scope.graph, onnx.GraphProto):
        yield from scope.graph.input
        yield from scope.graph.output


def verified_types(model: onnx.ModelProto, plugins: Collection[str]) -> Types:
    """Infer the types that follow from the inputs, from the nodes and from plugins alone.

    Args:
        model: the model.
        plugins: the op_types of plugins, whose outputs' declarations have been checked.
    """

    def of_plugins(scope: Scope) -> set[str]:
        nodes = [node for node in scope.graph.node if node.op_type in plugins]
        return {name for node in nodes for name in node.output}

    return _types_from_nodes(model, of_plugins)


def _types_from_nodes(model: onnx.ModelProto, trusted: Callable[[Scope], set[str]]) -> Types:
    """Infer all types without the declarations of values but those that are trusted."""
    light = skeleton_for_inference(model)
    for scope in scopes(light):
        if is_in_function(scope):
            continue
        kept = trusted(scope)
        for at in reversed(range(len(scope.graph.value_info))):
            if scope.graph.value_info[at].name not in kept:
                del scope.graph.value_info[at]
        if isinstance(scope.graph, onnx.GraphProto):
            made = {name for node in scope.graph.node for name in node.output} - kept
            for value in scope.graph.output:
                if value.name in made and value.type.HasField("tensor_type"):
                    value.type.tensor_type.ClearField("shape")
    return infer_through_branches(light)


def _foreign_values(scope: Scope) -> set[str]:
    """Return the outputs of nodes that onnx does not know: of plugins and custom operators."""
    nodes = [(node.domain, node.op_type, node) for node in scope.graph.node]
    foreign = {
        (domain, op_type)
        for domain, op_type in {each[:2] for each in nodes}
        if domain not in ("", "ai.onnx") or find_schema(op_type, scope.opsets.get("", 1)) is None
    }
    return {
        name
        for domain, op_type, node in (nodes if foreign else ())
        if (domain, op_type) in foreign
        for name in node.output
    }


def _is_stale(scope: Scope, value: onnx.ValueInfoProto, types: Types) -> bool:
    """Whether what is declared of a value contradicts what follows from the nodes."""
    inferred = types.find(scope, value.name)
    if inferred is None or value.type.WhichOneof("value") != inferred.WhichOneof("value"):
        return False
    declared, known = value.type.tensor_type.elem_type, inferred.tensor_type.elem_type
    if (
        declared
        and known
        and declared != known
        and declared != type_by_schema(scope, value.name, types)
    ):
        return True
    return _contradicts(value.type, inferred)


def type_by_schema(scope: Scope, name: str, types: Types) -> int:
    """Return the type of the input whose type an output has by its operator's schema; 0 if none.

    onnx infers the type of the wrong input for some operators: RMSNormalization has that of the
    scale.
    """
    node = producer_of(scope.graph, name)
    schema = node and find_schema(node.op_type, scope.opsets.get("", 1))
    if node is None or schema is None:
        return 0
    at = min(list(node.output).index(name), len(schema.outputs) - 1)
    for read, formal in zip(node.input, schema.inputs, strict=False):
        if formal.type_str == schema.outputs[at].type_str:
            found = types.find(scope, read)
            return found.tensor_type.elem_type if found is not None else 0
    return 0


def _contradicts(declared: onnx.TypeProto, inferred: onnx.TypeProto) -> bool:
    before, now = dims_of(declared), dims_of(inferred)
    if before is None or now is None:
        return False
    return len(before) != len(now) or any(map(_differ, before, now))


def _differ(declared: Any, inferred: Any) -> bool:
    """Whether a declared size cannot be right: another is known, or an input may have any size."""
    if not declared.HasField("dim_value"):
        return False
    if inferred.HasField("dim_value"):
        return bool(declared.dim_value != inferred.dim_value)
    return bool(inferred.dim_param and not inferred.dim_param.startswith(INVENTED))


def _correct_ranks(scope: Scope, types: Types) -> None:
    """Replace the shape of each output of a body whose rank is another.

    A Loop may declare other sizes than it begins with, so that sizes are left.
    """
    for value in scope.graph.output:
        inferred = types.find(scope, value.name)
        before, now = dims_of(value.type), dims_of(inferred)
        if inferred is None or before is None or now is None:
            continue
        if len(before) != len(now):
            value.type.tensor_type.shape.CopyFrom(inferred.tensor_type.shape)


def _correct_output(value: onnx.ValueInfoProto, inferred: onnx.TypeProto | None) -> None:
    """Complete the type of a graph output, and replace its shape if it is wrong."""
    if inferred is None or inferred.WhichOneof("value") != "tensor_type":
        return
    if value.type.WhichOneof("value") not in ("tensor_type", None):
        return
    declared, known = value.type.tensor_type, inferred.tensor_type
    if not declared.elem_type and known.elem_type:
        declared.elem_type = known.elem_type
    if not known.HasField("shape"):
        return
    if not declared.HasField("shape") or _contradicts(value.type, inferred):
        declared.shape.CopyFrom(known.shape)
        for dim in declared.shape.dim:
            if dim.dim_param.startswith(INVENTED):
                dim.Clear()
