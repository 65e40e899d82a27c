"""Single nodes of a model: which are alike, and a model of one alone."""

from __future__ import annotations

import math
from collections.abc import Hashable

import onnx
import onnx.helper

from pluginkit.engine.parse.traceable_model import CutModel
from pluginkit.onnx.inference.value_types import dims_of
from pluginkit.onnx.model.external_data import is_external
from pluginkit.onnx.model.graphs import Scope, is_op, names_read, scopes

#: Elements of an initializer whose values a parser may read: axes, shapes, indices.
_SMALL = 4096

_Origin = onnx.TensorProto | onnx.NodeProto


class Signatures:
    """Tells which nodes TensorRT must treat alike.

    Such nodes have equal operators and attributes, and inputs of equal types and dimensions, which
    come from operators of one kind, or from equal constants. A node of which some of this is
    unknown is like no other.
    """

    def __init__(self, cuts: CutModel) -> None:
        self._cuts = cuts
        self._origins = _origins(cuts)
        self._by_key: dict[Hashable, list[str]] = {}
        self._keys: dict[str, Hashable] = {}

    def alike(self, name: str) -> list[str]:
        """The nodes like ``name`` that are not cut out."""
        if not self._keys:
            for each in self._cuts.nodes:
                key = self._key(each)
                self._keys[each] = key
                self._by_key.setdefault(key, []).append(each)
        return [each for each in self._by_key[self._keys[name]] if each not in self._cuts.gone]

    def classes(self) -> list[list[str]]:
        """The nodes that are not cut out, alike ones together."""
        found: dict[Hashable, list[str]] = {}
        for name in self._cuts.nodes:
            if name not in self._cuts.gone:
                found.setdefault(self._key(name), []).append(name)
        return list(found.values())

    def model_of(self, name: str) -> onnx.ModelProto | None:
        """A model of one node, or None where an input's type is unknown.

        Constants stay constants; other inputs, and what bodies read from outside, are graph inputs.
        """
        scope, node = self._cuts.nodes[name]
        inputs, constants = [], []
        new = onnx.ModelProto(ir_version=self._cuts.model.ir_version)
        new.opset_import.extend(self._cuts.model.opset_import)
        new.graph.name = "alone"
        for value in sorted(names_read(node)):
            origin = self._origin(scope, value)
            if isinstance(origin, onnx.TensorProto):
                new.graph.initializer.append(origin)
            elif origin is not None and is_op(origin, "Constant"):
                constants.append(origin)
            else:
                known = self._cuts.types.find(scope, value)
                if known is None:
                    return None
                inputs.append(onnx.ValueInfoProto(name=value, type=known))
        new.graph.input.extend(inputs)
        new.graph.node.extend([*constants, node])
        for value in filter(None, node.output):
            known = self._cuts.types.find(scope, value)
            new.graph.output.append(onnx.ValueInfoProto(name=value, type=known))
        return new

    def _key(self, name: str) -> Hashable:
        scope, node = self._cuts.nodes[name]
        params: dict[str, int] = {}
        inputs: list[Hashable] = []
        for value in node.input:
            origin = self._origin(scope, value)
            known = self._cuts.types.find(scope, value) if value else None
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
        """The initializer or the node that gives a value; None where neither does."""
        while scope is not None:
            found = self._origins.get((scope.path, name))
            if found is not None:
                return found
            scope = scope.outer
        return None


def _origins(cuts: CutModel) -> dict[tuple[str, str], _Origin]:
    found: dict[tuple[str, str], _Origin] = {}
    for scope in scopes(cuts.model):
        for tensor in scope.graph.initializer if isinstance(scope.graph, onnx.GraphProto) else ():
            found[scope.path, tensor.name] = tensor
        for node in scope.graph.node:
            found.update(((scope.path, name), node) for name in node.output if name)
    return found


def _content(origin: _Origin | None) -> Hashable:
    """What may be read of a value while the model is parsed: all of a small constant."""
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
    """A type, with the names of dimensions replaced by when they first occur."""
    dims = dims_of(value_type)
    if value_type is None or dims is None:
        return value_type and value_type.SerializeToString()
    return value_type.tensor_type.elem_type, tuple(
        dim.dim_value
        if dim.HasField("dim_value")
        else f"?{params.setdefault(dim.dim_param, len(params))}"
        for dim in dims
    )
