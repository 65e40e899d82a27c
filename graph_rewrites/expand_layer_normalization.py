"""Split layer normalizations that ONNX Runtime's optimizer has fused with the nodes before them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pluginkit.graph_rewrites._spelled_out import MICROSOFT, OfFloats, normalized
from pluginkit.onnx import FLOATS, Match, NodeInput, Op, Optional, Replacement, Rewrite

if TYPE_CHECKING:
    import onnx_graphsurgeon as gs

#: The first opset in which ONNX has LayerNormalization.
_SINCE = 17


class ExpandSkipLayerNormalization(OfFloats):
    """com.microsoft.SkipLayerNormalization(x, skip) -> LayerNormalization(x + bias + skip).

    The normalization is spelled out before opset 17, and if its other outputs are used, the mean
    and the inverse of the standard deviation. The sum may be an output too, and is computed in
    float32 if it is none, as ONNX Runtime computes it.
    """

    pattern = Op(
        "SkipLayerNormalization",
        *("x", "skip", "gamma", Optional("beta"), Optional("bias")),
        domain=MICROSOFT,
    )

    def rewrite(
        self,
        match: Match,
        x: gs.Tensor,
        skip: gs.Tensor,
        gamma: gs.Tensor,
        beta: gs.Tensor | None,
        bias: gs.Tensor | None,
    ) -> list[gs.Node]:
        new = Replacement(match)
        dtype, total = _sum(new, match, [x, bias, skip])
        y, mean, inverse, _ = [*match.outputs, None, None, None][:4]
        if new.opset < _SINCE or any(each is not None and each.name for each in (mean, inverse)):
            return _spell_out(new, match, total, gamma, beta, centred=True)
        scales = [
            each if dtype == match.dtype(x) else new.cast(each, dtype)
            for each in (gamma, beta)
            if each is not None
        ]
        attributes = {"axis": -1, "epsilon": match.attribute("epsilon", 1e-12)}
        if dtype == match.dtype(x):
            return new.into([y], "LayerNormalization", total, *scales, **attributes)
        wide = new.add("LayerNormalization", total, *scales, **attributes)
        return new.into([y], "Cast", wide, to=match.dtype(x))


class ExpandSkipSimplifiedLayerNormalization(OfFloats):
    """com.microsoft.SkipSimplifiedLayerNormalization(x, skip, gamma) -> t / rms(t) * gamma.

    The sum t = x + bias + skip may be an output too. The rest is computed in float32, and so is
    the sum if it is no output.
    """

    pattern = Op(
        "SkipSimplifiedLayerNormalization",
        *("x", "skip", "gamma", Optional("bias")),
        domain=MICROSOFT,
    )

    def check(self, match: Match) -> str | None:
        if any(match.is_used(each) for each in match.outputs[1:2]):
            return "its mean is an output, and it computes none"
        return super().check(match)

    def rewrite(
        self,
        match: Match,
        x: gs.Tensor,
        skip: gs.Tensor,
        gamma: gs.Tensor,
        bias: gs.Tensor | None,
    ) -> list[gs.Node]:
        new = Replacement(match)
        _, total = _sum(new, match, [x, bias, skip])
        return _spell_out(new, match, total, gamma, None, centred=False)


class ExpandSimplifiedLayerNormalization(Rewrite):
    """SimplifiedLayerNormalization(x, scale) -> x / rms(x) * scale.

    The operator has ONNX's own domain, but only ONNX Runtime defines it. The mean square is
    computed in float32, over the axes from ``axis`` on.
    """

    pattern = Op("SimplifiedLayerNormalization", "x", "scale")

    def check(self, match: Match, x: gs.Tensor, scale: gs.Tensor) -> str | list[int]:
        return match.dtype_problem(FLOATS, x, scale) or _normalized_axes(match, x)

    def rewrite(
        self, match: Match, x: gs.Tensor, scale: gs.Tensor, facts: list[int]
    ) -> list[gs.Node]:
        new = Replacement(match)
        epsilon = match.attribute("epsilon", 1e-5)
        y, _, inverse = normalized(new, new.cast(x, "float32"), facts, epsilon, centred=False)
        product = new.add("Mul", y, new.cast(scale, "float32"))
        if match.outputs[1:] and match.outputs[1].name:
            new.into(match.outputs[1:2], "Identity", inverse)
        return new.into(match.outputs[:1], "Cast", product, to=match.dtype(scale))


class ExpandOldLayerNormalization(Rewrite):
    """LayerNormalization(x, scale, bias) -> (x - mean) / sqrt(variance + epsilon) * scale + bias.

    For models before opset 17, in which ONNX added the operator: ONNX Runtime supports it in every
    opset, and its optimizer writes it. Computed in float32.
    """

    pattern = Op("LayerNormalization", "x", "scale", Optional("bias"))

    def check(self, match: Match, x: gs.Tensor) -> str | list[int]:
        if match.opset >= _SINCE:
            return f"ONNX has the operator since opset {_SINCE}"
        return match.dtype_problem(FLOATS, x) or _normalized_axes(match, x)

    def rewrite(
        self,
        match: Match,
        x: gs.Tensor,
        scale: gs.Tensor,
        bias: gs.Tensor | None,
        facts: list[int],
    ) -> list[gs.Node]:
        new = Replacement(match)
        return _spell_out(new, match, x, scale, bias, centred=True, axes=facts)


def _sum(new: Replacement, match: Match, parts: list[gs.Tensor | None]) -> tuple[str, NodeInput]:
    """Add the inputs that are present; return the type of the sum, and the sum.

    It is also the fourth output, if there is one; else it is float32. The bias comes before what is
    skipped: TensorRT adds it in the product that x comes from.
    """
    is_output = bool(match.outputs[3:] and match.outputs[3].name)
    dtype = match.dtype(match.inputs[0]) if is_output else "float32"
    present = [new.cast(each, dtype) for each in parts if each is not None]
    total = present[0]
    for each in present[1:]:
        total = new.add("Add", total, each)
    if is_output:
        new.into(match.outputs[3:4], "Identity", total)
    return dtype, total


def _spell_out(
    new: Replacement,
    match: Match,
    x: NodeInput,
    scale: gs.Tensor,
    bias: gs.Tensor | None,
    *,
    centred: bool,
    axes: list[int] | None = None,
) -> list[gs.Node]:
    """Normalize x in float32, and produce the outputs of the match."""
    epsilon = match.attribute("epsilon", 1e-5 if match.proto.domain == "" else 1e-12)
    y, mean, inverse = [*match.outputs, None, None][:3]
    wide = new.cast(x, "float32")
    value, of_mean, of_inverse = normalized(new, wide, axes or [-1], epsilon, centred=centred)
    value = new.add("Mul", value, new.cast(scale, "float32"))
    if bias is not None:
        value = new.add("Add", value, new.cast(bias, "float32"))
    for output, made in ((mean, of_mean), (inverse, of_inverse)):
        if output is not None and output.name and made is not None:
            new.into([output], "Identity", made)
    return new.into([y], "Cast", value, to=match.dtype(scale))


def _normalized_axes(match: Match, x: gs.Tensor) -> str | list[int]:
    """Return the axes of a normalization's means, or why they are unknown."""
    axis, rank = match.attribute("axis", -1), match.rank(x)
    if axis == -1:
        return [-1]
    if rank is None:
        return "the rank of its input is unknown"
    return list(range(axis % rank, rank))
