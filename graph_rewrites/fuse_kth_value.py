"""Select elements by their rank where a model sorts rows and reads few elements of each."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import onnx
import onnx.helper
import onnx.numpy_helper

from pluginkit.graph_rewrites._upstream import Upstream, are_same, attribute_of, store_numbers
from pluginkit.onnx import (
    Change,
    GraphIndex,
    GraphRewrite,
    Graphs,
    Op,
    Scope,
    is_op,
    names_read,
    place_of,
    plugin_node,
    replace_nodes,
)
from pluginkit.plugins.kth_value import KthValue

#: A row is sorted if more of its elements are read.
_MOST = 16
#: The largest k of TensorRT's own TopK.
_NATIVE_K = 3840
#: The positions in a sorted row that are read: stored, a scalar or a list, or the name of a value.
_Positions: TypeAlias = "np.ndarray[Any, Any] | str"
_DTYPES = frozenset(each.name for each in KthValue.types["T"])


class FuseKthValue(GraphRewrite):
    """Gather(TopK(x, k), i) -> KthValue_PK(x, i), also of GatherElements and Slice.

    That is what torch exports of sort(x)[i], of the last of topk(x, k), and of torch.quantile,
    which sorts whole rows. Up to 16 elements of a row are selected. An IsNaN of sorted rows that
    only a reduction along them reads becomes one of x.
    """

    plugin = KthValue
    pattern = Op("TopK")
    order = -1
    opt_in = True

    def rewrite_scope(self, scope: Scope, graphs: Graphs) -> Iterator[Change]:
        return _select(scope, graphs, smallest=1)


class SelectKthValue(GraphRewrite):
    """Gather(TopK(x, k > 3840), i) -> KthValue_PK(x, i), as FuseKthValue, without being asked for.

    TensorRT has no TopK with such a k.
    """

    plugin = KthValue
    pattern = Op("TopK")
    order = -1

    def rewrite_scope(self, scope: Scope, graphs: Graphs) -> Iterator[Change]:
        return _select(scope, graphs, smallest=_NATIVE_K + 1)


def _select(scope: Scope, graphs: Graphs, smallest: int) -> Iterator[Change]:
    index = GraphIndex(scope)
    new: dict[int, list[onnx.NodeProto]] = {}
    for at in index.positions.get("TopK", ()):
        sort = _sort_of(index.nodes[at], Upstream(index, graphs))
        if sort is not None and sort.k >= smallest:
            made = _nodes_for_readers(sort)
            if made is not None:
                new |= made
                yield place_of(scope, index.nodes[at]), ("KthValue_PK",)
    if new:
        replace_nodes(index, new)


@dataclass(frozen=True)
class _Sort:
    """A TopK whose values alone are read, in order.

    Attributes:
        node: the TopK.
        axis: its axis, 0 or more.
        rank: the dimensions of x.
        k: how many elements it returns.
        is_whole: whether those are all.
        up: the graph around it.
    """

    node: onnx.NodeProto
    axis: int
    rank: int
    k: int
    is_whole: bool
    up: Upstream


def _sort_of(node: onnx.NodeProto, up: Upstream) -> _Sort | None:
    if len(node.input) < 2 or not attribute_of(node, "sorted", 1):
        return None
    values, *indices = node.output
    if values in up.index.outputs or any(
        each in up.index.outputs or up.index.readers[each] for each in indices if each
    ):
        return None
    dims, k = up.dims(node.input[0]), up.stored(node.input[1])
    axis = attribute_of(node, "axis", -1)
    if k is None or not -len(dims) <= axis < len(dims) or up.dtype(node.input[0]) not in _DTYPES:
        return None
    size = dims[axis]
    return _Sort(node, axis % len(dims), len(dims), k.item(), k.item() == size, up)


def _nodes_for_readers(sort: _Sort) -> dict[int, list[onnx.NodeProto]] | None:
    """Return what takes the place of each node that reads a sort; None if one stays."""
    index, values = sort.up.index, sort.node.output[0]
    readers = [at for at, node in enumerate(index.nodes) if values in names_read(node)]
    of_nan = [at for at in readers if sort.is_whole and _is_reduced_nan(index.nodes[at], sort)]
    read = {at: _positions(index.nodes[at], sort) for at in readers if at not in of_nan}
    known = {at: each for at, each in read.items() if each is not None}
    if not read or len(known) < len(read):
        return None
    new = {at: _selection(index.nodes[at], each, sort) for at, each in known.items()}
    for at in of_nan:
        node = index.nodes[at]
        new[at] = [
            onnx.helper.make_node("IsNaN", [sort.node.input[0]], list(node.output), node.name)
        ]
    return new


def _selection(node: onnx.NodeProto, positions: _Positions, sort: _Sort) -> list[onnx.NodeProto]:
    """Return the nodes that select what a node reads of the sorted x."""
    graphs, graph, outputs = sort.up.graphs, sort.up.index.scope.graph, list(node.output)
    plugin = KthValue(axis=sort.axis, largest=bool(attribute_of(sort.node, "largest", 1)))

    def selected(positions: str, outputs: list[str]) -> onnx.NodeProto:
        return plugin_node(plugin, [sort.node.input[0], positions], outputs, node.name)

    if isinstance(positions, str):
        return [selected(positions, outputs)]
    stored = store_numbers(graphs, graph, f"{outputs[0]}/positions", np.ravel(positions))
    if np.ndim(positions) == 1:
        return [selected(stored, outputs)]
    kept = graphs.names.new_value(f"{outputs[0]}/kept")
    axes = store_numbers(graphs, graph, f"{outputs[0]}/axis", [sort.axis])
    name = graphs.names.new_node(f"{node.name}/Squeeze")
    return [
        selected(stored, [kept]),
        onnx.helper.make_node("Squeeze", [kept, axes], outputs, name),
    ]


def _positions(node: onnx.NodeProto, sort: _Sort) -> _Positions | None:
    """Return which few elements of each row a node reads: numbers, or the name of a value."""
    if not node.input or node.input[0] != sort.node.output[0]:
        return None
    if not is_op(node, "GatherElements"):
        return _stored_positions(node, sort)
    of_x, dims = sort.up.dims(sort.node.input[0]), sort.up.dims(node.input[1])
    axis = attribute_of(node, "axis", 0)
    if not sort.is_whole or len(dims) != sort.rank or axis % sort.rank != sort.axis:
        return None
    ranks, _ = dims.pop(sort.axis), of_x.pop(sort.axis)
    is_few = isinstance(ranks, int) and ranks <= _MOST
    return str(node.input[1]) if is_few and are_same(dims, of_x) else None


def _stored_positions(node: onnx.NodeProto, sort: _Sort) -> np.ndarray[Any, Any] | None:
    """Return the positions that a Gather or a Slice reads of each row, if they are stored."""
    found = None
    if is_op(node, "Gather") and attribute_of(node, "axis", 0) % sort.rank == sort.axis:
        found = sort.up.stored(node.input[1])
    if is_op(node, "Slice") and len(node.input) > 3:
        bounds = [sort.up.stored(each) for each in node.input[1:]]
        if any(each is None or each.size != 1 for each in bounds):
            return None
        start, end, axis, *step = (each.item() for each in bounds if each is not None)
        if axis % sort.rank == sort.axis:
            found = np.arange(sort.k)[slice(start, end, *step)]
    if found is None or found.ndim > 1 or found.size > _MOST or (abs(found + 0.5) > sort.k).any():
        return None
    return np.where(found < 0, found + sort.k, found)


def _is_reduced_nan(node: onnx.NodeProto, sort: _Sort) -> bool:
    """Whether a node says which elements are NaN, and only reductions along the rows read that."""
    index, pending = sort.up.index, list(node.output)
    if not is_op(node, "IsNaN"):
        return False
    while pending:
        name = pending.pop()
        readers = [each for each in index.nodes if name in names_read(each)]
        if name in index.outputs or not all(_is_orderless(each, sort) for each in readers):
            return False
        pending += [each.output[0] for each in readers if not each.op_type.startswith("Reduce")]
    return True


def _is_orderless(node: onnx.NodeProto, sort: _Sort) -> bool:
    """Whether a node computes each element alone, or reduces rows as a whole."""
    if any(is_op(node, each) for each in ("Cast", "Not")):
        return True
    is_reduction = any(is_op(node, each) for each in ("ReduceMax", "ReduceSum", "ReduceMin"))
    return is_reduction and sort.axis in [axis % sort.rank for axis in sort.up.axes(node)]
