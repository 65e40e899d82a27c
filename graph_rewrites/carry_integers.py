"""Carry integers of types that TensorRT lacks between nodes in types that it has."""

from __future__ import annotations

from collections.abc import Sequence

from pluginkit.graph_rewrites._carried_operators import CarriedIntegers
from pluginkit.onnx import Change, GraphRewrite, Graphs, Op, retype


class CarryIntegers(GraphRewrite):
    """Op(uint8, int16, uint16, ...) -> Op(int32, ...), across branches and bodies.

    TensorRT has uint8 at the borders of the main graph only, and 16 bits and uint32 not at all.
    Such values travel as int32, uint32 as int64, and uint64 as the int64 of the same bits. Sums,
    products and casts that may leave the range of the type are wrapped around as the type itself
    would. Values become themselves again for nodes that cannot work on int32, and as outputs of the
    main graph.
    """

    pattern = Op(CarriedIntegers.operators)
    order = -2

    def rewrite_graphs(self, graphs: Graphs) -> Sequence[Change]:
        return retype(graphs, CarriedIntegers())
