"""Give each output of an If a value of its own, for the sake of TensorRT."""

from __future__ import annotations

from collections.abc import Iterator

import onnx
import onnx.helper

from pluginkit.onnx import Change, GraphRewrite, Graphs, Op, Scope, bodies, is_op, place_of


class CopyRepeatedOutput(GraphRewrite):
    """If(..., then = (t, t)) -> If(..., then = (t, Identity(t))).

    A branch that returns a value twice leaves the second output without a type in TensorRT-RTX, and
    one without data in ONNX Runtime.
    """

    pattern = Op("If")

    def rewrite_scope(self, scope: Scope, graphs: Graphs) -> Iterator[Change]:
        for node in scope.graph.node:
            branches = [body for _, body in bodies(node)] if is_op(node, "If") else []
            if sum(_copy(branch, graphs) for branch in branches):
                yield place_of(scope, node), ("Identity", "If")


def _copy(branch: onnx.GraphProto, graphs: Graphs) -> int:
    """Copy what the branch returns again, and return how many outputs are copies now."""
    returned, copies = set[str](), 0
    for value in branch.output:
        if value.name in returned:
            copy = graphs.names.new_value(f"{value.name}_copy")
            node = graphs.names.new_node(copy)
            branch.node.append(onnx.helper.make_node("Identity", [value.name], [copy], node))
            value.name, copies = copy, copies + 1
        returned.add(value.name)
    return copies
