"""Puts new nodes in the place of matched ones, in the model's own protobufs."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any, TypeAlias

import onnx
import onnx.helper
import onnx_graphsurgeon as gs
from onnx_graphsurgeon.exporters.onnx_exporter import OnnxExporter

from pluginkit.errors import RewriteError
from pluginkit.onnx.graphs import (
    Scope,
    bodies,
    defined_names,
    label,
    names_read,
    scopes,
)
from pluginkit.onnx.match import Match
from pluginkit.onnx.matching import Bindings, GraphIndex

NewNode: TypeAlias = gs.Node | onnx.NodeProto
_NODES = (gs.Node, onnx.NodeProto)


class Names:
    """Every name of the model's values and nodes, so that new ones are unique in all its scopes."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self._values: set[str] = set()
        self._nodes: set[str] = set()
        for scope in scopes(model):
            self._values |= defined_names(scope.graph)
            self._nodes.update(node.name for node in scope.graph.node)

    def new_value(self, wanted: str) -> str:
        """``wanted``, with a number behind it when it is taken."""
        return _unique(wanted, self._values)

    def new_node(self, wanted: str) -> str:
        """``wanted``, with a number behind it when it is taken."""
        return _unique(wanted, self._nodes)

    def free_node(self, name: str) -> None:
        """Forget the name of a node that is gone."""
        self._nodes.discard(name)


def _unique(wanted: str, taken: set[str]) -> str:
    numbered = (f"{wanted}_{number}" for number in count(1))
    name = wanted if wanted not in taken else next(each for each in numbered if each not in taken)
    taken.add(name)
    return name


def set_nodes(scope: Scope, nodes: Sequence[onnx.NodeProto]) -> None:
    """Leave the scope these of its nodes, in this order."""
    _keep(scope.graph.node, nodes)


def _keep(container: Any, kept: Sequence[Any]) -> None:
    """Leave a repeated field these of its messages, in this order, in linear time.

    None is copied: protobuf would keep the memory of the old ones for as long as the model lives.
    """
    order = {id(each): position for position, each in enumerate(kept)}
    container.sort(key=lambda each: order.get(id(each), len(order)))
    del container[len(order) :]


def why_untouchable(index: GraphIndex, root: int, bindings: Bindings) -> str | None:
    """Why the matched nodes cannot be taken out of their graph, or None."""
    produced = {root, *bindings.kept}
    positions = list(bindings.nodes.values())
    for position in positions:
        for attribute in index.nodes[position].attribute:
            if attribute.ref_attr_name:
                return (
                    f"attribute '{attribute.name}' is that of the function's caller; "
                    "inline the function first"
                )
    if len(positions) == 1:
        return None
    inside = [names_read(index.nodes[position]) for position in positions]
    for position in positions:
        for name in index.nodes[position].output if position not in produced else ():
            if name in index.outputs:
                return f"'{name}', between the matched nodes, is a graph output"
            if name and index.readers[name] > sum(name in names for names in inside):
                return f"'{name}', between the matched nodes, is read by other nodes too"
    return None


@dataclass(frozen=True)
class NewNodes:
    """What a rewrite made of one match: nodes in order, and the constants that they bring."""

    nodes: list[onnx.NodeProto]
    constants: list[onnx.TensorProto]


