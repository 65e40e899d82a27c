"""CumProd, which TensorRT lacks, becomes a Scan."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx
from onnx import helper

from pluginkit.graph_rewrites._quantization import rank_of
from pluginkit.onnx import Match, Replacement, Rewrite

if TYPE_CHECKING:
    from pluginkit.onnx import NewNode

_T = onnx.TensorProto


class ExpandCumProd(Rewrite):
    """CumProd(x) -> Scan(product so far, x; product so far * x).

    The products come in the order of the elements, one after the other. The axis must be stored in
    the model, and the rank of x be known.
    """

    pattern = "CumProd"

    def check(self, match: Match) -> str | None:
        """The axis must be known."""
        x, axis = match.inputs
        if match.constant(axis) is None:
            return "its axis is not stored in the model"
        if not match.elem_type(x) or rank_of(match, x) is None:
            return "the type or the rank of its input is unknown"
        return None

    def rewrite(self, match: Match) -> list[NewNode]:
        """It begins with ones of the shape that x has without the axis."""
        x, axis = match.inputs
        elem_type, rank = match.elem_type(x), rank_of(match, x) or 0
        along = int(np.asarray(match.constant(axis)).item()) % rank
        direction = int(bool(match.attribute("reverse", 0)))
        new = Replacement(match)
        others = np.array([each for each in range(rank) if each != along], np.int64)
        sizes = new.add("Gather", new.add("Shape", x), others, axis=0)
        ones = new.add("Expand", new.add("Cast", np.float32(1), to=elem_type), sizes)
        scan = helper.make_node(
            "Scan",
            [ones.name, x.name],
            ["last_product", match.outputs[0].name],
            num_scan_inputs=1,
            scan_input_axes=[along],
            scan_output_axes=[along],
            scan_input_directions=[direction],
            scan_output_directions=[direction],
            body=_body(elem_type, rank - 1, is_exclusive=bool(match.attribute("exclusive", 0))),
        )
        return [*new, scan]


def _body(elem_type: int, rank: int, *, is_exclusive: bool) -> onnx.GraphProto:
    def value(name: str) -> onnx.ValueInfoProto:
        return helper.make_tensor_value_info(name, elem_type, [None] * rank)

    nodes = [
        helper.make_node("Mul", ["before", "element"], ["product"]),
        helper.make_node("Identity", ["before" if is_exclusive else "product"], ["result"]),
    ]
    inputs, outputs = [value("before"), value("element")], [value("product"), value("result")]
    return helper.make_graph(nodes, "cumulative_product", inputs, outputs)
