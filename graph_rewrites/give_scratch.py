"""Give plugins in branches and bodies their scratch memory as an output."""

from __future__ import annotations

from collections.abc import Sequence

from pluginkit.onnx import Change, GraphRewrite, Graphs, Op, give_scratch_in_bodies


class GiveScratch(GraphRewrite):
    """If(Plugin_PK(x)) -> If(Plugin_PK_Scratch(x)), with a further output that no node reads.

    TensorRT's compiler fails on a plugin with a workspace inside an If, Loop or Scan. It builds one
    with a further output of that size instead.
    """

    pattern = Op(("If", "Loop", "Scan"))
    order = 1

    def may_change(self, graphs: Graphs) -> bool:
        return graphs.has_bodies

    def rewrite_graphs(self, graphs: Graphs) -> Sequence[Change]:
        return give_scratch_in_bodies(graphs)
