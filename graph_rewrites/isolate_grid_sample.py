"""Keep TensorRT from fusing a matrix product with the GridSample that reads it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pluginkit.onnx import FLOATS, Match, Op, Replacement, Rewrite

if TYPE_CHECKING:
    import onnx_graphsurgeon as gs

#: What TensorRT-RTX fuses with a product, or sees through.
_BETWEEN = frozenset(
    {
        *("AveragePool", "Cast", "Div", "Flatten", "Identity", "Mul", "Reshape", "Squeeze"),
        *("Transpose", "Unsqueeze"),
    }
)


class IsolateGridSample(Rewrite):
    """GridSample(MatMul, grid) -> GridSample(Relu(MatMul) - Relu(-MatMul), grid).

    TensorRT-RTX 1.7 ends with a segmentation fault, or fails with "ssa_validation", where samples
    of a product are concatenated, as in the correlation pyramids of RAFT. The product may be
    scaled, pooled or reshaped. The difference is the product itself, but for the sign of zero.
    """

    pattern = Op("GridSample", "x", "grid")

    def check(self, match: Match, x: gs.Tensor) -> str | None:
        name = x.name
        while (node := match.producer(name)) is not None and node.op_type in _BETWEEN:
            name = node.input[0]
        if node is None or node.op_type != "MatMul":
            return "TensorRT takes it: what it samples is no matrix product"
        return match.dtype_problem(FLOATS, x)

    def rewrite(self, match: Match, x: gs.Tensor, grid: gs.Tensor) -> list[gs.Node]:
        new = Replacement(match)
        above, below = new.add("Relu", x), new.add("Relu", new.add("Neg", x))
        given = {each.name: match.attribute(each.name) for each in match.proto.attribute}
        return new.end("GridSample", new.add("Sub", above, below), grid, **given)
