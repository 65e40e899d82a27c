"""Spell out the MultiHeadAttention of ONNX Runtime's optimizer."""

from __future__ import annotations

import math
from dataclasses import dataclass
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
class _HeadsLayout:
    """The size of a head, the size of the values of all heads, and how keys are hidden."""

    head: int
    values: int
    masking: Masking


class ExpandMultiHeadAttention(Rewrite):
    """com.microsoft.MultiHeadAttention(q, k, v) -> MatMul(Softmax(q k^T * scale + mask), v).

    Queries, keys and values may have a bias. Keys and values may already be split into heads, as
    past ones are; all three, or keys and values, may be packed in one tensor of five axes. The
    hidden sizes must be known.
    """

    pattern = Op(
        "MultiHeadAttention",
        *("query", Optional("key"), Optional("value"), Optional("bias"), Optional("mask")),
        *(Optional("score_bias"), Optional("past_key"), Optional("past_value")),
        *(Optional("past_length"), Optional("beams")),
        domain=MICROSOFT,
    )

    def check(
        self,
        match: Match,
        query: gs.Tensor,
        key: gs.Tensor | None,
        value: gs.Tensor | None,
        bias: gs.Tensor | None,
        mask: gs.Tensor | None,
        past_length: gs.Tensor | None,
        beams: gs.Tensor | None,
    ) -> str | _HeadsLayout:
        problem = match.dtype_problem(FLOATS, query)
        if problem is not None:
            return problem
        if past_length is not None or beams is not None:
            return "the past and the present share a buffer"
        if any(match.is_used(each) for each in match.outputs[3:]):
            return "its scores are an output"
        sizes = _sizes(match, query, key, value)
        if sizes is None:
            return "the sizes of its heads, or the ranks of its inputs, are unknown"
        if bias is not None and match.rank(query) == 5:
            return "it has a bias for inputs that are split into heads"
        masking = masking_of(match, mask, query)
        return masking if isinstance(masking, str) else _HeadsLayout(*sizes, masking)

    def rewrite(
        self,
        match: Match,
        query: gs.Tensor,
        key: gs.Tensor | None,
        value: gs.Tensor | None,
        bias: gs.Tensor | None,
        mask: gs.Tensor | None,
        score_bias: gs.Tensor | None,
        past_key: gs.Tensor | None,
        past_value: gs.Tensor | None,
        facts: _HeadsLayout,
    ) -> list[gs.Node]:
        new = Replacement(match)
        dtype = match.dtype(query)
        count = match.attribute("num_heads", 1)
        starts = [0, facts.head * count, 2 * facts.head * count]
        ends = [*starts[1:], starts[2] + facts.values]
        parts: list[NodeInput] = []
        for tensor, start, end in zip(
            _parts(new, match, query, key, value), starts, ends, strict=True
        ):
            if isinstance(tensor, tuple):
                parts.append(tensor[0])
                continue
            if bias is not None:
                tensor = new.add("Add", tensor, new.slice(bias, 0, start, end))
            parts.append(split_heads(new, tensor, count))
        heads = Heads(
            parts[0],
            with_past(new, past_key, parts[1]),
            with_past(new, past_value, parts[2]),
            past_key,
        )
        for output, made in zip(match.outputs[1:3], (heads.key, heads.value), strict=False):
            if output.name:
                new.into([output], "Identity", made)
        biases = mask_bias(new, facts.masking, mask, heads, dtype)
        scale = match.attribute("scale", 0.0) or 1 / math.sqrt(facts.head)
        y = attend(new, heads, scale, dtype, *biases, score_bias)
        return new.into(match.outputs[:1], "Identity", y)


def _parts(
    new: Replacement,
    match: Match,
    query: gs.Tensor,
    key: gs.Tensor | None,
    value: gs.Tensor | None,
) -> list[NodeInput | tuple[NodeInput]]:
    """Return queries, keys and values; those already split into heads are in a tuple."""
    if key is None:
        return [(_packed(new, query, at),) for at in range(3)]
    if match.rank(key) == 5:
        return [query, (_packed(new, key, 0),), (_packed(new, key, 1),)]
    if match.rank(key) == 4:
        return [query, (key,), (value,)]
    return [query, key, value]


def _packed(new: Replacement, tensor: NodeInput, at: int) -> NodeInput:
    """Take a part of [batch, sequence, heads, parts, size], with the heads before the sequence."""
    part = new.add("Gather", tensor, np.int64(at), axis=3)
    return new.add("Transpose", part, perm=[0, 2, 1, 3])


def _sizes(
    match: Match, query: gs.Tensor, key: gs.Tensor | None, value: gs.Tensor | None
) -> tuple[int, int] | None:
    """Return the size of a head, and that of the values of all heads."""
    heads = match.attribute("num_heads", 0)
    shape = match.shape(query)
    if not shape or heads < 1 or shape[-1] is None:
        return None
    if key is None:
        return (shape[4], shape[4] * heads) if len(shape) == 5 and shape[4] else None
    head = shape[2] // heads if len(shape) == 3 and shape[2] else 0
    if not head or match.rank(key) not in (3, 4, 5):
        return None
    if match.rank(key) == 5 or value is None:
        return (head, head * heads) if match.rank(key) == 5 else None
    of_values = match.shape(value)
    if not of_values or of_values[-1] is None or len(of_values) != match.rank(key):
        return None
    return head, of_values[-1] * (heads if len(of_values) == 4 else 1)
