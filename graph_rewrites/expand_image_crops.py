"""Spell out the crops of images that ONNX Runtime resizes to one size."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pluginkit.graph_rewrites._spelled_out import MICROSOFT
from pluginkit.onnx import Match, NodeInput, Op, Replacement, Rewrite

if TYPE_CHECKING:
    import onnx_graphsurgeon as gs


class ExpandImageCrops(Rewrite):
    """com.microsoft.CropAndResize(x, rois, images) -> the weighted elements that a crop lies at.

    Each element of a crop is the mean of the four elements around its place, or the nearest one. A
    place beyond the image has the value for extrapolation. The size of the crops must be stored.
    """

    pattern = Op("CropAndResize", "x", "rois", "images", "size", domain=MICROSOFT)

    def check(self, match: Match, x: gs.Tensor, size: gs.Tensor) -> str | list[int]:
        stored = match.value_from_shapes(size)
        if stored is None or stored.size != 2:
            return "the size of its crops is not stored in the model"
        if match.attribute("mode", "bilinear") not in ("bilinear", "nearest"):
            return "its mode is not known"
        if match.onnx_opset < 11:
            return f"it needs the operators of opset 11; the model has {match.onnx_opset}"
        sizes: list[int] = np.ravel(stored).tolist()
        return match.dtype_problem(("float32",), x) or sizes

    def rewrite(
        self,
        match: Match,
        x: gs.Tensor,
        rois: gs.Tensor,
        images: gs.Tensor,
        facts: list[int],
    ) -> list[gs.Node]:
        """Gather from rows of pixels: [images * height * width, channels]."""
        new = Replacement(match)
        shape = new.add("Shape", x)
        height, width = (new.slice(shape, 0, axis, axis + 1) for axis in (2, 3))
        last = new.add("Transpose", x, perm=[0, 2, 3, 1])
        channels = new.slice(shape, 0, 1, 2)
        pixels = new.add("Reshape", last, new.add("Concat", np.array([-1]), channels, axis=0))
        rows = _Places(new, rois, 0, facts[0], height)
        columns = _Places(new, rois, 1, facts[1], width)
        first = new.add("Mul", new.cast(images, "int64"), new.add("Mul", height, width))
        start = new.unsqueeze(first, [1, 2])
        if match.attribute("mode", "bilinear") == "nearest":
            corners: list[tuple[NodeInput, NodeInput, NodeInput]] = [
                (rows.rounded(), columns.rounded(), None)
            ]
        else:
            corners = [
                (row, column, new.add("Mul", by_row, by_column))
                for row, by_row in rows.around(2)
                for column, by_column in columns.around(1)
            ]
        total: NodeInput = None
        for row, column, weight in corners:
            inside = new.add("Add", new.add("Mul", new.unsqueeze(row, [2]), width), start)
            at = new.add("Add", inside, new.unsqueeze(column, [1]))
            part: NodeInput = new.add("Gather", pixels, at)
            if weight is not None:
                part = new.add("Mul", part, new.unsqueeze(weight, [3]))
            total = part if total is None else new.add("Add", total, part)
        is_inside = new.add(
            "And", new.unsqueeze(rows.are_inside, [2]), new.unsqueeze(columns.are_inside, [1])
        )
        beyond = np.float32(match.attribute("extrapolation_value", 0.0))
        y = new.add("Where", new.unsqueeze(is_inside, [3]), total, beyond)
        return new.end("Transpose", y, perm=[0, 3, 1, 2])


class _Places:
    """The places of the elements of crops along one axis: [crops, size], in elements of the image.

    Attributes:
        are_inside: which of them are inside the image.
    """

    def __init__(
        self, new: Replacement, rois: NodeInput, axis: int, count: int, size: NodeInput
    ) -> None:
        self._new = new
        low, high = (new.cast(new.slice(rois, 1, at, at + 1), "float32") for at in (axis, axis + 2))
        self._last = new.add("Sub", new.cast(size, "float32"), np.float32(1))
        if count > 1:
            step = new.add("Mul", new.add("Sub", high, low), self._last)
            step = new.add("Div", step, np.float32(count - 1))
            steps = new.add("Mul", step, np.arange(count, dtype=np.float32))
            self._at = new.add("Add", new.add("Mul", low, self._last), steps)
        else:
            middle = new.add("Mul", new.add("Add", low, high), np.float32(0.5))
            self._at = new.add("Mul", middle, self._last)
        is_before = new.add("Less", self._at, np.float32(0))
        is_behind = new.add("Greater", self._at, self._last)
        self.are_inside = new.add("Not", new.add("Or", is_before, is_behind))

    def rounded(self) -> NodeInput:
        """Return the nearest elements, the later one of two."""
        return self._clamped(
            self._new.add("Floor", self._new.add("Add", self._at, np.float32(0.5)))
        )

    def around(self, axis: int) -> list[tuple[NodeInput, NodeInput]]:
        """Return the elements before and behind, with their weights, which get another axis."""
        new = self._new
        before = new.add("Floor", self._at)
        share = new.add("Sub", self._at, before)
        pairs = (
            (before, new.add("Sub", np.float32(1), share)),
            (new.add("Add", before, np.float32(1)), share),
        )
        return [(self._clamped(place), new.unsqueeze(weight, [axis])) for place, weight in pairs]

    def _clamped(self, place: NodeInput) -> NodeInput:
        """Return places as integers inside the image, which NaN is not."""
        new = self._new
        inside = new.add("Max", new.add("Min", place, self._last), np.float32(0))
        return new.cast(inside, "int64")