class Edit:
    """The pending changes of one scope; ``write`` makes them."""

    def __init__(self, model: onnx.ModelProto, index: GraphIndex, names: Names) -> None:
        self.index = index
        self._model = model
        self._names = names
        self._new: dict[int, list[NewNodes]] = {}
        self._made: dict[int, list[onnx.NodeProto]] = {}
        self._places: dict[str, int] = {}
        self._removed: set[int] = set()

    def has_replaced(self, positions: Iterable[int]) -> bool:
        """Whether any of the nodes at these positions is already replaced."""
        return not self._removed.isdisjoint(positions)

    def export(self, returned: NewNode | Sequence[NewNode], match: Match, rewrite: str) -> NewNodes:
        """The nodes that a rewrite returned, checked, as protobufs with names new to the model.

        Errors:
            PK421: it returned something else, or nodes that read or produce the wrong values.
        """
        nodes = [returned] if isinstance(returned, _NODES) else returned
        if (
            not isinstance(nodes, (list, tuple))
            or not nodes
            or not all(isinstance(node, _NODES) for node in nodes)
        ):
            raise _wrong(rewrite, f"returned {returned!r}; expected a node or nodes")
        splice = _Splice(match, self._names)
        try:
            for node in nodes:
                splice.add(node)
        except ValueError as error:
            raise _wrong(rewrite, str(error)) from None
        for name in splice.missing:
            if self.index.readers[name] or name in self.index.outputs:
                raise _wrong(rewrite, f"made nodes that do not produce '{name}'")
        return splice.made

    def place_of(self, root: int, bindings: Bindings, new: NewNodes) -> int | None:
        """The position before which new nodes can stand, None when there is none.

        It is that of the last matched node, or of the first other node that reads what the new ones
        produce; what they read must be there by then.
        """
        if not bindings.kept:
            return root
        kept = {name for at in bindings.kept for name in self.index.nodes[at].output}
        between = range(min(bindings.kept) + 1, root)
        place = next((at for at in between if self._reads(at, kept, bindings)), root)
        made = {name for node in new.nodes for name in node.output}
        read = {name for node in new.nodes for name in names_read(node)} - made
        old = self.index.producers
        latest = max((self._places.get(name, old.get(name, -1)) for name in read), default=-1)
        return place if latest < place else None

    def _reads(self, position: int, names: Collection[str], bindings: Bindings) -> bool:
        """Whether a node that stays, or a new one, reads one of the values there."""
        nodes = [node for new in self._new.get(position, ()) for node in new.nodes]
        if position not in self._removed and position not in bindings.nodes.values():
            nodes.append(self.index.nodes[position])
        return any(not names_read(node).isdisjoint(names) for node in nodes)

    def replace(self, root: int, bindings: Bindings, new: NewNodes, place: int) -> None:
        """Take out the matched nodes and put the new ones before what stood at ``place``."""
        index = self.index
        for position in bindings.nodes.values():
            self._removed.add(position)
            self._names.free_node(index.nodes[position].name)
        old = index.nodes[root]
        for node in new.nodes:
            node.name = self._names.new_node(node.name or f"{node.op_type}_{label(old)}")
        index.replace([index.nodes[at] for at in bindings.nodes.values()], new.nodes)
        if old.metadata_props:
            new.nodes[-1].metadata_props.extend(old.metadata_props)
        if old.doc_string and isinstance(old.doc_string, str):  # bytes: it was no UTF-8
            new.nodes[-1].doc_string = old.doc_string
        self._made[root] = new.nodes
        self._places |= {name: place for node in new.nodes for name in node.output}
        # Those that stand here for the sake of a reader come before it.
        there = self._new.setdefault(place, [])
        there.insert(len(there) if place == root else 0, new)

    def made_of(self, root: int) -> list[onnx.NodeProto]:
        """The nodes that took the place of the match whose last node stood at ``root``."""
        return self._made[root]

    def write(self) -> None:
        """Make the changes."""
        if not self._removed:
            return
        scope = self.index.scope
        nodes: list[onnx.NodeProto] = []
        gone: set[str] = set()
        for position, node in enumerate(self.index.nodes):
            for new in self._new.get(position, ()):
                first = len(scope.graph.node)
                scope.graph.node.extend(self._place_constants(scope, new.constants))
                scope.graph.node.extend(new.nodes)
                nodes += scope.graph.node[first:]
            if position in self._removed:
                gone.update(node.output)
            else:
                nodes.append(node)
        set_nodes(scope, nodes)
        self._import_domains(scope)
        _drop_value_info(scope, gone - self._places.keys())

    def _place_constants(
        self, scope: Scope, constants: Sequence[onnx.TensorProto]
    ) -> list[onnx.NodeProto]:
        """Initializers in a graph; Constant nodes in a function, which has no initializers."""
        if isinstance(scope.graph, onnx.GraphProto):
            scope.graph.initializer.extend(constants)
            return []
        return [
            onnx.helper.make_node("Constant", [], [each.name], value=each) for each in constants
        ]

    def _import_domains(self, scope: Scope) -> None:
        while scope.outer is not None:
            scope = scope.outer
        owner = scope.graph if isinstance(scope.graph, onnx.FunctionProto) else self._model
        there = {entry.domain for entry in owner.opset_import} | {"", "ai.onnx"}
        used = {node.domain for nodes in self._made.values() for node in nodes}
        owner.opset_import.extend(
            onnx.helper.make_opsetid(each, 1) for each in sorted(used - there)
        )


