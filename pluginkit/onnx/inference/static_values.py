"""Compute values that follow from ranks and shapes, before a model runs."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnx.helper
import onnx.numpy_helper
import onnx.reference

from pluginkit.onnx.inference.value_types import Types, dims_of
from pluginkit.onnx.model.external_data import is_external
from pluginkit.onnx.model.graphs import Scope, is_op


class StaticValues:
    """Computes values that follow from ranks and shapes, through a few nodes only."""

    _OPS = frozenset(
        [
            "Add", "And", "Cast", "Concat", "Div", "Equal", "Gather", "Greater", "GreaterOrEqual",
            "Identity", "Less", "LessOrEqual", "Mul", "Not", "Or", "ReduceProd", "Reshape",
            "Squeeze", "Sub", "Unsqueeze",
        ]
    )  # fmt: skip
    _DEPTH = 12

    def __init__(self, scope: Scope, types: Types) -> None:
        self._scope = scope
        self._types = types
        self._producers = {name: node for node in scope.graph.node for name in node.output}
        self._initializers = (
            {tensor.name: tensor for tensor in scope.graph.initializer}
            if isinstance(scope.graph, onnx.GraphProto)
            else {}
        )

    def find(self, name: str, depth: int = _DEPTH) -> npt.NDArray[Any] | None:
        """Return the value called ``name``, or None if it is not known before the model runs."""
        try:
            return self._find(name, depth)
        except Exception:  # onnx's helpers and its evaluator raise anything
            return None  # the checker reports what is wrong

    def _find(self, name: str, depth: int) -> npt.NDArray[Any] | None:
        if name in self._initializers:
            return onnx.numpy_helper.to_array(self._initializers[name])
        node = self._producers.get(name)
        if node is None or depth == 0:
            return None
        if is_op(node, "Constant"):
            is_stored = not any(is_external(attribute.t) for attribute in node.attribute)
            return self._run(node, {}) if is_stored else None
        if is_op(node, "Shape") or is_op(node, "Size"):
            dims = dims_of(self._types.find(self._scope, node.input[0]))
            if dims is None or not all(dim.HasField("dim_value") for dim in dims):
                return None
            shape = [dim.dim_value for dim in dims]
            return self._run(node, {node.input[0]: np.broadcast_to(np.float32(0), shape)})
        if node.domain or node.op_type not in self._OPS:
            return None
        feeds = {name: self.find(name, depth - 1) for name in node.input if name}
        known = {name: value for name, value in feeds.items() if value is not None}
        return self._run(node, known) if len(known) == len(feeds) else None

    def _run(
        self, node: onnx.NodeProto, feeds: dict[str, npt.NDArray[Any]]
    ) -> npt.NDArray[Any] | None:
        inputs = [onnx.ValueInfoProto(name=name) for name in feeds]
        outputs = [onnx.ValueInfoProto(name=node.output[0])]
        graph = onnx.helper.make_graph([node], "one", inputs, outputs)
        opset = onnx.helper.make_opsetid("", self._scope.opsets.get("", 1))
        model = onnx.helper.make_model(graph, opset_imports=[opset])
        values: Any = onnx.reference.ReferenceEvaluator(model).run(None, feeds)
        return np.asarray(values[0])
