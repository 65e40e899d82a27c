"""Look up the values that nodes of a model read: where they are defined, what they are."""

from __future__ import annotations

import onnx

from pluginkit.onnx.inference.infer_types import infer_types
from pluginkit.onnx.model.graphs import Scope, defined_names, main_and_bodies
from pluginkit.onnx.precision.body_magnitudes import ValueKey
from pluginkit.onnx.rewriting.graph_index import GraphIndex


class ScopedValues:
    """The values of a model without local functions, as it is now."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self._types = infer_types(model)
        found = list(main_and_bodies(model))
        self._defined = {scope.path: defined_names(scope.graph) for scope in found}
        self._indices = {scope.path: GraphIndex(scope) for scope in found}

    def type_of(self, scope: Scope, name: str) -> onnx.TypeProto | None:
        """Return the type of a value, None if it is unknown."""
        return self._types.find(scope, name)

    def is_float32(self, scope: Scope, name: str) -> bool:
        """Whether a value is known to be float32."""
        found = self.type_of(scope, name)
        return found is not None and found.tensor_type.elem_type == onnx.TensorProto.FLOAT

    def key(self, scope: Scope, name: str) -> ValueKey:
        """Return the identity of a value that a node of the scope reads or makes."""
        owner: Scope | None = scope
        while owner is not None:
            if name in self._defined[owner.path]:
                return owner.path, name
            owner = owner.outer
        return scope.path, name

    def constant(self, scope: Scope, name: str) -> onnx.TensorProto | None:
        """Return a stored value, of this or an outer scope; None for one that is computed."""
        return self._indices[self.key(scope, name)[0]].constant(name)

    def producer(self, scope: Scope, name: str) -> onnx.NodeProto | None:
        """Return the node that makes a value, in this or an outer scope; None if none does."""
        index = self._indices[self.key(scope, name)[0]]
        return index.nodes[index.producers[name]] if name in index.producers else None
