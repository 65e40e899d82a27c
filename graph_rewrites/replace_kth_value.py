"""Replace torch.kthvalue and medians, which ONNX lacks, by a plugin."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pluginkit.graph_rewrites._aten import ATEN, argument, unstored
from pluginkit.onnx import FLOATS, Op, Replacement, Rewrite
from pluginkit.plugins.kth_value import KthValue

if TYPE_CHECKING:
    import onnx_graphsurgeon as gs

    from pluginkit.onnx import Match, NewNode


class ReplaceAtenKthValue(Rewrite):
    """torch.kthvalue(x, k, dim, keepdim) -> KthValue_PK(x, k - 1).

    The index, where it is read, is that of the first element with the value.
    """

    plugin = KthValue
    pattern = Op("kthvalue", "x", ..., domain=ATEN)

    def check(self, match: Match, x: gs.Tensor) -> str | None:
        arguments = argument(match, 1, None), argument(match, 2, -1), argument(match, 3, False)
        return unstored(match, *arguments) or _row_problem(match, x)

    def rewrite(self, match: Match, x: gs.Tensor) -> list[NewNode]:
        import onnx_graphsurgeon as gs

        position = gs.Constant("position", np.array([argument(match, 1, None) - 1]))
        rows = _Rows(match, x, argument(match, 2, -1), argument(match, 3, False))
        return rows.selected(position)


class ReplaceAtenMedian(Rewrite):
    """torch.median(x, dim, keepdim) -> KthValue_PK(x, the middle).

    So are torch.nanmedian, and medians of all elements. Of a row with NaN the last element is
    taken, for nanmedian the middle of the others. The index, where it is read, is that of the first
    element with the value.
    """

    plugin = KthValue
    pattern = Op(("median", "nanmedian"), "x", ..., domain=ATEN)

    def check(self, match: Match, x: gs.Tensor) -> str | None:
        arguments = argument(match, 1, 0), argument(match, 2, False)
        return unstored(match, *arguments) or _row_problem(match, x)

    def rewrite(self, match: Match, x: gs.Tensor) -> list[NewNode]:
        axis = argument(match, 1, 0) if len(match.inputs) > 1 else None
        rows = _Rows(match, x, axis, argument(match, 2, False))
        return rows.selected(rows.middle())


def _row_problem(match: Match, x: gs.Tensor) -> str | None:
    if not match.rank(x) or not match.dtype(x):
        return "its input is a scalar, or its rank or type is unknown"
    return None


class _Rows:
    """The nodes that select one element of each row of a match's input.

    Args:
        match: a match.
        x: its input.
        axis: the axis of the rows; None if all elements are one row.
        keepdims: whether the results keep the axis.
    """

    def __init__(self, match: Match, x: gs.Tensor, axis: int | None, keepdims: bool) -> None:
        self._match = match
        self._new = Replacement(match)
        self._is_float = match.dtype(x) in FLOATS
        self._x = x if axis is not None else self._new.add("Reshape", x, np.array([-1]))
        self._axis = 0 if axis is None else axis % (match.rank(x) or 1)
        self._keepdims = keepdims

    def middle(self) -> gs.Tensor:
        """Return the positions of the medians, the lower one of two, in rows in order."""
        new, axis = self._new, [self._axis]
        one, two = np.array([1]), np.array([2])
        last = new.add("Sub", new.add("Gather", new.add("Shape", self._x), np.array(axis)), one)
        half = new.add("Div", last, two)
        if not self._is_float:
            return half
        is_nan = new.add("IsNaN", self._x)
        if self._match.proto.op_type == "nanmedian":
            numbers = new.cast(new.add("Not", is_nan), "int32")
            count = new.cast(new.reduce("ReduceSum", numbers, axis, keepdims=True), "int64")
            return new.add("Div", new.add("Sub", count, one), two)
        has_nan = new.reduce("ReduceMax", new.cast(is_nan, "int32"), axis, keepdims=True)
        beyond = new.add("Mul", new.cast(has_nan, "int64"), new.add("Sub", last, half))
        return new.add("Add", half, beyond)

    def selected(self, positions: gs.Tensor) -> list[NewNode]:
        """Return nodes that give the elements at positions, and their indices."""
        import onnx_graphsurgeon as gs

        match, new, values = self._match, self._new, gs.Variable("values")
        before = list(new)
        plugin = KthValue(axis=self._axis)
        selection = match.plugin_node(plugin, [self._x, positions], [values])
        kept = values if self._keepdims else new.squeeze(values, [self._axis])
        new.into(match.outputs[:1], "Identity", kept)
        if len(match.outputs) > 1 and match.is_used(match.outputs[1]):
            has_value = new.add("Equal", self._x, values)
            if self._is_float:
                are_nan = new.add("And", new.add("IsNaN", self._x), new.add("IsNaN", values))
                has_value = new.add("Or", has_value, are_nan)
            of_value = new.cast(has_value, "int32")
            options = {"axis": self._axis, "keepdims": int(self._keepdims)}
            new.into(match.outputs[1:], "ArgMax", of_value, **options)
        return [*before, selection, *list(new)[len(before) :]]
