"""Take slices whose bounds change in a loop in ways that have one size each time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from pluginkit.onnx import (
    FLOATS,
    Match,
    NodeInput,
    Op,
    Optional,
    Replacement,
    Rewrite,
    is_op,
    source_of,
)

if TYPE_CHECKING:
    import onnx_graphsurgeon as gs

#: What a reduction gives of no elements.
_EMPTY = {"ReduceMax": -np.inf, "ReduceMean": 0.0, "ReduceMin": np.inf, "ReduceSum": 0.0}


def _slice() -> Op:
    return Op("Slice", "x", "starts", "ends", *map(Optional, ("axes", "steps")), name="slice")


class GatherSlices(Rewrite):
    """Slice(x, k, k + 1) -> Gather(x, k), in the body of a Loop or Scan.

    TensorRT builds no loop with a slice whose bounds the body computes. ONNX's slice is empty if k
    is -1 or lies beyond the end; then the values of a loop would have no size that TensorRT could
    know. So Slice(x, k - 1, k) is left, which is empty in a loop's first iteration.
    """

    pattern = _slice()

    def check(self, match: Match, x: gs.Tensor, starts: gs.Tensor, ends: gs.Tensor) -> str | int:
        axis = _axis_of_changing_slice(match, x)
        if not isinstance(axis, str) and not _is_one_element(match, starts.name, ends.name):
            return (
                "its bounds change in a loop, and TensorRT's loops have values of one size. Take "
                "one element, or mask the others before a sum, a mean or a maximum"
            )
        return "its bounds are scalars" if match.rank(starts) == 0 else axis

    def rewrite(self, match: Match, x: gs.Tensor, starts: gs.Tensor, facts: int) -> list[gs.Node]:
        return Replacement(match).end("Gather", x, starts, axis=facts)


class MaskSlices(Rewrite):
    """ReduceSum(Slice(x, start, end)) -> ReduceSum(Where(start <= i < end, x, 0)), in a loop.

    ReduceMean, ReduceMax and ReduceMin likewise. TensorRT builds no loop with a slice whose bounds
    the body computes.
    """

    pattern = Op(tuple(_EMPTY), _slice(), Optional("over"))

    def check(
        self,
        match: Match,
        x: gs.Tensor,
        starts: gs.Tensor,
        ends: gs.Tensor,
        over: gs.Tensor | None,
    ) -> str | int:
        axis = _axis_of_changing_slice(match, x)
        if isinstance(axis, str):
            return axis
        if _is_one_element(match, starts.name, ends.name):
            return "it is one element, which GatherSlices takes"
        if over is None and match.attribute("noop_with_empty_axes", 0):
            return "without axes it reduces nothing"
        stored = match.attribute("axes") if over is None else match.constant(over)
        if over is not None and stored is None:
            return "the axes that it reduces are not stored"
        rank = match.rank(x) or 0
        reduced = range(rank) if stored is None else [int(each) % rank for each in stored]
        if axis not in reduced:
            return "it does not reduce the axis that is sliced"
        return match.dtype_problem(FLOATS, x) or axis

    def rewrite(
        self, match: Match, x: gs.Tensor, starts: gs.Tensor, ends: gs.Tensor, facts: int
    ) -> list[gs.Node]:
        new = Replacement(match)
        size = new.add("Gather", new.add("Shape", x), np.array([facts]), axis=0)
        scalar = new.add("Reshape", size, np.zeros(0, np.int64))
        places = new.add("Range", np.int64(0), scalar, np.int64(1))
        first, end = (_from_the_start(new, each, size) for each in (starts, ends))
        below = new.add("Not", new.add("Less", places, first))
        mask = new.add("And", below, new.add("Less", places, end))
        fill = new.add("Cast", np.float32(_EMPTY[match.node.op]), to=match.dtype(x))
        inside = new.along_axis(mask, match.rank(x) or 0, facts)
        kept = new.add("Where", inside, x, fill)
        y = new.add(match.node.op, kept, *match.inputs[1:], **match.node.attrs)
        if match.node.op != "ReduceMean":
            return new.end("Identity", y)
        count = new.reduce("ReduceSum", new.add("Cast", mask, to="float32"), [0])
        ratio = new.add("Div", new.add("Cast", scalar, to="float32"), count)
        return new.end("Mul", y, new.cast(ratio, match.dtype(x)))


def _from_the_start(new: Replacement, bound: NodeInput, size: NodeInput) -> NodeInput:
    """Return a bound of a slice, where a negative one counts from the end."""
    wide = new.cast(bound, "int64")
    is_negative = new.add("Less", wide, np.zeros(1, np.int64))
    return new.add("Where", is_negative, new.add("Add", wide, size), wide)


def _axis_of_changing_slice(match: Match, x: gs.Tensor) -> str | int:
    """Return the axis along which a body takes a slice whose bounds change, or why it does not."""
    if ".body" not in match.where:
        return "TensorRT takes it: it is in no loop"
    if all(_is_known(match, match[name].name) for name in ("starts", "ends")):
        return "TensorRT takes it: its bounds do not change"
    stored: dict[str, Any] = {}
    for name in ("axes", "steps"):
        given = match.bound(name)
        stored[name] = np.ones(1, np.int64) * (name == "steps")
        if given is not None:
            stored[name] = match.constant(given)
        if stored[name] is None or stored[name].size != 1:
            return f"its {name} are not one stored number"
    rank = match.rank(x)
    if rank is None:
        return "the rank of its input is unknown"
    if stored["steps"].item() != 1:
        return "it takes steps"
    return int(stored["axes"].item()) % rank


def _is_known(match: Match, name: str) -> bool:
    """Whether a value comes from outside of the body, or is stored."""
    root, _ = _root(match, name)
    return match.is_outer(root) or match.constant_called(root) is not None


def _is_one_element(match: Match, starts: str, ends: str) -> bool:
    """Whether a slice ends right behind its start, and not at 0 for a count that begins there."""
    (first, offset), (last, further) = _root(match, starts), _root(match, ends)
    return first == last and further - offset == 1 and further > 0


def _root(match: Match, name: str) -> tuple[str, int]:
    """Return the value that a number is computed from, and what is added to it in integers."""
    offset = 0
    while (node := match.producer(name := source_of(name, match.producer))) is not None:
        if not is_op(node, node.op_type):
            break
        stored = [match.constant_called(each) for each in node.input]
        known = [at for at, each in enumerate(stored) if each is not None and each.size == 1]
        is_shift = node.op_type == "Add" or (node.op_type == "Sub" and known == [1])
        if not is_shift or len(known) != 1:
            break
        value = np.asarray(stored[known[0]]).item()
        if not isinstance(value, int):
            break
        offset += value if node.op_type == "Add" else -value
        name = node.input[1 - known[0]]
    return name, offset
