"""Split operators of ONNX Runtime's quantizer into DequantizeLinear, operator, QuantizeLinear."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pluginkit.graph_rewrites._quantized import (
    QUANTIZES_SINCE,
    dequantized,
    quantize,
    rank_problem,
    round_shifted,
    single,
)
from pluginkit.graph_rewrites._spelled_out import MICROSOFT
from pluginkit.onnx import Match, NodeInput, Op, Optional, Replacement, Rewrite

if TYPE_CHECKING:
    import onnx_graphsurgeon as gs

_QUANTIZED = ("uint8", "int8")


class _OfPairs(Rewrite, abstract=True):
    """A rewrite of an operator of two quantized inputs, a and b."""

    def check(
        self, match: Match, a: gs.Tensor, a_scale: gs.Tensor, b_scale: gs.Tensor, y_scale: gs.Tensor
    ) -> str | None:
        return _problem(match, a) or rank_problem(match, a_scale, b_scale, y_scale)


class ExpandQLinearBinary(_OfPairs):
    """com.microsoft.QLinearAdd(a, b) -> Round(a * s + b * t + zero), and of QLinearMul the product.

    As in ONNX Runtime the scales are divided first, and the zero point is added before the sum is
    rounded: where it is odd, halves are rounded to other integers than by QuantizeLinear.
    """

    pattern = Op(
        ("QLinearAdd", "QLinearMul"),
        *("a", "a_scale", Optional("a_zero"), "b", "b_scale", Optional("b_zero")),
        *("y_scale", Optional("y_zero")),
        domain=MICROSOFT,
    )

    def rewrite(
        self,
        match: Match,
        a: gs.Tensor,
        a_scale: gs.Tensor,
        a_zero: gs.Tensor | None,
        b: gs.Tensor,
        b_scale: gs.Tensor,
        b_zero: gs.Tensor | None,
        y_scale: gs.Tensor,
        y_zero: gs.Tensor | None,
    ) -> list[gs.Node]:
        new = Replacement(match)
        scales = [single(new, match, each) for each in (a_scale, b_scale, y_scale)]
        zeros = [single(new, match, each) for each in (a_zero, b_zero, y_zero)]
        if match.proto.op_type == "QLinearMul":
            factor = new.add("Div", new.add("Mul", *scales[:2]), scales[2])
            left, right = (
                new.minus_zero_point(*pair) for pair in zip((a, b), zeros[:2], strict=True)
            )
            y = new.add("Mul", new.add("Mul", left, right), factor)
            return round_shifted(new, match, y, zeros[2], match.dtype(a))
        ratios = [new.add("Div", each, scales[2]) for each in scales[:2]]
        parts = [
            new.add("Mul", new.cast(each, "float32"), ratio)
            for each, ratio in zip((b, a), reversed(ratios), strict=True)
        ]
        shift = zeros[2]
        for zero, ratio in zip(zeros, ratios, strict=False):
            if zero is not None:
                moved = new.add("Mul", ratio, zero)
                shift = new.add("Neg", moved) if shift is None else new.add("Sub", shift, moved)
        if shift is not None:
            parts[0] = new.add("Add", parts[0], shift)
        y = new.add("Add", parts[1], parts[0])
        return round_shifted(new, match, y, None, match.dtype(a))


#: For each operator with one input the attributes of the floating-point operator.
_UNARY: dict[str, tuple[str, ...]] = {
    "QLinearAveragePool": (
        *("auto_pad", "ceil_mode", "count_include_pad", "kernel_shape", "pads", "strides"),
    ),
    "QLinearGlobalAveragePool": (),
    "QLinearLeakyRelu": ("alpha",),
    "QLinearReduceMean": ("axes", "keepdims"),
    "QLinearSigmoid": (),
    "QLinearSoftmax": ("axis",),
}


class ExpandQLinearUnary(Rewrite):
    """com.microsoft.QLinearSigmoid(x) -> QuantizeLinear(Sigmoid(DequantizeLinear(x))).

    It also matches LeakyRelu, Softmax, ReduceMean, AveragePool and GlobalAveragePool; pools may
    have their channels last. To an average ONNX Runtime adds the zero point before it rounds. The
    scale of a softmax it takes for 1 / floor(1 / scale): steps of 1 / 255 become 1 / 254.
    """

    pattern = Op(
        tuple(_UNARY),
        *("x", "x_scale", Optional("x_zero"), "y_scale", Optional("y_zero")),
        domain=MICROSOFT,
    )

    def check(
        self, match: Match, x: gs.Tensor, x_scale: gs.Tensor, y_scale: gs.Tensor
    ) -> str | None:
        if match.attribute("channels_last", 0) and match.rank(x) is None:
            return "the rank of its input, whose channels come last, is unknown"
        if match.proto.op_type == "QLinearAveragePool" and not match.attribute("kernel_shape"):
            return "its kernel has no size"
        if match.proto.op_type == "QLinearSoftmax" and not _is_along_one_axis(match, x):
            return "its softmax is over several axes, or over an axis that is not known"
        return _problem(match, x) or rank_problem(match, x_scale, y_scale)

    def rewrite(
        self,
        match: Match,
        x: gs.Tensor,
        x_scale: gs.Tensor,
        x_zero: gs.Tensor | None,
        y_scale: gs.Tensor,
        y_zero: gs.Tensor | None,
    ) -> list[gs.Node]:
        new = Replacement(match)
        value: NodeInput = dequantized(new, x, x_scale, x_zero)
        is_last, rank = match.attribute("channels_last", 0), match.rank(x) or 0
        if is_last:
            value = new.add("Transpose", value, perm=[0, rank - 1, *range(1, rank - 1)])
        value = _made(new, match, value)
        if is_last:
            value = new.add("Transpose", value, perm=[0, *range(2, rank), 1])
        if match.proto.op_type == "QLinearAveragePool":
            quotient = new.add("Div", value, single(new, match, y_scale))
            return round_shifted(new, match, quotient, single(new, match, y_zero), match.dtype(x))
        is_softmax = match.proto.op_type == "QLinearSoftmax"
        scale = _of_whole_steps(new, match, y_scale) if is_softmax else y_scale
        return quantize(new, match, value, scale, y_zero, match.dtype(x))


def _of_whole_steps(new: Replacement, match: Match, scale: gs.Tensor) -> NodeInput:
    """Return a scale of which a whole number is 1."""
    stored, one = match.constant(scale), np.float32(1)
    if stored is None:
        return new.add("Div", one, new.add("Floor", new.add("Div", one, scale)))
    return one / np.floor(one / np.asarray(stored, np.float32))


def _made(new: Replacement, match: Match, value: NodeInput) -> gs.Variable:
    op_type = match.proto.op_type
    name = op_type.removeprefix("QLinear")
    given = {each: match.attribute(each) for each in _UNARY[op_type]}
    axes = given.pop("axes", None)
    if op_type == "QLinearSoftmax" and match.attribute("opset", 13) < 13:
        axis, shape = match.attribute("axis", -1), new.add("Shape", value)
        if axis != -1:
            axis %= match.rank(match.inputs[0]) or 1
            value = new.add("Reshape", value, np.array([0] * axis + [-1]))
        softmax = new.add("Softmax", value, axis=-1)
        return new.add("Reshape", softmax, shape)
    if axes:
        return new.reduce(name, value, axes, keepdims=bool(given["keepdims"] in (None, 1)))
    return new.add(name, value, **given)


def _is_along_one_axis(match: Match, x: gs.Tensor) -> bool:
    """Whether the Softmax is along one axis in the model's opset too, or along several known ones.

    Before opset 13 it is over all axes from one on; an attribute says which opset the node means.
    """
    axis, rank = match.attribute("axis", -1), match.rank(x)
    is_last = axis == -1 or (rank is not None and axis == rank - 1)
    if match.attribute("opset", 13) < 13:
        return is_last or rank is not None
    return is_last or match.onnx_opset >= 13


class ExpandQLinearConcat(Rewrite):
    """com.microsoft.QLinearConcat(a, ...) -> QuantizeLinear(Concat(DequantizeLinear(a), ...))."""

    pattern = Op("QLinearConcat", "y_scale", "y_zero", ..., domain=MICROSOFT)

    def check(self, match: Match, y_scale: gs.Tensor, y_zero: gs.Tensor) -> str | None:
        if len(match.inputs) < 5 or len(match.inputs) % 3 != 2:
            return "it has not three inputs for each tensor"
        problem = _problem(match, y_zero) or match.dtype_problem(_QUANTIZED, *match.inputs[2::3])
        return problem or rank_problem(match, y_scale, *match.inputs[3::3])

    def rewrite(self, match: Match, y_scale: gs.Tensor, y_zero: gs.Tensor) -> list[gs.Node]:
        new = Replacement(match)
        given = match.inputs[2:]
        parts = [dequantized(new, *given[start : start + 3]) for start in range(0, len(given), 3)]
        y = new.add("Concat", *parts, axis=match.attribute("axis", 0))
        return quantize(new, match, y, y_scale, y_zero, match.dtype(y_zero))


class ExpandQLinearWhere(_OfPairs):
    """com.microsoft.QLinearWhere(c, a, b) -> QuantizeLinear(Where(c, DequantizeLinear(a), ...))."""

    pattern = Op(
        "QLinearWhere",
        *("condition", "a", "a_scale", "a_zero", "b", "b_scale", "b_zero", "y_scale", "y_zero"),
        domain=MICROSOFT,
    )

    def rewrite(
        self,
        match: Match,
        condition: gs.Tensor,
        a: gs.Tensor,
        a_scale: gs.Tensor,
        a_zero: gs.Tensor,
        b: gs.Tensor,
        b_scale: gs.Tensor,
        b_zero: gs.Tensor,
        y_scale: gs.Tensor,
        y_zero: gs.Tensor,
    ) -> list[gs.Node]:
        new = Replacement(match)
        left, right = dequantized(new, a, a_scale, a_zero), dequantized(new, b, b_scale, b_zero)
        y = new.add("Where", condition, left, right)
        return quantize(new, match, y, y_scale, y_zero, match.dtype(a))


class ExpandNhwcQLinearConv(Rewrite):
    """com.microsoft.QLinearConv(x, w) -> Transpose(QLinearConv(Transpose(x), w)).

    If ``channels_last`` is 1, channels come last; otherwise nothing is transposed.
    """

    pattern = Op("QLinearConv", "x", ..., domain=MICROSOFT)

    def check(self, match: Match, x: gs.Tensor) -> str | None:
        if match.attribute("channels_last", 0) and match.rank(x) is None:
            return "the rank of its input, whose channels come last, is unknown"
        return _problem(match, x)

    def rewrite(self, match: Match, x: gs.Tensor) -> list[gs.Node]:
        new = Replacement(match)
        names = ("auto_pad", "dilations", "group", "kernel_shape", "pads", "strides")
        given = {name: match.attribute(name) for name in names}
        others = [each if each.name else None for each in match.inputs[1:]]
        if not match.attribute("channels_last", 0):
            return new.end("QLinearConv", x, *others, **given)
        rank = match.rank(x) or 0
        first = new.add("Transpose", x, perm=[0, rank - 1, *range(1, rank - 1)])
        y = new.add("QLinearConv", first, *others, **given)
        return new.end("Transpose", y, perm=[0, *range(2, rank), 1])


def _problem(match: Match, x: gs.Tensor) -> str | None:
    if match.onnx_opset < QUANTIZES_SINCE:
        return f"ONNX quantizes since opset {QUANTIZES_SINCE}"
    return match.dtype_problem(_QUANTIZED, x)
