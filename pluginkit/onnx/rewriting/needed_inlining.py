"""Inline the local functions that hold nodes to rewrite.

The values of a function have types only where it is called, and one function may be called with
several. A plugin node inside needs them, and so do most rewrites.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator

import onnx
import onnx.checker
import onnx.defs
import onnx.helper
import onnx.inliner

from pluginkit.errors import ModelError
from pluginkit.onnx.model.external_data import is_external
from pluginkit.onnx.model.function_opsets import (
    ONNX_DOMAINS,
    has_other_opsets,
    share_opset,
)
from pluginkit.onnx.model.graphs import root_of, scopes, tensors
from pluginkit.onnx.model.structure import check_structure

_Key = tuple[str, str]
#: The types of values between nodes that some rewrites look for, whatever the operator is.
_RARE_TYPES = frozenset(
    [
        onnx.TensorProto.UINT8,
        onnx.TensorProto.INT16,
        onnx.TensorProto.UINT16,
        onnx.TensorProto.UINT32,
        onnx.TensorProto.UINT64,
        onnx.TensorProto.INT8,
        onnx.TensorProto.DOUBLE,
    ]
)

#: Operators of other domains that TensorRT's parser has itself, but for those that begin with TRT_.
_OF_PARSER = frozenset(
    [
        "DistCollective", "GroupQueryAttention", "ImageScaler", "MatMulNBits",
        "MultiHeadAttention", "ParametricSoftplus", "QMoE", "ScaledTanh",
        "SimplifiedLayerNormalization", "SkipSimplifiedLayerNormalization",
    ]
)  # fmt: skip

#: What is to blame where onnx fails to bring functions to the opset of their model.
_OTHER_OPSETS = "functions import another opset than the model, and onnx cannot convert them: "


def inline_needed(model: onnx.ModelProto, op_types: Collection[str]) -> bool:
    """Inline, in place, each local function that holds one of these operators.

    Functions that call such a function are inlined too, and functions with an overload, which
    TensorRT's parser ignores, with external data, which onnx does not find there, or called without
    an optional input, which the parser refuses. So are functions of a name that another one or an
    operator has: the parser ignores their domains. If the model has values of types that TensorRT
    lacks, or a function another version of ONNX's operators, all functions are.

    Args:
        model: the model.
        op_types: the operators of the nodes that rewrites look for.

    Returns:
        Whether a function was inlined that TensorRT's parser does not take.

    Errors:
        PK408: the functions cannot be inlined, or a call lacks an input that its function needs.
    """
    if not model.functions:
        return False
    light = _without_weights(model)
    share_opset(light)
    has_others = has_other_opsets(light)
    fewer = _called_with_fewer_inputs(light)
    refused = _name_overloads(light) | fewer | _mistaken(light)
    wanted = _wanted(light, op_types, refused)
    if not wanted:
        return False
    try:
        inlined = (
            onnx.inliner.inline_local_functions(light, convert_version=True)
            if has_others
            else onnx.inliner.inline_selected_functions(light, sorted(wanted))
        )
    except (onnx.checker.ValidationError, ValueError, RuntimeError) as error:
        raise ModelError(
            "PK408",
            "local functions cannot be inlined; expected a valid model.",
            cause=f"{_OTHER_OPSETS if has_others else ''}{error}",
            fix="export the model again.",
        ) from error
    if fewer:  # an operator may need the input that the call leaves out
        check_structure(inlined)
    _import_domains(inlined, model.functions)
    for field in ("functions", "opset_import"):
        model.ClearField(field)
        getattr(model, field).extend(getattr(inlined, field))
    for field in ("node", "value_info"):
        model.graph.ClearField(field)
        getattr(model.graph, field).extend(getattr(inlined.graph, field))
    _number_nodes(model)
    return bool(refused)


def _wanted(
    model: onnx.ModelProto, op_types: Collection[str], refused: Collection[_Key]
) -> set[_Key]:
    """Return the functions to inline: domain and name."""
    holds: dict[_Key, set[str]] = {}
    calls: dict[_Key, set[_Key]] = {}
    with_external_data: set[_Key] = set()
    for scope in scopes(model):
        root = root_of(scope).graph
        if isinstance(root, onnx.FunctionProto):
            key = (root.domain, root.name)
            holds.setdefault(key, set()).update(node.op_type for node in scope.graph.node)
            calls.setdefault(key, set()).update(
                (node.domain, node.op_type) for node in scope.graph.node
            )
            if any(is_external(each.t) for node in scope.graph.node for each in node.attribute):
                with_external_data.add(key)
    if _has_rare_types(model):
        return set(holds)
    wanted = {key for key, held in holds.items() if not held.isdisjoint(op_types)}
    wanted |= {*with_external_data, *refused}
    while True:
        callers = {key for key, called in calls.items() if not called.isdisjoint(wanted)}
        if callers <= wanted:
            return wanted
        wanted |= callers


def _mistaken(model: onnx.ModelProto) -> set[_Key]:
    """Return the functions that TensorRT's parser takes for something else of their name."""
    keys = {(each.domain, each.name) for each in model.functions}
    domains = Counter(name for _, name in keys)
    operators = {schema.name for schema in onnx.defs.get_all_schemas()} | _OF_PARSER
    return {
        (domain, name)
        for domain, name in keys
        if domain not in ONNX_DOMAINS
        and (domains[name] > 1 or name in operators or name.startswith("TRT_"))
    }


