"""Give Resize a size for each axis, as TensorRT wants it where other axes are dynamic."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pluginkit.onnx import Match, NodeInput, Op, Optional, Replacement, Rewrite

if TYPE_CHECKING:
    import onnx_graphsurgeon as gs


class SpreadSizes(Rewrite):
    """Resize(x, sizes, axes) -> Resize(x, Concat(sizes of the other axes, sizes)).

    TensorRT takes ``axes``, but where another axis is dynamic, it gives that a negative size.
    """

    pattern = Op("Resize", "x", *map(Optional, ("roi", "scales", "sizes")))

    def check(self, match: Match, x: gs.Tensor, sizes: gs.Tensor | None) -> str | list[int]:
        shape, axes = match.shape(x), match.attribute("axes")
        if not axes or sizes is None:
            return "it has no axes with sizes"
        if shape is None:
            return "the rank of its input is unknown"
        if match.attribute("keep_aspect_ratio_policy", "stretch") != "stretch":
            return "it keeps the ratio of its sizes"
        if match.attribute("coordinate_transformation_mode") == "tf_crop_and_resize":
            return "its region has borders of the same axes"
        if None not in shape:
            return "TensorRT takes it: no axis is dynamic"
        return [axis % len(shape) for axis in axes]

    def rewrite(
        self, match: Match, x: gs.Tensor, sizes: gs.Tensor, facts: list[int]
    ) -> list[gs.Node]:
        new = Replacement(match)
        before = new.add("Shape", x)
        parts: list[NodeInput] = []
        for axis, size in enumerate(match.shape(x) or ()):
            if axis in facts:
                at = facts.index(axis)
                parts.append(new.slice(sizes, 0, at, at + 1))
            elif size is None:
                parts.append(new.slice(before, 0, axis, axis + 1))
            else:
                parts.append(np.array([size]))
        attributes = {**match.node.attrs, "axes": None}
        return new.end("Resize", x, None, None, new.add("Concat", *parts, axis=0), **attributes)
