"""Group a model's nodes that TensorRT treats alike, and make a model of a single node."""

from __future__ import annotations

import math
from collections.abc import Hashable

import onnx
import onnx.helper

from pluginkit.engine.parse.traceable_model import PrunedModel
from pluginkit.onnx.inference.value_types import dims_of
from pluginkit.onnx.model.external_data import is_external
from pluginkit.onnx.model.graphs import Scope, is_op, names_read, scopes

#: The parser may read the values of an initializer with up to this many elements, such as axes.
_SMALL = 4096

_Origin = onnx.TensorProto | onnx.NodeProto


class Signatures:
    """Tells which nodes TensorRT must treat alike.

    Alike nodes have the same operator and attributes, and inputs of the same types and dimensions
    that come from the same kind of operator or from equal constants. A node of which some of this
    is unknown is alike to no other.
    """

    def __init__(self, pruned: PrunedModel) -> None:
        self._pruned = pruned
        self._origins = _origins(pruned)
        self._by_key: dict[Hashable, list[str]] = {}
        self._keys: dict[str, Hashable] = {}

    def alike(self, name: str) -> list[str]:
        """Return the nodes alike to ``name`` that are not removed."""
        if not self._keys:
            for each in self._pruned.nodes:
                key = self._key(each)
                self._keys[each] = key
                self._by_key.setdefault(key, []).append(each)
        return [each for each in self._by_key[self._keys[name]] if each not in self._pruned.removed]

    def classes(self) -> list[list[str]]:
        """Return the nodes that are not removed, in groups of alike ones."""
        found: dict[Hashable, list[str]] = {}
        for name in self._pruned.nodes:
            if name not in self._pruned.removed:
                found.setdefault(self._key(name), []).append(name)
        return list(found.values())

    def model_of(self, name: str) -> onnx.ModelProto | None:
        """Return a model of one node, or None if the type of an input is unknown.

        Constants stay constants. Other inputs, and values that bodies read from outside, become
        graph inputs.
        """
        scope, node = self._pruned.nodes[name]
        inputs, constants = [], []
        new = onnx.ModelProto(ir_version=self._pruned.model.ir_version)
        new.opset_import.extend(self._pruned.model.opset_import)
        new.graph.name = "single_node"
        for value in sorted(names_read(node)):
            origin = self._origin(scope, value)
            if isinstance(origin, onnx.TensorProto):
                new.graph.initializer.append(origin)
            elif origin is not None and is_op(origin, "Constant"):
                constants.append(origin)
            else:
                known = self._pruned.types.find(scope, value)
                if known is None:
                    return None
                inputs.append(onnx.ValueInfoProto(name=value, type=known))
        new.graph.input.extend(inputs)
        new.graph.node.extend([*constants, node])
        for value in filter(None, node.output):
            known = self._pruned.types.find(scope, value)
            new.graph.output.append(onnx.ValueInfoProto(name=value, type=known))
        return new

    def _key(self, name: str) -> Hashable:
        scope, node = self._pruned.nodes[name]
        params: dict[str, int] = {}
        inputs: list[Hashable] = []
        for value in node.input:
            origin = self._origin(scope, value)
            known = self._pruned.types.find(scope, value) if value else None
            if isinstance(origin, onnx.TensorProto):
                inputs.append(_content(origin))
            elif known is None and value:
                return name
            else:
                inputs.append((_content(origin), _plain(known, params)))
        attributes = tuple(sorted(each.SerializeToString() for each in node.attribute))
        outputs = tuple(map(bool, node.output))
        return node.domain, node.op_type, attributes, outputs, tuple(inputs)

    def _origin(self, scope: Scope | None, name: str) -> _Origin | None:
        """Return the initializer or the node that produces a value, or None."""
        while scope is not None:
            found = self._origins.get((scope.path, name))
            if found is not None:
                return found
            scope = scope.outer
        return None


def _origins(pruned: PrunedModel) -> dict[tuple[str, str], _Origin]:
    found: dict[tuple[str, str], _Origin] = {}
    for scope in scopes(pruned.model):
        for tensor in scope.graph.initializer if isinstance(scope.graph, onnx.GraphProto) else ():
            found[scope.path, tensor.name] = tensor
        for node in scope.graph.node:
            found.update(((scope.path, name), node) for name in node.output if name)
    return found


def _content(origin: _Origin | None) -> Hashable:
    """Return what the parser may read of a value: all of a small constant."""
    if origin is None:
        return None
    if isinstance(origin, onnx.NodeProto):
        is_constant = is_op(origin, "Constant")
        return origin.op_type, b"".join(
            each.SerializeToString() for each in origin.attribute if is_constant
        )
    shape = origin.data_type, tuple(origin.dims)
    if is_external(origin) or math.prod(origin.dims) > _SMALL:
        return shape
    content = onnx.TensorProto()
    content.CopyFrom(origin)
    content.ClearField("name")
    return *shape, content.SerializeToString()


def _plain(value_type: onnx.TypeProto | None, params: dict[str, int]) -> Hashable:
    """Return a type, with each dimension's name replaced by the order of its first use."""
    dims = dims_of(value_type)
    if value_type is None or dims is None:
        return value_type and value_type.SerializeToString()
    return value_type.tensor_type.elem_type, tuple(
        dim.dim_value
        if dim.HasField("dim_value")
        else f"?{params.setdefault(dim.dim_param, len(params))}"
        for dim in dims
    )
