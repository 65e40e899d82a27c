"""The nodes that take a match's place, made one after the other."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import onnx_graphsurgeon as gs

from pluginkit.onnx.pattern import Match

Value: TypeAlias = gs.Tensor | npt.NDArray[Any] | np.generic | None


class Replacement:
    """Nodes in the order in which they run; each ``add`` gives the value that the next one reads.

    Iterating gives the nodes. Names need only be legible: the driver makes them unique in the
    model.

    Args:
        match: whose place they take.
    """

    def __init__(self, match: Match) -> None:
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

    def end(self, op_type: str, *inputs: Value, **attributes: Any) -> list[gs.Node]:
        """The last node, which produces the outputs of the match; gives all nodes."""
        self._append(op_type, inputs, self._match.outputs, attributes)
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
