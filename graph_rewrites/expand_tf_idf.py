"""TfIdfVectorizer of integers, which TensorRT lacks, becomes comparisons that are counted."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import onnx

from pluginkit.onnx import Match, Replacement, Rewrite, Value

if TYPE_CHECKING:
    import onnx_graphsurgeon as gs

_T = onnx.TensorProto


class ExpandTfIdf(Rewrite):
    """TfIdfVectorizer(x) -> ReduceSum over places of And(x at the place == the n-gram's tokens).

    For int32 and int64; the length of the sequences must be known. Every place is compared with
    every n-gram, so that the work and the memory grow with the size of the pool.
    """

    pattern = "TfIdfVectorizer"

    def check(self, match: Match) -> str | None:
        """The tokens must be integers, in sequences of known length."""
        x = match.inputs[0]
        if match.elem_type(x) not in (_T.INT32, _T.INT64):
            return "its tokens are strings, or of unknown type"
        if (match.shape(x) or (None,))[-1] is None:
            return "the length of its sequences is unknown"
        return _why_no_pool(match)

    def rewrite(self, match: Match) -> list[gs.Node]:
        """An output that no n-gram counts for reads a zero behind the counts."""
        x = match.inputs[0]
        rank = len(match.shape(x) or ())
        outputs = match.attribute("ngram_indexes")
        new = Replacement(match)
        column_of: dict[int, int] = {}
        parts: list[Value] = []
        for numbers, grams in _n_grams(match):
            steps = _steps(match, grams.shape[1])
            if len(grams) and steps:
                column_of |= {outputs[each]: len(column_of) + at for at, each in enumerate(numbers)}
                counts = [_count(new, match, grams, step) for step in steps]
                parts.append(counts[0] if len(counts) == 1 else new.add("Sum", *counts))
        if not parts:
            nothing = np.zeros([max(outputs) + 1], np.float32)
            sizes = new.add("Gather", new.add("Shape", x), np.arange(rank - 1), axis=0)
            return new.end("Expand", nothing, new.add("Concat", sizes, np.array([1]), axis=0))
        counted = new.add("Concat", *parts, axis=rank - 1)
        padded = new.pad(counted, [0] * (2 * rank - 1) + [1])
        columns = [column_of.get(each, len(column_of)) for each in range(max(outputs) + 1)]
        return _weighed(new, match, new.add("Gather", padded, np.array(columns), axis=rank - 1))


def _why_no_pool(match: Match) -> str | None:
    """Why the attributes give no n-grams of integers, or None."""
    pool = match.attribute("pool_int64s")
    if pool is None:
        return "its n-grams are strings"
    starts = [*match.attribute("ngram_counts"), len(pool)]
    outputs = match.attribute("ngram_indexes")
    lengths = [end - start for start, end in pairwise(starts)]
    if starts[0] != 0 or any(size < 0 or size % n for n, size in enumerate(lengths, 1)):
        return "its ngram_counts do not cut its pool into n-grams"
    number = sum(size // n for n, size in enumerate(lengths, 1))
    weights = match.attribute("weights", outputs)
    if len(outputs) != number or len(weights) != number or min(outputs, default=-1) < 0:
        return "it has not one output and one weight for each n-gram"
    return None


def _n_grams(match: Match) -> list[tuple[range, npt.NDArray[np.int64]]]:
    """The n-grams to count by length: their numbers in the pool, and their tokens [number, n]."""
    pool = np.array(match.attribute("pool_int64s"), np.int64)
    starts = [*match.attribute("ngram_counts"), len(pool)]
    lengths = range(match.attribute("min_gram_length"), match.attribute("max_gram_length") + 1)
    found, number = [], 0
    for n, (start, end) in enumerate(pairwise(starts), 1):
        grams = pool[start:end].reshape(-1, n)
        if n in lengths:
            found.append((range(number, number + len(grams)), grams))
        number += len(grams)
    return found


def _length(match: Match) -> int:
    return (match.shape(match.inputs[0]) or (0,))[-1] or 0


def _steps(match: Match, n: int) -> list[int]:
    """The distances between two tokens of an n-gram for which it fits; one token has none."""
    steps = range(1, match.attribute("max_skip_count") + 2 if n > 1 else 2)
    return [step for step in steps if (n - 1) * step < _length(match)]


def _count(new: Replacement, match: Match, grams: npt.NDArray[np.int64], step: int) -> gs.Variable:
    """How often each n-gram is there with its tokens ``step`` apart; float32 [..., number]."""
    x = match.inputs[0]
    rank, n = len(match.shape(x) or ()), grams.shape[1]
    places = _length(match) - (n - 1) * step
    is_there: Value = None
    for at in range(n):
        tokens = new.slice(x, rank - 1, at * step, at * step + places)
        wide = new.unsqueeze(new.add("Cast", tokens, to=_T.INT64), [rank])
        is_same = new.add("Equal", wide, grams[:, at])
        is_there = is_same if is_there is None else new.add("And", is_there, is_same)
    return new.reduce("ReduceSum", new.add("Cast", is_there, to=_T.FLOAT), [rank - 1])


def _weighed(new: Replacement, match: Match, counts: gs.Variable) -> list[gs.Node]:
    """The counts in the attribute's ``mode``."""
    mode = match.attribute("mode")
    if mode == "TF":
        return new.end("Identity", counts)
    outputs = match.attribute("ngram_indexes")
    weights = np.zeros(max(outputs) + 1, np.float32)
    weights[outputs] = match.attribute("weights", [1.0] * len(outputs))
    if mode == "IDF":
        counts = new.add("Min", counts, np.float32(1))
    return new.end("Mul", counts, weights)
