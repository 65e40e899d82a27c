"""Drop a sequence that a tensor is split into, and joined or read from again."""

from __future__ import annotations

from collections.abc import Iterator

import onnx
import onnx.helper
import onnx.numpy_helper
import onnx_graphsurgeon as gs

from pluginkit.graph_rewrites._upstream import attribute_of, store_numbers
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
    is_op,
    place_of,
    replace_nodes,
)


class DropSplitSequence(Rewrite):
    """ConcatFromSequence(SplitToSequence(x, lengths)) -> Identity(x).

    Whatever the lengths, along the same axis; joined along a new axis if the split removed it.
    """

    pattern = Op("ConcatFromSequence", Op("SplitToSequence", "x", ..., name="split"))

    def check(self, match: Match, split: gs.Node) -> str | None:
        rank = match.rank(match["x"])
        axes = match.attribute("axis"), split.attrs.get("axis", 0)
        if any(axis < 0 for axis in axes) and rank is not None:
            axes = axes[0] % rank, axes[1] % rank
        is_removed = len(split.inputs) < 2 and not split.attrs.get("keepdims", 1)
        if axes[0] != axes[1] or bool(match.attribute("new_axis", 0)) != is_removed:
            return "it does not join the tensor as it was split"
        return None

    def rewrite(self, match: Match, x: gs.Tensor) -> list[gs.Node]:
        return Replacement(match).end("Identity", x)


class GatherSplitElement(GraphRewrite):
    """SequenceAt(SplitToSequence(x), k) -> Gather(x, k), and with a split of 1.

    For any number of elements: torch.export's exporter writes ``for image in batch`` so, also with
    a batch of any size.
    """

    pattern = Op("SequenceAt")

    def rewrite_scope(self, scope: Scope, graphs: Graphs) -> Iterator[Change]:
        index = GraphIndex(scope)
        new: dict[int, list[onnx.NodeProto]] = {}
        for position in index.positions.get("SequenceAt", ()):
            node = index.nodes[position]
            made = index.producers.get(node.input[0]) if is_op(node, "SequenceAt") else None
            split = None if made is None else index.nodes[made]
            keeps = None if split is None else _keeps_axis(index, split)
            if split is None or keeps is None:
                continue
            shape = store_numbers(graphs, scope.graph, f"{node.output[0]}_shape", [1] * keeps)
            at = graphs.names.new_value(f"{node.output[0]}_at")
            name = graphs.names.new_node(node.name or at)
            axis = attribute_of(split, "axis", 0)
            new[position] = [
                onnx.helper.make_node("Reshape", [node.input[1], shape], [at], name),
                onnx.helper.make_node(
                    "Gather", [split.input[0], at], node.output, node.name, axis=axis
                ),
            ]
            yield place_of(scope, node), ("Reshape", "Gather")
        if new:
            replace_nodes(index, new)


def _keeps_axis(index: GraphIndex, split: onnx.NodeProto) -> bool | None:
    """Whether elements keep the axis along which a node takes each of them; None of others."""
    if not is_op(split, "SplitToSequence"):
        return None
    if len(split.input) < 2 or not split.input[1]:
        return bool(attribute_of(split, "keepdims", 1))
    stored = index.constant(split.input[1])
    lengths = None if stored is None else onnx.numpy_helper.to_array(stored)
    is_one = lengths is not None and lengths.ndim == 0 and lengths.item() == 1
    return True if is_one else None
