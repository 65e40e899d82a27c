"""Turn CumProd, which TensorRT lacks, into a Scan."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx
from onnx import helper

from pluginkit.graph_rewrites._axis_scans import scan_over_axis
from pluginkit.onnx import Match, Op, Replacement, Rewrite, elem_type

if TYPE_CHECKING:
    import onnx_graphsurgeon as gs

    from pluginkit.onnx import NewNode


class ExpandCumProd(Rewrite):
    """CumProd(x) -> Scan(product so far, x; product so far * x).

    The products are taken one after the other, in the order of the elements. The axis must be
    stored in the model, and the rank of x must be known.
    """

    pattern = Op("CumProd", "x", "axis")

    def check(self, match: Match, x: gs.Tensor, axis: gs.Tensor) -> str | int:
        stored, rank = match.constant(axis), match.rank(x)
        if stored is None:
            return "its axis is not stored in the model"
        if not match.dtype(x) or rank is None:
            return "the type or the rank of its input is unknown"
        return int(stored.item()) % rank

    def rewrite(self, match: Match, x: gs.Tensor, facts: int) -> list[NewNode]:
        """The first product so far is 1, in the shape that x has without the axis."""
        new, dtype = Replacement(match), match.dtype(x)
        one = new.add("Cast", np.float32(1), to=dtype)
        rank, is_exclusive = match.rank(x) or 0, match.attribute("exclusive", False)
        body = _body(dtype, rank - 1, is_exclusive=is_exclusive)
        is_reversed = bool(match.attribute("reverse", 0))
        return scan_over_axis(match, x, facts, new, [one], body, is_reversed=is_reversed)


def _body(dtype: str, rank: int, *, is_exclusive: bool) -> onnx.GraphProto:
    def value(name: str) -> onnx.ValueInfoProto:
        return helper.make_tensor_value_info(name, elem_type(dtype), [None] * rank)

    nodes = [
        helper.make_node("Mul", ["before", "element"], ["product"]),
        helper.make_node("Identity", ["before" if is_exclusive else "product"], ["result"]),
    ]
    inputs, outputs = [value("before"), value("element")], [value("product"), value("result")]
    return helper.make_graph(nodes, "cumulative_product", inputs, outputs)
