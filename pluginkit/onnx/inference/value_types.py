"""What onnx's shape inference knows of a model's values."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import Any

import onnx
import onnx.checker
import onnx.shape_inference

from pluginkit.errors import ModelError
from pluginkit.onnx.model.graphs import Scope, scopes
from pluginkit.onnx.model.weightless_model import type_of_tensor

_Inputs = Sequence[onnx.TypeProto | None]


class Types:
    """The TypeProto of each value that shape inference knows, by scope and name."""

    def __init__(self) -> None:
        self._by_path: dict[str, dict[str, onnx.TypeProto]] = {}
        self._plugin_outputs: set[tuple[str, str]] = set()
        self._outputs: dict[Hashable, list[onnx.TypeProto | None]] = {}

    def find(self, scope: Scope | None, name: str) -> onnx.TypeProto | None:
        """The type of ``name`` as seen from ``scope``."""
        while scope is not None:
            found = self._by_path.get(scope.path, {}).get(name)
            if found is not None:
                return found
            scope = scope.outer
        return None

    def set_plugin_output(self, scope: Scope, name: str, value_type: onnx.TypeProto) -> None:
        """Learn the type that a plugin gives one of its outputs."""
        self._by_path.setdefault(scope.path, {})[name] = value_type
        self._plugin_outputs.add((scope.path, name))

    def plugin_output(self, scope: Scope, name: str) -> onnx.TypeProto | None:
        """The type that was set by ``set_plugin_output``."""
        is_set = (scope.path, name) in self._plugin_outputs
        return self._by_path[scope.path][name] if is_set else None

    def remember(
        self,
        node: onnx.NodeProto,
        inputs: _Inputs,
        compute: Callable[[onnx.NodeProto, _Inputs], list[onnx.TypeProto | None]],
    ) -> list[onnx.TypeProto | None]:
        """What ``compute`` gave for an equal node with equal inputs; a model repeats its layers."""
        attributes = b"".join(sorted(each.SerializeToString() for each in node.attribute))
        given = tuple(each and each.SerializeToString() for each in inputs)
        key = (node.domain, node.op_type, attributes, tuple(map(bool, node.input)), given)
        if key not in self._outputs:
            self._outputs[key] = compute(node, inputs)
        return self._outputs[key]

    def learn(self, scope: Scope) -> None:
        """Take what the scope itself says about its values, in place of what was known."""
        known = self._by_path[scope.path] = {}
        for value in scope.graph.value_info:
            known[value.name] = value.type
        if isinstance(scope.graph, onnx.GraphProto):
            for value in [*scope.graph.input, *scope.graph.output]:
                if value.type.WhichOneof("value"):
                    known[value.name] = value.type
            for tensor in scope.graph.initializer:
                known[tensor.name] = type_of_tensor(tensor)

    def keep(self, path: str, other: Types) -> None:
        """Take what ``other`` knows of one scope."""
        self._by_path[path] = other._by_path.get(path, {})


def infer_once(light: onnx.ModelProto) -> Types:
    """One run of shape inference on a model without weights.

    Errors:
        PK408: the model's types contradict each other.
    """
    try:
        inferred = onnx.shape_inference.infer_shapes(light, data_prop=True)
    except (
        onnx.shape_inference.InferenceError,
        onnx.checker.ValidationError,  # recursive local functions
        ValueError,
        RuntimeError,
        IndexError,  # of its own vectors
    ) as error:
        raise ModelError(
            "PK408",
            "types and shapes contradict each other; expected a valid model.",
            cause=str(error),
            fix="export the model again.",
        ) from error
    types = Types()
    for scope in scopes(inferred):
        types.learn(scope)
    return types


def dtype_name(elem_type: int) -> str:
    """An element type for messages, ``"float"``; a number that ONNX does not know as it is."""
    names = onnx.TensorProto.DataType
    return (
        str(names.Name(elem_type)).lower() if elem_type in names.values() else f"type {elem_type}"
    )


def dims_of(value_type: onnx.TypeProto | None) -> list[Any] | None:
    """The dimensions of a tensor type, None when its rank is unknown."""
    if value_type is None or not value_type.tensor_type.HasField("shape"):
        return None
    return list(value_type.tensor_type.shape.dim)
