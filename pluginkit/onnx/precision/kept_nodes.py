"""Decide which nodes stay in float32 although they could compute in 16 bits."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import onnx
import onnx.numpy_helper

from pluginkit.onnx.model.external_data import is_external
from pluginkit.onnx.precision.precision_options import Precision

#: Sums and products of many values, or of values of any size, and what divides by them.
_REDUCTIONS = frozenset(
    [
        "CumSum",
        "CumProd",
        "GlobalLpPool",
        "LpPool",
        "ReduceL1",
        "ReduceL2",
        "ReduceLogSum",
        "ReduceLogSumExp",
        "ReduceMean",
        "ReduceProd",
        "ReduceSum",
        "ReduceSumSquare",
        "Sum",
    ]
)
_NORMALISATIONS = frozenset(
    [
        "GroupNormalization",
        "InstanceNormalization",
        "LRN",
        "LayerNormalization",
        "LpNormalization",
        "MeanVarianceNormalization",
        "RMSNormalization",
        "SimplifiedLayerNormalization",
    ]
)
_EXPONENTIALS = frozenset(
    [
        "Cosh",
        "Det",
        "Exp",
        "Log",
        "LogSoftmax",
        "Pow",
        "Reciprocal",
        "Sinh",
        "Softmax",
        "Softplus",
        "Sqrt",
    ]
)
_REASONS = (
    (_REDUCTIONS, "a reduction"),
    (_NORMALISATIONS, "a normalisation"),
    (_EXPONENTIALS, "an exponential, a power or a root"),
)
#: Nodes that move values, or choose among them: they have the type that their inputs have.
_MOVERS = frozenset(
    [
        "ArgMax",
        "ArgMin",
        "Concat",
        "DepthToSpace",
        "Expand",
        "Flatten",
        "Gather",
        "GatherElements",
        "GatherND",
        "Identity",
        "Pad",
        "Reshape",
        "ScatterElements",
        "ScatterND",
        "Shape",
        "Size",
        "Slice",
        "SpaceToDepth",
        "Split",
        "Squeeze",
        "Tile",
        "TopK",
        "Transpose",
        "Trilu",
        "Unsqueeze",
        "Where",
    ]
)
#: Nodes that turn integers into floats, or make floats of none.
_COUNTS = frozenset(["Cast", "CastLike", "ConstantOfShape", "EyeLike", "OneHot", "Range"])
_PRODUCTS = frozenset(["Conv", "ConvTranspose", "Einsum", "Gemm", "MatMul"])
#: From here on a constant stands for infinity, as in masks: the largest number does as well.
_STANDS_FOR_INFINITY = 1e9


@dataclass(frozen=True)
class FloatInputs:
    """The float32 inputs of a node that it could read in 16 bits.

    Attributes:
        computed: those that nodes make or the model's user gives.
        stored: the others.
        narrow: those of ``computed`` that are 16-bit already.
        counted: those of ``computed`` that follow from integers alone.
    """

    computed: Collection[str]
    stored: Collection[onnx.TensorProto]
    narrow: Collection[str]
    counted: Collection[str]


def is_count(node: onnx.NodeProto, computed: Collection[str]) -> bool:
    """Whether a node makes floats of integers: sizes, positions, masks."""
    return node.op_type in _COUNTS and not computed


def reason_to_keep(
    node: onnx.NodeProto,
    inputs: FloatInputs,
    precision: Precision,
    beyond: frozenset[str],
) -> str | None:
    """Return why a node stays in float32, None if it need not.

    Args:
        node: the node.
        inputs: what it reads.
        precision: the 16-bit type, and which nodes stay.
        beyond: values that left the type's range on given inputs.
    """
    name = precision.named(node)
    if name is not None:
        return f"kept by '{name}'"
    for op_types, reason in _REASONS:
        if node.op_type in op_types:
            return reason
    if not beyond.isdisjoint([*node.input, *node.output]):
        return f"beyond {precision.dtype} on the given inputs"
    problem = next(filter(None, (_problem(each, precision) for each in inputs.stored)), None)
    if problem is not None:
        return problem
    has_mask = any(_has_infinity(each, precision) for each in inputs.stored)
    all_counted = len(inputs.counted) == len(inputs.computed) > 0
    if all_counted and not has_mask and node.op_type not in _PRODUCTS:
        return "computed from integers"
    return None


def follows_float32(node: onnx.NodeProto, has_float_outputs: bool, inputs: FloatInputs) -> bool:
    """Whether a node only moves or compares values, and all of them are float32 so far."""
    only_moves = node.op_type in _MOVERS or not has_float_outputs
    return only_moves and bool(inputs.computed) and not inputs.narrow


def _problem(tensor: onnx.TensorProto, precision: Precision) -> str | None:
    """Return why a stored value does not survive in 16 bits."""
    sizes = _magnitudes(tensor)
    if sizes.size == 0:
        return None
    largest = float(sizes.max())
    if 0 < largest < precision.smallest:
        return f"reads a constant too small for {precision.dtype}"
    within = sizes[sizes < _STANDS_FOR_INFINITY]
    if within.size and float(within.max()) > precision.largest:
        return f"reads a constant too large for {precision.dtype}"
    return None


def _has_infinity(tensor: onnx.TensorProto, precision: Precision) -> bool:
    sizes = _magnitudes(tensor)
    limit = min(precision.largest, _STANDS_FOR_INFINITY)
    return bool(sizes.size) and float(sizes.max()) > limit


def _magnitudes(tensor: onnx.TensorProto) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    """Return the sizes of the finite numbers in a stored value; none if it is in another file."""
    if is_external(tensor):
        return np.zeros(0, np.float32)
    values = np.abs(onnx.numpy_helper.to_array(tensor).astype(np.float32, copy=False)).reshape(-1)
    finite: np.ndarray[tuple[int, ...], np.dtype[np.float32]] = values[np.isfinite(values)]
    return finite
