"""Find sums that count where a mask holds, and take the count from a NonZero instead."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import onnx
import onnx.helper
import onnx.numpy_helper

from pluginkit.onnx.model.graphs import Scope, is_op, place_of, scopes
from pluginkit.onnx.rewriting.graph_index import GraphIndex
from pluginkit.onnx.rewriting.graph_rewrite import Change, Graphs
from pluginkit.onnx.rewriting.node_attributes import axes_of
from pluginkit.onnx.rewriting.scope_edit import set_nodes


def count_by_non_zero(graphs: Graphs) -> list[Change]:
    """Replace the sum of a whole mask by the length of a NonZero of it; return the changes.

    It is replaced only where an earlier node is such a NonZero.
    """
    return [change for scope in scopes(graphs.model) for change in _count(scope, graphs)]


def _count(scope: Scope, graphs: Graphs) -> Iterator[Change]:
    index = GraphIndex(scope)
    places = {
        index.nodes[at].input[0]: (at, index.nodes[at].output[0])
        for at in reversed(index.positions.get("NonZero", ()))
        if is_op(index.nodes[at], "NonZero")
    }
    new: dict[int, list[onnx.NodeProto]] = {}
    for position in index.positions.get("ReduceSum", ()) if places else ():
        node = index.nodes[position]
        mask = _summed_mask(index, graphs, node)
        at, found = places.get(mask or "", (position, ""))
        if at < position:
            new[position] = _length(graphs, node, found)
            yield place_of(scope, node), tuple(each.op_type for each in new[position])
    if not new:
        return
    kept: list[onnx.NodeProto] = []
    for position, node in enumerate(index.nodes):
        first = len(scope.graph.node)
        scope.graph.node.extend(new.get(position, ()))
        kept += scope.graph.node[first:] if position in new else [node]
    set_nodes(scope, kept)


def _summed_mask(index: GraphIndex, graphs: Graphs, node: onnx.NodeProto) -> str | None:
    """Return the mask whose true elements a ReduceSum counts, as one element or as a scalar."""
    cast = _made_by(index, node.input[0], "Cast")
    if cast is None or not any(each.i == onnx.TensorProto.INT64 for each in cast.attribute):
        return None
    reshape = _made_by(index, cast.input[0], "Reshape")
    mask: str = cast.input[0] if reshape is None else reshape.input[0]
    shape = None if reshape is None else index.array(reshape.input[1])
    is_flat = shape is not None and shape.tolist() == [-1]
    found = graphs.types.find(index.scope, mask)
    if found is None or found.tensor_type.elem_type != onnx.TensorProto.BOOL:
        return None
    given = {each.name: each for each in node.attribute}
    axes = axes_of(node, index.array)
    if axes is None:
        return None
    is_noop = not axes and "noop_with_empty_axes" in given and given["noop_with_empty_axes"].i
    keeps = given["keepdims"].i if "keepdims" in given else 1
    is_whole = axes in ([], [0], [-1]) if is_flat else not axes and not keeps
    return mask if is_whole and not is_noop and (is_flat or reshape is None) else None


def _length(graphs: Graphs, node: onnx.NodeProto, found: str) -> list[onnx.NodeProto]:
    """Return the nodes that give the number of columns that NonZero found."""
    keeps = next((each.i for each in node.attribute if each.name == "keepdims"), 1)
    shape, at = (graphs.names.new_value(f"{node.output[0]}/{each}") for each in ("shape", "at"))
    place = onnx.numpy_helper.from_array(np.array([1] if keeps else 1, np.int64))
    nodes = [
        onnx.helper.make_node("Shape", [found], [shape]),
        onnx.helper.make_node("Constant", [], [at], value=place),
        onnx.helper.make_node("Gather", [shape, at], list(node.output), axis=0),
    ]
    for each in nodes:
        each.name = graphs.names.new_node(f"{node.name}/{each.op_type}")
    return nodes


def _made_by(index: GraphIndex, name: str, op_type: str) -> onnx.NodeProto | None:
    position = index.producers.get(name)
    node = None if position is None else index.nodes[position]
    return node if node is not None and is_op(node, op_type) else None
