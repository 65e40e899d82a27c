"""Fuse a residual sum and its RMS normalization, whole or spelled out, into one plugin.

TensorRT supports these nodes, so the rewrites are opt-in: measure with and without them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pluginkit.onnx import (
    AnyOf,
    Match,
    Op,
    PatternBuilder,
    PatternOperand,
    Rewrite,
    dtype_of_elem_type,
    elem_type,
)
from pluginkit.plugins.add_rms_norm import AddRMSNorm

if TYPE_CHECKING:
    import onnx_graphsurgeon as gs

    from pluginkit.onnx import NewNode


def _sum(op: PatternBuilder, residual: PatternOperand, x: PatternOperand) -> Op:
    """Build the residual sum, which the next layer reads too."""
    return op.Add(residual, x).named("total", kept=True)


def _spelled_out(op: PatternBuilder, total: Op, epsilon: PatternOperand) -> AnyOf:
    """Build ``v * rsqrt(mean(v^2) + epsilon)`` as PyTorch's exporters and ONNX itself write it."""
    wide, wide_again = op.Cast(total, to="float32"), op.Cast(total, to="float32")
    squared, normalized = op.any_of(wide, total), op.any_of(wide, wide_again, total)
    square = op.any_of(
        op.Pow(squared, 2).named("square"),
        op.Mul(squared, squared).named("square"),
    )
    mean = op.ReduceMean(square, ..., keepdims=1).named("mean")
    shifted = op.Add(mean, op.constant(epsilon))
    root = op.Sqrt(shifted)
    inverse = op.any_of(op.Reciprocal(root), op.Div(1, root), op.Pow(shifted, -0.5))
    return op.any_of(op.Mul(normalized, inverse), op.Div(normalized, root))


@dataclass(frozen=True)
class _Norm:
    """A matched norm.

    Attributes:
        epsilon: the number added to the mean square; None if the model does not store one.
        axes: the normalized axes, counted from the end; None if they are unknown.
        dtype: the dtype in which it computes.
    """

    epsilon: float | None
    axes: list[int] | None
    dtype: str


class _FuseAddRMSNorm(Rewrite, abstract=True):
    plugin = AddRMSNorm
    opt_in = True

    def check(
        self,
        match: Match,
        residual: gs.Tensor,
        x: gs.Tensor,
        weight: gs.Tensor,
        total: gs.Node,
        norm: gs.Node | None = None,
        square: gs.Node | None = None,
        mean: gs.Node | None = None,
        epsilon: gs.Tensor | None = None,
    ) -> str | AddRMSNorm:
        """Check that the plugin computes the same, and supports the types and shapes."""
        rank = match.rank(total.outputs[0])
        if norm is not None:
            found = _whole_norm(norm, rank)
        else:
            found = _spelled_out_norm(match, square, mean, epsilon, rank)
        if found.epsilon is None or found.epsilon < 0:
            return "epsilon is not one number of 0 or more that the model stores"
        problem = _dtype_problem(match, total.outputs[0], weight, found.dtype)
        if problem is not None:
            return problem
        axes = found.axes
        if rank is None or not axes or axes != [*range(-len(axes), 0)] or len(axes) > rank:
            return "the axes of the mean are not known to be the last ones"
        if not _are_equal(residual.shape, x.shape):
            return (
                f"the terms of the sum, {residual.shape} and {x.shape}, are not known to have one "
                "shape"
            )
        normalized = total.outputs[0].shape[-len(axes) :]
        if not _are_equal(weight.shape, normalized):
            return (
                f"the weight is {weight.shape}; expected the shape of what is normalized, "
                f"{normalized}"
            )
        return AddRMSNorm(axis=-len(axes), epsilon=found.epsilon)

    def rewrite(
        self,
        match: Match,
        x: gs.Tensor,
        residual: gs.Tensor,
        weight: gs.Tensor,
        total: gs.Node,
        facts: AddRMSNorm,
    ) -> NewNode:
        """Make the sum the plugin's second output, under its name."""
        return match.plugin_node(facts, [x, residual, weight], [match.outputs[0], total.outputs[0]])


