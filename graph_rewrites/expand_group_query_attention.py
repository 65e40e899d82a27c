"""Spell out GroupQueryAttention, as ONNX Runtime's exporters of language models write it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pluginkit.graph_rewrites._attention import (
    Heads,
    attend,
    counted_to,
    hiding_bias,
    length_of,
    split_heads,
)
from pluginkit.graph_rewrites._key_cache import bias_of_places, cached, key_cache, seen_places
from pluginkit.graph_rewrites._spelled_out import MICROSOFT, number
from pluginkit.graph_rewrites.expand_rotary_embedding import Rotation, rotate
from pluginkit.onnx import FLOATS, Match, NodeInput, Op, Optional, Replacement, Rewrite

if TYPE_CHECKING:
    import onnx_graphsurgeon as gs

#: Inputs that are not spelled out, and what they mean.
_FOREIGN = {
    "k_scale": "its keys of the past are quantized",
    "v_scale": "its values of the past are quantized",
    "q_norm": "it normalizes queries and keys",
    "k_norm": "it normalizes queries and keys",
    "query_lengths": "its queries are padded",
}


@dataclass(frozen=True)
class _GroupedLayout:
    """The heads of queries and of keys, the size of a head, and how positions rotate them."""

    queries: int
    keys: int
    head: int
    rotation: Rotation | None


class ExpandGroupQueryAttention(Rewrite):
    """com.microsoft.GroupQueryAttention(q, k, v) -> MatMul(Softmax(q k^T * scale + mask), v).

    Several heads of queries share a head of keys and values. The new keys and values follow those
    of the past, after as many as ``seqlens_k`` says, in a cache that grows or has room for them. A
    query sees the keys up to its own, or the last ones of a window. The hidden sizes must be known.
    """

    pattern = Op(
        "GroupQueryAttention",
        *("query", Optional("key"), Optional("value")),
        *(Optional("past_key"), Optional("past_value"), "lengths", "total"),
        *(Optional("cos"), Optional("sin"), Optional("positions")),
        *(Optional("score_bias"), Optional("sinks")),
        *(Optional(each) for each in _FOREIGN),
        domain=MICROSOFT,
    )

    def check(
        self,
        match: Match,
        query: gs.Tensor,
        key: gs.Tensor | None,
        value: gs.Tensor | None,
        past_key: gs.Tensor | None,
        past_value: gs.Tensor | None,
        cos: gs.Tensor | None,
        sin: gs.Tensor | None,
        positions: gs.Tensor | None,
    ) -> str | _GroupedLayout:
        problem = match.dtype_problem(FLOATS, query) or _unsupported(match)
        if problem is not None:
            return problem
        if (key is None) != (value is None) or (past_key is None) != (past_value is None):
            return "it has keys without values, or values without keys"
        if past_key is not None:
            problem = match.dtype_problem((match.dtype(query),), past_key)
            if problem is not None:
                return problem
        queries, keys = (match.attribute(each, 0) for each in ("num_heads", "kv_num_heads"))
        if queries < 1 or keys < 1 or queries % keys:
            return f"its {queries} heads of queries do not share its {keys} heads of keys"
        shape = match.shape(query) or ()
        parts = queries + 2 * keys if key is None else queries
        if len(shape) != 3 or not shape[2] or shape[2] % parts:
            return "the size of its queries is unknown, or does not make its heads"
        if shape[0] == 0 or not _are_as_many(match, query, key):
            return "it has no queries, or not as many new keys"
        head = shape[2] // parts
        rotation = _rotation(match, head, cos, sin, positions)
        if isinstance(rotation, str):
            return rotation
        return _GroupedLayout(queries, keys, head, rotation)

    def rewrite(
        self,
        match: Match,
        query: gs.Tensor,
        key: gs.Tensor | None,
        value: gs.Tensor | None,
        past_key: gs.Tensor | None,
        past_value: gs.Tensor | None,
        lengths: gs.Tensor,
        total: gs.Tensor,
        cos: gs.Tensor | None,
        sin: gs.Tensor | None,
        positions: gs.Tensor | None,
        score_bias: gs.Tensor | None,
        sinks: gs.Tensor | None,
        facts: _GroupedLayout,
    ) -> list[gs.Node]:
        new = Replacement(match)
        dtype = match.dtype(query)
        q, k, v = _new_heads(new, facts, query, key, value)
        cache = key_cache(new, q, past_key, lengths, total)
        if facts.rotation is not None:
            at = cache.rows if positions is None else _given(new, positions, q, total)
            turns = [new.unsqueeze(new.add("Gather", each, at), [1]) for each in (cos, sin)]
            q, k = (rotate(new, each, turns[0], turns[1], facts.rotation) for each in (q, k))
        present = [
            cached(new, cache, past, made, dtype) for past, made in ((past_key, k), (past_value, v))
        ]
        for output, made in zip(match.outputs[1:3], present, strict=False):
            if output.name:
                new.into([output], "Identity", made)
        y = attend(
            new,
            Heads(q, *present),
            match.attribute("scale", 0.0) or 1 / math.sqrt(facts.head),
            dtype,
            hiding_bias(new, seen_places(new, match, cache, lengths), dtype),
            bias_of_places(new, cache, score_bias),
            counts=(facts.queries, facts.keys),
            sinks=_sinks(match, sinks, facts.queries, dtype),
            softcap=match.attribute("softcap", 0.0),
        )
        return new.into(match.outputs[:1], "Identity", y)


def _unsupported(match: Match) -> str | None:
    """Return what the node does that is not spelled out, or None."""
    for name, meaning in _FOREIGN.items():
        if match.bound(name) is not None:
            return meaning
    if match.attribute("sliding_window_cache", 0):
        return "its cache keeps a window only"
    if any(match.is_used(each) for each in match.outputs[3:]):
        return "its scores are an output"
    return None


def _are_as_many(match: Match, query: gs.Tensor, key: gs.Tensor | None) -> bool:
    """Whether there are queries and as many new keys; False only if the shapes say otherwise.

    Layers that share the keys of an earlier one have none of their own.
    """
    shapes = [match.shape(each) for each in (query, key) if each is not None]
    lengths = {shape[1] for shape in shapes if shape is not None and len(shape) == 3} - {None}
    return len(lengths) < 2 and 0 not in lengths


def _rotation(
    match: Match,
    head: int,
    cos: gs.Tensor | None,
    sin: gs.Tensor | None,
    positions: gs.Tensor | None,
) -> str | Rotation | None:
    """Return how positions rotate queries and keys, None if they do not, or why that is unknown."""
    if not match.attribute("do_rotary", 0):
        return None
    if cos is None or sin is None:
        return "it rotates, and has no tables for it"
    if positions is not None and match.rank(positions) != 2:
        return "the rank of its positions is unknown, or not 2"
    columns = (match.shape(cos) or (None,))[-1]
    if not columns or 2 * columns > head:
        return "the size of its tables is unknown, or larger than that of a head"
    return Rotation(head, 2 * columns, match.attribute("rotary_interleaved", False))


def _sinks(match: Match, sinks: NodeInput, heads: int, dtype: str) -> NodeInput:
    """Return the score of no key for each head; a smooth softmax is one with a score of 0."""
    is_smooth = sinks is None and match.attribute("smooth_softmax", 0) == 1
    return np.repeat(number(0, dtype), heads) if is_smooth else sinks


def _new_heads(
    new: Replacement,
    facts: _GroupedLayout,
    query: gs.Tensor,
    key: gs.Tensor | None,
    value: gs.Tensor | None,
) -> tuple[NodeInput, NodeInput, NodeInput]:
    """Return the new queries, keys and values: [batch, heads, sequence, size]."""
    parts: list[NodeInput] = [query, key, value]
    counts = [facts.queries, facts.keys, facts.keys]
    if key is None:
        ends = (facts.head * np.cumsum([0, *counts])).tolist()
        parts = [new.slice(query, 2, ends[at], ends[at + 1]) for at in range(3)]
    q, k, v = (split_heads(new, each, count) for each, count in zip(parts, counts, strict=True))
    return q, k, v


def _given(new: Replacement, positions: gs.Tensor, query: NodeInput, total: NodeInput) -> NodeInput:
    """Return the positions that are given; of a prompt ONNX Runtime reads the first one only."""
    count = length_of(new, query)
    first = new.slice(new.add("Reshape", positions, np.array([-1])), 0, 0, 1)
    counted = new.unsqueeze(new.add("Add", first, counted_to(new, count)), [0])
    is_prompt = new.add("Equal", count, new.cast(total, "int64"))
    return new.add("Where", is_prompt, counted, positions)
