"""Move an If out of a branch of another, where TensorRT builds no such nesting."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pluginkit.onnx import Change, GraphRewrite, Graphs, Op, is_op, known_sizes, lift_nodes

if TYPE_CHECKING:
    import onnx

    from pluginkit.onnx import Scope


class LiftInnerIf(GraphRewrite):
    """If(a, If(b, x, y), z) -> If(a, c, z) with c = If(b, x, y), where c has a size that varies.

    TensorRT's compiler fails on such an If in a branch; elif makes them. What b follows from must
    be computed by operators that cannot fail, or only on sizes if a does not follow from sizes;
    one of the branches too, which then may run where the outer branch does not. The other one runs
    only where both conditions hold.
    """

    pattern = Op("If")
    order = 1

    def may_change(self, graphs: Graphs) -> bool:
        return graphs.has_bodies

    def rewrite_graphs(self, graphs: Graphs) -> Sequence[Change]:
        def wanted(owner: onnx.NodeProto, scope: Scope, node: onnx.NodeProto) -> bool:
            if not (is_op(owner, "If") and is_op(node, "If")):
                return False
            sizes = [known_sizes(graphs.types.find(scope, name)) for name in node.output]
            return any(each is None or None in each for each in sizes)

        return lift_nodes(graphs, wanted)
