"""Drop a sequence that a tensor is split into, and joined or read from again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

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
    """SequenceAt(SplitToSequence(x), k) -> Gather(x, k); of parts of n, Slice(x, k * n, k * n + n).

    For any number of elements, also in a Loop over them, which runs SequenceLength times:
    torch.export's exporter writes ``for image in batch`` so, and torch.jit.script
    ``for row in torch.unbind(x)`` and ``for part in x.split(n)``, of any size.
    """

    pattern = Op("SplitToSequence")

    def rewrite_graphs(self, graphs: Graphs) -> Sequence[Change]:
        inner_first = reversed(list(main_and_bodies(graphs.model)))
        return [change for scope in inner_first for change in self.rewrite_scope(scope, graphs)]

    def rewrite_scope(self, scope: Scope, graphs: Graphs) -> Iterator[Change]:
        index = GraphIndex(scope)
        new: dict[int, list[onnx.NodeProto]] = {}
        for op_type, make in (
            ("SequenceAt", _PartReader.element),
            ("SequenceLength", _PartReader.length),
        ):
            for position in index.positions.get(op_type, ()):
                node = index.nodes[position]
                split = _split_of(index, node.input[0]) if is_op(node, op_type) else None
                if split is not None:
                    new[position] = make(_PartReader(node, split, scope, graphs))
                    yield place_of(scope, node), tuple(each.op_type for each in new[position])
        unread = unread_positions(scope, lambda node: is_op(node, "SplitToSequence"))
        for position in unread:  # which only bodies read, and they are changed before
            new[position] = []
            yield place_of(scope, index.nodes[position]), ()
        if new:
            replace_nodes(index, new)


class _PartReader:
    """Makes the nodes that replace one that reads a split sequence.

    Args:
        node: a SequenceAt or SequenceLength.
        split: how the sequence takes a tensor apart, in parts of one known length.
        scope: the scope of the node.
        graphs: the graphs, which create new names.
    """

    def __init__(
        self, node: onnx.NodeProto, split: SplitSequence, scope: Scope, graphs: Graphs
    ) -> None:
        self._node, self._split, self._graph, self._graphs = node, split, scope.graph, graphs
        self._made: list[onnx.NodeProto] = []

    def element(self) -> list[onnx.NodeProto]:
        """Return the nodes that make the element at a position, which may count from the end."""
        if self._split.takes_each:
            at = self._add(
                "Reshape", self._node.input[1], self._store([1] * bool(self._split.keeps_axis))
            )
            return self._end("Gather", self._split.source, at, axis=self._split.axis)
        one, axis = self._store([1]), self._store([self._split.axis])
        size = self._store([self._size()])
        given = self._add("Reshape", self._node.input[1], one)
        at = self._add("Cast", given, to=onnx.TensorProto.INT64)
        from_end = self._add("Add", at, self._count(axis))
        is_negative = self._add("Less", at, self._store([0]))
        at = self._add("Where", is_negative, from_end, at)
        start = self._add("Mul", at, size)
        return self._end("Slice", self._split.source, start, self._add("Add", start, size), axis)

    def length(self) -> list[onnx.NodeProto]:
        """Return the nodes that make the number of elements."""
        axis = self._store(self._split.axis)
        if self._split.takes_each:
            return self._end("Gather", self._add("Shape", self._split.source), axis)
        return self._end("Identity", self._count(axis))

    def _size(self) -> int:
        return 0 if self._split.lengths is None else int(self._split.lengths.item())

    def _count(self, axis: str) -> str:
        """Return the number of parts, of which the last may be shorter; in the shape of axis."""
        size = self._add("Gather", self._add("Shape", self._split.source), axis)
        up = self._add("Add", size, self._store(self._size() - 1))
        return self._add("Div", up, self._store(self._size()))

    def _store(self, numbers: int | list[int]) -> str:
        return store_numbers(self._graphs, self._graph, f"{self._node.output[0]}_number", numbers)

    def _add(self, op_type: str, *inputs: str, **attributes: Any) -> str:
        name = self._graphs.names.new_value(f"{self._node.output[0]}_{op_type.lower()}")
        label = self._graphs.names.new_node(self._node.name or name)
        self._made.append(onnx.helper.make_node(op_type, inputs, [name], label, **attributes))
        return name

    def _end(self, op_type: str, *inputs: str, **attributes: Any) -> list[onnx.NodeProto]:
        node = self._node
        last = onnx.helper.make_node(op_type, inputs, node.output, node.name, **attributes)
        return [*self._made, last]


def _split_of(index: GraphIndex, name: str) -> SplitSequence | None:
    """Return how a sequence of this or an outer scope takes a tensor apart, in parts of one length.

    None if that is unknown, or if the scope has another value of the tensor's name.
    """
    hidden: set[str] = set()
    while index.is_outer(name) and index.scope.outer is not None:
        hidden |= defined_names(index.scope.graph)
        index = GraphIndex(index.scope.outer)
    made = index.producers.get(name)
    split = None if made is None else index.nodes[made]
    if split is None or not is_op(split, "SplitToSequence") or split.input[0] in hidden:
        return None
    found = split_sequence(split, index.array)
    is_number = found.lengths is not None and found.lengths.ndim == 0 and found.lengths > 0
    return found if found.takes_each or (is_number and found.keeps_axis) else None
