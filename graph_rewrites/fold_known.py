"""Store shapes, and what follows from them and from constants, before anything else is done."""

from __future__ import annotations

from collections.abc import Sequence

from pluginkit.onnx import Change, GraphRewrite, Graphs, Op, fold_known


class FoldKnown(GraphRewrite):
    """Shape(x), Gather, Mul, Concat, ... of known sizes -> Constant.

    Only values of at most 256 elements are computed, by operators that are exact, from what the
    model stores and from sizes that follow from its inputs. An input that the model has a default
    for is no constant. Outputs keep their names.
    """

    pattern = Op(("Shape", "Size", "ConstantOfShape", "Range"))
    order = -5

    def may_change(self, graphs: Graphs) -> bool:
        return True  # many more operators are computed where their inputs are stored

    def rewrite_graphs(self, graphs: Graphs) -> Sequence[Change]:
        return fold_known(graphs)
