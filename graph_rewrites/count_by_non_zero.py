"""Take the count of a mask from a NonZero, where a sum of the mask would decide a shape."""

from __future__ import annotations

from collections.abc import Sequence

from pluginkit.onnx import Change, GraphRewrite, Graphs, Op, count_by_non_zero


class CountByNonZero(GraphRewrite):
    """NonZero(mask), ReduceSum(mask) -> NonZero(mask), its length.

    torch sizes what it writes through a mask by the sum of the mask. TensorRT takes a shape that
    depends on data from a plugin's size output only: "Assertion !isInFlight(p.second.symbolicRep)
    failed", or "is a shape tensor and must have type Int32 or Int64".
    """

    pattern = Op("ReduceSum")
    order = -1

    def rewrite_graphs(self, graphs: Graphs) -> Sequence[Change]:
        return count_by_non_zero(graphs)
