"""Compute values that follow from ranks and shapes, before a model runs."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnx.helper
import onnx.numpy_helper
import onnx.reference

from pluginkit.onnx.inference.value_types import Types, known_sizes
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
            sizes = known_sizes(self._types.find(self._scope, node.input[0]))
            shape = [size for size in sizes or () if size is not None]
            if sizes is None or len(shape) < len(sizes):
                return None
            return self._run(node, {node.input[0]: np.broadcast_to(np.float32(0), shape)})
        if node.domain or node.op_type not in self._OPS:
            return None
        feeds = {name: self.find(name, depth - 1) for name in node.input if name}
        known = {name: value for name, value in feeds.items() if value is not None}
        return self._run(node, known) if len(known) == len(feeds) else None

    def _run(
        self, node: onnx.NodeProto, feeds: dict[str, npt.NDArray[Any]]
    ) -> npt.NDArray[Any] | None:
        return run_node(node, feeds, self._scope.opsets)


def run_node(
    node: onnx.NodeProto, feeds: Mapping[str, npt.NDArray[Any]], opsets: Mapping[str, int]
) -> npt.NDArray[Any]:
    """Return the first output of a node of ONNX's own, from its inputs by name.

    Errors:
        Any: what onnx's evaluator raises.
    """
    own = {name: f"input{at}" for at, name in enumerate(dict.fromkeys(node.input)) if name}
    plain = onnx.NodeProto(op_type=node.op_type, attribute=node.attribute, output=["output"])
    plain.input.extend(own.get(name, "") for name in node.input)
    evaluator = _evaluator(plain.SerializeToString(deterministic=True), opsets.get("", 1))
    values: Any = evaluator.run(None, {own[name]: value for name, value in feeds.items()})
    return np.asarray(values[0])


@lru_cache(maxsize=512)
def _evaluator(node: bytes, opset: int) -> onnx.reference.ReferenceEvaluator:
    """Return an evaluator of one node; models repeat their nodes."""
    read = onnx.NodeProto.FromString(node)
    inputs = [onnx.ValueInfoProto(name=name) for name in dict.fromkeys(read.input) if name]
    outputs = [onnx.ValueInfoProto(name=name) for name in read.output]
    graph = onnx.helper.make_graph([read], "one", inputs, outputs)
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", opset)])
    return onnx.reference.ReferenceEvaluator(model)
