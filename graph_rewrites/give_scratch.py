"""Give plugins in branches and bodies their scratch memory as an output."""

from __future__ import annotations

from collections.abc import Sequence

from pluginkit.onnx import Change, GraphRewrite, Graphs, Op, give_scratch_in_bodies


class GiveScratch(GraphRewrite):
    """If(Plugin_PK(x)) -> If(Plugin_PK_Scratch(x)), with another output that nobody reads.

    TensorRT's compiler fails on a plugin that asks for a workspace inside an If, Loop or Scan, and
    builds one with a second output of as many bytes.
    """

    pattern = Op(("If", "Loop", "Scan"))
    order = 1

    def rewrite_graphs(self, graphs: Graphs) -> Sequence[Change]:
        return give_scratch_in_bodies(graphs)
