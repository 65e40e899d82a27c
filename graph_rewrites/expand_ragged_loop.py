"""Turn loops that append several rows for each row of a tensor into one Gather."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import permutations
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnx.helper
import onnx.numpy_helper
import onnx_graphsurgeon as gs

from pluginkit.graph_rewrites._loop_probes import (
    Fed,
    appended,
    is_empty,
    outer_names,
    run_body,
    shape_called,
    size_of,
    stays_true,
    stored_value,
)
from pluginkit.graph_rewrites._split_sequences import split_sequence
from pluginkit.onnx import Match, Op, Replacement, Rewrite, bodies, is_op

_Array = npt.NDArray[Any]
#: The numbers with which a loop is tried, for as many rows.
_COUNTS = ([2, 0, 1], [0, 3, 1], [1, 1, 4])


@dataclass(frozen=True)
class _RowSource:
    """A value that a loop reads rows of.

    Attributes:
        name: its name.
        tensor: the tensor that it is, or that it is split from.
        is_sequence: whether it is a sequence of the rows.
        has_axis: whether the elements of the sequence have the axis of the rows.
    """

    name: str
    tensor: str
    is_sequence: bool = False
    has_axis: bool = True

    def joined(self, new: Replacement) -> gs.Variable:
        """Return the tensor; the sequence joined, which is dropped together with its split."""
        value = gs.Variable(self.name)
        if not self.is_sequence:
            return value
        return new.add("ConcatFromSequence", value, axis=0, new_axis=int(not self.has_axis))

    def fed(self, array: _Array) -> Fed:
        """Return what the value is if the tensor is an array."""
        if not self.is_sequence:
            return array
        return list(array[:, None] if self.has_axis else array)


@dataclass(frozen=True)
class _Ragged:
    """What a loop appends in each run.

    Attributes:
        loop: the Loop.
        rows: the tensor of which it reads a row, as a tensor or as a sequence of rows.
        counts: the vector of which it reads a number, likewise.
        is_repeated: whether it appends the row that often, not as many elements of the row.
    """

    loop: onnx.NodeProto
    rows: _RowSource
    counts: _RowSource
    is_repeated: bool


class _ExpandRagged(Rewrite, abstract=True):
    #: Before loops over sequences are unrolled and sizes are stored.
    order = -6

    def rewrite(self, match: Match, facts: _Ragged) -> list[gs.Node]:
        new = Replacement(match)
        rows, counts = facts.rows.joined(new), facts.counts.joined(new)
        runs = new.add("Reshape", gs.Variable(facts.loop.input[0]), np.array([1]))
        first = np.zeros(1, np.int64)
        counts = new.add("Slice", counts, first, runs, first)
        counts = new.add("Cast", counts, to="int64")
        if not facts.is_repeated:
            counts = new.add("Min", counts, new.slice(new.add("Shape", rows), 0, 1, 2))
        ends = new.add("CumSum", counts, np.array(0))
        total = new.add("Gather", ends, np.array(-1))
        places = new.add("Range", np.array(0), total, np.array(1))
        is_after = new.add("Not", new.add("Less", places, new.unsqueeze(ends, [1])))
        row = new.reduce("ReduceSum", new.add("Cast", is_after, to="int64"), [0])
        if facts.is_repeated:
            return new.end("Gather", rows, row)
        starts = new.add("Gather", new.add("Sub", ends, counts), row)
        pair = [new.unsqueeze(each, [1]) for each in (row, new.add("Sub", places, starts))]
        return new.end("GatherND", rows, new.add("Concat", *pair, axis=1))


class ExpandRaggedLoop(_ExpandRagged):
    """Loop: Concat(y, x[i] repeated n[i] times, or x[i, :n[i]]) -> Gather(x, places).

    As torch.jit.script writes a tensor that grows in a loop over rows. To recognise the loop, the
    evaluator of onnx runs its body on some rows and numbers, and the results are compared. The
    numbers must be 0 or more; the length of the result is their sum.
    """

    pattern = Op("Loop")

    def check(self, match: Match) -> str | _Ragged:
        return _ragged(match, match.proto, "Concat")


class ExpandRaggedSequence(_ExpandRagged):
    """ConcatFromSequence(Loop: SequenceInsert(y, x[i] n[i] times, or x[i, :n[i]])) -> Gather.

    As PyTorch's exporter writes ``repeat_interleave``, and torch.jit.script a list that grows in a
    loop over rows. The loop is recognised, and the numbers are, as for ExpandRaggedLoop.
    """

    pattern = Op("ConcatFromSequence", Op("Loop", ...))

    def check(self, match: Match) -> str | _Ragged:
        loop = match.producer(match.proto.input[0])
        if match.attribute("axis") != 0 or match.attribute("new_axis", 0) or loop is None:
            return "it does not join rows along the first axis"
        return _ragged(match, loop, "SequenceInsert")


def _ragged(match: Match, loop: onnx.NodeProto, op_type: str) -> str | _Ragged:
    """Return what a Loop appends by an operator, or why it appends something else."""
    body = next(body for _, body in bodies(loop))
    if len(loop.input) != 3 or len(body.output) != 2 or not loop.input[0]:
        return "its loop does not carry one value"
    if any(True for each in body.node for _ in bodies(each)):
        return "its loop has bodies itself"
    producers = {name: each for each in body.node for name in each.output}
    piece = appended(body, producers, body.input[2].name, body.output[1].name, op_type)
    if piece is None or not is_empty(match, loop.input[2]):
        return "its loop does not only append to a value that is empty at first"
    if not stays_true(match, loop, body):
        return "the condition of its loop may change"
    read = _read(match, body, producers)
    for rows, counts in permutations(read.sources, 2):
        if len(read.sources) == 2 and _is_vector(match, counts.tensor):
            for is_repeated in (True, False):
                if all(read.appends(piece, rows, counts, each, is_repeated) for each in _COUNTS):
                    return _Ragged(loop, rows, counts, is_repeated)
    return "its loop appends something else than a row several times, or the start of it"


def _is_vector(match: Match, name: str) -> bool:
    is_integer = match.dtype(gs.Variable(name)) in ("int32", "int64")
    return is_integer and len(shape_called(match, name) or ()) == 1


@dataclass(frozen=True)
class _Read:
    """What the body of a loop reads from outside.

    Attributes:
        match: the match.
        body: the body.
        stored: values that are known before the model runs.
        sources: other values.
        sizes: of these, what is the size of a tensor along an axis.
    """

    match: Match
    body: onnx.GraphProto
    stored: Mapping[str, _Array]
    sources: Sequence[_RowSource]
    sizes: Mapping[str, tuple[str, int]]

    def appends(
        self,
        piece: str,
        rows: _RowSource,
        counts: _RowSource,
        numbers: list[int],
        is_repeated: bool,
    ) -> bool:
        """Whether each run appends what is expected, for these numbers.

        Args:
            piece: the value that the body appends.
            rows: the tensor of rows.
            counts: the vector of numbers.
            numbers: the numbers to try.
            is_repeated: whether a row is repeated, or its start is taken.
        """
        array = self._rows(rows.tensor, len(numbers))
        if array is None or array.ndim < 2 - is_repeated:
            return False
        given = np.array(numbers, self.match.dtype(gs.Variable(counts.tensor)))
        values: dict[str, Fed] = {rows.name: rows.fed(array), counts.name: counts.fed(given)}
        for name, (_, axis) in self.sizes.items():
            values[name] = np.array(array.shape[axis])
        opsets = [onnx.helper.make_opsetid("", self.match.onnx_opset)]
        for run, number in enumerate(numbers):
            found = run_body(self.body, opsets, [piece], values | dict(self.stored), run)
            row = array[run : run + 1]
            expected = row.repeat(number, axis=0) if is_repeated else row[0, :number]
            if found is None or not np.array_equal(found[0], expected):
                return False
        return True

    def _rows(self, name: str, count: int) -> _Array | None:
        """Return that many rows of a tensor to try; None if its rank or type is not known."""
        shape, dtype = shape_called(self.match, name), self.match.dtype(gs.Variable(name))
        if not shape or not dtype:
            return None
        sizes = (count, *(3 if size is None else size for size in shape[1:]))
        return np.random.default_rng(0).integers(1, 100, sizes).astype(dtype)


def _read(match: Match, body: onnx.GraphProto, producers: Mapping[str, onnx.NodeProto]) -> _Read:
    stored, sources = {}, []
    for name in outer_names(body, producers):
        value = stored_value(match, name)
        if value is None:
            sources.append(_source(match, name))
        else:
            stored[name] = value
    tensors = [each.tensor for each in sources]
    known = {name: size_of(match, name, tensors) for name in tensors}
    sizes = {name: size for name, size in known.items() if size is not None}
    return _Read(match, body, stored, [each for each in sources if each.name not in sizes], sizes)


def _source(match: Match, name: str) -> _RowSource:
    split = match.producer(name)
    if split is None or not is_op(split, "SplitToSequence"):
        return _RowSource(name, name)
    rows = split_sequence(split, lambda lengths: _repeated_or_stored(match, lengths))
    if rows.axis != 0 or not rows.takes_each:
        return _RowSource(name, name)
    return _RowSource(name, rows.source, is_sequence=True, has_axis=bool(rows.keeps_axis))


def _repeated_or_stored(match: Match, name: str) -> _Array | None:
    """Return a stored value, or the one element of a vector of any length; None of others."""
    value, made = stored_value(match, name), match.producer(name)
    if value is None and made is not None and is_op(made, "ConstantOfShape") and made.attribute:
        return onnx.numpy_helper.to_array(made.attribute[0].t)
    return value
