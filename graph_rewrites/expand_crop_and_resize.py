"""Crop and resize a region that is known only when the model runs, as tf.image.crop_and_resize."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import onnx_graphsurgeon as gs

from pluginkit.onnx import (
    FLOATS,
    Match,
    NodeInput,
    Op,
    Optional,
    Replacement,
    Rewrite,
    is_op,
    known_sizes,
)

_SCALAR = np.zeros(0, np.int64)


class ExpandCropAndResize(Rewrite):
    """Resize(x, region, sizes) -> Gather(x, i) * (1 - w) + Gather(x, i + 1) * w, axis by axis.

    Mode nearest takes the nearest element. For coordinates of tf_crop_and_resize, where the region
    is no constant or the size of the image is unknown; ExpandResize takes the others. The new sizes
    must be stored. An axis of scale 1 is cropped as in ONNX; ONNX Runtime leaves it as it is.
    """

    pattern = Op("Resize", "x", "region", Optional("scales"), Optional("sizes"))

    def check(
        self, match: Match, x: gs.Tensor, region: gs.Tensor, sizes: gs.Tensor | None
    ) -> str | dict[int, int]:
        if match.attribute("coordinate_transformation_mode") != "tf_crop_and_resize":
            return "its coordinates are not those of tf_crop_and_resize"
        shape, wanted = match.shape(x), None if sizes is None else match.value_from_shapes(sizes)
        if match.attribute("mode", "nearest") == "cubic" or match.attribute("antialias", 0):
            return "its mode is cubic, or has antialias"
        if shape is None or wanted is None or len(wanted) != len(shape):
            return "its rank is unknown, or its sizes are not stored, one for each axis"
        axes = match.attribute("axes", range(len(shape)))
        if [axis % len(shape) for axis in axes] != [*range(len(shape))]:
            return "its axes are in another order"
        if match.attribute("keep_aspect_ratio_policy", "stretch") != "stretch":
            return "it keeps the ratio of its sizes"
        if None not in shape and match.constant(region) is not None:
            return "its region and the size of its image are known"
        borders = [*_stored(match, region), *[None] * (2 * len(shape))]
        found = {
            axis: int(size)
            for axis, size in enumerate(wanted)
            if (size, 0.0, 1.0) != (shape[axis], borders[axis], borders[axis + len(shape)])
        }
        problem = match.dtype_problem(FLOATS, x)
        return found if problem is None else problem

    def rewrite(
        self, match: Match, x: gs.Tensor, region: gs.Tensor, facts: dict[int, int]
    ) -> list[gs.Node]:
        new, rank = Replacement(match), match.rank(x) or 0
        value, shape = new.cast(x, "float32"), new.add("Shape", x)
        borders = new.cast(region, "float32")
        beyond = np.float32(match.attribute("extrapolation_value", 0.0))
        rounding = match.attribute("nearest_mode", "round_prefer_floor")
        if match.attribute("mode", "nearest") == "linear":
            rounding = ""
        for axis, size in facts.items():
            start, end = (_element(new, borders, at) for at in (axis, axis + rank))
            length = new.cast(_element(new, shape, axis), "float32")
            last = new.add("Sub", length, np.float32(1))
            at = _places(new, start, end, last, size)
            inside = new.add("Min", new.add("Max", at, np.float32(0)), last)
            spread = np.array((size, *[1] * (rank - axis - 1)), np.int64)
            if rounding:
                nearest = new.cast(_rounded(new, inside, rounding), "int64")
                y = new.add("Gather", value, nearest, axis=axis)
            else:
                y = _between(new, value, inside, last, axis, spread)
            is_beyond = new.add(
                "Or", new.add("Less", at, np.float32(0)), new.add("Greater", at, last)
            )
            value = new.add("Where", new.add("Reshape", is_beyond, spread), beyond, y)
        return new.end("Cast", value, to=match.dtype(x))


def _stored(match: Match, region: gs.Tensor) -> list[float | None]:
    """Return the numbers of a region that are stored, None for others, as far as is known."""
    whole = match.constant(region)
    if whole is not None:
        return list(whole.tolist())
    joined = match.producer(region.name)
    found: list[float | None] = []
    for name in joined.input if joined is not None and is_op(joined, "Concat") else ():
        part = match.constant_called(name)
        sizes = known_sizes(match.value_type(gs.Variable(name)))
        if part is not None:
            found += part.tolist()
        elif sizes and sizes[0] is not None:
            found += [None] * sizes[0]
        else:
            break
    return found


def _places(
    new: Replacement, start: NodeInput, end: NodeInput, last: NodeInput, size: int
) -> NodeInput:
    """Return where the new elements of an axis lie, computed in the order of ONNX Runtime."""
    if size == 1:
        half = new.add("Mul", np.float32(0.5), new.add("Add", start, end))
        return new.add("Reshape", new.add("Mul", half, last), np.array([1], np.int64))
    steps = new.add("Mul", np.arange(size, dtype=np.float32), new.add("Sub", end, start))
    offset = new.add("Div", new.add("Mul", steps, last), np.float32(size - 1))
    return new.add("Add", new.add("Mul", start, last), offset)


def _between(
    new: Replacement,
    value: NodeInput,
    inside: NodeInput,
    last: NodeInput,
    axis: int,
    spread: npt.NDArray[np.int64],
) -> NodeInput:
    """Interpolate between the two elements around each place."""
    first = new.add("Floor", inside)
    second = new.add("Min", new.add("Add", first, np.float32(1)), last)
    weight = new.add("Reshape", new.add("Sub", inside, first), spread)
    low, high = (
        new.add("Gather", value, new.cast(each, "int64"), axis=axis) for each in (first, second)
    )
    return new.add("Add", low, new.add("Mul", new.add("Sub", high, low), weight))


def _rounded(new: Replacement, place: NodeInput, nearest_mode: str) -> NodeInput:
    """Return the nearest elements of places, as ``nearest_mode`` says."""
    half = np.float32(0.5)
    if nearest_mode == "round_prefer_floor":
        return new.add("Ceil", new.add("Sub", place, half))
    if nearest_mode == "round_prefer_ceil":
        return new.add("Floor", new.add("Add", place, half))
    return new.add("Ceil" if nearest_mode == "ceil" else "Floor", place)


def _element(new: Replacement, vector: NodeInput, at: int) -> gs.Variable:
    """Return an element of a vector as a scalar."""
    return new.add("Reshape", new.slice(vector, 0, at, at + 1), _SCALAR)
