"""Spell out quantization that TensorRT lacks: to uint8, with zero points, and dynamic."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pluginkit.onnx import FLOATS, Match, NodeInput, Op, Optional, Replacement, Rewrite

if TYPE_CHECKING:
    import onnx_graphsurgeon as gs


_INTEGERS = ("uint8", "int8", "int16", "uint16")


class ExpandQuantizeLinear(Rewrite):
    """QuantizeLinear(x, scale, zero point) -> Cast(Clip(Round(x / scale) + zero point)).

    Always for uint8, because TensorRT silently quantizes to int8 instead, and for int16 and uint16,
    which it lacks. For int8 if the zero point is not stored in the model or is not zero, which
    TensorRT refuses. The quotient is
    computed in the dtype of the scale, or in that of the attribute ``precision``.
    """

    pattern = Op("QuantizeLinear", "x", "scale", Optional("zero_point"))

    def check(
        self, match: Match, x: gs.Tensor, scale: gs.Tensor, zero_point: gs.Tensor | None
    ) -> str | None:
        dtype = _output_dtype(match)
        if dtype not in _INTEGERS:
            return f"the output is of another type than {', '.join(_INTEGERS)}"
        if dtype == "int8" and _is_symmetric(match, zero_point):
            return "TensorRT takes it: it quantizes to int8 around zero"
        if not match.dtype(x) or not match.dtype(scale):
            return "the type of an input is unknown"
        return _broadcast_problem(match, x, scale)

    def rewrite(
        self, match: Match, x: gs.Tensor, scale: gs.Tensor, zero_point: gs.Tensor | None
    ) -> list[gs.Node]:
        """Compute in float32 from the quotient on, which is exact."""
        precision = match.dtype_attribute("precision") or match.dtype(scale)
        dtype = _output_dtype(match)
        new = Replacement(match)
        quotient = new.add("Div", new.cast(x, precision), _broadcast(new, match, scale, precision))
        if precision != "float32":
            quotient = new.add("Cast", quotient, to="float32")
        zero = _broadcast(new, match, zero_point, "float32")
        return new.end("Cast", new.quantize(quotient, zero, dtype), to=dtype)

    def note(self, match: Match) -> str:
        return _speed_note(_output_dtype(match))


class ExpandDequantizeLinear(Rewrite):
    """DequantizeLinear(x, scale, zero point) -> (x - zero point) * scale.

    Always for uint8, int16, uint16 and int32. For int8 if the zero point is not stored in the model
    or is not zero, since TensorRT's quantization has no zero points; and for a stored int8 without
    dimensions, which the parser reshapes and the builder then refuses. The product is computed in
    the dtype of the scale, which represents every difference of 8-bit integers; for wider ones in
    float32.
    """

    pattern = Op("DequantizeLinear", "x", "scale", Optional("zero_point"))

    def check(
        self, match: Match, x: gs.Tensor, scale: gs.Tensor, zero_point: gs.Tensor | None
    ) -> str | None:
        is_stored_scalar = match.rank(x) == 0 and match.constant(x) is not None
        is_symmetric = match.dtype(x) == "int8" and _is_symmetric(match, zero_point)
        if is_symmetric and not is_stored_scalar:
            return "TensorRT takes it: it dequantizes int8 around zero"
        return (
            match.dtype_problem((*_INTEGERS, "int32"), x)
            or match.dtype_problem(FLOATS, scale)
            or _broadcast_problem(match, x, scale)
        )

    def rewrite(
        self, match: Match, x: gs.Tensor, scale: gs.Tensor, zero_point: gs.Tensor | None
    ) -> list[gs.Node]:
        """Cast the output, whose dtype may differ from the scale's."""
        wanted = match.dtype_attribute("output_dtype") or match.dtype(scale)
        dtype = match.dtype(scale) if match.dtype(x) in ("uint8", "int8") else "float32"
        new = Replacement(match)
        zero = _broadcast(new, match, zero_point, dtype)
        difference = new.minus_zero_point(x, zero, dtype)
        factor = _broadcast(new, match, scale, dtype)
        if wanted == dtype:
            return new.end("Mul", difference, factor)
        return new.end("Cast", new.add("Mul", difference, factor), to=wanted)

    def note(self, match: Match) -> str:
        return _speed_note(match.dtype(match["x"]))


