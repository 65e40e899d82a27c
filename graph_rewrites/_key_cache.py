"""The cache of keys and values of GroupQueryAttention: where the past and the new ones are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pluginkit.graph_rewrites._attention import counted_to, length_of
from pluginkit.graph_rewrites._spelled_out import number
from pluginkit.onnx import Match, NodeInput, Replacement

if TYPE_CHECKING:
    import onnx_graphsurgeon as gs


@dataclass(frozen=True)
class KeyCache:
    """Where the elements of the past and the new ones are in the cache.

    Attributes:
        first: the position of the first query of each row: [batch, 1]. None is 0.
        rows: the positions of the queries: [batch or 1, sequence].
        columns: the positions in the cache: [length].
    """

    first: NodeInput
    rows: NodeInput
    columns: NodeInput


def key_cache(
    new: Replacement, query: NodeInput, past: gs.Tensor | None, lengths: NodeInput, total: NodeInput
) -> KeyCache:
    """Return the positions; without a past, those of the queries and of the cache are the same.

    ``lengths`` says how many keys each row has with the new ones, less 1. A prompt may have fewer
    than it has elements: the others are padding, and begin at 0 as well.
    """
    count = length_of(new, query)
    steps = counted_to(new, count)
    if past is None:
        return KeyCache(None, new.unsqueeze(steps, [0]), steps)
    known = new.add("Reshape", new.cast(lengths, "int64"), np.array([-1, 1]))
    earlier = new.add("Sub", new.add("Add", known, np.int64(1)), count)
    first = _greater(new, earlier, np.int64(0))
    whole = new.add("Reshape", new.cast(total, "int64"), np.array([1]))
    columns = counted_to(new, _greater(new, whole, length_of(new, past)))
    return KeyCache(first, new.add("Add", first, steps), columns)


def cached(
    new: Replacement, cache: KeyCache, past: gs.Tensor | None, made: NodeInput, dtype: str
) -> NodeInput:
    """Return the past and the new elements in the cache, which has zeros after them.

    They are taken from both, one after the other: a place before the first new one from the past.
    """
    if past is None:
        return made
    step = new.add("Sub", cache.columns, cache.first)
    is_past = new.add("Less", step, np.int64(0))
    moved = new.add("Add", step, length_of(new, past))
    is_filled = new.add("Less", step, length_of(new, made))
    at = new.add("Where", is_past, cache.columns, new.add("Where", is_filled, moved, np.int64(0)))
    both = new.add("Concat", past, made, axis=2)
    sizes = new.add("Shape", both)
    shape = new.add(
        "Concat",
        new.slice(sizes, 0, 0, 2),
        new.add("Shape", cache.columns),
        new.slice(sizes, 0, 3, 4),
        axis=0,
    )
    index = new.add("Expand", new.unsqueeze(at, [1, 3]), shape)
    taken = new.add("GatherElements", both, index, axis=2)
    return new.add("Where", new.unsqueeze(is_filled, [1, 3]), taken, number(0, dtype))


def seen_places(new: Replacement, match: Match, cache: KeyCache, lengths: NodeInput) -> NodeInput:
    """Return which places of the cache each query sees: [batch, 1, sequence, length]."""
    if match.attribute("causal", 1) != 1:
        ends = new.add("Add", new.cast(lengths, "int64"), np.int64(1))
        return new.add("Less", cache.columns, new.add("Reshape", ends, np.array([-1, 1, 1, 1])))
    ahead = new.add("Sub", cache.columns, new.unsqueeze(cache.rows, [2]))
    seen: NodeInput = new.add("Less", ahead, np.int64(1))
    window = match.attribute("local_window_size", -1)
    if window > 0:
        seen = new.add("And", seen, new.add("Less", np.int64(-window), ahead))
    return new.unsqueeze(seen, [1])


def bias_of_places(new: Replacement, cache: KeyCache, bias: gs.Tensor | None) -> NodeInput:
    """Return a bias for each place of the cache, of which those without one are not seen."""
    if bias is None:
        return None
    last = new.add("Sub", length_of(new, bias, 3), np.int64(1))
    is_inside = new.add("Less", cache.columns, last)
    return new.add("Gather", bias, new.add("Where", is_inside, cache.columns, last), axis=3)


def _greater(new: Replacement, a: NodeInput, b: NodeInput) -> NodeInput:
    """Return the greater of two integers; Max takes floating-point numbers only up to opset 11."""
    return new.add("Where", new.add("Less", a, b), b, a)
