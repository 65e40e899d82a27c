"""Number a model's nodes, so that the parser's log tells them apart, and remove refused ones.

Graph inputs of the same types replace the outputs of a removed node, so that the parser reaches the
nodes after it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import onnx
import onnx.helper
from onnx import TensorProto

from pluginkit.errors import ModelError
from pluginkit.onnx.inference.infer_types import infer_types
from pluginkit.onnx.inference.value_types import Types, dims_of
from pluginkit.onnx.model.graphs import (
    Place,
    Scope,
    bodies,
    defined_names,
    first_output,
    inner_scopes,
    output_names,
    scopes,
)

#: A node's name in a numbered model; onnx's inliner appends "__1" to the name of a copy.
_NAME = re.compile(r"pluginkit_(\d+)(?:__\d+)*")
_PLACEHOLDER = "pluginkit_placeholder"

#: The element types that a graph input, and the input of an Identity, may have.
ELEM_TYPES = frozenset(
    [
        TensorProto.FLOAT,
        TensorProto.FLOAT16,
        TensorProto.BFLOAT16,
        TensorProto.DOUBLE,
        TensorProto.INT8,
        TensorProto.INT32,
        TensorProto.INT64,
        TensorProto.BOOL,
    ]
)


@dataclass(frozen=True)
class NodeId:
    """A node of a model, identified by its position.

    Attributes:
        where: the path of its scope, see ``pluginkit.onnx.model.graphs``.
        position: its index among that scope's nodes.
        number: its index among all nodes of the model.
        op_type, domain, name: the node's own.
        outputs: the names of its outputs, "" for one that is left out.
    """

    where: str
    position: int
    number: int
    op_type: str
    domain: str
    name: str
    outputs: tuple[str, ...]

    @property
    def label(self) -> str:
        """The name, or else the first output's name."""
        return self.name or first_output(self.outputs)

    @property
    def title(self) -> str:
        """The op_type and the name; without a name the number and the first output's name."""
        number = "" if self.name else f"#{self.number} "
        return f"{number}{self.op_type} {self.label}"

    @property
    def place(self) -> Place:
        """The place that ``place_of`` returns."""
        return self.where, self.label, first_output(self.outputs)


def node_ids(model: onnx.ModelProto) -> list[NodeId]:
    """Return the nodes of the main graph, bodies and local functions, in order of their numbers."""
    found: list[NodeId] = []
    for scope in scopes(model):
        for at, node in enumerate(scope.graph.node):
            names = node.op_type, node.domain, node.name, tuple(node.output)
            found.append(NodeId(scope.path, at, len(found), *names))
    return found


def set_numbers(model: onnx.ModelProto) -> None:
    """Give each node a name with its index in ``node_ids``."""
    nodes = [node for scope in [*scopes(model)] for node in scope.graph.node]
    for number, node in enumerate(nodes):
        node.name = f"pluginkit_{number}"


def number_of(name: str) -> int | None:
    """Return the number in a name that ``set_numbers`` gave, or None; copies keep the number."""
    found = _NAME.fullmatch(name)
    return int(found[1]) if found else None


def with_labels(text: str, ids: Sequence[NodeId]) -> str:
    """Replace the numbered names in ``text`` by the nodes' own names."""
    return _NAME.sub(lambda found: ids[int(found[1])].label, text)