def _called_with_fewer_inputs(model: onnx.ModelProto) -> set[_Key]:
    """Return the functions that a node calls without one of their inputs."""
    inputs = {(each.domain, each.name): len(each.input) for each in model.functions}
    return {
        (node.domain, node.op_type)
        for scope in scopes(model)
        for node in scope.graph.node
        if inputs.get((node.domain, node.op_type), 0) > sum(map(bool, node.input))
    }


def _has_rare_types(model: onnx.ModelProto) -> bool:
    return not _RARE_TYPES.isdisjoint(_elem_types(model))


def _elem_types(model: onnx.ModelProto) -> Iterator[int]:
    """Yield the element types that a model names: of inputs, stored tensors and casts."""
    for value in (*model.graph.input, *model.graph.output):
        yield value.type.tensor_type.elem_type
    for tensor in tensors(model):
        yield tensor.data_type
    for scope in scopes(model):
        for node in scope.graph.node:
            for attribute in node.attribute:
                if attribute.name in ("to", "dtype"):
                    yield attribute.i


def _without_weights(model: onnx.ModelProto) -> onnx.ModelProto:
    """Copy the model with the main graph's initializers as inputs, which keep their names."""
    light = onnx.ModelProto(ir_version=model.ir_version)
    light.opset_import.extend(model.opset_import)
    light.functions.extend(model.functions)
    light.graph.name = model.graph.name
    for field in ("node", "input", "output", "value_info"):
        getattr(light.graph, field).extend(getattr(model.graph, field))
    light.graph.input.extend(
        onnx.ValueInfoProto(name=tensor.name) for tensor in model.graph.initializer
    )
    return light


def _name_overloads(model: onnx.ModelProto) -> set[_Key]:
    """Turn overloads into functions of different names, and return these names."""
    taken = {(each.domain, each.name) for each in model.functions}
    names: dict[tuple[str, str, str], str] = {}
    for function in model.functions:
        if function.overload:
            name = f"{function.name}_{function.overload}"
            while (function.domain, name) in taken:
                name += "_"
            taken.add((function.domain, name))
            names[function.domain, function.name, function.overload] = name
            function.name = name
            function.overload = ""
    for scope in scopes(model):
        for node in scope.graph.node:
            name = names.get((node.domain, node.op_type, node.overload), "")
            if name:
                node.op_type = name
                node.overload = ""
    return {(domain, name) for (domain, _, _), name in names.items()}


def _import_domains(model: onnx.ModelProto, functions: Iterable[onnx.FunctionProto]) -> None:
    """Import what the functions imported: the inliner leaves out what the model does not import."""
    there = {entry.domain for entry in model.opset_import} | {"", "ai.onnx"}
    for function in functions:
        for entry in function.opset_import:
            if entry.domain not in there:
                there.add(entry.domain)
                model.opset_import.append(entry)


def _number_nodes(model: onnx.ModelProto) -> None:
    """Give the nodes of a function that was inlined several times different names."""
    taken: set[str] = set()
    for scope in scopes(model):
        for node in scope.graph.node:
            name, number = node.name, 1
            while node.name and node.name in taken:
                node.name = f"{name}_{number}"
                number += 1
            taken.add(node.name)
