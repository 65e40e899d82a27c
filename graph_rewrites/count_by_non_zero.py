"""Replace a sum of a mask that determines a shape by the count of a NonZero."""

from __future__ import annotations

from collections.abc import Sequence

from pluginkit.onnx import Change, GraphRewrite, Graphs, Op, count_by_non_zero


class CountByNonZero(GraphRewrite):
    """NonZero(mask), ReduceSum(mask) -> NonZero(mask), its length.

    For an assignment through a mask, torch computes a shape from the sum of the mask. In TensorRT,
    a shape that depends on data can only come from a plugin's size output: "Assertion
    !isInFlight(p.second.symbolicRep) failed", or "is a shape tensor and must have type Int32 or
    Int64".
    """

    pattern = Op("ReduceSum")
    order = -1

    def rewrite_graphs(self, graphs: Graphs) -> Sequence[Change]:
        return count_by_non_zero(graphs)
