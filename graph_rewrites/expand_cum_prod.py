"""Turn CumProd, which TensorRT lacks, into a Scan."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx
from onnx import helper

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
        axis, dtype, rank = facts, match.dtype(x), match.rank(x) or 0
        direction = match.attribute("reverse", 0)
        new = Replacement(match)
        others = np.array([each for each in range(rank) if each != axis], np.int64)
        sizes = new.add("Gather", new.add("Shape", x), others, axis=0)
        ones = new.add("Expand", new.add("Cast", np.float32(1), to=dtype), sizes)
        scan = helper.make_node(
            "Scan",
            [ones.name, x.name],
            ["last_product", match.outputs[0].name],
            num_scan_inputs=1,
            scan_input_axes=[axis],
            scan_output_axes=[axis],
            scan_input_directions=[direction],
            scan_output_directions=[direction],
            body=_body(dtype, rank - 1, is_exclusive=match.attribute("exclusive", False)),
        )
        return [*new, scan]


def _body(dtype: str, rank: int, *, is_exclusive: bool) -> onnx.GraphProto:
    def value(name: str) -> onnx.ValueInfoProto:
        return helper.make_tensor_value_info(name, elem_type(dtype), [None] * rank)

    nodes = [
        helper.make_node("Mul", ["before", "element"], ["product"]),
        helper.make_node("Identity", ["before" if is_exclusive else "product"], ["result"]),
    ]
    inputs, outputs = [value("before"), value("element")], [value("product"), value("result")]
    return helper.make_graph(nodes, "cumulative_product", inputs, outputs)