class _Splice:
    """Turns a rewrite's nodes into protobufs whose names fit into the model."""

    def __init__(self, match: Match, names: Names) -> None:
        self.made = NewNodes([], [])
        self.missing = set(match.promised_names)
        self._outputs = match.promised_names
        self._prefix = label(match.proto)
        self._names = names
        self._renamed = {name: name for name in match.readable_names}

    def add(self, node: NewNode) -> None:
        """Take one node; ValueError when it reads what nothing produces."""
        if isinstance(node, gs.Node):
            self._take_constants(node)
            proto = OnnxExporter.export_node(node)
        else:
            proto = onnx.NodeProto()
            proto.CopyFrom(node)
        for name in sorted(names_read(proto)):
            if name not in self._renamed:
                raise ValueError(f"made a node that reads '{name}', which nothing produces")
        self._rename_inside(proto, self._renamed)
        for name in proto.output:
            if name in self._renamed:
                raise ValueError(f"made a node that produces '{name}', as one before it does")
            if name in self._outputs:
                self._renamed[name] = name
            elif name:
                self._rename(name)
        self.missing.difference_update(proto.output)
        proto.output[:] = [self._renamed.get(name, "") for name in proto.output]
        self.made.nodes.append(proto)

    def _take_constants(self, node: gs.Node) -> None:
        for tensor in node.inputs:
            if isinstance(tensor, gs.Constant) and tensor.name not in self._renamed:
                constant = onnx.TensorProto()
                constant.CopyFrom(OnnxExporter.export_tensor_proto(tensor))
                constant.name = self._rename(tensor.name)
                self.made.constants.append(constant)

    def _rename_inside(self, node: onnx.NodeProto, renamed: dict[str, str]) -> None:
        """Give what a node and its bodies read and define the names that the model knows."""
        node.input[:] = [renamed.get(name, name) for name in node.input]
        for _, body in bodies(node):
            own = {
                name: self._names.new_value(f"{self._prefix}/{name}")
                for name in sorted(defined_names(body) - {""})
            }
            inner = renamed | own
            for value in [*body.input, *body.output, *body.initializer, *body.value_info]:
                value.name = inner.get(value.name, value.name)
            for inner_node in body.node:
                self._rename_inside(inner_node, inner)
                inner_node.output[:] = [inner.get(name, name) for name in inner_node.output]

    def _rename(self, name: str) -> str:
        self._renamed[name] = self._names.new_value(f"{self._prefix}/{name}")
        return self._renamed[name]


def _drop_value_info(scope: Scope, gone: set[str]) -> None:
    infos = list(scope.graph.value_info) if gone else []
    if infos:
        _keep(scope.graph.value_info, [info for info in infos if info.name not in gone])


def _wrong(rewrite: str, message: str) -> RewriteError:
    return RewriteError(
        "PK421",
        f"{rewrite} {message}.",
        fix="build the nodes with match.plugin_node(...) and from the match's own tensors.",
    )
