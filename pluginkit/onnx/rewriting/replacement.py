"""Collect the nodes that take the place of a match."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import onnx.helper
import onnx_graphsurgeon as gs

from pluginkit.errors import TensorError
from pluginkit.onnx.inference.element_types import elem_type
from pluginkit.onnx.rewriting.match import Match

#: An input of a new node: a tensor of the match, an output of an earlier new node, an array that
#: becomes a constant, or None for an absent input.
NodeInput: TypeAlias = gs.Tensor | npt.NDArray[Any] | np.generic | None


class Replacement:
    """New nodes, in the order in which they run.

    ``add`` appends a node and returns its output, which later nodes read; ``end`` appends the node
    that produces the outputs of the match, and returns all nodes. Iterating gives the nodes so far.
    Names only need to be readable: the driver makes them unique.

    Args:
        match: the match whose place the nodes take.

    Attributes:
        opset: the version of ONNX's operators in the model.
    """

    def __init__(self, match: Match) -> None:
        self.opset = match.onnx_opset
        self._match = match
        self._nodes: list[gs.Node] = []

    def __iter__(self) -> Iterator[gs.Node]:
        return iter(self._nodes)

    def add(self, op_type: str, *inputs: NodeInput, **attributes: Any) -> gs.Variable:
        """Append a node with one output, and return the output.

        Args:
            op_type: an operator of ONNX's own domain, as of the model's opset.
            inputs: the node's inputs.
            attributes: values as onnx_graphsurgeon has them. None leaves an attribute out. ``to``
                may be the name of a dtype.
        """
        return self.add_many(op_type, *inputs, outputs=1, **attributes)[0]

    def add_many(
        self, op_type: str, *inputs: NodeInput, outputs: int, **attributes: Any
    ) -> list[gs.Variable]:
        """Append a node with several outputs, and return them."""
        number = len(self._nodes)
        values = [gs.Variable(f"{op_type}_{number}_{index}") for index in range(outputs)]
        self._append(op_type, inputs, values, attributes)
        return values

    def end(self, op_type: str, *inputs: NodeInput, **attributes: Any) -> list[gs.Node]:
        """Append the last node, which produces the outputs of the match; return all nodes."""
        return self.into(self._match.outputs, op_type, *inputs, **attributes)

    def into(
        self, outputs: Sequence[gs.Tensor], op_type: str, *inputs: NodeInput, **attributes: Any
    ) -> list[gs.Node]:
        """Append a node that produces these outputs of the match; return all nodes so far."""
        self._append(op_type, inputs, list(outputs), attributes)
        return self._nodes

    def cast(self, value: NodeInput, dtype: str) -> NodeInput:
        """Return the value in another dtype. A constant is cast at once, others by a Cast node.

        TensorRT takes stored int8 before DequantizeLinear only, so that an int8 weight in an
        external file is dequantized with a scale of 1.

        Args:
            value: the value; None stays None.
            dtype: the name of the dtype, such as ``"float32"``.
        """
        stored: NodeInput = value
        if isinstance(value, gs.Tensor):
            made = (each for node in self._nodes for each in node.outputs)
            is_new = any(value is each for each in made)  # its name may be another value's too
            if not is_new and self._match.dtype(value) == dtype:
                return value
            stored = self._match.constant(value)
            if stored is None:
                is_int8 = not is_new and self._match.dtype(value) == "int8"
                if is_int8 and self._match.is_external(value):
                    value = self.add("DequantizeLinear", value, np.float32(1))
                    if dtype == "float32":
                        return value
                return self.add("Cast", value, to=dtype)
        if stored is None:
            return None
        return np.asarray(stored).astype(onnx.helper.tensor_dtype_to_np_dtype(elem_type(dtype)))

    def unsqueeze(self, value: NodeInput, axes: Sequence[int]) -> gs.Variable:
        """Insert axes of size 1, in the form that the model's opset has."""
        return self._over_axes("Unsqueeze", value, axes, 13)

    def squeeze(self, value: NodeInput, axes: Sequence[int]) -> gs.Variable:
        """Remove axes of size 1, in the form that the model's opset has."""
        return self._over_axes("Squeeze", value, axes, 13)

    def reduce(
        self, op_type: str, value: NodeInput, axes: Sequence[int], *, keepdims: bool = False
    ) -> gs.Variable:
        """Reduce along axes, with ``"ReduceSum"`` for example, in the form that the opset has."""
        since = 13 if op_type == "ReduceSum" else 18
        return self._over_axes(op_type, value, axes, since, keepdims=int(keepdims))

    def slice(
        self, value: NodeInput, axis: int, start: int, end: int, step: int = 1
    ) -> gs.Variable:
        """Take the elements ``start:end:step`` of an axis; a step other than 1 needs opset 10."""
        if self.opset < 10:
            return self.add("Slice", value, axes=[axis], starts=[start], ends=[end])
        steps = (step,) if step != 1 else ()
        indices = [np.array([each], np.int64) for each in (start, end, axis, *steps)]
        return self.add("Slice", value, *indices)

    def pad(self, value: NodeInput, pads: Sequence[int], fill: NodeInput = None) -> gs.Variable:
        """Put a constant around the value.

        Args:
            value: the value to pad.
            pads: the number of elements before each axis, then after each axis, as in ONNX's Pad.
            fill: the constant, in the dtype of the value; 0 by default. Up to opset 10 an array.
        """
        if self.opset >= 11:
            return self.add(
                "Pad", value, np.array(pads, np.int64), *([] if fill is None else [fill])
            )
        number = 0.0 if fill is None else np.asarray(fill).item()
        return self.add("Pad", value, pads=list(pads), value=number)

    def along_axis(self, value: NodeInput, rank: int, axis: int) -> gs.Variable:
        """Reshape a vector so that it broadcasts along one axis of a tensor of some rank."""
        shape = np.ones(rank, np.int64)
        shape[axis] = -1
        return self.add("Reshape", value, shape)

    def round_to_even(self, value: NodeInput) -> gs.Variable:
        """Round to the nearest integer, and halves to the even one.

        Before opset 11 there is no Round: an odd floor is rounded by Floor(x + 0.5), an even one by
        Ceil(x - 0.5).
        """
        if self.opset >= 11:
            return self.add("Round", value)
        below = self.add("Floor", value)
        pairs = self.add("Floor", self.add("Mul", below, np.float32(0.5)))
        is_odd = self.add("Greater", below, self.add("Add", pairs, pairs))
        up = self.add("Floor", self.add("Add", value, np.float32(0.5)))
        down = self.add("Ceil", self.add("Sub", value, np.float32(0.5)))
        return self.add("Where", is_odd, up, down)

    def quantize(self, value: NodeInput, zero_point: NodeInput, dtype: str) -> gs.Variable:
        """Round to even, add the zero point and clip to the range of an integer dtype.

        Args:
            value: float32.
            zero_point: float32, with a shape that broadcasts; None for zero.
            dtype: the integer dtype, such as "uint8".

        Returns:
            The integers, still as float32.
        """
        rounded = self.round_to_even(value)
        shifted = rounded if zero_point is None else self.add("Add", rounded, zero_point)
        least, greatest = (np.float32(each) for each in (np.iinfo(dtype).min, np.iinfo(dtype).max))
        return self.add("Max", self.add("Min", shifted, greatest), least)

    def minus_zero_point(
        self, value: NodeInput, zero_point: NodeInput, dtype: str = "float32"
    ) -> NodeInput:
        """Cast a quantized value and subtract its zero point.

        Of 8-bit integers the difference has 9 bits, which every floating-point dtype holds.

        Args:
            value: the integers.
            zero_point: in ``dtype``, with a shape that broadcasts; None for zero.
            dtype: the dtype of the difference.
        """
        wide = self.cast(value, dtype)
        return wide if zero_point is None else self.add("Sub", wide, zero_point)

    def _over_axes(
        self, op_type: str, value: NodeInput, axes: Sequence[int], since: int, **attributes: Any
    ) -> gs.Variable:
        """Append a node whose axes are an input from opset ``since`` on, before it an attribute."""
        if self.opset < 11 and op_type in ("Squeeze", "Unsqueeze") and min(axes, default=0) < 0:
            raise TensorError(
                "PK126",
                f"opset {self.opset} has no negative axes of {op_type}; export with a later opset",
            )
        if self.opset < since:
            return self.add(op_type, value, axes=list(axes), **attributes)
        return self.add(op_type, value, np.array(axes, np.int64), **attributes)

    def _append(
        self,
        op_type: str,
        inputs: tuple[NodeInput, ...],
        outputs: list[gs.Tensor],
        attributes: dict[str, Any],
    ) -> None:
        number = len(self._nodes)
        tensors = [
            value
            if isinstance(value, gs.Tensor)
            else gs.Variable.empty()
            if value is None
            else gs.Constant(f"{op_type}_{number}_constant_{index}", np.asarray(value))
            for index, value in enumerate(inputs)
        ]
        given = {name: value for name, value in attributes.items() if value is not None}
        if isinstance(given.get("to"), str):
            given["to"] = elem_type(given["to"])
        self._nodes.append(gs.Node(op_type, "", given, tensors, outputs))
