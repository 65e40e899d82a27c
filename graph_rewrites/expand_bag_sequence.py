"""Turn the loop that appends a sum or maximum for each bag to a sequence into one node."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeGuard

import numpy as np
import onnx_graphsurgeon as gs

from pluginkit.graph_rewrites.expand_embedding_bag import largest_of_bags, sums_of_bags
from pluginkit.onnx import FLOATS, AnyOf, Match, Op, Replacement, Rewrite


@dataclass(frozen=True)
class _BagSequence:
    """The names of the rows, of the offsets and of the number of bags, and the operator."""

    rows: str
    offsets: str
    count: str
    reduction: str


#: How a loop reduces the rows of a bag: with a choice for the last one, and without.
_REDUCTIONS = (("ReduceMean",), ("ReduceSum", "ReduceMax"))


class ExpandBagSequence(Rewrite):
    """ConcatFromSequence(Loop: ReduceSum(rows[start:end]), ...) -> MatMul(is in bag, rows).

    As PyTorch's second exporter writes an EmbeddingBag: the loop counts bags, from 0 on. Sums,
    means, or maxima, which are a ReduceMax; all rows must be finite.
    """

    pattern = Op(
        "ConcatFromSequence",
        AnyOf(Op("Loop", ..., name="loop").output(0), Op("Loop", ..., name="loop").output(1)),
    )

    def check(self, match: Match, loop: gs.Node) -> str | _BagSequence:
        if match.attribute("axis") != 0 or match.attribute("new_axis", 0):
            return "it does not join rows along the first axis"
        if len(loop.inputs) != 4 or loop.inputs[0].name or len(loop.outputs) != 2:
            return "its loop is none over bags"
        # The loop carries the number of the bag and the sequence, in any order.
        sequence = [output.name for output in loop.outputs].index(match.proto.input[0])
        start = match.constant(loop.inputs[3 - sequence])
        if start is None or start.size != 1 or start.item() != 0:
            return "its loop does not count bags from 0 on"
        found = _Body(match, loop.attrs["body"]).read(sequence)
        if found is None:
            return "its loop is none over bags"
        return match.dtype_problem(FLOATS, gs.Variable(found.rows)) or found

    def rewrite(self, match: Match, facts: _BagSequence) -> list[gs.Node]:
        new = Replacement(match)
        rows, offsets, count = (
            gs.Variable(name) for name in (facts.rows, facts.offsets, facts.count)
        )
        first = np.zeros(1, np.int64)
        number = new.add("Reshape", count, np.array([1]))
        after = new.add("Add", number, np.ones(1, np.int64))
        starts = new.add("Slice", offsets, first, number, first)
        ends = new.add("Slice", offsets, np.ones(1, np.int64), after, first)
        dtype = match.dtype(rows)
        if facts.reduction == "ReduceMax":
            largest = largest_of_bags(new, rows, starts, ends, dtype)
            is_empty = new.unsqueeze(new.add("Equal", starts, ends), [1])
            return new.end("Where", is_empty, np.zeros((), dtype), largest)
        total = sums_of_bags(new, rows, starts, ends, dtype)
        if facts.reduction == "ReduceMean":
            sizes = new.add("Max", new.add("Sub", ends, starts), np.ones(1, np.int64))
            total = new.add("Div", total, new.unsqueeze(new.add("Cast", sizes, to=dtype), [1]))
        return new.end("Identity", total)


class _Body:
    """The body of a loop, and the outer values that it reads."""

    def __init__(self, match: Match, body: gs.Graph) -> None:
        self._match = match
        self._body = body

    def read(self, sequence: int) -> _BagSequence | None:
        """Read the body, if it appends the sums of rows from one offset to the next.

        Args:
            sequence: 0 if the sequence is the first value that is carried, else 1.
        """
        body = self._body
        if len(body.inputs) != 4 or len(body.outputs) != 3:
            return None
        number, count_after = body.inputs[3 - sequence], body.outputs[2 - sequence]
        made = (body.outputs[0], count_after, body.outputs[1 + sequence])
        stays, counted, appended = (_maker(each) for each in made)
        if not (_is(stays, "Less") and _is(counted, "Add") and _is(appended, "SequenceInsert")):
            return None
        if stays.inputs[0] is not count_after or not self._is_next(count_after, number, 1):
            return None
        if appended.inputs[0] is not body.inputs[2 + sequence] or len(appended.inputs) > 2:
            return None
        choice = _maker(appended.inputs[1])
        if not _is(choice, "If"):
            return None
        same = _maker(choice.inputs[0])
        if not _is(same, "Equal"):
            return None
        start, end = (_maker(each) for each in same.inputs)
        branch = choice.attrs["else_branch"]
        total = _maker(branch.outputs[0])
        last = total if _is(total, "If") else None
        if last is not None:
            total = _maker(last.attrs["else_branch"].outputs[0])
        if total is None or total.domain or total.op not in _REDUCTIONS[last is None]:
            return None
        rows = _maker(total.inputs[0])
        cut = rows if total.op == "ReduceMax" and _is(rows, "If") else None
        if cut is not None:
            rows = _maker(cut.attrs["else_branch"].outputs[0])
        if (
            not (_is(start, "Slice") and _is(end, "Slice") and _is(rows, "Slice"))
            or len(rows.inputs) != 3
        ):
            return None
        if not total.attrs.get("keepdims", 1) or not self._is_zeros(choice.attrs["then_branch"]):
            return None
        names = [each.name for each in rows.inputs[1:]]
        if names != [same.inputs[0].name, same.inputs[1].name]:
            return None
        if start.inputs[0].name != end.inputs[0].name or not self._is_next(
            start.inputs[1], number, 0
        ):
            return None
        following = [(start.inputs[2], 1), (end.inputs[1], 1), (end.inputs[2], 2)]
        if not all(self._is_next(value, number, step) for value, step in following):
            return None
        if len(start.inputs) != 3 or len(end.inputs) != 3 or not self._is_first_axis(total):
            return None
        count = stays.inputs[1].name
        offsets = start.inputs[0].name
        if last is not None and not self._is_last_mean(last, rows, number, count, offsets):
            return None
        if cut is not None and not self._is_last_cut(cut, rows, number, count, offsets):
            return None
        return _BagSequence(rows.inputs[0].name, offsets, count, total.op)

    def _is_last_cut(
        self, choice: gs.Node, rows: gs.Node, number: gs.Tensor, count: str, offsets: str
    ) -> bool:
        """Whether an If takes the rows of the last bag from its start to the number of ids.

        They are those to its end, since the last offset is the number of ids.
        """
        part = _maker(choice.attrs["then_branch"].outputs[0])
        if not self._is_last(choice, number, count) or not _is(part, "Slice"):
            return False
        names = [each.name for each in part.inputs]
        if len(names) != 3 or names[:2] != [each.name for each in rows.inputs[:2]]:
            return False
        joined, stored = self._match.producer(offsets), self._match.constant_called(offsets)
        if stored is not None:
            size = self._stored(part.inputs[2])
            return size is not None and bool((size == stored[-1]).all())
        return joined is not None and joined.op_type == "Concat" and joined.input[-1] == names[2]

    def _is_last(self, choice: gs.Node, number: gs.Tensor, count: str) -> bool:
        """Whether the condition of an If is that the bag is the last one."""
        same = _maker(choice.inputs[0])
        if not _is(same, "Equal") or same.inputs[0] is not number:
            return False
        before, last = _maker(same.inputs[1]), self._stored(same.inputs[1])
        if not _is(before, "Sub"):
            bags = self._match.constant_called(count)
            return last is not None and bags is not None and bool(last == bags - 1)
        one = self._stored(before.inputs[1])
        return before.inputs[0].name == count and one is not None and one.tolist() == 1

    def _is_last_mean(
        self, choice: gs.Node, rows: gs.Node, number: gs.Tensor, count: str, offsets: str
    ) -> bool:
        """Whether an If takes the last bag's mean as the sum of its rows by all ids less its start.

        It is that of the other bags, since the last offset is the number of ids.
        """
        inner = _maker(choice.attrs["then_branch"].outputs[0])
        if not self._is_last(choice, number, count) or not _is(inner, "If"):
            return False
        has_ids = _maker(inner.inputs[0])
        mean = _maker(inner.attrs["then_branch"].outputs[0])
        total = _maker(inner.attrs["else_branch"].outputs[0])
        if not (_is(has_ids, "Greater") and _is(mean, "Div") and _is(total, "Identity")):
            return False
        zero, divisor = self._stored(has_ids.inputs[1]), _maker(mean.inputs[1])
        if zero is None or zero.any() or not _is(divisor, "Cast"):
            return False
        size, summed = _maker(divisor.inputs[0]), _maker(mean.inputs[0])
        if not _is(summed, "ReduceSum") or not self._is_first_axis(summed):
            return False
        if not (_is(size, "Sub") and size.inputs[1].name == rows.inputs[1].name):
            return False
        if not summed.attrs.get("keepdims", 1) or _maker(summed.inputs[0]) is not rows:
            return False
        if has_ids.inputs[0].name != divisor.inputs[0].name:
            return False
        if total.inputs[0].name != mean.inputs[0].name:
            return False
        return self._is_number_of_ids(size, offsets)

    def _is_number_of_ids(self, size: gs.Node, offsets: str) -> bool:
        """Whether a size is the Shape of the ids, which ends the offsets, less something."""
        shape = _maker(size.inputs[0])
        joined = self._match.producer(offsets)
        last = None if joined is None else self._match.producer(joined.input[-1])
        if joined is None or joined.op_type != "Concat":
            return False
        if last is None or last.op_type != "Shape" or not _is(shape, "Shape"):
            return False
        ids, flat = shape.inputs[0], self._match.producer(last.input[0])
        is_flat = flat is not None and flat.op_type == "Reshape" and flat.input[0] == ids.name
        known = self._match.value_type(gs.Variable(ids.name))
        is_vector = known is not None and len(known.tensor_type.shape.dim) == 1
        return is_vector and (is_flat or last.input[0] == ids.name)

    def _stored(self, value: gs.Tensor) -> np.ndarray | None:
        """Return a value that the body stores, or casts to the type of another."""
        node = _maker(value)
        if _is(node, "CastLike") or _is(node, "Cast"):
            return self._stored(node.inputs[0])
        if _is(node, "Constant"):
            return np.asarray(node.attrs["value"].values)
        if isinstance(value, gs.Constant):
            return np.asarray(value.values)
        return self._match.constant_called(value.name) if node is None else None

    def _is_next(self, value: gs.Tensor, number: gs.Tensor, step: int) -> bool:
        """Whether a value is the number of the bag plus a step."""
        node = _maker(value)
        if value is number or (_is(node, "Reshape") and node.inputs[0] is number):
            return step == 0
        if not _is(node, "Add") or not self._is_next(node.inputs[0], number, 0):
            return False
        added = self._stored(node.inputs[1])
        return added is not None and added.size == 1 and int(added.item()) == step

    def _is_zeros(self, branch: gs.Graph) -> bool:
        value = branch.outputs[0]
        stored = self._stored(value)
        return stored is not None and not stored.any()

    def _is_first_axis(self, total: gs.Node) -> bool:
        axes = self._stored(total.inputs[1]) if len(total.inputs) > 1 else None
        return axes is not None and axes.tolist() == [0]


def _maker(value: gs.Tensor) -> gs.Node | None:
    return value.inputs[0] if value.inputs else None


def _is(node: gs.Node | None, op_type: str) -> TypeGuard[gs.Node]:
    return node is not None and node.op == op_type and not node.domain
