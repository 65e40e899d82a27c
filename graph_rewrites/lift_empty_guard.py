"""Remove an If that only guards against an empty tensor, for the sake of TensorRT."""

from __future__ import annotations

from collections.abc import Sequence

from pluginkit.onnx import Change, GraphRewrite, Graphs, Op, lift_empty_guards


class LiftEmptyGuard(GraphRewrite):
    """If(x has no element: an empty tensor, else f(x)) -> f(x), which is empty if x is.

    torchvision puts such an If around NonMaxSuppression. TensorRT does not support sizes that
    depend on data inside an If.
    """

    pattern = Op("If")
    order = -3

    def rewrite_graphs(self, graphs: Graphs) -> Sequence[Change]:
        return lift_empty_guards(graphs)
