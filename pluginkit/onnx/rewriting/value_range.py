"""Find between which numbers a value lies, as far as the nodes that make it tell."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import onnx.helper
import onnx.numpy_helper

from pluginkit.onnx.model.external_data import is_external
from pluginkit.onnx.model.graphs import is_op
from pluginkit.onnx.rewriting.graph_index import GraphIndex

#: The least and the greatest value.
ValueRange = tuple[float, float]

_ANY: ValueRange = (-math.inf, math.inf)
#: How many nodes are followed backwards.
_DEPTH = 8
#: Operators whose output holds only values of their first input.
_MOVES = frozenset(
    {
        *("Expand", "Flatten", "Gather", "Identity", "MaxPool", "Reshape", "Slice", "Squeeze"),
        *("Transpose", "Unsqueeze"),
    }
)
_ROUNDS = frozenset(["Cast", "Ceil", "Floor", "Round"])


def range_of(
    name: str, index: GraphIndex, dtype_of: Callable[[str], str], depth: int = _DEPTH
) -> ValueRange:
    """Return the least and the greatest number that a value can be; NaN is ignored.

    Args:
        name: the value.
        index: the nodes of its scope.
        dtype_of: gives the dtype of a value, "" if it is unknown.
        depth: how many nodes to follow backwards.
    """
    stored = index.constant(name)
    if stored is not None:
        return _range_of_stored(stored)
    limits = _limits(dtype_of(name))
    if depth == 0 or name not in index.producers:
        return limits
    node = index.nodes[index.producers[name]]
    inputs = [range_of(each, index, dtype_of, depth - 1) if each else _ANY for each in node.input]
    low, high = _range_of_output(node, inputs) if is_op(node, node.op_type) else _ANY
    if low < limits[0] or high > limits[1]:  # the integers may wrap around
        return limits if node.op_type not in _MOVES else (max(low, limits[0]), min(high, limits[1]))
    return low, high


def _range_of_output(node: onnx.NodeProto, inputs: list[ValueRange]) -> ValueRange:
    op_type = node.op_type
    if op_type in _MOVES and inputs:
        return inputs[0]
    if op_type in _ROUNDS:
        return _rounded(inputs[0])
    if op_type in ("Max", "Min"):
        pick = max if op_type == "Max" else min
        return pick(low for low, _ in inputs), pick(high for _, high in inputs)
    if op_type == "Relu":
        return max(inputs[0][0], 0), max(inputs[0][1], 0)
    if op_type == "Clip":
        return _clipped(node, inputs)
    if op_type == "Mod" and not any(each.name == "fmod" and each.i for each in node.attribute):
        return (0, inputs[1][1] - 1) if inputs[1][0] > 0 else _ANY
    return _ANY


def _clipped(node: onnx.NodeProto, inputs: list[ValueRange]) -> ValueRange:
    limits: dict[str, Any] = {
        each.name: onnx.helper.get_attribute_value(each) for each in node.attribute
    }
    bounds = [*inputs[1:], _ANY, _ANY]
    least = max(limits.get("min", -math.inf), bounds[0][0])
    greatest = min(limits.get("max", math.inf), bounds[1][1])
    low, high = inputs[0]
    return min(max(low, least), greatest), max(min(high, greatest), least)


def _rounded(value: ValueRange) -> ValueRange:
    return tuple(  # type: ignore[return-value]
        function(each) if math.isfinite(each) else each
        for function, each in zip((math.floor, math.ceil), value, strict=True)
    )


def _range_of_stored(stored: onnx.TensorProto) -> ValueRange:
    if is_external(stored):
        return _ANY
    array = onnx.numpy_helper.to_array(stored)
    if array.size == 0 or array.dtype.kind not in "biuf":
        return _ANY
    low, high = float(np.min(array)), float(np.max(array))
    return _ANY if math.isnan(low) else (low, high)


def _limits(dtype: str) -> ValueRange:
    """Return the limits of an integer type; no limits for other types."""
    if dtype == "bool":
        return 0, 1
    if dtype.startswith(("int", "uint")) and dtype[-1].isdigit() and dtype not in ("int4", "uint4"):
        try:
            limits = np.iinfo(dtype)
        except TypeError:
            return _ANY
        return float(limits.min), float(limits.max)
    return _ANY
