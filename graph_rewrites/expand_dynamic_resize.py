"""Turn Resize with antialias, or with computed scales, into products with computed weights."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx_graphsurgeon as gs

from pluginkit.onnx import FLOATS, Match, NodeInput, Op, Optional, Replacement, Rewrite, is_op

_MODES = ("half_pixel", "asymmetric", "align_corners", "pytorch_half_pixel")
_SCALAR = np.zeros(0, np.int64)


@dataclass(frozen=True)
class _Lengths:
    """The sizes before and after of one axis, and the scale, as float32 scalars."""

    size: NodeInput
    resized: NodeInput
    scale: NodeInput


class ExpandDynamicResize(Rewrite):
    """Resize(x, sizes) -> MatMul(x, weights), along one axis after the other, with antialias.

    For sizes that are known only when the model runs; for stored sizes there is ExpandResize. The
    weights of an axis are a matrix over its elements before and after, computed when the model
    runs, in float32. Without antialias, for scales that follow from the data of the model, which
    TensorRT refuses; of mode nearest an axis is gathered.
    """

    pattern = Op("Resize", "x", *map(Optional, ("roi", "scales", "sizes")))

    def check(
        self, match: Match, x: gs.Tensor, scales: gs.Tensor | None, sizes: gs.Tensor | None
    ) -> str | list[int]:
        if not match.attribute("antialias", 0) and not _follow_from_data(match, scales):
            return "it has no antialias, and no scales that follow from data"
        if match.onnx_opset < 11:
            return "it is of an opset below 11, which has other coordinates"
        mode = match.attribute("mode", "nearest")
        if match.attribute("coordinate_transformation_mode", "half_pixel") not in _MODES:
            return "its coordinates are of another mode"
        if match.attribute("keep_aspect_ratio_policy", "stretch") != "stretch":
            return "it keeps the ratio of its sizes"
        shape = match.shape(x)
        if not shape:
            return "the rank of its input is unknown"
        axes = [axis % len(shape) for axis in match.attribute("axes", range(len(shape)))]
        given = sizes if sizes is not None else scales
        if given is None:
            return "it has neither scales nor sizes"
        if match.constant(given) is not None and all(shape[axis] is not None for axis in axes):
            return "its sizes are known"
        problem = None if mode == "nearest" else match.dtype_problem(FLOATS, x)
        return problem or axes

    def rewrite(
        self,
        match: Match,
        x: gs.Tensor,
        scales: gs.Tensor | None,
        sizes: gs.Tensor | None,
        facts: list[int],
    ) -> list[gs.Node]:
        new = Replacement(match)
        is_nearest = match.attribute("mode", "nearest") == "nearest"
        value, rank = x if is_nearest else new.cast(x, "float32"), match.rank(x) or 0
        shape = new.add("Shape", x)
        for at, axis in enumerate(facts):
            if _is_kept(match, x, axis, at):
                continue
            size = new.cast(_element(new, shape, axis), "float32")
            if sizes is not None:
                resized = new.cast(_element(new, sizes, at), "float32")
                lengths = _Lengths(size, resized, new.add("Div", resized, size))
            else:
                scale = new.cast(_element(new, scales, at), "float32")
                resized = new.add("Floor", new.add("Mul", size, scale))
                lengths = _Lengths(size, resized, scale)
            if is_nearest:
                value = new.add("Gather", value, _nearest(new, match, lengths), axis=axis)
            else:
                value = _resize(new, match, value, rank, axis, lengths)
        return new.end("Cast", value, to=match.dtype(x))


def _is_kept(match: Match, x: gs.Tensor, axis: int, at: int) -> bool:
    """Whether an axis is known to keep its size."""
    before, after = (x.shape or [])[axis : axis + 1], match.outputs[0].shape or []
    if _stored_scale(match, match["scales"], at) == 1:
        return True
    return bool(before and before[0] is not None and after[axis : axis + 1] == before)


def _stored_scale(match: Match, scales: gs.Tensor, at: int) -> float | None:
    """Return a scale that is stored, or joined with computed ones; None for those."""
    stored = match.constant(scales)
    if stored is not None:
        return float(stored.reshape(-1)[at]) if stored.size else None
    node = match.producer(scales.name)
    if node is None or not is_op(node, "Concat"):
        return None
    pieces = [match.constant_called(name) for name in node.input]
    before = pieces[: next((i for i, each in enumerate(pieces) if each is None), None)]
    first = [float(scale) for each in before if each is not None for scale in each.flat]
    return first[at] if at < len(first) else None


def _follow_from_data(match: Match, scales: gs.Tensor | None) -> bool:
    """Whether scales follow from floating-point values that are no sizes and not stored."""
    if scales is None or not scales.name or match.onnx_opset < 13:
        return False
    to_see, seen = [scales.name], set[str]()
    while to_see:
        name = to_see.pop()
        if not name or name in seen or match.constant_called(name) is not None:
            continue
        seen.add(name)
        node = match.producer(name)
        if node is not None and is_op(node, node.op_type):
            to_see += [] if node.op_type in ("Shape", "Size") else node.input
        value = gs.Variable(name)
        if node is None and match.dtype(value) in FLOATS and not match.is_external(value):
            return True
    return False


def _nearest(new: Replacement, match: Match, lengths: _Lengths) -> NodeInput:
    """Return the index of the nearest element for each new one."""
    zero, one, half = np.float32(0), np.float32(1), np.float32(0.5)
    at = _coordinates(new, match, new.add("Range", zero, lengths.resized, one), lengths)
    rounding = match.attribute("nearest_mode", "round_prefer_floor")
    if rounding == "round_prefer_floor":
        at = new.add("Sub", at, half)
    elif rounding == "round_prefer_ceil":
        at = new.add("Add", at, half)
    is_above = rounding in ("round_prefer_floor", "ceil")
    whole = new.add("Ceil" if is_above else "Floor", at)
    last = new.add("Sub", lengths.size, one)
    return new.add("Cast", new.add("Min", new.add("Max", whole, zero), last), to="int64")


def _resize(
    new: Replacement,
    match: Match,
    value: NodeInput,
    rank: int,
    axis: int,
    lengths: _Lengths,
) -> NodeInput:
    """Multiply along an axis, which is moved to the end and back."""
    taps, weights = _weights(new, match, lengths)
    order = [each for each in range(rank) if each != axis] + [axis]
    moved = value if axis == rank - 1 else new.add("Transpose", value, perm=order)
    if not match.attribute("exclude_outside", False):
        last = new.add("Sub", lengths.size, np.float32(1))
        inside = new.add("Min", new.add("Max", taps, np.float32(0)), last)
        moved = new.add("Gather", moved, new.add("Cast", inside, to="int64"), axis=rank - 1)
    y = new.add("MatMul", moved, new.add("Transpose", weights, perm=[1, 0]))
    back = [order.index(each) for each in range(rank)]
    return y if axis == rank - 1 else new.add("Transpose", y, perm=back)


def _weights(new: Replacement, match: Match, lengths: _Lengths) -> tuple[NodeInput, NodeInput]:
    """Return the elements to read, which may be outside, and the weights [after, read]."""
    is_cubic = match.attribute("mode", "linear") == "cubic"
    shrink: NodeInput = np.float32(1)
    if match.attribute("antialias", 0):
        shrink = new.add("Min", lengths.scale, np.float32(1))
    zero, one = np.float32(0), np.float32(1)
    first: NodeInput = zero
    end = lengths.size
    if not match.attribute("exclude_outside", False):
        reach = new.add("Div", np.float32(2 if is_cubic else 1), shrink)
        beyond = new.add("Add", new.add("Ceil", reach), one)
        first, end = new.add("Neg", beyond), new.add("Add", end, beyond)
    taps = new.add("Range", first, end, one)
    at = _coordinates(new, match, new.add("Range", zero, lengths.resized, one), lengths)
    difference = new.add("Sub", new.unsqueeze(at, [1]), taps)
    distance = new.add("Mul", new.add("Abs", difference), shrink)
    if is_cubic:
        weights = _cubic(new, distance, match.attribute("cubic_coeff_a", -0.75))
    else:
        weights = new.add("Max", new.add("Sub", one, distance), zero)
    total = new.reduce("ReduceSum", weights, [1], keepdims=True)
    return taps, new.add("Div", weights, total)


def _coordinates(new: Replacement, match: Match, number: NodeInput, lengths: _Lengths) -> NodeInput:
    """Return the coordinate of each new element among the old ones."""
    mode = match.attribute("coordinate_transformation_mode", "half_pixel")
    one, half = np.float32(1), np.float32(0.5)
    if mode == "asymmetric":
        return new.add("Div", number, lengths.scale)
    if mode == "align_corners":
        steps = new.add("Max", new.add("Sub", lengths.resized, one), one)
        length = new.add("Sub", lengths.size, one)
        return new.add("Div", new.add("Mul", number, length), steps)
    at = new.add("Sub", new.add("Div", new.add("Add", number, half), lengths.scale), half)
    if mode != "pytorch_half_pixel":
        return at
    is_one = new.add("Less", lengths.resized, np.float32(1.5))
    return new.add("Where", is_one, new.add("Mul", number, np.float32(0)), at)


def _cubic(new: Replacement, distance: NodeInput, a: float) -> NodeInput:
    """Return the cubic filter with the coefficient a, 0 from a distance of 2 on."""

    def polynomial(*coefficients: float) -> NodeInput:
        value: NodeInput = np.float32(coefficients[0])
        for each in coefficients[1:]:
            value = new.add("Add", new.add("Mul", value, distance), np.float32(each))
        return value

    near = polynomial(a + 2, -(a + 3), 0, 1)
    far = polynomial(a, -5 * a, 8 * a, -4 * a)
    far = new.add("Where", new.add("Less", distance, np.float32(2)), far, np.float32(0))
    return new.add("Where", new.add("Greater", distance, np.float32(1)), far, near)


def _element(new: Replacement, vector: NodeInput, at: int) -> gs.Variable:
    """Return an element of a vector as a scalar."""
    return new.add("Reshape", new.slice(vector, 0, at, at + 1), _SCALAR)
