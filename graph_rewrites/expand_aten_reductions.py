"""Spell out PyTorch's cumulative maxima and sums of exponentials, and its scatter_reduce."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import onnx
import onnx.parser

from pluginkit.graph_rewrites._aten import ATEN, argument, text_argument, unstored
from pluginkit.graph_rewrites._axis_scans import scan_over_axis
from pluginkit.onnx import FLOATS, Match, NodeInput, Op, Optional, Replacement, Rewrite, elem_type

if TYPE_CHECKING:
    import onnx_graphsurgeon as gs

    from pluginkit.onnx import NewNode


#: Carries the best so far, its place and the place before.
_RUNNING_BEST = """running (TYPE best, int64SIZES place, int64SIZES last, TYPE x)
=> (TYPE y, int64SIZES at, int64SIZES now, TYPE every_y, int64SIZES every_at)
<int64 one = {1}> {
    now = Add(last, one)
    is_better = COMPARE(x, best)
    was_lost = IsNaN(best)
    was_found = Not(was_lost)
    is_best = And(is_better, was_found)
    is_lost = IsNaN(x)
    is_taken = Or(is_best, is_lost)
    y = Where(is_taken, x, best)
    at = Where(is_taken, now, place)
    every_y = Identity(y)
    every_at = Identity(at)
}"""
#: Carries the logarithm of the sum so far. The difference of two infinities is NaN.
_RUNNING_SUM = """running (TYPE total, TYPE x) => (TYPE y, TYPE every_y)
<SCALAR zero = {0}> {
    low = Min(total, x)
    high = Max(total, x)
    distance = Sub(low, high)
    is_same = Equal(low, high)
    near = Where(is_same, zero, distance)
    rest = Softplus(near)
    y = Add(high, rest)
    every_y = Identity(y)
}"""


@dataclass(frozen=True)
class _AccumulatedAxis:
    """The axis of a value along which something accumulates; its size is None if unknown."""

    rank: int
    number: int
    size: int | None

    def shifts(self) -> list[int]:
        """Return the distances over which neighbours are combined: 1, 2, 4 and so on."""
        return [1 << step for step in range((self.size - 1).bit_length())] if self.size else []

    def shifted(
        self, new: Replacement, value: NodeInput, shift: int, fill: NodeInput
    ) -> gs.Variable:
        """Move a value to later places, and fill the first ones."""
        pads = [0] * (2 * self.rank)
        pads[self.number] = shift
        padded = new.pad(value, pads, fill)
        return new.slice(padded, self.number, 0, -shift)


class _ExpandAlongAxis(Rewrite, abstract=True):
    """A rewrite of what accumulates along an axis: in steps that double if its size is known.

    Else it is a Scan, with a step for each element of the axis.
    """

    def check(self, match: Match, x: gs.Tensor) -> str | _AccumulatedAxis:
        """Return the axis, or a reason."""
        axis, shape = argument(match, 1, None), match.shape(x)
        problem = match.dtype_problem(FLOATS, x) or unstored(match, axis)
        if problem is not None:
            return problem
        if not shape:
            return "the rank of its input is unknown, or 0"
        return _AccumulatedAxis(len(shape), axis % len(shape), shape[axis])


def _scan_body(text: str, dtype: str, rank: int, axis: int) -> onnx.GraphProto:
    """Return the body of a Scan over an axis.

    Args:
        text: the body, with TYPE for the type of an element and its sizes, SIZES for the sizes
            alone, and SCALAR for the type alone.
        dtype: the dtype of what is scanned.
        rank: its rank.
        axis: the axis.
    """
    scalar = onnx.TensorProto.DataType.Name(elem_type(dtype)).lower()
    sizes = ", ".join(f"size_{each}" for each in range(rank) if each != axis)
    named = f"[{sizes}]" if sizes else ""
    text = text.replace("TYPE", scalar + named).replace("SIZES", named)
    return onnx.parser.parse_graph(text.replace("SCALAR", scalar))


class ExpandAtenCumMax(_ExpandAlongAxis):
    """torch.cummax(x, dim) -> values and indices; the same for cummin.

    Of equal numbers the last counts, and from the first NaN on all are NaN.
    """

    pattern = Op(("cummax", "cummin"), "x", ..., domain=ATEN)

    def rewrite(self, match: Match, x: gs.Tensor, facts: _AccumulatedAxis) -> list[NewNode]:
        new, dtype = Replacement(match), match.dtype(x)
        is_max = match.proto.op_type == "cummax"
        comparison = "GreaterOrEqual" if is_max else "LessOrEqual"
        fill = new.cast(np.float32(-np.inf if is_max else np.inf), dtype)
        if facts.size is None:
            text = _RUNNING_BEST.replace("COMPARE", comparison)
            body = _scan_body(text, dtype, facts.rank, facts.number)
            first = [fill, np.array(-1), np.array(-1)]
            return scan_over_axis(match, x, facts.number, new, first, body)
        places = np.ones(facts.rank, np.int64)
        places[facts.number] = facts.size
        best: NodeInput = x
        place = new.add("Expand", np.arange(facts.size).reshape(places), new.add("Shape", x))
        for shift in facts.shifts():
            before = facts.shifted(new, best, shift, fill)
            place_before = facts.shifted(new, place, shift, np.int64(0))
            is_better = new.add(comparison, best, before)
            is_better = new.add("And", is_better, new.add("Not", new.add("IsNaN", before)))
            is_taken = new.add("Or", is_better, new.add("IsNaN", best))
            best = new.add("Where", is_taken, best, before)
            place = new.add("Where", is_taken, place, place_before)
        new.into(match.outputs[:1], "Identity", best)
        return new.into(match.outputs[1:2], "Identity", place)


class ExpandAtenLogCumSumExp(_ExpandAlongAxis):
    """torch.logcumsumexp(x, dim) -> log(exp(a) + exp(b)) of neighbours, or of the sum so far."""

    pattern = Op("logcumsumexp", "x", ..., domain=ATEN)

    def rewrite(self, match: Match, x: gs.Tensor, facts: _AccumulatedAxis) -> list[NewNode]:
        new, dtype = Replacement(match), match.dtype(x)
        least, one, log_2 = (
            new.cast(np.float32(each), dtype) for each in (-np.inf, 1, np.log(2.0))
        )
        if facts.size is None:
            body = _scan_body(_RUNNING_SUM, dtype, facts.rank, facts.number)
            return scan_over_axis(match, x, facts.number, new, [least], body)
        total: NodeInput = x
        for shift in facts.shifts():
            before = facts.shifted(new, total, shift, least)
            low, high = (new.add(op, total, before) for op in ("Min", "Max"))
            rest = new.add("Log", new.add("Add", one, new.add("Exp", new.add("Sub", low, high))))
            # The difference of two infinities is NaN.
            rest = new.add("Where", new.add("Equal", low, high), log_2, rest)
            total = new.add("Add", high, rest)
        return new.end("Identity", total)


#: What each reduction is for ONNX, and what changes nothing in it.
_REDUCTIONS = {
    "sum": ("add", 0.0),
    "mean": ("add", 0.0),
    "prod": ("mul", 1.0),
    "amax": ("max", -np.inf),
    "amin": ("min", np.inf),
}


class ExpandAtenScatterReduce(Rewrite):
    """torch.scatter_reduce(x, dim, index, src, reduce, include_self) -> ScatterElements.

    A mean is a sum over the number of its terms. Without include_self, what changes nothing takes
    the place of the elements that get something.
    """

    pattern = Op(
        "scatter_reduce",
        *("x", "dim", "index", "src", "reduce"),
        Optional("include_self"),
        domain=ATEN,
    )

    def check(self, match: Match, x: gs.Tensor, index: gs.Tensor, src: gs.Tensor) -> str | None:
        if match.onnx_opset < 18:
            return f"ONNX has its maximum from opset 18 on; the model has {match.onnx_opset}"
        reduction = text_argument(match, 4, "")
        if reduction is not None and reduction not in _REDUCTIONS:
            return f"its reduction '{reduction}' is unknown"
        if match.rank(x) in (None, 0) or match.rank(index) is None:
            return "the rank of an input is unknown, or 0"
        flags = argument(match, 1, None), reduction, argument(match, 5, True)
        return match.dtype_problem(FLOATS, x, src) or unstored(match, *flags)

    def rewrite(
        self, match: Match, x: gs.Tensor, index: gs.Tensor, src: gs.Tensor
    ) -> list[gs.Node]:
        new, dtype, rank = Replacement(match), match.dtype(x), match.rank(x) or 0
        axis = int(argument(match, 1, None)) % rank
        name = text_argument(match, 4, "") or ""
        operation, neutral = _REDUCTIONS[name]
        one, zero, least = (new.cast(np.float32(each), dtype) for each in (1, 0, neutral))
        shape = new.add("Shape", index)
        if match.shape(index) != match.shape(src) or None in (match.shape(index) or [None]):
            src = new.add("Slice", src, np.zeros(rank, np.int64), shape)
        scattered = {"axis": axis, "reduction": operation}
        is_with_x = bool(argument(match, 5, True))
        begin: NodeInput = x
        if name == "mean" or not is_with_x:
            own = new.add("Expand", one if is_with_x else zero, new.add("Shape", x))
            ones = new.add("Expand", one, shape)
            count = new.add("ScatterElements", own, index, ones, axis=axis, reduction="add")
        if not is_with_x:
            begin = new.add("Where", new.add("Greater", count, zero), least, x)
        if name != "mean":
            return new.end("ScatterElements", begin, index, src, **scattered)
        total = new.add("ScatterElements", begin, index, src, **scattered)
        return new.end("Div", total, new.add("Max", count, one))
