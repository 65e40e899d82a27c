"""The nodes that take a match's place, made one after the other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import onnx.helper
import onnx_graphsurgeon as gs

from pluginkit.onnx.rewriting.match import Match

Value: TypeAlias = gs.Tensor | npt.NDArray[Any] | np.generic | None


class Replacement:
    """Nodes in the order in which they run; each ``add`` gives the value that the next one reads.

    Iterating gives the nodes. Names need only be legible: the driver makes them unique in the
    model.

    Args:
        match: whose place they take.

    Attributes:
        opset: the version of ONNX's operators in the model.
    """

    def __init__(self, match: Match) -> None:
        self.opset = match.opset
        self._match = match
        self._nodes: list[gs.Node] = []

    def __iter__(self) -> Iterator[gs.Node]:
        return iter(self._nodes)

    def add(self, op_type: str, *inputs: Value, **attributes: Any) -> gs.Variable:
        """A node with one output.

        Args:
            op_type: an operator of ONNX's own domain, of the opset that the model has.
            inputs: the match's tensors, values of earlier nodes, or arrays, which become constants;
                None where an optional input is absent.
            attributes: as onnx_graphsurgeon has them; None leaves one out.

        Returns:
            The node's output.
        """
        return self.add_many(op_type, *inputs, outputs=1, **attributes)[0]

    def add_many(
        self, op_type: str, *inputs: Value, outputs: int, **attributes: Any
    ) -> list[gs.Variable]:
        """As ``add``, with a number of outputs."""
        number = len(self._nodes)
        values = [gs.Variable(f"{op_type}_{number}_{index}") for index in range(outputs)]
        self._append(op_type, inputs, values, attributes)
        return values

    def cast(self, value: Value, elem_type: int) -> Value:
        """The value in another type, an ``onnx.TensorProto`` one; a constant at once.

        Args:
            value: as for ``add``.
            elem_type: the type; of a constant one that numpy has too.
        """
        stored: Value = value
        if isinstance(value, gs.Tensor):
            made = (each for node in self._nodes for each in node.outputs)
            is_new = any(value is each for each in made)  # by name it may be taken for another
            if not is_new and self._match.elem_type(value) == elem_type:
                return value
            stored = self._match.constant(value)
        if stored is not None:
            return np.asarray(stored).astype(onnx.helper.tensor_dtype_to_np_dtype(elem_type))
        return self.add("Cast", value, to=elem_type)

    def unsqueeze(self, value: Value, axes: Sequence[int]) -> gs.Variable:
        """The value with axes of size 1 inserted, in the form that the model's opset has."""
        return self._over_axes("Unsqueeze", value, axes, 13)

    def reduce(
        self, op_type: str, value: Value, axes: Sequence[int], *, keepdims: bool = False
    ) -> gs.Variable:
        """A reduction, such as ``"ReduceSum"``, in the form that the model's opset has."""
        since = 13 if op_type == "ReduceSum" else 18
        return self._over_axes(op_type, value, axes, since, keepdims=int(keepdims))

    def slice(self, value: Value, axis: int, start: int, end: int, step: int = 1) -> gs.Variable:
        """The entries ``start:end:step`` of an axis; a step needs opset 10."""
        if self.opset < 10:
            return self.add("Slice", value, axes=[axis], starts=[start], ends=[end])
        steps = (step,) if step != 1 else ()
        indices = [np.array([each], np.int64) for each in (start, end, axis, *steps)]
        return self.add("Slice", value, *indices)

    def pad(self, value: Value, pads: Sequence[int], fill: Value = None) -> gs.Variable:
        """The value with a constant around it.

        Args:
            value: what is padded.
            pads: as for ONNX's Pad: what stands before each axis, then what stands behind each.
            fill: what is put there, of the value's type; up to opset 10 an array. Zero unless
                given.
        """
        if self.opset >= 11:
            return self.add(
                "Pad", value, np.array(pads, np.int64), *([] if fill is None else [fill])
            )
        number = 0.0 if fill is None else np.asarray(fill).item()
        return self.add("Pad", value, pads=list(pads), value=number)

    def _over_axes(
        self, op_type: str, value: Value, axes: Sequence[int], since: int, **attributes: Any
    ) -> gs.Variable:
        """A node whose axes are an attribute up to opset ``since``, and an input from there on."""
        if self.opset < since:
            return self.add(op_type, value, axes=list(axes), **attributes)
        return self.add(op_type, value, np.array(axes, np.int64), **attributes)

    def end(self, op_type: str, *inputs: Value, **attributes: Any) -> list[gs.Node]:
        """The last node, which produces the outputs of the match; gives all nodes."""
        return self.into(self._match.outputs, op_type, *inputs, **attributes)

    def into(
        self, outputs: Sequence[gs.Tensor], op_type: str, *inputs: Value, **attributes: Any
    ) -> list[gs.Node]:
        """A node that produces these outputs of the match; gives all nodes so far."""
        self._append(op_type, inputs, list(outputs), attributes)
        return self._nodes

    def _append(
        self,
        op_type: str,
        inputs: tuple[Value, ...],
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
        self._nodes.append(gs.Node(op_type, "", given, tensors, outputs))
