"""Turn an assignment through a mask into a selection, which needs no shape that depends on data."""

from __future__ import annotations

from collections.abc import Sequence

from pluginkit.onnx import Change, GraphRewrite, Graphs, Op, select_by_masks


class SelectByMask(GraphRewrite):
    """ScatterND(x, positions of a mask, v for each) -> Where(mask, v, x).

    That is ``x[mask] = v``, where v is one number, a row for a mask of the leading axes, or
    ``y[mask]`` with a y of the same shape as x. The mask must have the shape of x. TensorRT cannot
    expand a value to a number of elements that depends on data. Other rows, as of
    ``x[mask] = f(x[mask])``, which torch writes element by element, are written as rows: TensorRT
    cannot tell that there are as many elements as a mask of elements has places.
    """

    pattern = Op("ScatterND")
    order = -3

    def rewrite_graphs(self, graphs: Graphs) -> Sequence[Change]:
        return select_by_masks(graphs)