class PrunedModel:
    """A numbered model without local functions, from which nodes are removed.

    Nodes are identified by name: two calls of a function give two copies of its nodes.

    Attributes:
        model: the model without the removed nodes.
        types: the known types of its values.
        nodes: the original nodes, and the scope of each, by name.
        removed: the names of the removed nodes.
        unasked: the removed nodes that were not refused: they are inside a refused node, or read a
            value of one that no graph input can replace.
    """

    def __init__(self, model: onnx.ModelProto) -> None:
        self.model = model
        self.nodes: dict[str, tuple[Scope, onnx.NodeProto]] = {}
        self.removed: set[str] = set()
        self.unasked: set[str] = set()
        _make_names_unique(model)
        self.types = _types(model)
        self._inner: dict[str, list[Scope]] = {}
        self._owners: dict[str, onnx.NodeProto] = {}
        self._placeholders = 0
        self._placeholder_of: dict[str, tuple[Scope, str]] = {}
        for scope in scopes(model):
            if scope.outer is not None:
                self._inner.setdefault(scope.outer.path, []).append(scope)
            self.nodes.update((node.name, (scope, node)) for node in scope.graph.node)
            for node, inner in inner_scopes(scope):
                self._owners.update((body.path, node) for _, body in inner)

    def names_of(self, name: str) -> list[str]:
        """Return the node of that name, or all copies of a function's node with its number."""
        if name in self.nodes:
            return [name]
        number = number_of(name)
        return [each for each in self.nodes if number is not None and number_of(each) == number]

    def remove(self, name: str) -> None:
        """Remove a node, and the nodes that the parser cannot be asked about without it."""
        if name in self.removed:
            return
        scope, node = self.nodes[name]
        inside = {each.name for each in nodes_inside(node)} & self.nodes.keys() - self.removed
        self.unasked |= inside
        self.removed |= {name} | inside
        new, lost = [], []
        for output in filter(None, node.output):
            found = self.types.find(scope, output)
            if found is None or not _can_be_input(found):
                lost.append(output)
            else:
                new.append(self._placeholder(scope, output, found))
        nodes = scope.graph.node
        at = next(at for at, each in enumerate(nodes) if each.name == name)
        del nodes[at]
        for each in new:
            nodes.insert(at, each)
        for output in lost:
            self._lose(scope, output)

    def withdraw(self, name: str) -> bool:
        """Remove a placeholder that the parser refuses; return False if ``name`` is none."""
        found = self._placeholder_of.pop(name, None)
        if found is None:
            return False
        scope, output = found
        _remove(scope.graph.node, name)
        self._lose(scope, output)
        return True

    def readers_of(self, name: str) -> list[str]:
        """Return the nodes, also removed ones, that read a graph input or initializer."""
        return [each for each, (_, node) in self.nodes.items() if name in node.input]

    def drop_value(self, name: str) -> None:
        """Remove a graph input or initializer whose readers are removed."""
        graph = self.model.graph
        for values in (graph.input, graph.initializer, graph.output):
            _remove(values, name)

    def _placeholder(self, scope: Scope, output: str, value_type: onnx.TypeProto) -> onnx.NodeProto:
        """Return an Identity of a new graph input that produces ``output``."""
        self._placeholders += 1
        name = f"{_PLACEHOLDER}_{self._placeholders}"
        self.model.graph.input.add(name=name, type=value_type)
        self._placeholder_of[name] = scope, output
        return onnx.helper.make_node("Identity", [name], [output], name=name)

    def _lose(self, scope: Scope, name: str) -> None:
        """Remove the readers of a value that no graph input can replace."""
        for reader in list(self._readers(scope, name)):
            if reader not in self.removed:
                self.unasked.add(reader)
                self.remove(reader)
        if scope.outer is None:
            _remove(self.model.graph.output, name)

    def _readers(self, scope: Scope, name: str) -> Iterator[str]:
        """Yield the remaining nodes that read a value of ``scope``, there and in bodies.

        A node whose body has the value as an output reads it too.
        """
        for node in scope.graph.node:
            if name in node.input and node.name in self.nodes:
                yield node.name
        if name in output_names(scope.graph) and scope.path in self._owners:
            yield self._owners[scope.path].name
        for inner in self._inner.get(scope.path, ()):
            is_there = self._owners[inner.path].name not in self.removed
            if is_there and name not in defined_names(inner.graph):
                yield from self._readers(inner, name)


def _make_names_unique(model: onnx.ModelProto) -> None:
    """Rename copies that share a name, such as those of a body in an inlined function."""
    seen: set[str] = set()
    for scope in scopes(model):
        for node in scope.graph.node:
            while node.name in seen:
                node.name += "__0"
            seen.add(node.name)


def _types(model: onnx.ModelProto) -> Types:
    """Return the types of all values; if the model contradicts itself, those that it states."""
    try:
        return infer_types(model)
    except ModelError:
        types = Types()
        for scope in scopes(model):
            types.learn(scope)
        return types


def _can_be_input(value_type: onnx.TypeProto) -> bool:
    return dims_of(value_type) is not None and value_type.tensor_type.elem_type in ELEM_TYPES


def nodes_inside(node: onnx.NodeProto) -> Iterator[onnx.NodeProto]:
    """Yield the nodes of a node's bodies, and of the bodies inside them."""
    for _, body in bodies(node):
        for inner in body.node:
            yield inner
            yield from nodes_inside(inner)


def _remove(values: Any, name: str) -> None:
    for at in reversed(range(len(values))):
        if values[at].name == name:
            del values[at]
