"""Make nodes on tensors that replace nodes on sequences."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnx.helper
import onnx.numpy_helper

from pluginkit.graph_rewrites._split_sequences import SplitSequence, split_sequence
from pluginkit.onnx import Graphs, Scope, known_sizes

#: The most elements that a sequence is split into.
_MOST = 1024


class SequenceNodes:
    """Makes the nodes of one scope.

    Args:
        graphs: the graphs, which create new names.
        scope: the scope.
        find: returns a value if it is known before the model runs, or None.
    """

    def __init__(
        self, graphs: Graphs, scope: Scope, find: Callable[[str], npt.NDArray[Any] | None]
    ) -> None:
        self._graphs = graphs
        self._scope = scope
        self._find = find
        self._opset = scope.opsets.get("", 1)

    def constant(self, array: npt.NDArray[Any], output: str, name: str = "") -> onnx.NodeProto:
        """Return a node that produces a stored value."""
        tensor = onnx.numpy_helper.from_array(array)
        return onnx.helper.make_node("Constant", [], [output], name=name, value=tensor)

    def concatenated(self, node: onnx.NodeProto, elements: list[str]) -> list[onnx.NodeProto]:
        """Return the nodes that replace a ConcatFromSequence."""
        attributes = {each.name: each.i for each in node.attribute}
        axis = attributes["axis"]
        nodes: list[onnx.NodeProto] = []
        parts = elements
        if attributes.get("new_axis"):
            parts = []
            for each in elements:
                made, row = self._over_axis("Unsqueeze", each, axis)
                nodes += made
                parts.append(row)
        last = onnx.helper.make_node("Concat", parts, node.output, name=node.name, axis=axis)
        return [*nodes, last]

    def split(self, node: onnx.NodeProto) -> tuple[list[onnx.NodeProto], list[str]] | None:
        """Return the nodes that produce the elements of a SplitToSequence, and the elements.

        None if their number is unknown.
        """
        split = split_sequence(node, self._find)
        sizes = self._sizes(split)
        if sizes is None or not 0 < len(sizes) <= _MOST:
            return None
        parts = [self._graphs.names.new_value(f"{node.output[0]}_{at}") for at in range(len(sizes))]
        nodes = self._split_nodes(split.source, sizes, split.axis, parts, node.name)
        if split.keeps_axis or set(sizes) != {1}:
            return nodes, parts
        rows = []
        for part in parts:
            made, row = self._over_axis("Squeeze", part, split.axis)
            nodes += made
            rows.append(row)
        return nodes, rows

    def _sizes(self, split: SplitSequence) -> list[int] | None:
        given, axis = split.lengths, split.axis
        if given is not None and given.ndim == 1:
            return [int(each) for each in given]
        sizes = known_sizes(self._graphs.types.find(self._scope, split.source))
        if not sizes or not -len(sizes) <= axis < len(sizes) or given is None or given.size != 1:
            return None
        length, size = sizes[axis], int(given.item())
        if length is None or size < 1:
            return None
        return [min(size, length - start) for start in range(0, length, size)]

    def _split_nodes(
        self, source: str, sizes: list[int], axis: int, parts: list[str], name: str
    ) -> list[onnx.NodeProto]:
        if len(sizes) == 1:
            return [onnx.helper.make_node("Identity", [source], parts, name=name)]
        if self._opset < 13:
            return [onnx.helper.make_node("Split", [source], parts, name, axis=axis, split=sizes)]
        stored = self._graphs.names.new_value("sizes")
        return [
            self.constant(np.array(sizes, np.int64), stored),
            onnx.helper.make_node("Split", [source, stored], parts, name, axis=axis),
        ]

    def _over_axis(self, op_type: str, value: str, axis: int) -> tuple[list[onnx.NodeProto], str]:
        """Return the nodes that insert or remove an axis, and their output."""
        output = self._graphs.names.new_value(f"{value}_{op_type.lower()}d")
        if self._opset < 13:
            return [onnx.helper.make_node(op_type, [value], [output], axes=[axis])], output
        axes = self._graphs.names.new_value("axes")
        nodes = [
            self.constant(np.array([axis], np.int64), axes),
            onnx.helper.make_node(op_type, [value, axes], [output]),
        ]
        return nodes, output
