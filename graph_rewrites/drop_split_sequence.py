"""Drop a sequence that a tensor is split into, and joined or read from again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import onnx
import onnx.helper
import onnx_graphsurgeon as gs

from pluginkit.graph_rewrites._split_sequences import SplitSequence, split_sequence
from pluginkit.graph_rewrites._upstream import store_numbers
from pluginkit.onnx import (
    Change,
    GraphIndex,
    GraphRewrite,
    Graphs,
    Match,
    Op,
    Replacement,
    Rewrite,
    Scope,
    defined_names,
    is_op,
    main_and_bodies,
    place_of,
    replace_nodes,
    unread_positions,
)


class DropSplitSequence(Rewrite):
    """ConcatFromSequence(SplitToSequence(x, lengths)) -> Identity(x).

    Whatever the lengths, along the same axis; joined along a new axis if the split removed it.
    """

    pattern = Op("ConcatFromSequence", Op("SplitToSequence", "x", ..., name="split"))

    def check(self, match: Match, x: gs.Tensor, split: gs.Node) -> str | None:
        node, rank = match.producer(match.proto.input[0]), match.rank(x)
        if node is None:
            return "its sequence is not made in its graph"
        rank_of_lengths = next((match.rank(each) for each in split.inputs[1:]), 0)
        found = split_sequence(node, match.constant_called, rank_of_lengths)
        axes = match.attribute("axis"), found.axis
        if any(axis < 0 for axis in axes) and rank is not None:
            axes = axes[0] % rank, axes[1] % rank
        removes_axis = bool(match.attribute("new_axis", 0))
        if axes[0] != axes[1] or found.keeps_axis is None or found.keeps_axis == removes_axis:
            return "it does not join the tensor as it was split"
        return None

    def rewrite(self, match: Match, x: gs.Tensor) -> list[gs.Node]:
        return Replacement(match).end("Identity", x)


class GatherSplitElement(GraphRewrite):
    """SequenceAt(SplitToSequence(x), k) -> Gather(x, k), and with a split of 1.

    For any number of elements, also in a Loop over them, which runs SequenceLength times, the size
    of the axis: torch.export's exporter writes ``for image in batch`` so, and torch.jit.script
    ``for row in torch.unbind(x)``, also with a batch of any size.
    """

    pattern = Op("SplitToSequence")

    def rewrite_graphs(self, graphs: Graphs) -> Sequence[Change]:
        inner_first = reversed(list(main_and_bodies(graphs.model)))
        return [change for scope in inner_first for change in self.rewrite_scope(scope, graphs)]

    def rewrite_scope(self, scope: Scope, graphs: Graphs) -> Iterator[Change]:
        index = GraphIndex(scope)
        new: dict[int, list[onnx.NodeProto]] = {}
        for op_type, make in (("SequenceAt", _element), ("SequenceLength", _length)):
            for position in index.positions.get(op_type, ()):
                node = index.nodes[position]
                split = _split_of(index, node.input[0]) if is_op(node, op_type) else None
                if split is not None:
                    new[position] = make(node, split, scope, graphs)
                    yield place_of(scope, node), tuple(each.op_type for each in new[position])
        unread = unread_positions(scope, lambda node: is_op(node, "SplitToSequence"))
        for position in unread:  # which only bodies read, and they are changed before
            new[position] = []
            yield place_of(scope, index.nodes[position]), ()
        if new:
            replace_nodes(index, new)


def _element(
    node: onnx.NodeProto, split: SplitSequence, scope: Scope, graphs: Graphs
) -> list[onnx.NodeProto]:
    sizes = [1] * bool(split.keeps_axis)
    shape = store_numbers(graphs, scope.graph, f"{node.output[0]}_shape", sizes)
    at = graphs.names.new_value(f"{node.output[0]}_at")
    name = graphs.names.new_node(node.name or at)
    read = [split.source, at]
    return [
        onnx.helper.make_node("Reshape", [node.input[1], shape], [at], name),
        onnx.helper.make_node("Gather", read, node.output, node.name, axis=split.axis),
    ]


def _length(
    node: onnx.NodeProto, split: SplitSequence, scope: Scope, graphs: Graphs
) -> list[onnx.NodeProto]:
    shape = graphs.names.new_value(f"{node.output[0]}_shape")
    axis = store_numbers(graphs, scope.graph, f"{node.output[0]}_axis", split.axis)
    name = graphs.names.new_node(node.name or shape)
    return [
        onnx.helper.make_node("Shape", [split.source], [shape], name),
        onnx.helper.make_node("Gather", [shape, axis], node.output, node.name),
    ]


def _split_of(index: GraphIndex, name: str) -> SplitSequence | None:
    """Return how a sequence of this or an outer scope takes the elements of a tensor, or None."""
    hidden: set[str] = set()
    while index.is_outer(name) and index.scope.outer is not None:
        hidden |= defined_names(index.scope.graph)
        index = GraphIndex(index.scope.outer)
    made = index.producers.get(name)
    split = None if made is None else index.nodes[made]
    if split is None or not is_op(split, "SplitToSequence") or split.input[0] in hidden:
        return None
    found = split_sequence(split, index.array)
    return found if found.takes_each else None
