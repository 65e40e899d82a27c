"""Derive the declaration of a plugin from a node of a model, and all nodes of the same operator.

The declaration has what all of these nodes have in common: a size that is the same in each, one
name for dimensions that are equal in each, an attribute that each has.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import onnx
import onnx.defs

from pluginkit.contract.dtypes import FLOAT_TYPES, OUTPUT_TYPES, DType, bool_, float32
from pluginkit.errors import UsageError
from pluginkit.onnx.inference.infer_types import infer_types
from pluginkit.onnx.inference.value_types import Types
from pluginkit.onnx.model.find_node import find_node
from pluginkit.onnx.model.graphs import Scope, describe, scopes
from pluginkit.onnx.model.model_file import load_model
from pluginkit.scaffold.names import is_free, port_name
from pluginkit.scaffold.node_values import (
    AxisNames,
    OperatorNodes,
    OperatorValue,
    ValueKind,
    values_of,
    variables_of,
)
from pluginkit.scaffold.onnx_schema import ANNOTATIONS, operator_of, parsed_name
from pluginkit.scaffold.operator_declaration import Attribute, Operator, OperatorPort
from pluginkit.scaffold.sample_case import sample_case


@dataclass(frozen=True)
class NodeOperator:
    """What follows from a node for a plugin.

    Attributes:
        operator: the operator as the plugin declares it.
        case: the body of ``cases``, with a call like that of the node; "" if a type is unknown.
    """

    operator: Operator
    case: str = ""


def operator_of_node(path: Path, wanted: str) -> NodeOperator:
    """Return the operator of a node as a plugin would declare it.

    For an operator of onnx, the declaration follows from its schema, so that other nodes fit too.

    Args:
        path: the model.
        wanted: the node's name, its output, its number or its op_type.

    Errors:
        PK4xx: the model is unreadable.  PK643: no plugin can have what the node has.  PK644: there
        is no such node.
    """
    model = load_model(path)
    scope, node = find_node(model, wanted)
    types = infer_types(model)
    domain = "" if node.domain == "ai.onnx" else node.domain
    parsed_name(f"{domain}::{node.op_type}" if domain else node.op_type)
    if any(domain == schema.domain for schema in onnx.defs.get_all_schemas()):
        operator = operator_of(f"{domain}::{node.op_type}" if domain else node.op_type)
    else:
        operator = _own_operator(model, types, scope, node)
    return NodeOperator(operator, sample_case(operator, types, scope, node))


def _own_operator(
    model: onnx.ModelProto, types: Types, scope: Scope, node: onnx.NodeProto
) -> Operator:
    """Return an operator that onnx does not know, from all of its nodes, the wanted one first."""
    nodes = [(scope, node)]
    nodes += [
        (each, one)
        for each in scopes(model)
        for one in each.graph.node
        if (one.op_type, one.domain) == (node.op_type, node.domain) and one is not node
    ]
    attributes = tuple(_attributes(nodes))
    inputs, outputs = values_of(nodes, types, "input"), values_of(nodes, types, "output")
    variables = variables_of([*inputs, *outputs])
    taken = {one.name for one in attributes}
    given = {value.name for value in (*model.graph.input, *model.graph.output)}
    given |= {tensor.name for tensor in model.graph.initializer}

    def named(values: Sequence[OperatorValue], kind: ValueKind) -> Iterator[OperatorPort]:
        for number, value in enumerate(values, 1):
            usual = "x" if kind == "input" else "y"
            example = value.example if value.example in given else ""
            usual = usual if len(values) == 1 else f"{usual}{number}"
            name = port_name(example if example.isidentifier() else usual, taken)
            taken.add(name)
            variable, dtypes = variables.get(value.dtypes, _unknown(variables.values()))
            is_optional = kind == "input" and not value.is_everywhere
            yield OperatorPort(name, variable, _carried(dtypes, value, kind), is_optional)

    in_ports, out_ports = [*named(inputs, "input")], [*named(outputs, "output")]
    axes = AxisNames([*inputs, *outputs])
    in_ports = [
        replace(port, shape=axes.shape(value)) for port, value in zip(in_ports, inputs, strict=True)
    ]
    required = [port for port in in_ports if not port.is_optional]
    out_ports = [
        _output(port, value, axes.shape(value), required)
        for port, value in zip(out_ports, outputs, strict=True)
    ]
    if not all(port.has_shape for port in out_ports):
        out_ports = [replace(port, like="", shape=None) for port in out_ports]
    ports = tuple(in_ports), tuple(out_ports)
    return Operator(node.domain, node.op_type, 0, 0, attributes, *ports)


def _unknown(variables: Any) -> tuple[str, tuple[DType, ...]]:
    """Return the type for a value of unknown type: that of the first floating-point value."""
    return next((one for one in variables if one[1] == FLOAT_TYPES), ("T", FLOAT_TYPES))


def _carried(dtypes: tuple[DType, ...], value: OperatorValue, kind: ValueKind) -> tuple[DType, ...]:
    """Refuse types that an input or output of a plugin cannot have."""
    allowed = OUTPUT_TYPES if kind == "output" else (*OUTPUT_TYPES, bool_)
    wrong = next((dtype for dtype in dtypes if dtype not in allowed), None)
    if wrong is not None:
        raise UsageError(
            "PK643",
            f"{kind} '{value.example}' is {wrong.name}; expected one of "
            f"{', '.join(dtype.name for dtype in allowed)}.",
            fix="write a plugin for other types between casts, without --from.",
        )
    return dtypes


def _output(
    port: OperatorPort,
    value: OperatorValue,
    shape: tuple[int | str | None, ...] | None,
    required: Sequence[OperatorPort],
) -> OperatorPort:
    """Return an output; its type and shape follow from required inputs if possible."""
    if port.variable and port.variable not in {one.variable for one in required}:
        known = next((dtype for dtype in value.dtypes if dtype is not None), float32)
        port = replace(port, variable="", dtypes=(known,))
    if shape is None or None in shape:
        return port
    like = next((one for one in required if one.shape == shape), None)
    if like is not None:
        return replace(port, like=like.name)
    names = {item for one in required for item in one.shape or () if isinstance(item, str)}
    follows = all(isinstance(item, int) or item in names for item in shape)
    return replace(port, shape=shape) if follows else port


def _attributes(nodes: OperatorNodes) -> Iterator[Attribute]:
    """Yield the attributes of the nodes; one that only some nodes have may be None."""
    found: dict[str, set[str]] = {}
    counts: dict[str, int] = {}
    for _, node in nodes:
        for one in node.attribute:
            found.setdefault(one.name, set()).add(onnx.AttributeProto.AttributeType.Name(one.type))
            counts[one.name] = counts.get(one.name, 0) + 1
    for name, kinds in found.items():
        kind = next(iter(kinds)) if len(kinds) == 1 else " and ".join(sorted(kinds))
        if kind not in ANNOTATIONS or not is_free(name):
            raise UsageError(
                "PK643",
                f"no plugin can be {describe(nodes[0][1])}: its attribute '{name}' is {kind}.",
                fix="write a plugin for what your model does with it, without --from.",
            )
        is_everywhere = counts[name] == len(nodes)
        annotation = ANNOTATIONS[kind]
        yield Attribute(
            name,
            annotation if is_everywhere else f"{annotation} | None",
            "" if is_everywhere else "None",
        )
