"""Spell out the Attention of ONNX Runtime's optimizer, with its product with merged weights."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from pluginkit.graph_rewrites._attention import (
    Heads,
    Masking,
    attend,
    mask_bias,
    masking_of,
    split_heads,
    with_past,
)
from pluginkit.graph_rewrites._spelled_out import MICROSOFT
from pluginkit.onnx import FLOATS, Match, NodeInput, Op, Optional, Replacement, Rewrite

if TYPE_CHECKING:
    import onnx_graphsurgeon as gs


@dataclass(frozen=True)
class _MergedLayout:
    """How many columns of the weights are queries, keys and values, and how keys are hidden."""

    sizes: tuple[int, int, int]
    masking: Masking


class ExpandAttention(Rewrite):
    """com.microsoft.Attention(x, weights) -> MatMul(Softmax(q k^T * scale + mask), v).

    Here q, k and v are the parts of x * weights + bias, split into heads. The mask may be of any
    kind that ONNX Runtime supports on a CPU; past keys and values come first. The sizes of the
    weights must be known.
    """

    pattern = Op(
        "Attention",
        *("x", "weights", Optional("bias"), Optional("mask"), Optional("past")),
        *(Optional("score_bias"), Optional("past_length")),
        domain=MICROSOFT,
    )

    def check(
        self,
        match: Match,
        x: gs.Tensor,
        weights: gs.Tensor,
        mask: gs.Tensor | None,
        past_length: gs.Tensor | None,
    ) -> str | _MergedLayout:
        problem = match.dtype_problem(FLOATS, x)
        if problem is not None:
            return problem
        if past_length is not None or match.attribute("past_present_share_buffer", 0):
            return "the past and the present share a buffer"
        if match.attribute("do_rotary", 0):
            return "it rotates queries and keys"
        sizes = _part_sizes(match, weights)
        heads = match.attribute("num_heads", 0)
        if sizes is None or heads < 1 or any(each % heads for each in sizes):
            return "the sizes of its weights are unknown, or do not make its heads"
        masking = masking_of(match, mask, x)
        return masking if isinstance(masking, str) else _MergedLayout(sizes, masking)

    def rewrite(
        self,
        match: Match,
        x: gs.Tensor,
        weights: gs.Tensor,
        bias: gs.Tensor | None,
        mask: gs.Tensor | None,
        past: gs.Tensor | None,
        score_bias: gs.Tensor | None,
        facts: _MergedLayout,
    ) -> list[gs.Node]:
        new = Replacement(match)
        count, dtype = match.attribute("num_heads", 1), match.dtype(x)
        merged: NodeInput = new.add("MatMul", x, weights)
        if bias is not None:
            merged = new.add("Add", merged, bias)
        starts = np.cumsum([0, *facts.sizes]).tolist()
        query, key, value = (
            split_heads(new, new.slice(merged, 2, start, end), count)
            for start, end in pairwise(starts)
        )
        earlier: list[NodeInput] = [None, None]
        if past is not None:
            earlier = [new.add("Gather", past, np.int64(at), axis=0) for at in (0, 1)]
        heads = Heads(
            query, with_past(new, earlier[0], key), with_past(new, earlier[1], value), earlier[0]
        )
        if match.outputs[1:] and match.outputs[1].name:
            both = [new.unsqueeze(each, [0]) for each in (heads.key, heads.value)]
            new.into(match.outputs[1:2], "Concat", *both, axis=0)
        biases = mask_bias(new, facts.masking, mask, heads, dtype)
        scale = match.attribute("scale", 0.0) or 1 / math.sqrt(facts.sizes[0] // count)
        y = attend(new, heads, scale, dtype, *biases, score_bias)
        return new.into(match.outputs[:1], "Identity", y)


def _part_sizes(match: Match, weights: gs.Tensor) -> tuple[int, int, int] | None:
    given = match.attribute("qkv_hidden_sizes", [])
    if len(given) == 3:
        return given[0], given[1], given[2]
    columns = (match.shape(weights) or (None,))[-1]
    return (columns // 3,) * 3 if columns and columns % 3 == 0 else None


class ExpandQAttention(Rewrite):
    """com.microsoft.QAttention(x, weights) -> com.microsoft.Attention of both, dequantized."""

    pattern = Op(
        "QAttention",
        *("x", "weights", "bias", "x_scale", "w_scale", Optional("mask")),
        *(Optional("x_zero"), Optional("w_zero"), Optional("past")),
        domain=MICROSOFT,
    )

    def check(self, match: Match, w_scale: gs.Tensor) -> str | None:
        if match.onnx_opset < 13:
            return "ONNX dequantizes columns since opset 13"
        if match.rank(w_scale) is None:
            return "the rank of a scale is unknown"
        return None

    def rewrite(
        self,
        match: Match,
        x: gs.Tensor,
        weights: gs.Tensor,
        bias: gs.Tensor,
        x_scale: gs.Tensor,
        w_scale: gs.Tensor,
        mask: gs.Tensor | None,
        x_zero: gs.Tensor | None,
        w_zero: gs.Tensor | None,
        past: gs.Tensor | None,
    ) -> list[gs.Node]:
        new = Replacement(match)
        wide = [
            new.add("DequantizeLinear", *(each for each in parts if each is not None), axis=1)
            for parts in ((x, x_scale, x_zero), (weights, w_scale, w_zero))
        ]
        given = {each.name: match.attribute(each.name) for each in match.proto.attribute}
        new.end("Attention", *wide, bias, mask, past, **given)[-1].domain = MICROSOFT
        return list(new)
