"""A model whose nodes can be told apart in the parser's log, and cut out of it.

A node that is cut out makes room for graph inputs of the types of its outputs, so that the parser
goes on behind it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import onnx
import onnx.helper

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

#: A node's name while the parser reads it; onnx's inliner appends "__1" to the name of a copy.
_NAME = re.compile(r"pluginkit_(\d+)(?:__\d+)*")
_STAND_IN = "pluginkit_stand_in"

_T = onnx.TensorProto
#: What may be a graph input, and the input of an Identity.
_ELEM_TYPES = frozenset(
    [_T.FLOAT, _T.FLOAT16, _T.BFLOAT16, _T.DOUBLE, _T.INT8, _T.INT32, _T.INT64, _T.BOOL]
)


@dataclass(frozen=True)
class NodeId:
    """A node of a model, as long as the model's nodes keep their places.

    Attributes:
        where: the path of its scope, as in ``pluginkit.onnx.model.graphs``.
        position: its place among that scope's nodes.
        op_type, domain, name: as the node has them.
        outputs: the names of its outputs, "" for one that is left out.
    """

    where: str
    position: int
    op_type: str
    domain: str
    name: str
    outputs: tuple[str, ...]

    @property
    def label(self) -> str:
        """The name, or else the first output's."""
        return self.name or first_output(self.outputs)

    @property
    def place(self) -> Place:
        """As ``place_of`` has it."""
        return self.where, self.label, first_output(self.outputs)


def node_ids(model: onnx.ModelProto) -> list[NodeId]:
    """Every node: of the main graph, of bodies and of local functions; their order numbers them."""
    return [
        NodeId(scope.path, at, node.op_type, node.domain, node.name, tuple(node.output))
        for scope in scopes(model)
        for at, node in enumerate(scope.graph.node)
    ]


def set_numbers(model: onnx.ModelProto) -> None:
    """Put each node's number, as ``node_ids`` counts, into its name."""
    nodes = [node for scope in [*scopes(model)] for node in scope.graph.node]
    for number, node in enumerate(nodes):
        node.name = f"pluginkit_{number}"


def number_of(name: str) -> int | None:
    """The number in a name that ``set_numbers`` gave, also that of an inlined copy."""
    found = _NAME.fullmatch(name)
    return int(found[1]) if found else None


def with_labels(text: str, ids: Sequence[NodeId]) -> str:
    """``text`` with the nodes' own names in place of the numbered ones."""
    return _NAME.sub(lambda found: ids[int(found[1])].label, text)


