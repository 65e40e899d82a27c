"""Let sizes that are divided and rounded up be computed in integers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pluginkit.onnx import FLOATS, Match, Op, Replacement, Rewrite

if TYPE_CHECKING:
    import onnx_graphsurgeon as gs

#: What hands on elements of a shape.
_PASSING = ("Cast", "Gather", "Identity", "Slice", "Squeeze", "Unsqueeze")


class RoundUpInIntegers(Rewrite):
    """Ceil(Cast(n) / c) -> Cast((n + c - 1) / c), for a size n and a whole number c.

    As PyTorch's first exporter writes ``math.ceil(height / 2)``. Of images of varying sizes,
    TensorRT's builder fails on some models that compute a size so, as on MobileViT: "value 2 was
    not a shape value". ``build`` then begins again with this rewrite, unless it is left out by
    name. Floating point is exact for sizes up to 2^24, in float16 up to 2^11.
    """

    pattern = Op("Ceil", Op("Div", Op("Cast", "n"), "c"))
    opt_in = True

    def check(self, match: Match, n: gs.Tensor, c: gs.Tensor) -> str | int:
        stored = match.constant(c)
        divisor = float("nan") if stored is None or stored.size != 1 else float(stored.item())
        if not (divisor.is_integer() and divisor >= 1):
            return "its divisor is no whole number that the model stores"
        if match.rank(c) and not match.rank(n):
            return "its divisor has more axes than what it divides"
        name = n.name
        while (node := match.producer(name)) is not None and node.op_type in _PASSING:
            name = node.input[0]
        if node is None or node.op_type != "Shape":
            return "it does not divide a size, which is never negative"
        problem = match.dtype_problem(("int32", "int64"), n)
        return problem or match.dtype_problem(FLOATS, match.outputs[0]) or int(divisor)

    def rewrite(self, match: Match, n: gs.Tensor, facts: int) -> list[gs.Node]:
        new = Replacement(match)
        more = new.add("Add", new.cast(n, "int64"), np.int64(facts - 1))
        parts = new.add("Div", more, np.int64(facts))
        return new.end("Cast", parts, to=match.dtype(match.outputs[0]))