class ExpandDynamicQuantizeLinear(Rewrite):
    """DynamicQuantizeLinear(x) -> clip(round(x / scale) + zero point), scale = range of x / 255.

    The range includes zero, and the zero point is the integer of its least value. If x is all
    zeros, the scale, y and the zero point are 0, as ONNX defines it (ONNX Runtime returns a scale
    of 1).
    """

    pattern = Op("DynamicQuantizeLinear", "x")

    def rewrite(self, match: Match, x: gs.Tensor) -> list[gs.Node]:
        """Compute everything in float32, and cast at the end."""
        zero, one, steps = np.float32(0), np.float32(1), np.float32(255)
        new = Replacement(match)
        least = new.add("Min", new.add("ReduceMin", x, keepdims=0), zero)
        greatest = new.add("Max", new.add("ReduceMax", x, keepdims=0), zero)
        scale = new.add("Div", new.add("Sub", greatest, least), steps)
        divisor = new.add("Where", new.add("Equal", scale, zero), one, scale)
        shift = new.add("Div", new.add("Sub", zero, least), divisor)
        zero_point = new.add("Round", new.add("Max", new.add("Min", shift, steps), zero))
        y = new.quantize(new.add("Div", x, divisor), zero_point, "uint8")
        made = ((y, "uint8"), (scale, "float32"), (zero_point, "uint8"))
        for output, (value, dtype) in zip(match.outputs, made, strict=False):
            if output.name:
                new.into([output], "Cast", value, to=dtype)
        return list(new)


def _speed_note(dtype: str) -> str:
    """Return a note about the cost of a quantization that TensorRT lacks."""
    if dtype == "int8":
        return (
            "int8 with a zero point other than a stored 0 is computed in floating point, without "
            "TensorRT's INT8 kernels; quantize symmetrically to get them."
        )
    if dtype in ("uint8", "int16", "uint16"):
        return (
            f"{dtype} is computed in floating point, without TensorRT's INT8 kernels; quantize to "
            "int8, symmetrically, to get them."
        )
    return ""


def _output_dtype(match: Match) -> str:
    return match.dtype_attribute("output_dtype") or match.dtype(match.outputs[0])


def _is_symmetric(match: Match, zero_point: gs.Tensor | None) -> bool:
    return zero_point is None or match.is_zero(zero_point)


def _broadcast_problem(match: Match, x: gs.Tensor, scale: gs.Tensor) -> str | None:
    """Return why the scale cannot be brought to the rank of x, or None if it can."""
    rank, rank_of_scale = match.rank(x), match.rank(scale)
    block = match.attribute("block_size", 0)
    if match.shape(scale) in ((), (1,)) and not block:
        return None
    if rank is None or rank_of_scale is None:
        return "the rank of an input is unknown"
    if rank_of_scale != (rank if block else 1) or not -rank <= match.attribute("axis", 1) < rank:
        return "its axis, or the rank of its scale, does not fit its input"
    axis = match.attribute("axis", 1) % rank
    sizes = zip(match.shape(x) or (), match.shape(scale) or (), strict=False)
    others = [pair for at, pair in enumerate(sizes) if at != axis]
    if block and any(None not in pair and pair[0] != pair[1] for pair in others):
        return "the sizes of its scale do not fit those of its input"
    if block and _axis_length(match) is None:
        return "the quantized axis, which comes in blocks, has an unknown length"
    return None


def _broadcast(new: Replacement, match: Match, value: gs.Tensor | None, dtype: str) -> NodeInput:
    """Cast a scale or zero point, and give it a shape that broadcasts.

    There is one for all, one for each element of ``axis``, or one for each block of that axis.
    """
    if value is None:
        return None
    x, scale = match["x"], match["scale"]
    wide = new.cast(value, dtype)
    axis, block = match.attribute("axis", 1), match.attribute("block_size", 0)
    if block:
        length = _axis_length(match) or 0
        return new.add("Gather", wide, np.arange(length, dtype=np.int64) // block, axis=axis)
    if match.shape(scale) in ((), (1,)):
        has_axes = match.shape(value) != () and not match.rank(x)
        return new.add("Reshape", wide, np.zeros(0, np.int64)) if has_axes else wide
    return new.along_axis(wide, match.rank(x) or 0, axis)


def _axis_length(match: Match) -> int | None:
    shape = match.shape(match["x"])
    return shape[match.attribute("axis", 1)] if shape else None