class CutModel:
    """A numbered model without local functions, of which nodes are cut out.

    Nodes go by their names here: two calls of a function give two copies of its nodes.

    Attributes:
        model: as it is now.
        types: what is known of its values.
        nodes: the nodes that it began with, and the scope of each, by name.
        gone: the names of those that are cut out.
        unasked: those among them that were cut for no reason of their own: they read a value of
            unknown type, or are inside a node that was cut.
    """

    def __init__(self, model: onnx.ModelProto) -> None:
        self.model = model
        self.nodes: dict[str, tuple[Scope, onnx.NodeProto]] = {}
        self.gone: set[str] = set()
        self.unasked: set[str] = set()
        _make_names_unique(model)
        self.types = _types(model)
        self._inner: dict[str, list[Scope]] = {}
        self._owners: dict[str, onnx.NodeProto] = {}
        self._stand_ins = 0
        self._standing_in: dict[str, tuple[Scope, str]] = {}
        for scope in scopes(model):
            if scope.outer is not None:
                self._inner.setdefault(scope.outer.path, []).append(scope)
            self.nodes.update((node.name, (scope, node)) for node in scope.graph.node)
            for node, inner in inner_scopes(scope):
                self._owners.update((body.path, node) for _, body in inner)

    def names_of(self, name: str) -> list[str]:
        """The nodes that ``name`` means: itself, or all copies of a function's node."""
        if name in self.nodes:
            return [name]
        number = number_of(name)
        return [each for each in self.nodes if number is not None and number_of(each) == number]

    def cut(self, name: str) -> None:
        """Take a node out, and with it what cannot be asked without it."""
        if name in self.gone:
            return
        scope, node = self.nodes[name]
        inside = {each.name for each in nodes_inside(node)} - self.gone
        self.unasked |= inside
        self.gone |= {name} | inside
        new, lost = [], []
        for output in filter(None, node.output):
            found = self.types.find(scope, output)
            if found is None or not _can_be_input(found):
                lost.append(output)
            else:
                new.append(self._stand_in(scope, output, found))
        nodes = scope.graph.node
        at = next(at for at, each in enumerate(nodes) if each.name == name)
        del nodes[at]
        for each in new:
            nodes.insert(at, each)
        for output in lost:
            self._lose(scope, output)

    def withdraw(self, name: str) -> bool:
        """Take out a stand-in that the parser refuses; False where ``name`` is none."""
        found = self._standing_in.pop(name, None)
        if found is None:
            return False
        scope, output = found
        _remove(scope.graph.node, name)
        self._lose(scope, output)
        return True

    def readers_of(self, name: str) -> list[str]:
        """The nodes, cut out or not, that read a graph input or initializer of the main graph."""
        return [each for each, (_, node) in self.nodes.items() if name in node.input]

    def drop_value(self, name: str) -> None:
        """Take a graph input or initializer, whose readers are cut out, out of the model."""
        graph = self.model.graph
        for values in (graph.input, graph.initializer, graph.output):
            _remove(values, name)

    def _stand_in(self, scope: Scope, output: str, value_type: onnx.TypeProto) -> onnx.NodeProto:
        """An Identity of a new graph input, which gives ``output``."""
        self._stand_ins += 1
        name = f"{_STAND_IN}_{self._stand_ins}"
        self.model.graph.input.add(name=name, type=value_type)
        self._standing_in[name] = scope, output
        return onnx.helper.make_node("Identity", [name], [output], name=name)

    def _lose(self, scope: Scope, name: str) -> None:
        """Cut what reads a value for which nothing can stand in."""
        for reader in list(self._readers(scope, name)):
            if reader not in self.gone:
                self.unasked.add(reader)
                self.cut(reader)
        if scope.outer is None:
            _remove(self.model.graph.output, name)

    def _readers(self, scope: Scope, name: str) -> Iterator[str]:
        """The nodes left that read a value of ``scope``, in it and in bodies.

        One that has it as an output of a body is a reader as well.
        """
        for node in scope.graph.node:
            if name in node.input and node.name in self.nodes:
                yield node.name
        if name in output_names(scope.graph) and scope.path in self._owners:
            yield self._owners[scope.path].name
        for inner in self._inner.get(scope.path, ()):
            is_there = self._owners[inner.path].name not in self.gone
            if is_there and name not in defined_names(inner.graph):
                yield from self._readers(inner, name)


def _make_names_unique(model: onnx.ModelProto) -> None:
    """Tell copies apart that the inliner gave one name, as those of a body in a function."""
    seen: set[str] = set()
    for scope in scopes(model):
        for node in scope.graph.node:
            while node.name in seen:
                node.name += "__0"
            seen.add(node.name)


def _types(model: onnx.ModelProto) -> Types:
    """The types of all values; of a model that contradicts itself, those that it states."""
    try:
        return infer_types(model)
    except ModelError:
        types = Types()
        for scope in scopes(model):
            types.learn(scope)
        return types


def _can_be_input(value_type: onnx.TypeProto) -> bool:
    return dims_of(value_type) is not None and value_type.tensor_type.elem_type in _ELEM_TYPES


def nodes_inside(node: onnx.NodeProto) -> Iterator[onnx.NodeProto]:
    """The nodes of a node's bodies, and of bodies in these."""
    for _, body in bodies(node):
        for inner in body.node:
            yield inner
            yield from nodes_inside(inner)


def _remove(values: Any, name: str) -> None:
    for at in reversed(range(len(values))):
        if values[at].name == name:
            del values[at]
