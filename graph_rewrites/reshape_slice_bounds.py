"""Give Slice the bounds that TensorRT wants: vectors, with axes and steps."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pluginkit.onnx import Match, NodeInput, Op, Optional, Replacement, Rewrite

if TYPE_CHECKING:
    import onnx_graphsurgeon as gs


class ReshapeSliceBounds(Rewrite):
    """Slice(x, scalar, scalar, ...) -> Slice(x, Reshape(scalar, [1]), ...).

    As PyTorch exports tensor_split. ONNX wants vectors of starts, ends, axes and steps; ONNX
    Runtime takes scalars too.
    """

    pattern = Op("Slice", "x", ...)

    def check(self, match: Match) -> str | None:
        if not any(match.rank(each) == 0 for each in match.inputs[1:]):
            return "TensorRT takes it: its bounds are not known to be scalars"
        return None

    def rewrite(self, match: Match, x: gs.Tensor) -> list[gs.Node]:
        new = Replacement(match)
        bounds: list[NodeInput] = [
            new.add("Reshape", each, np.array([1])) if match.rank(each) == 0 else each
            for each in match.inputs[1:]
        ]
        return new.end("Slice", x, *bounds)


class CompleteSlice(Rewrite):
    """Slice(x, starts, ends) -> Slice(x, starts, ends, first axes, steps of 1).

    TensorRT takes absent axes, and absent steps beside int32, for as many as x has axes.
    """

    pattern = Op("Slice", "x", "starts", "ends", Optional("axes"), Optional("steps"))

    def check(
        self,
        match: Match,
        x: gs.Tensor,
        starts: gs.Tensor,
        axes: gs.Tensor | None,
        steps: gs.Tensor | None,
    ) -> str | int:
        if axes is not None and (steps is not None or match.dtype(starts) != "int32"):
            return "TensorRT takes it: it has axes, and steps or bounds of int64"
        shape = match.shape(starts) or ()
        count = shape[0] if len(shape) == 1 else None
        if not count or match.rank(x) is None:
            return "the number of its bounds, or the rank of its input, is unknown"
        if count == match.rank(x):
            return "TensorRT takes it: it has bounds for each axis"
        return count

    def rewrite(
        self,
        match: Match,
        x: gs.Tensor,
        starts: gs.Tensor,
        ends: gs.Tensor,
        axes: gs.Tensor | None,
        steps: gs.Tensor | None,
        facts: int,
    ) -> list[gs.Node]:
        dtype = match.dtype(starts)
        first: NodeInput = np.arange(facts).astype(dtype) if axes is None else axes
        single: NodeInput = np.ones(facts, dtype) if steps is None else steps
        return Replacement(match).end("Slice", x, starts, ends, first, single)
