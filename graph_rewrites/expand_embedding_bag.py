"""Turn an exported EmbeddingBag, which is a loop over bags, into one product or reduction."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import astuple, dataclass

import numpy as np
import onnx
import onnx_graphsurgeon as gs

from pluginkit.graph_rewrites._loop_probes import stays_true, stored_in_body
from pluginkit.onnx import (
    FLOATS,
    Match,
    NodeInput,
    Op,
    Replacement,
    Rewrite,
    axes_of,
    bodies,
    defined_names,
)


@dataclass(frozen=True)
class _Bags:
    """The names of the outer values that the loop reads, and how it reduces rows.

    ``factors`` has a factor for each row; it is empty if there are none.
    """

    table: str
    numbers: str
    starts: str
    ends: str
    reduction: str
    factors: str


class ExpandEmbeddingBag(Rewrite):
    """Loop over bags: ReduceSum(Gather(w, ids[start:end])) -> MatMul(is in bag, Gather(w, ids)).

    PyTorch's exporter writes this loop for an EmbeddingBag with mode sum, mean or max. The matrix
    has an element for each bag and id; all rows of the table must be finite. For mode max,
    ReduceMax of the rows where a bag has them takes the place of the product. A bag without ids
    gives 0, and -inf for mode max, as the loop does.
    """

    pattern = Op("Loop")

    def check(self, match: Match) -> str | _Bags:
        node = match.proto
        body = next((body for _, body in bodies(node)), None)
        if body is None or len(node.input) != 2 or len(body.output) != 2 or len(node.output) != 1:
            return "it is no loop over bags: it carries values, or gives several"
        producers = {name: each for each in body.node for name in each.output}
        if not stays_true(match, node, body):
            return "it is no loop over bags: its condition may change"
        bags = _bags(match, body, producers)
        if bags is None or (set(astuple(bags)) - {bags.reduction}) & defined_names(body):
            return "it is no loop over bags: its body does something else"
        numbers = match.value_type(gs.Variable(bags.numbers))
        if numbers is None or len(numbers.tensor_type.shape.dim) != 1:
            return "its ids are not known to be a vector"
        return match.dtype_problem(FLOATS, gs.Variable(bags.table)) or bags

    def rewrite(self, match: Match, facts: _Bags) -> list[gs.Node]:
        new = Replacement(match)
        table, numbers, starts, ends = (
            gs.Variable(name) for name in (facts.table, facts.numbers, facts.starts, facts.ends)
        )
        count = new.unsqueeze(match.inputs[0], [0])
        first = np.zeros(1, np.int64)
        begins = new.add("Slice", starts, first, count, first)
        finishes = new.add("Slice", ends, first, count, first)
        dtype = match.dtype(table)
        rows = new.add("Gather", table, numbers)
        if facts.factors:
            rows = new.add("Mul", rows, new.unsqueeze(gs.Variable(facts.factors), [1]))
        is_in = is_in_bag(new, rows, begins, finishes)
        if facts.reduction == "ReduceMax":
            return new.end("Identity", largest_of_bags(new, rows, is_in, dtype))
        total = sums_of_bags(new, rows, is_in, dtype)
        if facts.reduction == "ReduceMean":
            counted = new.add("Max", new.add("Sub", finishes, begins), np.int64(1))
            sizes = new.add("Cast", counted, to=dtype)
            total = new.add("Div", total, new.unsqueeze(sizes, [1]))
        return new.end("Identity", total)


def sums_of_bags(new: Replacement, rows: NodeInput, is_in: NodeInput, dtype: str) -> gs.Variable:
    """Return the sum of the rows in each bag: [bags, columns].

    Args:
        new: the new nodes.
        rows: the rows, [rows, columns].
        is_in: whether each bag has each row, [bags, rows].
        dtype: the type of the rows.
    """
    return new.add("MatMul", new.add("Cast", is_in, to=dtype), rows)


def largest_of_bags(new: Replacement, rows: NodeInput, is_in: NodeInput, dtype: str) -> gs.Variable:
    """Return the largest of the rows in each bag, as ``sums_of_bags``; -inf if it has none."""
    least = np.array(-np.inf, dtype)
    chosen = new.add("Where", new.unsqueeze(is_in, [2]), new.unsqueeze(rows, [0]), least)
    return new.reduce("ReduceMax", chosen, [1])


def is_in_bag(new: Replacement, rows: NodeInput, starts: NodeInput, ends: NodeInput) -> gs.Variable:
    """Return whether each bag has each row: [bags, rows].

    Args:
        new: the new nodes.
        rows: the rows, [rows, columns].
        starts: the first row of each bag.
        ends: the row after the last one of each bag.
    """
    length = new.slice(new.add("Shape", rows), 0, 0, 1)
    scalar = new.add("Reshape", length, np.zeros(0, np.int64))
    places = new.add("Range", np.int64(0), scalar, np.int64(1))
    is_before = new.add("Less", places, new.unsqueeze(starts, [1]))
    is_before_end = new.add("Less", places, new.unsqueeze(ends, [1]))
    return new.add("And", new.add("Not", is_before), is_before_end)


def _bags(
    match: Match, body: onnx.GraphProto, producers: Mapping[str, onnx.NodeProto]
) -> _Bags | None:
    """Read the body: rows of a table are gathered, from a start to an end, and reduced."""

    def made_by(name: str, *op_types: str) -> onnx.NodeProto | None:
        node = producers.get(name)
        return node if node is not None and node.op_type in op_types and not node.domain else None

    def has_axes(node: onnx.NodeProto, axes: list[int]) -> bool:
        """Whether a node works along these axes."""
        return axes == axes_of(node, lambda name: stored_in_body(body, name, match.constant_called))

    reduced = made_by(body.output[1].name, "ReduceSum", "ReduceMean", "ReduceMax")
    if reduced is None or _attribute(reduced, "keepdims", 1) or not has_axes(reduced, [0]):
        return None
    scaled = made_by(reduced.input[0], "Mul")
    gathered = made_by(scaled.input[0] if scaled else reduced.input[0], "Gather")
    sliced = gathered and made_by(gathered.input[1], "Slice")
    if (
        gathered is None
        or sliced is None
        or len(sliced.input) > 4
        or _attribute(gathered, "axis", 0)
    ):
        return None

    def taken_from(name: str) -> str | None:
        """Return the vector that has a bound of each bag's slice, or None for another bound."""
        widened = made_by(name, "Unsqueeze")
        taken = widened and made_by(widened.input[0], "Gather")
        if taken is None or taken.input[1] != body.input[0].name or _attribute(taken, "axis", 0):
            return None
        return str(taken.input[0])

    starts, ends = taken_from(sliced.input[1]), taken_from(sliced.input[2])
    if starts is None or ends is None:
        return None
    factors = ""
    if scaled is not None:
        column = made_by(scaled.input[1], "Unsqueeze")
        part = column and made_by(column.input[0], "Slice")
        is_same = part is not None and list(part.input[1:]) == list(sliced.input[1:])
        if column is None or part is None or not is_same or not has_axes(column, [1]):
            return None
        factors = part.input[0]
    return _Bags(gathered.input[0], sliced.input[0], starts, ends, reduced.op_type, factors)


def _attribute(node: onnx.NodeProto, name: str, default: int) -> int:
    return next((each.i for each in node.attribute if each.name == name), default)
