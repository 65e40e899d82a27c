"""Inline the function by which ONNX defines an operator."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import onnx
import onnx.defs

from pluginkit.graph_rewrites._spelled_out import MICROSOFT
from pluginkit.onnx import Match, bodies, names_read


def function_of(match: Match) -> onnx.FunctionProto | None:
    """Return the function that defines the matched node in the model's opset, or None.

    Some definitions depend on the types of the inputs, and on which inputs are present. That of an
    operator of ONNX Runtime's is the latest definition of ONNX's operator of the same name.
    """
    node, schema, opset = match.proto, _schema(match), match.opset
    if node.domain == MICROSOFT:
        node = onnx.NodeProto.FromString(node.SerializeToString())
        node.domain, opset = "", schema.since_version
    built = schema.context_dependent_function_opset_versions
    version = max((each for each in built if each <= opset), default=None)
    if version is not None:
        types = [match.value_type(tensor) or onnx.TypeProto() for tensor in match.inputs]
        data = schema.get_context_dependent_function_with_opset_version(
            version, node.SerializeToString(), [each.SerializeToString() for each in types]
        )
    else:
        fixed = [each for each in schema.function_opset_versions if each <= opset]
        data = schema.get_function_with_opset_version(max(fixed)) if fixed else b""
    return onnx.FunctionProto.FromString(data) if data else None


def _schema(match: Match) -> Any:  # onnx's stubs lack most of it
    node = match.proto
    if node.domain == MICROSOFT:
        return onnx.defs.get_schema(node.op_type)
    return onnx.defs.get_schema(node.op_type, match.opset, node.domain)


def inlined_nodes(match: Match, function: onnx.FunctionProto) -> list[onnx.NodeProto]:
    """Return the function's nodes, which read and produce the values of the matched node.

    An absent input of the node is absent wherever the function reads it. Nodes that only unused
    outputs need are left out.
    """
    node = match.proto
    used = [tensor.name for tensor in match.outputs if tensor.name and match.is_used(tensor)]
    actual = dict.fromkeys(function.input, "") | dict(zip(function.input, node.input, strict=False))
    given = {
        formal: name
        for formal, name in zip(function.output, node.output, strict=False)
        if name in used
    }
    body = onnx.FunctionProto()
    body.CopyFrom(function)
    for formal, name in given.items():
        if formal in actual:  # the function returns an input
            body.node.add(op_type="Identity", input=[formal], output=[name])
    names = _Renaming(actual | {f: n for f, n in given.items() if f not in actual}, match)
    attributes = _attributes(match, function)
    for each in body.node:
        _resolve_references(each, attributes)
        names.apply(each)
    return _needed_nodes(list(body.node), set(used))


def _attributes(match: Match, function: onnx.FunctionProto) -> Mapping[str, onnx.AttributeProto]:
    """Return the function's attributes: those of the node, or the operator's defaults."""
    if not function.attribute and not function.attribute_proto:
        return {}
    node, schema = match.proto, _schema(match)
    defaults = {name: each.default_value for name, each in schema.attributes.items()}
    own = {each.name: each for each in [*function.attribute_proto, *node.attribute]}
    return {name: each for name, each in (defaults | own).items() if each.type}


def _resolve_references(node: onnx.NodeProto, values: Mapping[str, onnx.AttributeProto]) -> None:
    """Replace references to the function's attributes by their values."""
    attributes = list(node.attribute)
    del node.attribute[:]
    for each in attributes:
        if not each.ref_attr_name:
            node.attribute.append(each)
        elif each.ref_attr_name in values:
            node.attribute.append(values[each.ref_attr_name])
            node.attribute[-1].name = each.name
    for _, body in bodies(node):
        for inner in body.node:
            _resolve_references(inner, values)


class _Renaming:
    """Gives the values of a function names that are new in the model.

    No two values of a function have one name, so that bodies can share the table.
    """

    def __init__(self, known: dict[str, str], match: Match) -> None:
        self._known = known | {"": ""}
        self._taken = {*match.readable_names, *match.proto.output}
        self._prefix = match.proto.op_type

    def apply(self, node: onnx.NodeProto) -> None:
        """Rename all values that a node and its bodies read and define."""
        node.input[:] = map(self._new, node.input)
        while node.input and not node.input[-1]:
            del node.input[-1]
        node.output[:] = map(self._new, node.output)
        node.name = ""
        for _, body in bodies(node):
            for value in [*body.input, *body.output, *body.initializer, *body.value_info]:
                value.name = self._new(value.name)
            for inner in body.node:
                self.apply(inner)

    def _new(self, name: str) -> str:
        if name not in self._known:
            new = f"{self._prefix}_{name}"
            while new in self._taken:
                new += "_"
            self._taken.add(new)
            self._known[name] = new
        return self._known[name]


def _needed_nodes(nodes: list[onnx.NodeProto], wanted: set[str]) -> list[onnx.NodeProto]:
    """Return the nodes that are needed to compute the wanted values, in order."""

    def backwards() -> Iterator[onnx.NodeProto]:
        for node in reversed(nodes):
            if not wanted.isdisjoint(node.output):
                wanted.update(names_read(node))
                yield node

    return list(backwards())[::-1]
