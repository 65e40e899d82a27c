"""Spell out experimental operators of early ONNX, which Caffe2's and CoreML's exporters wrote.

ONNX has dropped them; ONNX Runtime still computes them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pluginkit.graph_rewrites._spelled_out import OfFloats, number
from pluginkit.onnx import FLOATS, Match, Op, Replacement, Rewrite

if TYPE_CHECKING:
    import onnx_graphsurgeon as gs


class ExpandAffine(OfFloats):
    """Affine(x) -> x * alpha + beta, and Scale(x) -> x * scale."""

    pattern = Op(("Affine", "Scale"), "x")

    def rewrite(self, match: Match, x: gs.Tensor) -> list[gs.Node]:
        new, dtype = Replacement(match), match.dtype(x)
        if match.proto.op_type == "Scale":
            return new.end("Mul", x, number(match.attribute("scale", 1.0), dtype))
        product = new.add("Mul", x, number(match.attribute("alpha", 1.0), dtype))
        return new.end("Add", product, number(match.attribute("beta", 0.0), dtype))


class ExpandCrop(Rewrite):
    """Crop(x) -> Slice(x) of height and width, without a border or from its corner on."""

    pattern = Op("Crop", "x")

    def check(self, match: Match, x: gs.Tensor) -> str | None:
        if match.rank(x) != 4 or len(match.attribute("border", [])) != 4:
            return "its input has not four axes, or it has not four borders"
        return match.dtype_problem(FLOATS, x)

    def rewrite(self, match: Match, x: gs.Tensor) -> list[gs.Node]:
        """Slice one axis after the other; ``scale`` is the size that is left of both."""
        new = Replacement(match)
        left, top, right, bottom = match.attribute("border")
        height, width = match.attribute("scale", []) or (None, None)
        y = x
        for axis, first, border, size in ((2, top, bottom, height), (3, left, right, width)):
            last = -border or np.iinfo(np.int64).max
            y = new.slice(y, axis, first, last if size is None else first + size)
        return new.end("Identity", y)
