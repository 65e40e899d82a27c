"""Turn the loop that appends a sum, mean or maximum for each bag to a sequence into one node."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise, permutations
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnx.helper
import onnx.numpy_helper
import onnx_graphsurgeon as gs

from pluginkit.graph_rewrites._loop_probes import shape_called, stored_value
from pluginkit.graph_rewrites._trials import run_nodes
from pluginkit.graph_rewrites.expand_embedding_bag import is_in_bag, largest_of_bags, sums_of_bags
from pluginkit.onnx import FLOATS, AnyOf, Match, Op, Replacement, Rewrite, bodies, is_op, names_read

_Array = npt.NDArray[Any]
_INTEGERS = ("int32", "int64")
#: How a loop reduces the rows of a bag, by the operator that does so.
_REDUCTIONS: dict[str, Callable[..., _Array]] = {
    "ReduceSum": np.sum,
    "ReduceMean": np.mean,
    "ReduceMax": np.max,
}
_SIZES = ("Shape", "Size")
#: What lies between the values that a loop is tried with and the joined sequence.
_TRIED = frozenset(
    {
        *("Cast", "Concat", "ConcatFromSequence", "Less", "Loop", "Reshape", "ScatterElements"),
        *("SequenceEmpty", "Sub", *_SIZES),
    }
)
#: How many rows and bags a trial has where the model leaves that open.
_ROWS, _BAGS = 9, 5
_TRIALS = 10


@dataclass(frozen=True)
class _BagLoop:
    """What a loop over bags reads, and how it reduces the rows of a bag.

    Attributes:
        rows: [ids, columns].
        offsets: the first row of each bag, and the number of rows.
        reduction: the operator.
        ids: the ids, where those of the padding do not count; else empty.
        padding: the id of the padding, and the negative number that is the same id.
    """

    rows: str
    offsets: str
    reduction: str
    ids: str = ""
    padding: tuple[int, ...] = ()

    def reduced(self, rows: _Array, offsets: _Array, ids: _Array | None) -> _Array:
        """Return what the loop appends, joined."""
        counts = np.full(len(rows), True) if ids is None else ~np.isin(ids, self.padding)
        bags = [rows[start:end][counts[start:end]] for start, end in pairwise(offsets)]
        reduce = _REDUCTIONS[self.reduction]
        return np.array(
            [reduce(bag, axis=0) if len(bag) else np.zeros_like(rows[0]) for bag in bags]
        )


class ExpandBagSequence(Rewrite):
    """ConcatFromSequence(Loop: ReduceSum(rows[start:end]), ...) -> MatMul(is in bag, rows).

    As PyTorch's second exporter writes an EmbeddingBag, with or without padding_idx. Sums, means,
    or maxima, which are a ReduceMax; a bag without rows gives zeros, and all rows must be finite.
    With include_last_offset the last offset must be the number of rows, as PyTorch says.
    To recognise the loop, the evaluator of onnx runs it on drawn rows, ids and offsets.
    """

    order = -2  # before ScanSequences, which takes every Loop that appends rows of a known size
    pattern = Op("ConcatFromSequence", AnyOf(*(Op("Loop", ...).output(at) for at in (0, 1))))

    def check(self, match: Match) -> str | _BagLoop:
        if match.attribute("axis") != 0 or match.attribute("new_axis", 0):
            return "it does not join rows along the first axis"
        confirmed = (each for each in _candidates(match) if _is_confirmed(match, each))
        return next(confirmed, "its loop is none over bags")

    def rewrite(self, match: Match, facts: _BagLoop) -> list[gs.Node]:
        new = Replacement(match)
        rows, offsets = gs.Variable(facts.rows), gs.Variable(facts.offsets)
        dtype = match.dtype(rows)
        starts, ends = (
            new.slice(offsets, 0, 0, -1),
            new.slice(offsets, 0, 1, np.iinfo(np.int64).max),
        )
        is_in = is_in_bag(new, rows, starts, ends)
        for number in facts.padding:
            ids = gs.Variable(facts.ids)
            is_padding = new.add("Equal", ids, np.array(number, match.dtype(ids)))
            is_in = new.add("And", is_in, new.add("Not", is_padding))
        if facts.reduction == "ReduceSum":
            return new.end("Identity", sums_of_bags(new, rows, is_in, dtype))
        sizes = new.reduce("ReduceSum", new.add("Cast", is_in, to="int64"), [1], keepdims=True)
        if facts.reduction == "ReduceMax":
            is_empty = new.add("Equal", sizes, np.int64(0))
            largest = largest_of_bags(new, rows, is_in, dtype)
            return new.end("Where", is_empty, np.zeros((), dtype), largest)
        sizes = new.add("Cast", new.add("Max", sizes, np.int64(1)), to=dtype)
        return new.end("Div", sums_of_bags(new, rows, is_in, dtype), sizes)


def _candidates(match: Match) -> Iterator[_BagLoop]:
    """Yield what the loop may do, by the types of what it reads."""
    loop = match.producer(match.proto.input[0])
    names = sorted(names_read(loop)) if loop is not None and _ends(loop) else []
    stored = {name: value for name in names if (value := stored_value(match, name)) is not None}
    rows = [name for name in names if _is(match, name, FLOATS, 2)]
    vectors = [name for name in names if _is(match, name, _INTEGERS, 1)]
    numbers = {value.item() for value in stored.values() if value.ndim == 0}
    known = [(each, end) for each, end in permutations(sorted(numbers), 2) if 0 <= each < end]
    for offsets in vectors if len(rows) == 1 else ():
        others = [name for name in vectors if name not in {offsets, *stored}]
        ids = [name for name in others if loop and _reads(loop, name) and not _is_size(match, name)]
        for reduction in _REDUCTIONS:
            if not ids:
                yield _BagLoop(rows[0], offsets, reduction)
            for padding, count in known if len(ids) == 1 else ():
                yield _BagLoop(rows[0], offsets, reduction, ids[0], (padding, padding - count))


def _ends(node: onnx.NodeProto) -> bool:
    """Whether a node can be tried: each Loop in it goes on while a sum is less than something."""
    for _, body in bodies(node):
        producers = {name: each for each in body.node for name in each.output}
        if is_op(node, "Loop") and not _is_counted(producers, body.output[0].name):
            return False
        if not all(map(_ends, body.node)):
            return False
    return True


def _is_counted(producers: Mapping[str, onnx.NodeProto], name: str) -> bool:
    goes_on = producers.get(name)
    if goes_on is None or not is_op(goes_on, "Less"):
        return False
    grown = producers.get(goes_on.input[0])
    while grown is not None and is_op(grown, "Identity"):
        grown = producers.get(grown.input[0])
    return grown is not None and is_op(grown, "Add")


def _is_size(match: Match, name: str) -> bool:
    """Whether a vector is the size of another one."""
    return shape_called(match, name) == [1]


def _reads(node: onnx.NodeProto, name: str) -> bool:
    """Whether a node or one of its bodies reads a value, and not its size only."""
    is_read = name in node.input and node.op_type not in _SIZES
    return is_read or any(_reads(each, name) for _, body in bodies(node) for each in body.node)


def _is(match: Match, name: str, dtypes: tuple[str, ...], rank: int) -> bool:
    shape = shape_called(match, name)
    return shape is not None and len(shape) == rank and match.dtype(gs.Variable(name)) in dtypes


def _is_confirmed(match: Match, bags: _BagLoop) -> bool:
    """Whether the loop computes that, for drawn values.

    Drawn are the starts that the offsets are joined from, or else the offsets as a whole, whose
    last one is the number of rows.
    """
    joined = match.producer(bags.offsets)
    is_joined = joined is not None and joined.op_type in ("Concat", "ScatterElements")
    starts = [joined.input[0]] if joined is not None and is_joined else []
    return any(
        all(_agrees(match, bags, name, draw) for draw in map(np.random.default_rng, range(_TRIALS)))
        for name in [*starts, bags.offsets]
    )


def _agrees(match: Match, bags: _BagLoop, drawn: str, draw: np.random.Generator) -> bool:
    count, columns = _sizes(match, bags.rows, _ROWS, 3)
    given = {bags.rows: draw.integers(-9, 9, (count, columns)).astype(_dtype(match, bags.rows))}
    if bags.ids:
        ids = draw.choice([*bags.padding, 0, 1, 2], count)
        given[bags.ids] = ids.astype(_dtype(match, bags.ids))
    (length,) = _sizes(match, drawn, _BAGS)
    places = np.sort(draw.integers(0, count + 1, length))
    if drawn == bags.offsets:
        places[-1:] = count
    given[drawn] = places.astype(_dtype(match, bags.offsets))
    ran = _run(match, (bags.offsets, match.proto.output[0]), given, count)
    if ran is None:
        return False
    offsets, result = ran
    expected = bags.reduced(given[bags.rows], offsets, given.get(bags.ids))
    return result.shape == expected.shape and np.allclose(result, expected, rtol=1e-2)


def _sizes(match: Match, name: str, *otherwise: int) -> list[int]:
    """Return the sizes of a value, or others where the model leaves them open."""
    known = shape_called(match, name) or [None] * len(otherwise)
    return [size or other for size, other in zip(known, otherwise, strict=True)]


def _dtype(match: Match, name: str) -> str:
    return match.dtype(gs.Variable(name))


def _run(
    match: Match, wanted: Sequence[str], given: Mapping[str, _Array], count: int
) -> list[_Array] | None:
    """Return values that the loop and the nodes around it compute, given others.

    The vector of which they read only the size, if there is one, gets that many elements.
    """
    fed, nodes = dict(given), list[onnx.NodeProto]()
    stored, made = dict[str, onnx.TensorProto](), set[str]()

    def add(name: str) -> bool:
        """Whether a value can be computed."""
        if name in fed or name in stored or name in made:
            return True
        value, node = stored_value(match, name), match.producer(name)
        if value is not None:
            stored[name] = onnx.numpy_helper.from_array(value, name)
            return True
        if node is None or node.op_type not in _TRIED:
            fed[name] = np.zeros(count, _dtype(match, name) or "int64")
            return _is(match, name, _INTEGERS, 1)
        if node.op_type in _SIZES:
            sized = _flattened(match, node.input[0])
            fed.setdefault(sized, np.zeros(count, _dtype(match, sized)))
        if not all(map(add, sorted(names_read(node)))):
            return False
        nodes.append(node)
        made.update(node.output)
        return True

    if not all(map(add, wanted)) or len(fed) > len(given) + 1:
        return None
    opsets = [onnx.helper.make_opsetid("", match.onnx_opset)]
    outputs = [name for name in wanted if name not in stored]
    ran = run_nodes(nodes, outputs, fed, list(stored.values()), opsets)
    return ran and [
        ran[outputs.index(name)] if name in outputs else onnx.numpy_helper.to_array(stored[name])
        for name in wanted
    ]


def _flattened(match: Match, name: str) -> str:
    """Return the vector that a Reshape makes a vector of; else the value itself."""
    made = match.producer(name)
    if made is None or not is_op(made, "Reshape") or not _is(match, made.input[0], _INTEGERS, 1):
        return name
    return str(made.input[0])