class FuseAddRMSNorm(_FuseAddRMSNorm):
    """RMSNormalization(Add(residual, x), weight) -> AddRMSNorm_PK(x, residual, weight).

    The sum becomes the plugin's second output, to which the next layer adds. An RMSNormalization
    without a sum before it is left.
    """

    def pattern(
        self,
        op: PatternBuilder,
        residual: PatternOperand,
        x: PatternOperand,
        weight: PatternOperand,
    ) -> Op:
        return op.RMSNormalization(_sum(op, residual, x), weight).named("norm")


class FuseSpelledOutAddRMSNorm(_FuseAddRMSNorm):
    """weight * Cast(v / rms(v)), v = Cast(Add(residual, x)) -> AddRMSNorm_PK(x, residual, weight).

    As FuseAddRMSNorm, for a norm in elementary operators, with the casts, as in Llama, or all in
    float32. A norm that is all in 16 bits is left, because it rounds at other places.
    """

    def pattern(
        self,
        op: PatternBuilder,
        residual: PatternOperand,
        x: PatternOperand,
        weight: PatternOperand,
        epsilon: PatternOperand,
    ) -> Op:
        normalized = _spelled_out(op, _sum(op, residual, x), epsilon)
        return op.Mul(weight, op.any_of(op.Cast(normalized), normalized))


class FuseAddRMSNormCast(_FuseAddRMSNorm):
    """Cast(weight * v / rms(v)), v = Cast(Add(residual, x)) -> AddRMSNorm_PK(x, residual, weight).

    As FuseAddRMSNorm, for a float32 weight that multiplies before the cast back, like Gemma's,
    whether the norm is spelled out or an RMSNormalization.
    """

    def pattern(
        self,
        op: PatternBuilder,
        residual: PatternOperand,
        x: PatternOperand,
        weight: PatternOperand,
        epsilon: PatternOperand,
    ) -> Op:
        total = _sum(op, residual, x)
        whole = op.RMSNormalization(total, weight).named("norm")
        return op.Cast(op.any_of(whole, op.Mul(weight, _spelled_out(op, total, epsilon))))


def _whole_norm(norm: gs.Node, rank: int | None) -> _Norm:
    axis = norm.attrs.get("axis", -1)
    axes = None if rank is None else [*range(axis if axis < 0 else axis - rank, 0)]
    dtype = dtype_of_elem_type(norm.attrs.get("stash_type", elem_type("float32")))
    return _Norm(norm.attrs.get("epsilon", 1e-5), axes, dtype)


def _spelled_out_norm(
    match: Match, square: gs.Node, mean: gs.Node, epsilon: gs.Tensor, rank: int | None
) -> _Norm:
    stored = match.constant(epsilon)
    number = float(stored.item()) if stored is not None and stored.size == 1 else None
    # The axes are an input from opset 18 on, an attribute before.
    given = match.constant(mean.inputs[1]) if len(mean.inputs) > 1 else mean.attrs.get("axes")
    axes = None
    if given is not None and rank is not None:
        axes = sorted(int(axis) if axis < 0 else int(axis) - rank for axis in given)
    return _Norm(number, axes, match.dtype(square.inputs[0]))


def _dtype_problem(match: Match, total: gs.Tensor, weight: gs.Tensor, computed: str) -> str | None:
    dtype, result = match.dtype(total), match.dtype(match.outputs[0])
    if dtype != result:
        return f"the sum is {dtype} and the result {result}"
    if computed != "float32":
        return f"it computes in {computed}; the plugin does in float32"
    if match.dtype(weight) not in (dtype, "float32"):
        return f"the sum is {dtype} and the weight {match.dtype(weight)}"
    return None


def _are_equal(shape: list[int | str | None] | None, other: list[int | str | None] | None) -> bool:
    """Whether two shapes are known to be equal; dimensions may have names."""
    return shape is not None and shape == other and None not in shape
