"""Compute in int32 where nodes compute with uint8 or bool, which TensorRT only stores."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pluginkit.onnx import Match, Op, Replacement, Rewrite, Value

if TYPE_CHECKING:
    import onnx_graphsurgeon as gs

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

#: For each type the operators that TensorRT refuses in it.
_REFUSED = {"uint8": frozenset(_UINT8), "bool": _EXTREMES, "int8": frozenset({"Mod"})}


class WidenIntegers(Rewrite):
    """Op(uint8, ...) -> Cast(Op(Cast(uint8, int32), ...), uint8).

    For the operators that TensorRT has, but not in uint8, and for ReduceMax and ReduceMin of bool
    and Mod of int8. MaxPool goes through float32. Sums, differences and products are taken modulo
    256 before they are cast back.
    """

    pattern = Op(_UINT8)
    input_dtypes = tuple(_REFUSED)

    def check(self, match: Match) -> str | None:
        if not any(each.name and _is_refused(match, each) for each in match.inputs):
            return "TensorRT takes it: no input has a type that it refuses here"
        if match.attribute("reduction", "none") in ("add", "mul"):
            return "its reduction wraps around in uint8, at every step"
        if not all(match.dtype(each) for each in match.outputs if each.name):
            return "the type of an output is unknown"
        return None

    def rewrite(self, match: Match) -> list[gs.Node]:
        """Inputs of other types, such as indices, are not cast."""
        op_type = match.node.op
        wide = "float32" if op_type == "MaxPool" else "int32"
        new = Replacement(match)
        inputs: list[Value] = [
            new.cast(each, wide) if each.name and _is_refused(match, each) else each
            for each in match.inputs
        ]
        outputs = new.add_many(op_type, *inputs, outputs=len(match.outputs), **match.node.attrs)
        nodes: list[gs.Node] = []
        for output, value in zip(match.outputs, outputs, strict=True):
            if output.name:
                nodes = _narrow(new, op_type, output, value, match.dtype(output))
        return nodes


def _is_refused(match: Match, tensor: gs.Tensor) -> bool:
    return match.node.op in _REFUSED.get(match.dtype(tensor), ())


def _narrow(
    new: Replacement, op_type: str, output: gs.Tensor, value: gs.Variable, dtype: str
) -> list[gs.Node]:
    """Cast an output back to its type.

    The maximum of no elements is the least int32, and their minimum the greatest, so that extremes
    are clipped to the range of the type first.
    """
    if dtype == "bool" and op_type in _EXTREMES:
        return new.into([output], "Greater", value, np.int32(0))
    if dtype == "uint8" and op_type in _EXTREMES:
        value = new.add("Max", new.add("Min", value, np.int32(255)), np.int32(0))
    elif op_type in _WRAP:
        value = new.add("Mod", value, np.int32(256))
    return new.into([output], "Cast", value, to=dtype)
