"""Move plugins whose output sizes depend on data out of branches and bodies."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pluginkit.onnx import Change, GraphRewrite, Graphs, Op, lift_nodes

if TYPE_CHECKING:
    import onnx

    from pluginkit.onnx import Scope


class LiftDataDependent(GraphRewrite):
    """If(NonZero_PK(x)) -> NonZero_PK(x), If(...), where x comes from outside of the branch.

    TensorRT supports sizes that depend on data only in the main graph. The node then runs whether
    or not its branch is taken. A node that reads values of the branch or a loop is left, unless
    these follow from outer values by operators that cannot fail.
    """

    pattern = Op(("If", "Loop", "Scan"))
    order = 1

    def may_change(self, graphs: Graphs) -> bool:
        return graphs.has_bodies

    def rewrite_graphs(self, graphs: Graphs) -> Sequence[Change]:
        sized = {key[0] for key, plugin in graphs.plugins.items() if plugin.spec.sizes}

        def wanted(_: onnx.NodeProto, __: Scope, node: onnx.NodeProto) -> bool:
            return node.op_type in sized

        return lift_nodes(graphs, wanted)
