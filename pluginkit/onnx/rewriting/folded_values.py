"""Store what is known before a model runs, in place of the nodes that compute it."""

from __future__ import annotations

import numpy as np
import onnx
import onnx.helper
import onnx.numpy_helper

from pluginkit.onnx.inference.value_types import Types
from pluginkit.onnx.model.graphs import Scope, inner_scopes, names_read, place_of, scopes
from pluginkit.onnx.rewriting.graph_index import GraphIndex
from pluginkit.onnx.rewriting.graph_rewrite import Change, Graphs
from pluginkit.onnx.rewriting.known_values import KnownRange, KnownValues, overridable
from pluginkit.onnx.rewriting.scope_edit import set_nodes
from pluginkit.onnx.rewriting.unread_nodes import drop_unread


def fold_known(graphs: Graphs) -> list[Change]:
    """Replace nodes whose output is known by Constants, in every graph; return the changes.

    A node that only other known nodes read is removed, as is what only such nodes read. Outputs
    keep their names.
    """
    changes: list[Change] = []
    types = graphs.types_of_shapes()
    for scope in [each for each in scopes(graphs.model) if each.outer is None]:
        _fold(scope, None, types, graphs.model.ir_version, changes)
    return changes


def _fold(
    scope: Scope,
    outer: KnownValues | None,
    types: Types,
    ir_version: int,
    changes: list[Change],
) -> None:
    index = GraphIndex(scope)
    values = KnownValues(index, types, outer, inputs=overridable(index, ir_version))
    known = {at for at in values.compute_all() if not _is_kept(index, values, at)}
    inner = [body for _, found in inner_scopes(scope) for _, body in found]
    if not known and not inner:
        return
    before = index.readers.copy()
    count = len(changes)
    for body in inner:
        _fold(body, values, types, ir_version, changes)
    wanted = set(index.outputs)
    for position, node in enumerate(index.nodes):
        if position not in known:
            wanted |= names_read(node)
    stored = [at for at in sorted(known) if index.nodes[at].output[0] in wanted]
    gone: set[int] = set()
    for position in stored:
        node = index.nodes[position]
        value = values.find(node.output[0])
        if value is None:
            continue
        changes.append((place_of(scope, node), ("Constant",)))
        if _fits_constant(scope, value):
            _make_constant(node, onnx.numpy_helper.from_array(value.low))
        elif isinstance(scope.graph, onnx.GraphProto):
            tensor = onnx.numpy_helper.from_array(value.low, node.output[0])
            scope.graph.initializer.append(tensor)
            gone.add(position)
    if gone:
        set_nodes(scope, [node for at, node in enumerate(index.nodes) if at not in gone])
    if len(changes) > count:
        drop_unread(scope, before)


def _is_kept(index: GraphIndex, values: KnownValues, position: int) -> bool:
    """Whether a node makes an output that cannot be stored.

    TensorRT stores no 8-bit integers, and no node makes what is not a Constant.
    """
    name, is_graph = index.nodes[position].output[0], isinstance(index.scope.graph, onnx.GraphProto)
    value = values.find(name) if name in index.outputs or not is_graph else None
    if value is None:
        return False
    is_byte = name in index.outputs and value.low.dtype in (np.int8, np.uint8)
    return is_byte or not _fits_constant(index.scope, value)


def _fits_constant(scope: Scope, value: KnownRange) -> bool:
    """Whether a Constant holds a value: before opset 9 it holds floating-point numbers only."""
    return scope.opsets.get("", 1) >= 9 or value.low.dtype.kind == "f"


def _make_constant(node: onnx.NodeProto, tensor: onnx.TensorProto) -> None:
    """Turn a node into a Constant with the same name and output."""
    node.op_type = "Constant"
    for field in ("domain", "input", "attribute"):
        node.ClearField(field)
    node.attribute.append(onnx.helper.make_attribute("value", tensor))
