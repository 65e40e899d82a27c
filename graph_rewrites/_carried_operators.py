"""Let ONNX's operators on small and unsigned integers work on wider ones."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import onnx
import onnx.numpy_helper

from pluginkit.graph_rewrites._unsigned_order import (
    DIVIDED,
    KEPT,
    SHIFTED,
    bits_of,
    converted,
    divided,
    remainder,
    shifted,
)
from pluginkit.onnx import CarriedNode, elem_type

#: Operators that only move, select or compare elements, or whose results stay in the range.
_VALUES = frozenset(
    {
        *("And", "ArgMax", "ArgMin", "BitwiseAnd", "BitwiseOr", "BitwiseXor", "CenterCropPad"),
        *("Clip", "Compress", "Concat", "DepthToSpace", "Equal", "Expand", "Flatten", "Gather"),
        *("GatherElements", "GatherND", "Greater", "GreaterOrEqual", "Identity", "Less"),
        *("LessOrEqual", "Max", "Min", "Mod", "NonZero", "OneHot", "Pad", "Relu", "Reshape"),
        *("ReverseSequence", "ScatterElements", "ScatterND", "Scatter", "Shape", "Sign", "Size"),
        *("Slice", "SpaceToDepth", "Split", "Squeeze", "Tile", "TopK", "Transpose", "Trilu"),
        *("Unique", "Unsqueeze", "Where"),
    }
)
#: Operators whose results wrap around.
_WRAPPING = frozenset(
    {
        *("Abs", "Add", "BitShift", "BitwiseNot", "CumSum", "Div", "MatMul", "Mul", "Neg"),
        *("PRelu", "Range", "ReduceProd", "ReduceSum", "Shrink", "Sub", "Sum"),
    }
)
#: Operators that return a limit of their type if there are no elements to reduce.
_EXTREMES = frozenset({"ReduceMax", "ReduceMin"})
#: Operators that TensorRT has in float32, but not in int32.
_FLOATING = frozenset({"MaxPool", "Resize", "Upsample"})
#: Operators with an attribute that gives the type of the output.
_TYPED = frozenset({"Constant", "ConstantOfShape", "EyeLike"})
#: Operators that compare or divide, which is wrong on the bits of a uint64 from 2^63 on.
_ON_BITS = frozenset(
    {
        *("Add", "BitShift", "BitwiseAnd", "BitwiseNot", "BitwiseOr", "BitwiseXor", "Compress"),
        *("Concat", "CumSum", "DepthToSpace", "Equal", "Expand", "Flatten", "Gather"),
        *("GatherElements", "GatherND", "Identity", "MatMul", "Mul", "NonZero", "Pad"),
        *("ReduceProd", "ReduceSum", "Reshape", "ReverseSequence", "Scatter", "ScatterElements"),
        *("ScatterND", "Shape", "Size", "Slice", "SpaceToDepth", "Split", "Squeeze", "Sub"),
        *("Sum", "Tile", "Transpose", "Trilu", "Unsqueeze", "Where"),
    }
)
_CASTS = ("Cast", "CastLike")
_FLOW = ("If", "Loop", "Scan")


class CarriedIntegers:
    """The rules by which integers are carried.

    int8, which TensorRT has, is carried only through Mod and through nodes that read a stored
    tensor: TensorRT takes stored int8 before DequantizeLinear and plugins only.
    """

    carriers: ClassVar = {
        "uint8": "int32",
        "int16": "int32",
        "uint16": "int32",
        "uint32": "int64",
        "uint64": "int64",
        "int8": "int32",
    }
    everywhere: ClassVar = frozenset(carriers) - {"int8"}
    operators: ClassVar = tuple(
        sorted(_VALUES | _WRAPPING | _EXTREMES | _FLOATING | _TYPED | {*_CASTS, *_FLOW})
    )

    def carries(self, node: CarriedNode) -> bool:
        """Whether the node works on carriers."""
        if node.op_type not in self.operators:
            return False
        touched = {*node.input_dtypes, *node.output_dtypes}
        if node.op_type in _CASTS:
            return self._carries_cast(node)
        if node.op_type in _TYPED:
            return self._is_stored_output(node) or (
                node.output_dtypes[0] in self.everywhere and self._is_wanted(node)
            )
        if not touched & self.everywhere:
            return self._carries_int8(node)
        if "uint64" in touched and not self._fits_int64(node):
            return node.op_type in SHIFTED | DIVIDED | KEPT
        if node.op_type in _FLOATING:
            return _is_exact_in_float32(node)
        return True

    def convert(self, node: CarriedNode) -> None:
        """Replace the node by nodes that work on carriers."""
        if node.op_type in _CASTS:
            self._convert_cast(node)
        elif node.op_type in _TYPED:
            node.give(0, _with_type(node, self.carriers[node.output_dtypes[0]]))
        else:
            self._convert_values(node)

    def _is_stored_output(self, node: CarriedNode) -> bool:
        """Whether an output of the model is a stored integer of 8 bits, which TensorRT refuses."""
        is_stored = node.op_type == "Constant" and node.output_dtypes[0] in ("uint8", "int8")
        return is_stored and node.is_output(0)

    def _is_wanted(self, node: CarriedNode) -> bool:
        """Whether a node that works on carriers reads the first output."""
        readers = node.readers(0)
        if not readers:  # TensorRT refuses unread nodes, too
            return not node.is_output(0) or node.leaves_body(0)
        return node.leaves_body(0) or any(map(self._takes, readers))

    def _takes(self, reader: CarriedNode) -> bool:
        """Whether a node works on carriers if its input is carried."""
        if reader.op_type in _FLOW:
            return True
        if reader.op_type in _CASTS:
            return self._carries_cast(reader, is_carried=True)
        return self.carries(reader)

    def _carries_cast(self, node: CarriedNode, *, is_carried: bool = False) -> bool:
        source, target = node.input_dtypes[0], node.output_dtypes[0]
        if not source or not target or target == "string":
            return False
        is_carried = source in self.carriers and (is_carried or node.has_carrier(0))
        if target in self.everywhere:
            is_carried = is_carried and source in self.everywhere
            return is_carried or self._is_wanted(node)
        return is_carried

    def _carries_int8(self, node: CarriedNode) -> bool:
        if node.op_type == "Mod":
            return True
        return any(
            dtype == "int8" and node.is_stored(at) for at, dtype in enumerate(node.input_dtypes)
        ) and node.op_type not in ("Shape", "Size", *_FLOATING)

    def _fits_int64(self, node: CarriedNode) -> bool:
        """Whether the node is correct on the bits of uint64, or its values are below 2^63."""
        return node.op_type in _ON_BITS or all(
            node.range(at)[1] < 2**63
            for at, dtype in enumerate(node.input_dtypes)
            if dtype == "uint64"
        )

    def _convert_cast(self, node: CarriedNode) -> None:
        source, target = node.input_dtypes[0], node.output_dtypes[0]
        low, high = node.range(0)
        value = node.input(0)
        now = self.carriers.get(source, source)
        wide = self.carriers.get(target, target)
        if target not in self.carriers:
            if source == "uint64" and not self._fits_int64(node) and target not in _INTEGERS:
                value = converted(node, value, target)
            node.into(0, "Cast", value, to=target)
            return
        if target == "uint64" and source not in _INTEGERS:
            value = bits_of(node, value, source)
        elif now != wide:
            value = node.add("Cast", value, to=wide)
        limits = np.iinfo(target)
        if not (limits.min <= low and high <= limits.max):
            value = _wrapped(node, value, target)
        if target in self.everywhere:
            node.give(0, value)
        else:
            node.into(0, "Cast", value, to=target)

    def _convert_values(self, node: CarriedNode) -> None:
        inputs = [node.input(at) for at in range(len(node.input_dtypes))]
        if node.op_type in _FLOATING:
            inputs = [
                node.add("Cast", name, to="float32") if dtype in self.carriers else name
                for name, dtype in zip(inputs, node.input_dtypes, strict=True)
            ]
        if "uint64" in node.input_dtypes and not self._fits_int64(node):
            _convert_unsigned(node, inputs)
            return
        if node.op_type == "Relu":  # which TensorRT has for floats only
            dtype = node.output_dtypes[0]
            zero = node.constant(np.zeros((), self.carriers[dtype]))
            node.give(0, node.add("Max", inputs[0], zero))
            return
        wraps = node.op_type in _WRAPPING or node.attribute("reduction") in (b"add", b"mul")
        for at, name in enumerate(node.copy(inputs)):
            dtype = node.output_dtypes[at]
            if not name or dtype not in self.carriers:
                continue
            value = name
            if node.op_type in _FLOATING:
                value = node.add("Cast", value, to=self.carriers[dtype])
            elif dtype == "uint64" and node.attribute("direction") == b"RIGHT":
                value = _without_sign(node, value, inputs[1])
            elif wraps:
                value = _wrapped(node, value, dtype)
            elif node.op_type in _EXTREMES:
                value = _clamped(node, value, dtype)
            node.give(at, value)


def _convert_unsigned(node: CarriedNode, inputs: list[str]) -> None:
    """Replace a node that orders or divides uint64, which may be 2^63 or more."""
    if node.op_type == "Sign":
        is_positive = converted(node, inputs[0], "bool")
        node.give(0, node.add("Cast", is_positive, to="int64"))
    elif node.op_type in KEPT:
        node.give(0, inputs[0])
    elif node.op_type in DIVIDED:
        node.give(0, divided(node, *inputs)[node.op_type == "Mod"])
    else:
        pairs = zip(inputs, node.input_dtypes, strict=True)
        moved = [shifted(node, name) if dtype == "uint64" else name for name, dtype in pairs]
        for at, name in enumerate(node.copy(moved)):
            if name and node.output_dtypes[at] == "uint64":
                node.give(at, shifted(node, name))


_INTEGERS = frozenset({"bool", "int8", "int32", "int64", *CarriedIntegers.everywhere})


def _is_exact_in_float32(node: CarriedNode) -> bool:
    """Whether float32 represents the values exactly, and the operator only selects from them."""
    mode = node.attribute("mode", b"nearest")
    is_choice = node.op_type == "MaxPool" or mode == b"nearest"
    return is_choice and node.input_dtypes[0] in ("uint8", "int16", "uint16")


def _with_type(node: CarriedNode, dtype: str) -> str:
    """Append the node with the attribute that gives its output the dtype."""
    if node.op_type == "EyeLike":
        attribute = onnx.AttributeProto(
            name="dtype", type=onnx.AttributeProto.INT, i=elem_type(dtype)
        )
        return node.copy([node.input(0)], dtype=attribute)[0]
    array = onnx.numpy_helper.to_array(node.attribute("value")).astype(dtype)
    attribute = onnx.AttributeProto(
        name="value", type=onnx.AttributeProto.TENSOR, t=onnx.numpy_helper.from_array(array)
    )
    return node.copy(list(node.proto.input), value=attribute)[0]


def _wrapped(node: CarriedNode, value: str, dtype: str) -> str:
    """Wrap integers into the range of a type, as arithmetic in that type does."""
    limits = np.iinfo(dtype)
    if limits.bits == 64:
        return value
    number = np.int64 if limits.bits == 32 else np.int32
    modulus = node.constant(number(2**limits.bits))
    if limits.min == 0:
        return remainder(node, value, modulus)
    half = node.constant(number(-int(limits.min)))
    return node.add("Sub", remainder(node, node.add("Add", value, half), modulus), half)


def _clamped(node: CarriedNode, value: str, dtype: str) -> str:
    """Clamp the carrier's limits, which a reduction of no elements gives, to the type's limits."""
    limits = np.iinfo(dtype)
    if limits.bits == 64:
        return value
    number = np.int64 if limits.bits == 32 else np.int32
    least, greatest = (node.constant(number(each)) for each in (limits.min, limits.max))
    return node.add("Max", node.add("Min", value, greatest), least)


def _without_sign(node: CarriedNode, value: str, count: str) -> str:
    """Remove the copies of the sign bit from a uint64 that was shifted right as int64.

    A negative value is 2^(64 - count) too small. Half of that is added twice, so that it fits. The
    count is carried, too: a negative one stands for 2^63 or more.
    """
    zero, one = node.constant(np.int64(0)), node.constant(np.int64(1))
    inside = node.add("Min", node.add("Max", count, one), node.constant(np.int64(63)))
    two, most = node.constant(np.float32(2)), node.constant(np.int64(63))
    exponent = node.add("Cast", node.add("Sub", most, inside), to="float32")
    half = node.add("Cast", node.add("Pow", two, exponent), to="int64")
    positive = node.add("Add", node.add("Add", value, half), half)
    is_shifted = node.add("Greater", count, zero)
    is_negative = node.add("Less", value, zero)
    wanted = node.add("And", is_negative, is_shifted)
    shifted = node.add("Where", wanted, positive, value)
    is_beyond = node.add("Or", node.add("Greater", count, most), node.add("Less", count, zero))
    return node.add("Where", is_beyond, zero, shifted)
