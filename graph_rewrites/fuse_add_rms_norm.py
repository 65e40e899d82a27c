"""A residual sum and the RMSNorm of it, whole or spelled out, become one plugin node.

TensorRT takes these nodes by itself, so that the rewrites are opt-in: measure with and without.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import onnx

from pluginkit.onnx import AnyOf, Constant, Match, Op, Rewrite, dtype_name
from pluginkit.plugins.add_rms_norm import AddRMSNorm

if TYPE_CHECKING:
    import onnx_graphsurgeon as gs

    from pluginkit.onnx import NewNode

_FLOAT = onnx.TensorProto.FLOAT


def _sum() -> Op:
    """The residual sum, which the next layer reads too."""
    return Op("Add", "residual", "x", name="sum", kept=True)


def _whole(total: Op) -> Op:
    return Op("RMSNormalization", total, "weight", name="norm")


def _spelled_out(total: Op) -> AnyOf:
    """``v * rsqrt(mean(v^2) + epsilon)`` as PyTorch's exporters and ONNX itself write it."""
    widened, widened_again = (Op("Cast", total, attributes={"to": _FLOAT}) for _ in range(2))
    first, second = AnyOf(widened, total), AnyOf(widened, widened_again, total)
    square = AnyOf(
        Op("Pow", first, Constant(value=2), name="square"),
        Op("Mul", first, first, name="square"),
    )
    mean = Op("ReduceMean", square, ..., attributes={"keepdims": 1}, name="mean")
    shifted = Op("Add", mean, Constant("epsilon"), commutative=True)
    root = Op("Sqrt", shifted)
    inverse = AnyOf(
        Op("Reciprocal", root),
        Op("Div", Constant(value=1), root),
        Op("Pow", shifted, Constant(value=-0.5)),
    )
    return AnyOf(Op("Mul", second, inverse, commutative=True), Op("Div", second, root))


def _weighted(normalized: AnyOf) -> Op:
    return Op("Mul", "weight", normalized, commutative=True)


def _rounded(normalized: AnyOf) -> AnyOf:
    return AnyOf(Op("Cast", normalized), normalized)


def _either(total: Op) -> AnyOf:
    return AnyOf(_whole(total), _weighted(_spelled_out(total)))


class _Fuse(Rewrite, abstract=True):
    """What the rewrites have in common, whose patterns end with different operators."""

    plugin = AddRMSNorm
    opt_in = True

    def check(self, match: Match) -> str | None:
        """The types and shapes are such that the plugin computes the same."""
        if _epsilon(match) is None:
            return "epsilon is not one number of 0 or more that the model stores"
        return _type_problem(match) or _shape_problem(match)

    def rewrite(self, match: Match) -> NewNode:
        """The sum keeps its name, as the plugin's second output."""
        axis, epsilon = cast(int, _axis(match)), cast(float, _epsilon(match))
        inputs = [match[name] for name in ("x", "residual", "weight")]
        outputs = [match.outputs[0], _total(match)]
        return match.plugin_node(AddRMSNorm(axis=axis, epsilon=epsilon), inputs, outputs)


class FuseAddRMSNorm(_Fuse):
    """RMSNormalization(Add(residual, x), weight) -> AddRMSNorm_PK(x, residual, weight).

    The sum becomes the plugin's second output, which the next layer adds to. An RMSNormalization
    with no sum before it is left as it is.
    """

    pattern = _whole(_sum())


class FuseSpelledOutAddRMSNorm(_Fuse):
    """weight * Cast(v / rms(v)), v = Cast(Add(residual, x)) -> AddRMSNorm_PK(x, residual, weight).

    As FuseAddRMSNorm, for a norm that is written in elementary operators: as Llama's with the
    casts, or in float32 without. In 16 bits throughout it would round elsewhere, and is left.
    """

    pattern = _weighted(_rounded(_spelled_out(_sum())))


class FuseAddRMSNormCast(_Fuse):
    """Cast(weight * v / rms(v)), v = Cast(Add(residual, x)) -> AddRMSNorm_PK(x, residual, weight).

    As FuseAddRMSNorm, for a float32 weight that multiplies before the cast back, as Gemma's,
    whether the norm is spelled out or an RMSNormalization.
    """

    pattern = Op("Cast", _either(_sum()))


def _total(match: Match) -> gs.Tensor:
    return match["sum"].outputs[0]


def _whole_norm(match: Match) -> gs.Node | None:
    return next((node for node in match.nodes if node.op == "RMSNormalization"), None)


def _epsilon(match: Match) -> float | None:
    """What is added to the mean square, None unless it is a number that the plugin takes."""
    norm = _whole_norm(match)
    if norm is not None:
        stored = norm.attrs.get("epsilon", 1e-5)
        return stored if stored >= 0 else None
    value = match.constant(match["epsilon"])
    return float(value.item()) if value is not None and value.size == 1 and value >= 0 else None


def _axis(match: Match) -> int | None:
    """The first normalized axis, counted from the end; None unless all behind it are too."""
    shape, norm = match.shape(_total(match)), _whole_norm(match)
    if shape is None:
        return None
    rank = len(shape)
    if norm is not None:
        axis = norm.attrs.get("axis", -1)
        axes = [*range(axis if axis < 0 else axis - rank, 0)]
    else:
        mean = match["mean"]
        stored = match.constant(mean.inputs[1]) if len(mean.inputs) > 1 else mean.attrs.get("axes")
        numbers = map(int, stored if stored is not None else ())
        axes = sorted(axis if axis < 0 else axis - rank for axis in numbers)
    is_whole = axes == [*range(-len(axes), 0)]
    return -len(axes) if is_whole and 0 < len(axes) <= rank else None


def _type_problem(match: Match) -> str | None:
    total, result, weight = (
        match.elem_type(tensor) for tensor in (_total(match), match.outputs[0], match["weight"])
    )
    if total != result:
        return f"the sum is {dtype_name(total)} and the result {dtype_name(result)}"
    norm = _whole_norm(match)
    if norm is None:
        computed = match.elem_type(match["square"].inputs[0])
    else:
        computed = norm.attrs.get("stash_type", _FLOAT)
    if computed != _FLOAT:
        return f"it computes in {dtype_name(computed)}; the plugin does in float"
    if weight not in (total, _FLOAT):
        return f"the sum is {dtype_name(total)} and the weight {dtype_name(weight)}"
    return None


def _shape_problem(match: Match) -> str | None:
    axis = _axis(match)
    if axis is None:
        return "the axes of the mean are not known to be the last ones"
    residual, x, total, weight = (
        tensor.shape for tensor in (match["residual"], match["x"], _total(match), match["weight"])
    )
    if not _are_equal(residual, x):
        return f"the terms of the sum, {residual} and {x}, are not known to have one shape"
    if not _are_equal(weight, total[axis:]):
        return f"the weight is {weight}; expected the shape of what is normalized, {total[axis:]}"
    return None


def _are_equal(shape: list[int | str | None] | None, other: list[int | str | None] | None) -> bool:
    """Whether two shapes are known to be the same; dimensions may have names."""
    return shape is not None and shape == other and None not in shape
