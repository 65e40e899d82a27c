"""Hold the types of a model's values that onnx's shape inference finds."""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Sequence
from typing import Any

import onnx
import onnx.checker
import onnx.shape_inference

from pluginkit.errors import ModelError
from pluginkit.onnx.model.graphs import Scope, scopes
from pluginkit.onnx.model.weightless_model import type_of_tensor

_Inputs = Sequence[onnx.TypeProto | None]


class Types:
    """The known TypeProtos of a model's values, by scope and name."""

    def __init__(self) -> None:
        self._by_path: dict[str, dict[str, onnx.TypeProto]] = {}
        self._plugin_outputs: set[tuple[str, str]] = set()
        self._outputs: dict[Hashable, list[onnx.TypeProto | None]] = {}

    @property
    def paths(self) -> Collection[str]:
        """The paths of the scopes of which something is known."""
        return self._by_path.keys()

    def elem_types(self) -> set[int]:
        """Return the element types of all values; 0 for values that are no tensors."""
        every = (known.values() for known in self._by_path.values())
        return {each.tensor_type.elem_type for values in every for each in values}

    def find(self, scope: Scope | None, name: str) -> onnx.TypeProto | None:
        """Return the type of the value that ``name`` means in ``scope``, or None."""
        while scope is not None:
            found = self._by_path.get(scope.path, {}).get(name)
            if found is not None:
                return found
            scope = scope.outer
        return None

    def set_plugin_output(self, scope: Scope, name: str, value_type: onnx.TypeProto) -> None:
        """Set the type of an output of a plugin node."""
        self._by_path.setdefault(scope.path, {})[name] = value_type
        self._plugin_outputs.add((scope.path, name))

    def plugin_output(self, scope: Scope, name: str) -> onnx.TypeProto | None:
        """Return the type that was set by ``set_plugin_output``, or None."""
        is_set = (scope.path, name) in self._plugin_outputs
        return self._by_path[scope.path][name] if is_set else None

    def cached_outputs(
        self,
        node: onnx.NodeProto,
        inputs: _Inputs,
        compute: Callable[[onnx.NodeProto, _Inputs], list[onnx.TypeProto | None]],
    ) -> list[onnx.TypeProto | None]:
        """Return what ``compute`` gives for a node, computed once for equal nodes and inputs.

        Models repeat their layers, so that many nodes are equal.
        """
        attributes = b"".join(sorted(each.SerializeToString() for each in node.attribute))
        given = tuple(each and each.SerializeToString() for each in inputs)
        key = (node.domain, node.op_type, attributes, tuple(map(bool, node.input)), given)
        if key not in self._outputs:
            self._outputs[key] = compute(node, inputs)
        return self._outputs[key]

    def learn(self, scope: Scope) -> None:
        """Replace what is known of a scope by what its graph declares."""
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
        """Replace what is known of one scope by what ``other`` knows of it."""
        self._by_path[path] = other._by_path.get(path, {})


def infer_once(light: onnx.ModelProto) -> Types:
    """Run shape inference once, on a model without weights.

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
        IndexError,  # raised by onnx's own code
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


def dims_of(value_type: onnx.TypeProto | None) -> list[Any] | None:
    """Return the dimensions of a tensor type; None if the rank is unknown."""
    if value_type is None or not value_type.tensor_type.HasField("shape"):
        return None
    return list(value_type.tensor_type.shape.dim)


def axis_sizes(value_type: onnx.TypeProto | None) -> list[int | str | None] | None:
    """Return the sizes of a tensor's axes: numbers, names, or None where nothing is known.

    None at all if the rank is unknown.
    """
    dims = dims_of(value_type)
    return dims and [
        dim.dim_value
        if dim.HasField("dim_value") and dim.dim_value >= 0  # some exporters write -1
        else dim.dim_param or None
        for dim in dims
    ]


def known_sizes(value_type: onnx.TypeProto | None) -> list[int | None] | None:
    """Return the sizes of a tensor's axes, None for each that varies; None for an unknown rank."""
    sizes = axis_sizes(value_type)
    return None if sizes is None else [size if isinstance(size, int) else None for size in sizes]
