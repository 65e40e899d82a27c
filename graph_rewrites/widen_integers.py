"""Nodes that compute with uint8 or bool, which TensorRT only carries, compute with int32."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx

from pluginkit.onnx import Match, Op, Replacement, Rewrite, Value

if TYPE_CHECKING:
    import onnx_graphsurgeon as gs

_T = onnx.TensorProto

_WRAP = frozenset({"Add", "Sub", "Mul"})
_EXTREMES = frozenset({"ReduceMax", "ReduceMin"})
_UINT8 = (
    *sorted(_WRAP | _EXTREMES),
    *("Abs", "ArgMax", "ArgMin", "Clip", "Concat", "DepthToSpace", "Div", "Expand", "Flatten"),
    *("Gather", "GatherElements", "GatherND", "Greater", "GreaterOrEqual", "Less", "LessOrEqual"),
    *("Max", "MaxPool", "Min", "Mod", "Pad", "Reshape", "ScatterElements", "ScatterND", "Sign"),
    *("Slice", "SpaceToDepth", "Split", "Squeeze", "Tile", "TopK", "Transpose", "Unsqueeze"),
    "Where",
)

#: The operators that TensorRT refuses in a type.
_REFUSED: dict[int, frozenset[str]] = {
    _T.UINT8: frozenset(_UINT8),
    _T.BOOL: _EXTREMES,
    _T.INT8: frozenset({"Mod"}),
}


class WidenIntegers(Rewrite):
    """Op(uint8, ...) -> Cast(Op(Cast(uint8, int32), ...), uint8).

    For the operators that TensorRT has, but not in uint8; MaxPool goes through float32. Sums,
    differences and products are taken modulo 256 before they are cast back. So do ReduceMax and
    ReduceMin of bool, and Mod of int8.
    """

    pattern = Op(_UINT8)
    input_types = tuple(_REFUSED)

    def check(self, match: Match) -> str | None:
        """Some input must have a type that TensorRT refuses in this operator."""
        types = [match.elem_type(each) for each in match.inputs if each.name]
        if not any(_is_refused(match, elem_type) for elem_type in types):
            return "TensorRT takes it as it is: no input has a type that it refuses here"
        if match.attribute("reduction", "none") in ("add", "mul"):
            return "its reduction wraps around in uint8, at every step"
        if not all(match.elem_type(each) for each in match.outputs if each.name):
            return "the type of an output is unknown"
        return None

    def rewrite(self, match: Match) -> list[gs.Node]:
        """Inputs of other types, such as indices, stay."""
        op = match.node.op
        wide = _T.FLOAT if op == "MaxPool" else _T.INT32
        new = Replacement(match)
        inputs: list[Value] = []
        for each in match.inputs:
            is_refused = bool(each.name) and _is_refused(match, match.elem_type(each))
            inputs.append(new.cast(each, wide) if is_refused else each)
        outputs = new.add_many(op, *inputs, outputs=len(match.outputs), **match.node.attrs)
        nodes: list[gs.Node] = []
        for output, value in zip(match.outputs, outputs, strict=True):
            if output.name:
                nodes = _narrow(new, op, output, value, match.elem_type(output))
        return nodes


def _is_refused(match: Match, elem_type: int) -> bool:
    return match.node.op in _REFUSED.get(elem_type, ())


def _narrow(
    new: Replacement, op: str, output: gs.Tensor, value: gs.Variable, elem_type: int
) -> list[gs.Node]:
    """Bring an output back into its type.

    The greatest of no elements is the least int32, and the least of none the greatest one.
    """
    if elem_type == _T.BOOL and op in _EXTREMES:
        return new.into([output], "Greater", value, np.int32(0))
    if elem_type == _T.UINT8 and op in _EXTREMES:
        value = new.add("Max", new.add("Min", value, np.int32(255)), np.int32(0))
    elif op in _WRAP:
        value = new.add("Mod", value, np.int32(256))
    return new.into([output], "Cast", value, to=elem_type)
