"""Number what a mask of repeats keeps, which is as wide as the largest of the repeats."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pluginkit.onnx import AnyOf, Match, Op, Optional, Replacement, Rewrite, axes_of, is_op

if TYPE_CHECKING:
    import onnx_graphsurgeon as gs

_PASSING = ("Cast", "Identity", "Max", "Min", "Reshape", "Squeeze", "Unsqueeze")


def _steps() -> Op:
    return Op("Range", "first", "limit", "step")


class ExpandRepeatMask(Rewrite):
    """NonZero(Range(largest of repeats) < repeats, flat) -> row * largest + place in the row.

    As tf.repeat has it, which keeps the first ``repeats[i]`` of the largest number of copies of
    each row i. The rows are found by a comparison with the cumulated repeats. The output of a
    plugin needs a limit of its size, and TensorRT knows none of such a mask: "Has no upper bound".
    """

    pattern = Op(
        "NonZero",
        Op(
            "Reshape",
            Op(
                "Less",
                AnyOf(_steps(), Op("Unsqueeze", _steps(), Optional("front"))),
                Op("Unsqueeze", "repeats", Optional("back")),
            ),
            "flat",
        ),
    )
    order = -2

    def check(
        self,
        match: Match,
        first: gs.Tensor,
        limit: gs.Tensor,
        step: gs.Tensor,
        repeats: gs.Tensor,
        flat: gs.Tensor,
    ) -> str | None:
        steps = [match.constant(each) for each in (first, step)]
        if [None if each is None else each.tolist() for each in steps] != [0, 1]:
            return "its numbers do not begin at 0, or are not one apart"
        if match.rank(repeats) != 1 or match.rank(limit) != 0:
            return "its repeats are not known to be a vector, or their limit a number"
        front, back = (_axes(match, name) for name in _compared(match))
        if back not in ([-1], [1]) or front not in ([], [0], [-2]):
            return "its repeats are not compared along another axis than the numbers"
        shape = match.constant(flat)
        if shape is None or shape.tolist() != [-1]:
            return "its mask is not flattened"
        if not _is_largest(match, limit.name):
            return "its limit is not computed by a ReduceMax: TensorRT knows a size of other masks"
        return match.dtype_problem(("int32", "int64"), repeats)

    def rewrite(self, match: Match, repeats: gs.Tensor, limit: gs.Tensor) -> list[gs.Node]:
        new = Replacement(match)
        wide = new.add("Cast", limit, to="int64")
        kept = new.add("Max", new.cast(repeats, "int64"), np.array([0]))
        kept = new.add("Min", kept, new.unsqueeze(wide, [0]))
        ends = new.add("CumSum", kept, np.int64(0))
        count = new.reduce("ReduceSum", kept, [0])
        number = new.add("Range", np.int64(0), count, np.int64(1))
        is_before = new.add("Less", number, new.unsqueeze(ends, [1]))
        passed = new.cast(new.add("Not", is_before), "int64")
        row = new.reduce("ReduceSum", passed, [0])
        place = new.add("Sub", number, new.add("Gather", new.add("Sub", ends, kept), row, axis=0))
        found = new.add("Add", new.add("Mul", row, wide), place)
        return new.end("Reshape", found, np.array([1, -1]))


def _compared(match: Match) -> list[str]:
    """Return the inputs of the Less, in front of the Reshape that NonZero reads."""
    name = match.proto.input[0]
    for _ in range(2):
        node = match.producer(name)
        inputs = [] if node is None else list(node.input)
        name = inputs[0]
    return inputs


def _axes(match: Match, name: str) -> list[int] | None:
    """Return the axes that an Unsqueeze adds; none if another node makes the value."""
    node = match.producer(name)
    if node is None or not is_op(node, "Unsqueeze"):
        return []
    return axes_of(node, match.constant_called)


def _is_largest(match: Match, name: str) -> bool:
    """Whether a value is the largest one of others, as TensorRT sees none of its limits."""
    node = match.producer(name)
    if node is None or not is_op(node, node.op_type):
        return False
    if node.op_type == "ReduceMax":
        return True
    reads = [each for each in node.input if each]
    return node.op_type in _PASSING and any(_is_largest(match, each) for each in reads)
