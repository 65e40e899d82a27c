"""Replace Ifs whose condition is known before the model runs."""

from __future__ import annotations

from collections.abc import Sequence

from pluginkit.onnx import Change, GraphRewrite, Graphs, Op, take_known_branches


class TakeKnownBranch(GraphRewrite):
    """If(known, f(x), g(x)) -> f(x), or g(x).

    torch.jit.script writes such Ifs around squeeze() and for every size that Python looks at. The
    condition is known if it follows from constants and sizes, or holds for every size that
    ``--shapes`` gives the named dimensions: with x of 2 to 64 rows, ``Shape(x)[0] == 1`` is false.
    """

    pattern = Op("If")
    order = -5

    def rewrite_graphs(self, graphs: Graphs) -> Sequence[Change]:
        return take_known_branches(graphs)
