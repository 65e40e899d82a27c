"""Spell out the attention of one new element, as ONNX Runtime's decoders have it."""

from __future__ import annotations

import math
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
from pluginkit.graph_rewrites._spelled_out import MICROSOFT, number
from pluginkit.onnx import FLOATS, Match, NodeInput, Op, Optional, Replacement, Rewrite

if TYPE_CHECKING:
    import onnx_graphsurgeon as gs


class ExpandDecoderMaskedAttention(Rewrite):
    """com.microsoft.DecoderMaskedMultiHeadAttention(q, k, v) -> MatMul(Softmax(q k^T * scale), v).

    The new key and value take the next place of a buffer that holds those of the past; the query
    sees the places up to its own. Keys that are split into heads are those of another sequence, of
    which the query sees all. Beams that share a past are left.
    """

    pattern = Op(
        "DecoderMaskedMultiHeadAttention",
        *("query", Optional("key"), Optional("value"), Optional("mask"), Optional("score_bias")),
        *(Optional("past_key"), Optional("past_value"), Optional("past_length")),
        *(Optional("beams"), Optional("sources"), Optional("bias")),
        domain=MICROSOFT,
    )

    def check(
        self,
        match: Match,
        query: gs.Tensor,
        key: gs.Tensor | None,
        value: gs.Tensor | None,
        mask: gs.Tensor | None,
        past_key: gs.Tensor | None,
        past_value: gs.Tensor | None,
        past_length: gs.Tensor | None,
        sources: gs.Tensor | None,
    ) -> str | int:
        problem = match.dtype_problem(FLOATS, query)
        if problem is not None:
            return problem
        if key is None or value is None or match.rank(key) not in (3, 4):
            return "its keys are packed with its queries, or of unknown rank"
        if sources is not None:
            return "its beams share a past"
        if mask is not None:
            return "it has a mask"
        if any(match.is_used(each) for each in match.outputs[3:]):
            return "its scores are an output"
        is_own = match.rank(key) == 3
        if is_own and (past_key is None or past_value is None or past_length is None):
            return "it has no past, or no length of it"
        heads: int = match.attribute("num_heads", 0)
        size = (match.shape(query) or (None,))[-1]
        if heads < 1 or not size or size % heads:
            return "the size of its queries is unknown, or does not make its heads"
        return size // heads

    def rewrite(
        self,
        match: Match,
        query: gs.Tensor,
        key: gs.Tensor,
        value: gs.Tensor,
        score_bias: gs.Tensor | None,
        past_key: gs.Tensor | None,
        past_value: gs.Tensor | None,
        past_length: gs.Tensor | None,
        bias: gs.Tensor | None,
        facts: int,
    ) -> list[gs.Node]:
        new, dtype = Replacement(match), match.dtype(query)
        count = match.attribute("num_heads", 1)
        hidden = facts * count
        heads = [
            _split(new, each, bias, at * hidden, count, match)
            for at, each in enumerate((query, key, value))
        ]
        biases: list[NodeInput] = [score_bias]
        if match.rank(key) == 3:
            size = length_of(new, past_key)
            places, place = counted_to(new, size), new.cast(past_length, "int64")
            source = new.add("Where", new.add("Equal", places, place), size, places)
            for at, past in ((1, past_key), (2, past_value)):
                # On a Where of the past and the new one TensorRT's builder ends the process.
                both = new.add("Concat", past, heads[at], axis=2)
                heads[at] = new.add("Gather", both, source, axis=2)
            seen = new.add("Less", places, new.add("Add", place, np.int64(1)))
            biases = [hiding_bias(new, seen, dtype)]
            if score_bias is not None:
                last = new.add("Sub", length_of(new, score_bias, 3), np.int64(1))
                at = new.add("Where", new.add("Less", places, last), places, last)
                biases.append(new.add("Gather", score_bias, at, axis=3))
        for output, made in zip(match.outputs[1:3], heads[1:], strict=False):
            if output.name:
                new.into([output], "Identity", made)
        scale = match.attribute("scale", 0.0) or 1 / math.sqrt(facts)
        y = attend(new, Heads(*heads), scale, dtype, *biases)
        return new.into(match.outputs[:1], "Identity", y)


def _split(
    new: Replacement, value: gs.Tensor, bias: gs.Tensor | None, start: int, count: int, match: Match
) -> NodeInput:
    """Return the heads, with their part of the bias; those of other sequences are split."""
    if match.rank(value) == 4:
        return value
    wide: NodeInput = value
    if bias is not None:
        end = start + ((match.shape(value) or ())[-1] or 0)
        wide = new.add("Add", value, new.slice(bias, 0, start, end))
    return split_heads(new, wide, count)


class ExpandNGramRepeatBlock(Rewrite):
    """com.microsoft.NGramRepeatBlock(ids, scores) -> Where(would repeat, -inf, scores).

    A token is banned if it followed the last n - 1 ids before. Each pair of places is compared, so
    that all places of a token write the same score.
    """

    pattern = Op("NGramRepeatBlock", "ids", "scores", domain=MICROSOFT)

    def check(self, match: Match, ids: gs.Tensor, scores: gs.Tensor) -> str | int:
        size = match.attribute("ngram_size", 0)
        if size < 1:
            return "the size of its n-grams is missing"
        length = (match.shape(ids) or (None, None))[-1]
        if length is not None and length < size:
            return "its sequence is shorter than an n-gram"
        problem = match.dtype_problem(("int64",), ids) or match.dtype_problem(FLOATS, scores)
        return size if problem is None else problem

    def rewrite(self, match: Match, ids: gs.Tensor, scores: gs.Tensor, facts: int) -> list[gs.Node]:
        new, dtype = Replacement(match), match.dtype(scores)
        tokens = new.slice(ids, 1, facts - 1, 2**62)
        lowest = number(-math.inf, dtype)
        if facts == 1:
            banned: NodeInput = new.add("Expand", lowest, new.add("Shape", tokens))
            return new.end("ScatterElements", scores, tokens, banned, axis=1)
        is_repeated: NodeInput = None
        for at in range(facts - 1):
            behind = facts - 1 - at
            last = new.slice(ids, 1, -behind, 2**62 if behind == 1 else 1 - behind)
            equal = new.add("Equal", new.slice(ids, 1, at, -behind), last)
            is_repeated = equal if is_repeated is None else new.add("And", is_repeated, equal)
        are_same = new.add("Equal", new.unsqueeze(tokens, [1]), new.unsqueeze(tokens, [2]))
        found = new.add("And", are_same, new.unsqueeze(is_repeated, [1]))
        count = new.reduce("ReduceMax", new.cast(found, "float32"), [2])
        is_banned = new.add("Greater", count, np.float32(0.5))
        kept = new.add("GatherElements", scores, tokens, axis=1)
        banned = new.add("Where", is_banned, lowest, kept)
        return new.end("ScatterElements", scores, tokens, banned, axis=1)
