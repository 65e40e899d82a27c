"""Spell out GroupNorm and BiasAdd, which ONNX Runtime's optimizer writes into diffusion models."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pluginkit.graph_rewrites._spelled_out import MICROSOFT, normalized
from pluginkit.onnx import FLOATS, Match, NodeInput, Op, Optional, Replacement, Rewrite

if TYPE_CHECKING:
    import onnx_graphsurgeon as gs


class ExpandGroupNorm(Rewrite):
    """com.microsoft.GroupNorm(x) -> (x - mean) / sqrt(variance + epsilon) * gamma + beta.

    The mean and the variance are those of a group of channels. A SkipGroupNorm normalizes x + skip
    + bias, and its second output is this sum. Channels come last unless ``channels_last`` is 0;
    their number must be known. Computed in float32.
    """

    pattern = Op(
        ("GroupNorm", "SkipGroupNorm"),
        *("x", "gamma", "beta", Optional("skip"), Optional("bias")),
        domain=MICROSOFT,
    )

    def check(self, match: Match, x: gs.Tensor, gamma: gs.Tensor) -> str | int:
        sizes, shape = match.shape(gamma), match.shape(x)
        channels = sizes[0] if sizes else None
        if not channels or not shape or len(shape) != 4:
            return "its channels are of unknown number, or its input has not four axes"
        groups = match.attribute("groups", 0)
        if groups < 1 or channels % groups:
            return f"{channels} channels do not make {groups} groups"
        if match.attribute("activation", 0) not in (0, 1):
            return "its activation is none that is known"
        return match.dtype_problem(FLOATS, x) or channels

    def rewrite(
        self,
        match: Match,
        x: gs.Tensor,
        gamma: gs.Tensor,
        beta: gs.Tensor,
        skip: gs.Tensor | None,
        bias: gs.Tensor | None,
        facts: int,
    ) -> list[gs.Node]:
        new = Replacement(match)
        groups = match.attribute("groups", 1)
        is_last = match.attribute("channels_last", 1)
        total = _with_skip(new, match, x, skip, bias)
        split = [0, -1, groups, facts // groups] if is_last else [0, groups, -1]
        wide = new.cast(total, "float32")
        grouped = new.add("Reshape", wide, np.array(split))
        epsilon = match.attribute("epsilon", 1e-5)
        axes = [1, 3] if is_last else [2]
        made, _, _ = normalized(new, grouped, axes, epsilon, centred=True)
        y = new.add("Reshape", made, new.add("Shape", x))
        axis = -1 if is_last else 1
        y = new.add("Mul", y, new.along_axis(new.cast(gamma, "float32"), 4, axis))
        y = new.add("Add", y, new.along_axis(new.cast(beta, "float32"), 4, axis))
        if match.attribute("activation", 0):
            y = new.add("Mul", y, new.add("Sigmoid", y))
        return new.into(match.outputs[:1], "Cast", y, to=match.dtype(x))


def _with_skip(
    new: Replacement, match: Match, x: gs.Tensor, skip: gs.Tensor | None, bias: gs.Tensor | None
) -> NodeInput:
    """Add the inputs that are present; the sum is also the second output."""
    is_last = match.attribute("channels_last", 1)
    total: NodeInput = x
    if skip is not None:
        flat = match.rank(skip) == 2
        total = new.add(
            "Add", total, new.unsqueeze(skip, [1, 2] if is_last else [2, 3]) if flat else skip
        )
    if bias is not None:
        total = new.add("Add", total, new.along_axis(bias, 4, -1 if is_last else 1))
    if match.outputs[1:] and match.outputs[1].name:
        new.into(match.outputs[1:2], "Identity", total)
    return total


class ExpandBiasAdd(Rewrite):
    """com.microsoft.BiasAdd(x, bias, skip) -> x + bias + skip."""

    pattern = Op("BiasAdd", "x", "bias", "skip", domain=MICROSOFT)

    def rewrite(
        self, match: Match, x: gs.Tensor, bias: gs.Tensor, skip: gs.Tensor
    ) -> list[gs.Node]:
        new = Replacement(match)
        return new.end("Add", new.add("Add", x, bias), skip)
