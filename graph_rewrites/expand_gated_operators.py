"""Spell out gates and normalizations of ONNX Runtime's that work on branches or on whole rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import numpy as np

from pluginkit.graph_rewrites._spelled_out import MICROSOFT, OfFloats, normalized, number
from pluginkit.onnx import Match, NodeInput, Op, Optional, Replacement

if TYPE_CHECKING:
    import onnx_graphsurgeon as gs


class ExpandScaledSiLU(OfFloats):
    """com.microsoft.ScaledSiLU(x, s) -> z * Sigmoid(z), where z = x * s; s may be an attribute."""

    pattern = Op("ScaledSiLU", "x", Optional("scale"), domain=MICROSOFT)

    def rewrite(self, match: Match, x: gs.Tensor, scale: gs.Tensor | None) -> list[gs.Node]:
        new, dtype = Replacement(match), match.dtype(x)
        factor: NodeInput = np.float32(match.attribute("alpha", 1.0))
        if scale is not None:
            factor = new.cast(scale, "float32")
        z = new.cast(new.add("Mul", new.cast(x, "float32"), factor), dtype)
        return new.end("Mul", z, new.add("Sigmoid", z))


class ExpandGatedAdd(OfFloats):
    """com.microsoft.GatedAdd(x, y, gate) -> x + y * gate, with one gate for each row."""

    pattern = Op("GatedAdd", "x", "y", "gate", Optional("weight"), domain=MICROSOFT)

    def check(self, match: Match) -> str | None:
        if match.bound("weight") is not None:
            return "it projects its gate, as ONNX Runtime does in bfloat16 on a GPU only"
        return super().check(match)

    def rewrite(self, match: Match, x: gs.Tensor, y: gs.Tensor, gate: gs.Tensor) -> list[gs.Node]:
        new = Replacement(match)
        return new.end("Add", x, new.add("Mul", y, gate))


class ExpandGatedRMSNorm(OfFloats):
    """com.microsoft.GatedRMSNorm(x, scale, gate) -> x / rms(x) * scale * activation(gate).

    The mean square is that of as many elements as there are scales. Computed in float32.
    """

    pattern = Op("GatedRMSNorm", "x", "scale", "gate", domain=MICROSOFT)

    def check(self, match: Match) -> str | None:
        if match.attribute("activation", "silu") not in ("silu", "swish", "sigmoid"):
            return "its activation is not known"
        if (match.shape(match["scale"]) or (None,))[0] is None:
            return "the number of its scales is unknown"
        return super().check(match)

    def rewrite(
        self, match: Match, x: gs.Tensor, scale: gs.Tensor, gate: gs.Tensor
    ) -> list[gs.Node]:
        new = Replacement(match)
        size = (match.shape(scale) or (1,))[0]
        rows, gates = (
            new.add("Reshape", new.cast(each, "float32"), np.array([-1, size]))
            for each in (x, gate)
        )
        y, _, _ = normalized(new, rows, [1], match.attribute("epsilon", 1e-5), centred=False)
        factor: NodeInput = new.add("Sigmoid", gates)
        if match.attribute("activation", "silu") != "sigmoid":
            factor = new.add("Mul", gates, factor)
        scaled = new.add("Mul", new.add("Mul", y, new.cast(scale, "float32")), factor)
        whole = new.add("Reshape", scaled, new.add("Shape", x))
        return new.end("Cast", whole, to=match.dtype(x))


class _OfBranches(OfFloats, abstract=True):
    """A rewrite of an operator on branches: [..., branches, size], or [..., branches * size]."""

    _factors: ClassVar[tuple[str, ...]] = ()

    def check(self, match: Match) -> str | None:
        """Return why the branches or what is mixed with them are unknown, or None."""
        others = [each for each in match.inputs[1:] if each.name]
        if any(match.rank(each) is None for each in (match.inputs[0], *others)):
            return "the rank of an input is unknown"
        if any(match.rank(each) and (match.shape(each) or ())[-1] is None for each in others):
            return "the last size of an input is unknown"
        if any(not _fits(match, match[name]) for name in self._factors):
            return "the sizes of an input do not fit the branches"
        return super().check(match)


def _fits(match: Match, mix: gs.Tensor) -> bool:
    """Whether there is a factor for each branch or each element, as far as sizes are known."""
    x, count = match.inputs[0], match.attribute("num_branches", 0)
    rank, shape = _rank_of_branches(match, x), match.shape(x) or ()
    size, whole = (match.shape(mix) or (None,))[-1], shape[-1] if shape else None
    branches, features = (None, None, *shape)[-2:]
    if count:
        branches, features = count, whole and whole // count
    if match.rank(mix) == rank:
        return size == 1 or features in (None, size)
    is_whole = bool(count) and whole in (None, size)
    return match.rank(mix) == rank - 1 and (is_whole or branches in (None, size))


def _branches(new: Replacement, match: Match, value: gs.Tensor) -> NodeInput:
    """Return float32 branches: [..., branches, size]."""
    wide, count = new.cast(value, "float32"), match.attribute("num_branches", 0)
    if not count:
        return wide
    return new.add("Reshape", wide, np.array([0] * ((match.rank(value) or 1) - 1) + [count, -1]))


def _mixed(new: Replacement, match: Match, mix: gs.Tensor, rank: int) -> NodeInput:
    """Return factors of branches, of which there is one for each branch or for each element.

    Args:
        new: the new nodes.
        match: the match.
        mix: the factors.
        rank: that of the branches, which have an axis of their own.
    """
    wide = new.cast(mix, "float32")
    count, size = match.attribute("num_branches", 0), (match.shape(mix) or (0,))[-1]
    if match.rank(mix) == rank:
        return wide
    if count and size != count:
        return new.add("Reshape", wide, np.array([0] * (rank - 2) + [count, -1]))
    return new.unsqueeze(wide, [rank - 1])


def _rank_of_branches(match: Match, value: gs.Tensor) -> int:
    return (match.rank(value) or 0) + bool(match.attribute("num_branches", 0))


class ExpandBranchwiseRMSNorm(_OfBranches):
    """com.microsoft.BranchwiseRMSNorm(x, scale) -> x / rms(x) * scale, branch by branch."""

    pattern = Op("BranchwiseRMSNorm", "x", Optional("scale"), domain=MICROSOFT)

    def check(self, match: Match) -> str | None:
        is_scaled = match.bound("scale") is not None
        if is_scaled and (match.shape(match["x"]) or (None,))[-1] is None:
            return "the last size of its input is unknown"
        return super().check(match)

    def rewrite(self, match: Match, x: gs.Tensor, scale: gs.Tensor | None) -> list[gs.Node]:
        new, count = Replacement(match), match.attribute("num_branches", 0)
        branches, epsilon = _branches(new, match, x), match.attribute("epsilon", 1e-5)
        y, _, _ = normalized(new, branches, [-1], epsilon, centred=False)
        if scale is not None:
            factor = new.cast(scale, "float32")
            sizes = new.slice(new.add("Shape", branches), 0, -2, 2**31)
            is_flat = match.rank(scale) == 1 and _has_all(match, x, scale)
            factor = new.add("Reshape", factor, sizes) if is_flat else factor
            y = new.add("Mul", y, factor)
        if count:
            y = new.add("Reshape", y, np.array([0] * ((match.rank(x) or 1) - 1) + [-1]))
        return new.end("Cast", y, to=match.dtype(x))


def _has_all(match: Match, x: gs.Tensor, scale: gs.Tensor) -> bool:
    """Whether a vector has a scale for each element of all branches."""
    shape, (size,) = match.shape(x) or (), match.shape(scale) or (None,)
    if match.attribute("num_branches", 0):
        return size == shape[-1]
    return size != shape[-1]


class ExpandHyperConnectionPreMix(_OfBranches):
    """com.microsoft.HyperConnectionPreMix(x, mix) -> ReduceSum(x * mix) over the branches."""

    pattern = Op("HyperConnectionPreMix", "x", "mix", domain=MICROSOFT)
    _factors = ("mix",)

    def rewrite(self, match: Match, x: gs.Tensor, mix: gs.Tensor) -> list[gs.Node]:
        new, rank = Replacement(match), _rank_of_branches(match, x)
        product = new.add("Mul", _branches(new, match, x), _mixed(new, match, mix, rank))
        y = new.reduce("ReduceSum", product, [rank - 2])
        scale = match.attribute("reduction_scale", 1.0)
        y = y if scale == 1 else new.add("Mul", y, np.float32(scale))
        return new.end("Cast", y, to=match.dtype(x))


class ExpandHyperConnectionPostMix(_OfBranches):
    """com.microsoft.HyperConnectionPostMix(x, y, p, s) -> MatMul(s^T, x) + p * y."""

    pattern = Op(
        "HyperConnectionPostMix", "x", "block", "post_mix", Optional("mix"), domain=MICROSOFT
    )
    _factors = ("post_mix",)

    def rewrite(
        self,
        match: Match,
        x: gs.Tensor,
        block: gs.Tensor,
        post_mix: gs.Tensor,
        mix: gs.Tensor | None,
    ) -> list[gs.Node]:
        new, rank = Replacement(match), _rank_of_branches(match, x)
        streams = _branches(new, match, x)
        if mix is not None:
            order = [*range(rank - 2), rank - 1, rank - 2]
            turned = new.add("Transpose", new.cast(mix, "float32"), perm=order)
            streams = new.add("MatMul", turned, streams)
        injected = new.unsqueeze(new.cast(block, "float32"), [rank - 2])
        y = new.add("Add", streams, new.add("Mul", _mixed(new, match, post_mix, rank), injected))
        if match.attribute("num_branches", 0):
            y = new.add("Reshape", y, np.array([0] * (rank - 2) + [-1]))
        return new.end("Cast", y, to=match.dtype(x))


class ExpandLinearAttentionGate(OfFloats):
    """com.microsoft.LinearAttentionGate(a, b) -> scale * Softplus(a + bias), Sigmoid(b)."""

    pattern = Op("LinearAttentionGate", "a", "bias", "scale", Optional("b"), domain=MICROSOFT)

    def rewrite(
        self, match: Match, a: gs.Tensor, bias: gs.Tensor, scale: gs.Tensor, b: gs.Tensor | None
    ) -> list[gs.Node]:
        new, dtype = Replacement(match), match.dtype(a)
        shifted = new.add("Add", new.cast(a, "float32"), bias)
        decay = new.add("Mul", scale, new.add("Softplus", shifted))
        if b is not None and match.outputs[1:] and match.outputs[1].name:
            rate = new.add("Sigmoid", new.cast(b, "float32"))
            new.into(match.outputs[1:2], "Cast", rate, to=dtype)
        return new.into(match.outputs[:1], "Cast", decay, to=dtype)


class ExpandEngramGate(OfFloats):
    """com.microsoft.EngramGate(key, query, value) -> Sigmoid(sign(d) * Sqrt(Abs(d))) * value.

    d is the product of the key and the query, both divided by their root mean square and scaled,
    over the square root of their size. The second output is the first one, normalized in the same
    way. Computed in float32.
    """

    pattern = Op(
        "EngramGate",
        *("key", "query", "value", "key_scale", "query_scale", Optional("y_scale")),
        domain=MICROSOFT,
    )

    def check(self, match: Match) -> str | None:
        if not (match.shape(match.inputs[0]) or (None,))[-1]:
            return "the size of its keys is unknown"
        return super().check(match)

    def rewrite(
        self,
        match: Match,
        key: gs.Tensor,
        query: gs.Tensor,
        value: gs.Tensor,
        key_scale: gs.Tensor,
        query_scale: gs.Tensor,
        y_scale: gs.Tensor | None,
    ) -> list[gs.Node]:
        new, dtype = Replacement(match), match.dtype(key)
        epsilon = match.attribute("epsilon", 1e-5)

        def scaled(x: NodeInput, scale: gs.Tensor) -> NodeInput:
            y, _, _ = normalized(new, x, [-1], epsilon, centred=False)
            return new.add("Mul", y, new.cast(scale, "float32"))

        pairs = ((key, key_scale), (query, query_scale))
        sides = [scaled(new.cast(each, "float32"), scale) for each, scale in pairs]
        total = new.reduce("ReduceSum", new.add("Mul", *sides), [-1], keepdims=True)
        size = (match.shape(key) or (None,))[-1] or 1
        dot = new.add("Mul", total, np.float32(size**-0.5))
        root = new.add("Sqrt", new.add("Max", new.add("Abs", dot), number(1e-6, "float32")))
        gate = new.add("Sigmoid", new.add("Mul", new.add("Sign", dot), root))
        y = new.add("Mul", gate, new.unsqueeze(new.cast(value, "float32"), [2]))
        if y_scale is not None and match.outputs[1:] and match.outputs[1].name:
            new.into(match.outputs[1:2], "Cast", scaled(y, y_scale), to=dtype)
        return new.into(match.outputs[:1], "Cast", y, to=dtype)
