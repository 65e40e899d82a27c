"""Turn TfIdfVectorizer of integers, which TensorRT lacks, into comparisons and sums."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from pluginkit.onnx import Match, NodeInput, Op, Replacement, Rewrite

if TYPE_CHECKING:
    import onnx_graphsurgeon as gs


@dataclass(frozen=True)
class _Facts:
    """The sizes of the input, and the n-grams.

    Attributes:
        rank: the number of axes of the input.
        length: the length of its sequences, the last axis.
        grams: the n-grams to count by length: their numbers in the pool, and their tokens
            ``[number, n]``.
    """

    rank: int
    length: int
    grams: list[tuple[range, npt.NDArray[np.int64]]]


class ExpandTfIdf(Rewrite):
    """TfIdfVectorizer(x) -> ReduceSum over positions of And(x at the position == n-gram's tokens).

    For int32 and int64; the length of the sequences must be known. Every position is compared with
    every n-gram, so the work and the memory grow with the size of the pool.
    """

    pattern = Op("TfIdfVectorizer", "x")

    def check(self, match: Match, x: gs.Tensor) -> str | _Facts:
        if match.dtype(x) not in ("int32", "int64"):
            return "its tokens are strings, or of unknown type"
        shape = match.shape(x) or ()
        length = shape[-1] if shape else None
        if length is None:
            return "the length of its sequences is unknown"
        grams = _n_grams(match)
        return grams if isinstance(grams, str) else _Facts(len(shape), length, grams)

    def rewrite(self, match: Match, x: gs.Tensor, facts: _Facts) -> list[gs.Node]:
        """Append a zero to the counts, for outputs without an n-gram."""
        rank = facts.rank
        outputs = match.attribute("ngram_indexes")
        new = Replacement(match)
        column_of: dict[int, int] = {}
        parts: list[NodeInput] = []
        for numbers, grams in facts.grams:
            steps = _steps(match, grams.shape[1], facts.length)
            if len(grams) and steps:
                column_of |= {outputs[each]: len(column_of) + at for at, each in enumerate(numbers)}
                counts = [_count(new, x, facts, grams, step) for step in steps]
                parts.append(counts[0] if len(counts) == 1 else new.add("Sum", *counts))
        if not parts:
            nothing = np.zeros([max(outputs) + 1], np.float32)
            sizes = new.add("Gather", new.add("Shape", x), np.arange(rank - 1), axis=0)
            return new.end("Expand", nothing, new.add("Concat", sizes, np.array([1]), axis=0))
        counted = new.add("Concat", *parts, axis=rank - 1)
        padded = new.pad(counted, [0] * (2 * rank - 1) + [1])
        columns = [column_of.get(each, len(column_of)) for each in range(max(outputs) + 1)]
        return _weigh(new, match, new.add("Gather", padded, np.array(columns), axis=rank - 1))


def _n_grams(match: Match) -> str | list[tuple[range, npt.NDArray[np.int64]]]:
    """Return the n-grams to count, as in _Facts, or why they are unknown."""
    pool = match.attribute("pool_int64s")
    if pool is None:
        return "its n-grams are strings"
    starts = [*match.attribute("ngram_counts"), len(pool)]
    outputs = match.attribute("ngram_indexes")
    sizes = [end - start for start, end in pairwise(starts)]
    if starts[0] != 0 or any(size < 0 or size % n for n, size in enumerate(sizes, 1)):
        return "its ngram_counts do not cut its pool into n-grams"
    total = sum(size // n for n, size in enumerate(sizes, 1))
    weights = match.attribute("weights", outputs)
    if len(outputs) != total or len(weights) != total or min(outputs, default=-1) < 0:
        return "it has not one output and one weight for each n-gram"
    lengths = range(match.attribute("min_gram_length"), match.attribute("max_gram_length") + 1)
    found, number = [], 0
    for n, (start, end) in enumerate(pairwise(starts), 1):
        grams = np.array(pool[start:end], np.int64).reshape(-1, n)
        if n in lengths:
            found.append((range(number, number + len(grams)), grams))
        number += len(grams)
    return found


def _steps(match: Match, n: int, length: int) -> list[int]:
    """Return the distances between tokens at which an n-gram fits; a single token has one."""
    steps = range(1, match.attribute("max_skip_count") + 2 if n > 1 else 2)
    return [step for step in steps if (n - 1) * step < length]


def _count(
    new: Replacement, x: gs.Tensor, facts: _Facts, grams: npt.NDArray[np.int64], step: int
) -> gs.Variable:
    """Count how often each n-gram occurs with its tokens ``step`` apart: float32 [..., number]."""
    rank, n = facts.rank, grams.shape[1]
    places = facts.length - (n - 1) * step
    is_there: NodeInput = None
    for at in range(n):
        tokens = new.slice(x, rank - 1, at * step, at * step + places)
        wide = new.unsqueeze(new.add("Cast", tokens, to="int64"), [rank])
        is_same = new.add("Equal", wide, grams[:, at])
        is_there = is_same if is_there is None else new.add("And", is_there, is_same)
    return new.reduce("ReduceSum", new.add("Cast", is_there, to="float32"), [rank - 1])


def _weigh(new: Replacement, match: Match, counts: gs.Variable) -> list[gs.Node]:
    """Turn the counts into the outputs of the attribute ``mode``."""
    mode = match.attribute("mode")
    if mode == "TF":
        return new.end("Identity", counts)
    outputs = match.attribute("ngram_indexes")
    weights = np.zeros(max(outputs) + 1, np.float32)
    weights[outputs] = match.attribute("weights", [1.0] * len(outputs))
    if mode == "IDF":
        counts = new.add("Min", counts, np.float32(1))
    return new.end("Mul", counts, weights)
