"""Replace operators of ONNX Runtime's own domain that ONNX has too, or almost."""

from __future__ import annotations

import numpy as np
import onnx_graphsurgeon as gs

from pluginkit.graph_rewrites._spelled_out import MICROSOFT
from pluginkit.onnx import FLOATS, Match, NodeInput, Op, Optional, Replacement, Rewrite

#: Operators with the same name and meaning in ONNX, with the first opset that has them.
_SINCE = {
    "DequantizeLinear": 13,
    "GatherND": 11,
    "QuantizeLinear": 13,
    "Trilu": 14,
}
_NARROW = ("int4", "uint4")


class RenameMicrosoftOperator(Rewrite):
    """com.microsoft.Op(...) -> Op(...), where ONNX has the operator under the same name."""

    pattern = Op(tuple(_SINCE), domain=MICROSOFT)

    def check(self, match: Match) -> str | None:
        since = _SINCE[match.proto.op_type]
        if match.onnx_opset < since:
            return f"ONNX has it since opset {since}; the model has {match.onnx_opset}"
        if match.onnx_opset < 21 and any(match.dtype(each) in _NARROW for each in match.inputs):
            return f"ONNX has it for 4 bits since opset 21; the model has {match.onnx_opset}"
        return None

    def rewrite(self, match: Match) -> list[gs.Node]:
        given = {each.name: match.attribute(each.name) for each in match.proto.attribute}
        inputs = [each if each.name else None for each in match.inputs]
        return Replacement(match).end(match.proto.op_type, *inputs, **given)


class RenameMicrosoftUnique(Rewrite):
    """com.microsoft.Unique(x) -> Unique(x), in the order in which values first occur."""

    pattern = Op("Unique", "x", domain=MICROSOFT)

    def check(self, match: Match) -> str | None:
        if match.onnx_opset < 11:
            return f"ONNX has it since opset 11; the model has {match.onnx_opset}"
        return None

    def rewrite(self, match: Match, x: gs.Tensor) -> list[gs.Node]:
        values, *others = match.outputs
        outputs = [values, gs.Variable.empty(), *others]
        return Replacement(match).into(outputs, "Unique", x, sorted=0)


class ExpandExpandDims(Rewrite):
    """com.microsoft.ExpandDims(x, axis) -> Unsqueeze(x, axis), with a stored axis."""

    pattern = Op("ExpandDims", "x", "axis", domain=MICROSOFT)

    def check(self, match: Match, axis: gs.Tensor) -> str | int:
        stored = match.constant(axis)
        if stored is None or stored.size != 1:
            return "its axis is not stored in the model"
        return int(stored.item())

    def rewrite(self, match: Match, x: gs.Tensor, facts: int) -> list[gs.Node]:
        new = Replacement(match)
        return new.end("Identity", new.unsqueeze(x, [facts]))


class ExpandCDist(Rewrite):
    """com.microsoft.CDist(a, b) -> Sqrt(ReduceSum((a - b)^2)) of each row of a with each of b.

    The square root is left out if the metric is sqeuclidean. All differences are computed at once:
    rows of a times rows of b times columns.
    """

    pattern = Op("CDist", "a", "b", domain=MICROSOFT)

    def check(self, match: Match, a: gs.Tensor) -> str | None:
        metric = match.attribute("metric", "sqeuclidean")
        if metric not in ("sqeuclidean", "euclidean"):
            return f"its metric '{metric}' is not known"
        return match.dtype_problem(FLOATS, a)

    def rewrite(self, match: Match, a: gs.Tensor, b: gs.Tensor) -> list[gs.Node]:
        new = Replacement(match)
        difference = new.add("Sub", new.unsqueeze(a, [1]), new.unsqueeze(b, [0]))
        squares = new.reduce("ReduceSum", new.add("Mul", difference, difference), [2])
        is_squared = match.attribute("metric", "sqeuclidean") == "sqeuclidean"
        return new.end("Identity" if is_squared else "Sqrt", squares)


class ExpandMicrosoftRange(Rewrite):
    """com.microsoft.Range(start, limit, delta) -> Range(start, limit, delta) of scalars."""

    pattern = Op("Range", "start", "limit", Optional("delta"), domain=MICROSOFT)

    def check(self, match: Match, start: gs.Tensor) -> str | None:
        return None if match.dtype(start) else "the type of its first input is unknown"

    def rewrite(
        self, match: Match, start: gs.Tensor, limit: gs.Tensor, delta: gs.Tensor | None
    ) -> list[gs.Node]:
        new = Replacement(match)
        step: NodeInput = np.ones((), match.dtype(start)) if delta is None else delta
        scalar = np.zeros(0, np.int64)
        values = [
            each
            if isinstance(each, np.ndarray) or match.rank(each) == 0
            else new.add("Reshape", each, scalar)
            for each in (start, limit, step)
        ]
        return new.end("Range", *values)


class ExpandMicrosoftPad(Rewrite):
    """com.microsoft.Pad(x, pads, value) -> Pad(x, Reshape(pads), Reshape(value)).

    Its pads may be a matrix of one row, and its value a vector of one element.
    """

    pattern = Op("Pad", "x", "pads", Optional("value"), domain=MICROSOFT)

    def check(
        self, match: Match, x: gs.Tensor, pads: gs.Tensor, value: gs.Tensor | None
    ) -> str | None:
        if match.rank(pads) in (1, None) and (value is None or match.rank(value) in (0, None)):
            return "TensorRT takes it: its pads are a vector, and its value is a scalar"
        if match.onnx_opset < 11:
            return f"ONNX has pads as an input since opset 11; the model has {match.onnx_opset}"
        return match.dtype_problem(FLOATS, x)

    def rewrite(
        self, match: Match, x: gs.Tensor, pads: gs.Tensor, value: gs.Tensor | None
    ) -> list[gs.Node]:
        new = Replacement(match)
        inputs: list[NodeInput] = [x, new.add("Reshape", pads, np.array([-1]))]
        if value is not None:
            inputs.append(new.add("Reshape", value, np.zeros(0, np.int64)))
        return new.end("Pad", *inputs, mode=match.attribute("mode"))
