"""Spell out attention as ONNX Runtime defines it: softmax(q k^T * scale + mask) v, by heads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pluginkit.graph_rewrites._spelled_out import number
from pluginkit.onnx import Match, NodeInput, Replacement

if TYPE_CHECKING:
    import onnx_graphsurgeon as gs

#: The shape that makes a vector with one element a scalar.
_SCALAR = np.zeros(0, np.int64)


@dataclass(frozen=True)
class Masking:
    """How keys are hidden from queries.

    Attributes:
        kind: "none", "lengths" [batch], "bounds" [2 * batch], "vector" (lengths or bounds, which is
            known only when the model runs), "keys" [batch, keys] or "pairs" [batch, queries, keys].
        hidden: the number that is added to the score of a hidden key.
        is_causal: whether later keys are hidden from a query.
    """

    kind: str
    hidden: float
    is_causal: bool


def masking_of(match: Match, mask: gs.Tensor | None, query: gs.Tensor) -> str | Masking:
    """Return how keys are hidden, or why that is unknown."""
    hidden = match.attribute("mask_filter_value", -10000.0)
    is_causal = match.attribute("unidirectional", False)
    if mask is None:
        return Masking("none", hidden, is_causal)
    problem = match.dtype_problem(("int32", "int64"), mask)
    if problem is not None:
        return problem
    dims, batch = mask.shape, (query.shape or (None,))[0]
    if dims is None:
        return "the rank of its mask is unknown"
    if len(dims) > 1:
        kinds = {2: "keys", 3: "pairs"}
        if len(dims) not in kinds:
            return "its mask has four axes, which ONNX Runtime's CPU does not take"
        return Masking(kinds[len(dims)], hidden, is_causal)
    if dims[0] is not None and dims[0] == batch:
        return Masking("lengths", hidden, is_causal)
    if isinstance(dims[0], int) and isinstance(batch, int) and dims[0] == 2 * batch:
        return Masking("bounds", hidden, is_causal)
    if not isinstance(dims[0], int) or not isinstance(batch, int):
        return Masking("vector", hidden, is_causal)
    return f"its mask has {dims[0]} elements; expected {batch}, or {2 * batch}"


@dataclass
class Heads:
    """The inputs of attention, with the axes [batch, heads, sequence, size].

    Attributes:
        query: the queries.
        key: the keys, those of the past included.
        value: the values.
        past: the keys of the past, or None.
    """

    query: NodeInput
    key: NodeInput
    value: NodeInput
    past: NodeInput = None


def attend(
    new: Replacement,
    heads: Heads,
    scale: float,
    dtype: str,
    *biases: NodeInput,
    counts: tuple[int, int] | None = None,
    softcap: float = 0.0,
    sinks: NodeInput = None,
) -> gs.Variable:
    """Return the attention: [batch, sequence, heads * size].

    Args:
        new: the new nodes.
        heads: the inputs.
        scale: the factor of the scores.
        dtype: the type of all values.
        biases: the tensors that are added to the scores; None adds nothing.
        counts: how many heads the queries have, and how many the keys, where several heads of
            queries share one of keys. None if both have as many.
        softcap: the bound that scores approach; 0 for none.
        sinks: the score of no key, for each head of the queries; None for none.
    """
    queries, keys = counts or (None, None)
    scaled = _regrouped(new, new.add("Mul", heads.query, number(scale, dtype)), keys)
    scores = new.add("MatMul", scaled, new.add("Transpose", heads.key, perm=[0, 1, 3, 2]))
    scores = _regrouped(new, scores, queries)
    if softcap:
        bounded = new.add("Tanh", new.add("Mul", scores, number(1 / softcap, dtype)))
        scores = new.add("Mul", bounded, number(softcap, dtype))
    for each in biases:
        if each is not None:
            scores = new.add("Add", scores, each)
    weights = _regrouped(new, _softmax(new, scores, sinks), keys)
    mixed = _regrouped(new, new.add("MatMul", weights, heads.value), queries)
    in_order = new.add("Transpose", mixed, perm=[0, 2, 1, 3])
    return new.add("Reshape", in_order, np.array([0, 0, -1]))


def _softmax(new: Replacement, scores: gs.Variable, sinks: NodeInput) -> gs.Variable:
    """Return the weights of the keys, which sum up to less than 1 if no key has one too."""
    if sinks is None:
        return new.add("Softmax", scores, axis=-1)
    rows = new.add("Concat", new.slice(new.add("Shape", scores), 0, 0, 3), np.array([1]), axis=0)
    column = new.add("Expand", new.add("Reshape", sinks, np.array([1, -1, 1, 1])), rows)
    weights = new.add("Softmax", new.add("Concat", scores, column, axis=3), axis=-1)
    return new.slice(weights, 3, 0, -1)


def _regrouped(new: Replacement, value: gs.Variable, count: int | None) -> gs.Variable:
    """Put the rows of all heads under another number of heads; None leaves them."""
    return value if count is None else new.add("Reshape", value, np.array([0, count, -1, 0]))


def mask_bias(
    new: Replacement, masking: Masking, mask: NodeInput, heads: Heads, dtype: str
) -> list[NodeInput]:
    """Return the bias that hides keys, as terms that broadcast to the scores."""
    found: list[NodeInput] = []
    if masking.kind != "none":
        seen = _seen(new, masking.kind, mask, heads)
        zero, hidden = number(0, dtype), number(masking.hidden, dtype)
        found.append(new.add("Where", seen, zero, hidden))
    if masking.is_causal:
        rows = _positions(new, heads.query, heads.past)
        columns = _positions(new, heads.key)
        seen = new.add("Less", columns, new.add("Add", new.unsqueeze(rows, [1]), np.int64(1)))
        found.append(hiding_bias(new, seen, dtype))
    return found


def hiding_bias(new: Replacement, seen: NodeInput, dtype: str) -> NodeInput:
    """Return what is added to scores so that those not seen have no weight."""
    lowest = number(-65504.0 if dtype == "float16" else -3e38, dtype)
    return new.add("Where", seen, number(0, dtype), lowest)


def _seen(new: Replacement, kind: str, mask: NodeInput, heads: Heads) -> NodeInput:
    """Return a mask of the visible keys that broadcasts to [batch, heads, queries, keys]."""
    if kind in ("lengths", "bounds", "vector"):
        columns = _positions(new, heads.key)
        start, end = _bounds(new, kind, new.cast(mask, "int64"), heads)
        seen: NodeInput = new.add("Less", columns, end)
        if start is not None:
            seen = new.add("And", new.add("Not", new.add("Less", columns, start)), seen)
        return new.unsqueeze(seen, [1, 2])
    positive = new.add("Greater", new.cast(mask, "int64"), np.int64(0))
    if kind == "keys":
        return new.unsqueeze(positive, [1, 2])
    return new.unsqueeze(positive, [1])


def _bounds(
    new: Replacement, kind: str, mask: NodeInput, heads: Heads
) -> tuple[NodeInput, NodeInput]:
    """Return the first visible key of each row (None: 0), and the one after the last.

    A "vector" has the last only, or both. Its rows are counted at run time, and those that do not
    broadcast are ignored.
    """
    if kind == "lengths":
        return None, new.unsqueeze(mask, [1])
    if kind == "bounds":
        pairs = new.add("Reshape", mask, np.array([2, -1, 1]))
        end, start = (new.add("Gather", pairs, np.int64(at), axis=0) for at in (0, 1))
        return start, end
    each, one = np.array([-1]), np.array([1])
    shape = new.add("Concat", each, length_of(new, heads.query, 0), one, axis=0)
    rows = new.add("Reshape", mask, shape)
    pairs = new.add("Add", rows, np.zeros((2, 1, 1), np.int64))
    end, second = (new.add("Gather", pairs, np.int64(at), axis=0) for at in (0, 1))
    has_start = new.add("Sub", length_of(new, rows, 0), one)
    return new.add("Mul", second, has_start), end


def length_of(new: Replacement, value: NodeInput, axis: int = 2) -> gs.Variable:
    """Return the size of an axis as a vector with one element."""
    return new.slice(new.add("Shape", value), 0, axis, axis + 1)


def counted_to(new: Replacement, length: NodeInput) -> gs.Variable:
    """Return 0, 1, ... below a length, which is a vector with one element."""
    end = new.add("Reshape", length, _SCALAR)
    return new.add("Range", np.int64(0), end, np.int64(1))


def _positions(new: Replacement, value: NodeInput, past: NodeInput = None) -> NodeInput:
    """Return the position of each element of a sequence, which may follow another."""
    counted = counted_to(new, length_of(new, value))
    return counted if past is None else new.add("Add", counted, length_of(new, past))


def split_heads(new: Replacement, value: NodeInput, count: int) -> gs.Variable:
    """Turn [batch, sequence, heads * size] into [batch, heads, sequence, size]."""
    parts = new.add("Reshape", value, np.array([0, 0, count, -1]))
    return new.add("Transpose", parts, perm=[0, 2, 1, 3])


def with_past(new: Replacement, past: NodeInput, value: NodeInput) -> NodeInput:
    """Put the keys or values of the past before the new ones."""
    return value if past is None else new.add("Concat", past, value, axis=2)
