"""Pass integers between nodes in types that TensorRT has, instead of types that it lacks."""

from __future__ import annotations

from collections.abc import Sequence

from pluginkit.graph_rewrites._carried_operators import CarriedIntegers
from pluginkit.onnx import Change, GraphRewrite, Graphs, Op, retype


class CarryIntegers(GraphRewrite):
    """Op(uint8, int16, uint16, ...) -> Op(int32, ...), across branches and bodies.

    TensorRT has uint8 only as inputs and outputs of the main graph, and no 16-bit integers or
    uint32. Such values become int32, uint32 becomes int64, and uint64 the int64 of the same bits.
    Sums, products and casts that may leave the range of the original type are wrapped into it.
    Values get their original type again for nodes that cannot work on int32, and as outputs of the
    main graph.
    """

    pattern = Op(CarriedIntegers.operators)
    order = -2

    def may_change(self, graphs: Graphs) -> bool:
        return True  # retype looks for values of the types; stored ones may have no reader

    def rewrite_graphs(self, graphs: Graphs) -> Sequence[Change]:
        return retype(graphs, CarriedIntegers())
