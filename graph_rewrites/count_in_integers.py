"""Let a Range of floating-point numbers up to an integer count in integers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pluginkit.onnx import FLOATS, Match, Op, Replacement, Rewrite

if TYPE_CHECKING:
    import onnx_graphsurgeon as gs


class CountInIntegers(Rewrite):
    """Range(0.0, Cast(n), 1.0) -> Cast(Range(0, n, 1)), for any whole numbers.

    TensorRT computes the size of a Range from its limit. In floating point it fails where the limit
    is a size that depends on data, as in VITS: "Assertion bound >= 0 failed".
    """

    pattern = Op("Range", "start", Op("Cast", "limit"), "step")

    def check(
        self, match: Match, start: gs.Tensor, limit: gs.Tensor, step: gs.Tensor
    ) -> str | tuple[int, int]:
        problem = match.dtype_problem(("int64",), limit)
        problem = problem or match.dtype_problem(FLOATS, match.outputs[0])
        if problem is not None:
            return problem
        stored = [match.constant(each) for each in (start, step)]
        first, by = (np.nan if each is None else float(each.item()) for each in stored)
        if not (first.is_integer() and by.is_integer()):
            return "its start or its step is no whole number that the model stores"
        return int(first), int(by)

    def rewrite(self, match: Match, limit: gs.Tensor, facts: tuple[int, int]) -> list[gs.Node]:
        new = Replacement(match)
        start, step = (np.int64(each) for each in facts)
        counted = new.add("Range", start, limit, step)
        return new.end("Cast", counted, to=match.dtype(match.outputs[0]))
