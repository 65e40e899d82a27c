"""Compute float64, which TensorRT lacks, in float32."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import onnx
import onnx.defs
import onnx.numpy_helper

from pluginkit.graph_rewrites._spelled_out import MICROSOFT
from pluginkit.onnx import CarriedNode, Change, GraphRewrite, Graphs, Op, elem_type, retype

_DOUBLE, _FLOAT = elem_type("float64"), elem_type("float32")
#: Attributes that give the type of an output.
_TYPES = ("dtype", "output_datatype", "output_dtype", "stash_type", "to")
#: Operators whose output type is not that of an input.
_TYPED = frozenset(
    {
        *("BlackmanWindow", "Constant", "ConstantOfShape", "EyeLike", "HammingWindow"),
        *("HannWindow", "MelWeightMatrix", "RandomNormal", "RandomNormalLike", "RandomUniform"),
        "RandomUniformLike",
    }
)


#: Operators of ONNX Runtime's that compute float64 and float32 alike.
_MICROSOFT = frozenset(["CDist", "FusedMatMul", "Inverse", "Trilu", "UnfoldTensor"])


class CarriedDoubles:
    """The rules by which float64 is carried in float32."""

    carriers: ClassVar = {"float64": "float32"}
    everywhere: ClassVar = frozenset(carriers)

    def carries(self, node: CarriedNode) -> bool:
        """Whether the node works on float32, as all of ONNX's nodes for float64 do."""
        if not _is_known(node):
            return False
        if node.op_type in ("Cast", "CastLike") and node.input_dtypes[0] == "float64":
            is_double = node.output_dtypes[0] == "float64"
            return node.has_carrier(0) or (is_double and self._is_wanted(node))
        if node.op_type in ("Cast", "CastLike", *_TYPED):
            return node.output_dtypes[0] == "float64" and self._is_wanted(node)
        return True

    def convert(self, node: CarriedNode) -> None:
        """Put the node on float32 in its place."""
        inputs = [node.input(at) for at in range(len(node.input_dtypes))]
        changed = {each.name: _narrowed(each) for each in node.proto.attribute if _is_double(each)}
        for at, name in enumerate(node.copy(inputs, **changed)):
            if name and node.output_dtypes[at] == "float64":
                node.give(at, name)

    def _is_wanted(self, node: CarriedNode) -> bool:
        """Whether a node that works on float32 reads the first output."""
        return node.leaves_body(0) or any(
            _is_known(each) and each.op_type != "Cast" for each in node.readers(0)
        )


class CarryDoubles(GraphRewrite):
    """Op(float64) -> Op(float32), across branches and bodies.

    TensorRT converts float64 to float32 at the inputs and outputs of the main graph; plugins and
    rewrites have no float64. Values are float32 between nodes, and float64 again as outputs of the
    main graph. Numbers beyond float32's range become its greatest or least number.
    """

    pattern = Op(("Add", "Cast", "Constant", "If", "Loop", "MatMul", "Mul", "Scan", "Sub"))
    order = -2
    cost = "float64 is computed in float32, to about seven digits."

    def may_change(self, graphs: Graphs) -> bool:
        return True  # retype looks for values of the types; stored ones may have no reader

    def rewrite_graphs(self, graphs: Graphs) -> Sequence[Change]:
        return retype(graphs, CarriedDoubles())


def _is_known(node: CarriedNode) -> bool:
    if node.proto.domain == MICROSOFT:
        return node.proto.op_type in _MICROSOFT
    is_of_bits = node.op_type == "BitCast"
    return bool(node.op_type) and not is_of_bits and bool(onnx.defs.has(node.op_type))


def _is_double(attribute: onnx.AttributeProto) -> bool:
    is_type = attribute.name in _TYPES and attribute.type == onnx.AttributeProto.INT
    if is_type:
        return bool(attribute.i == _DOUBLE)
    return bool(attribute.type == onnx.AttributeProto.TENSOR and attribute.t.data_type == _DOUBLE)


def _narrowed(attribute: onnx.AttributeProto) -> onnx.AttributeProto:
    """Return the attribute with float32 instead of float64."""
    made = onnx.AttributeProto(name=attribute.name, type=attribute.type)
    if attribute.type == onnx.AttributeProto.INT:
        made.i = _FLOAT
    else:
        limits = np.finfo(np.float32)
        array: Any = onnx.numpy_helper.to_array(attribute.t)
        finite = np.clip(array, limits.min, limits.max)
        array = np.where(np.isfinite(array), finite, array).astype(np.float32)
        made.t.CopyFrom(onnx.numpy_helper.from_array(array))
    return made
