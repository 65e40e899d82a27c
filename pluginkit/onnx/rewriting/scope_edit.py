"""Replace matched nodes by new ones, in the protobufs of the model."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any

import onnx
import onnx.helper

from pluginkit.errors import RewriteError
from pluginkit.onnx.model.graphs import Scope, label, names_read
from pluginkit.onnx.rewriting.export_nodes import (
    NODES,
    ExportedNodes,
    ModelNames,
    NewNode,
    NodeExport,
)
from pluginkit.onnx.rewriting.graph_index import GraphIndex
from pluginkit.onnx.rewriting.match import Match
from pluginkit.onnx.rewriting.pattern_search import Bindings


def set_nodes(scope: Scope, nodes: Sequence[onnx.NodeProto]) -> None:
    """Keep these of the scope's nodes, in this order, and remove the others."""
    _keep(scope.graph.node, nodes)


def _keep(container: Any, kept: Sequence[Any]) -> None:
    """Keep these messages of a repeated field, in this order; it takes linear time.

    Messages are sorted, not copied, because protobuf keeps the memory of removed messages for as
    long as the model lives.
    """
    order = {id(each): position for position, each in enumerate(kept)}
    container.sort(key=lambda each: order.get(id(each), len(order)))
    del container[len(order) :]


def removal_problem(index: GraphIndex, root: int, bindings: Bindings) -> str | None:
    """Return why the matched nodes cannot be removed from their graph, or None if they can."""
    produced = {root, *bindings.kept}
    positions = list(bindings.nodes.values())
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


class ScopeEdit:
    """Collects the replacements in one scope; ``write`` makes them."""

    def __init__(self, model: onnx.ModelProto, index: GraphIndex, names: ModelNames) -> None:
        self.index = index
        self._model = model
        self._names = names
        self._new: dict[int, list[ExportedNodes]] = {}
        self._made: dict[int, list[onnx.NodeProto]] = {}
        self._places: dict[str, int] = {}
        self._removed: set[int] = set()

    def has_replaced(self, positions: Iterable[int]) -> bool:
        """Whether a node at one of these positions is already replaced."""
        return not self._removed.isdisjoint(positions)

    def export(
        self, returned: NewNode | Sequence[NewNode], match: Match, rewrite: str
    ) -> ExportedNodes:
        """Check the nodes that a rewrite returned and convert them to protobufs.

        Errors:
            PK421: they are no nodes, or read or produce the wrong values.
        """
        nodes = [returned] if isinstance(returned, NODES) else returned
        if (
            not isinstance(nodes, (list, tuple))
            or not nodes
            or not all(isinstance(node, NODES) for node in nodes)
        ):
            raise _wrong(rewrite, f"returned {returned!r}; expected a node or nodes")
        export = NodeExport(match, self._names)
        try:
            for node in nodes:
                export.add(node)
        except ValueError as error:
            raise _wrong(rewrite, str(error)) from None
        for name in export.missing:
            if self.index.readers[name] or name in self.index.outputs:
                raise _wrong(rewrite, f"made nodes that do not produce '{name}'")
        return export.exported

    def position_for(self, root: int, bindings: Bindings, new: ExportedNodes) -> int | None:
        """Return the position before which the new nodes can be inserted, or None.

        It is that of the last matched node, or of an earlier node that reads one of their outputs.
        There is none if one of their inputs is produced later than that.
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
        """Whether a node that remains, or is inserted, at a position reads one of the names."""
        nodes = [node for new in self._new.get(position, ()) for node in new.nodes]
        if position not in self._removed and position not in bindings.nodes.values():
            nodes.append(self.index.nodes[position])
        return any(not names_read(node).isdisjoint(names) for node in nodes)

    def replace(self, root: int, bindings: Bindings, new: ExportedNodes, place: int) -> None:
        """Remove the matched nodes and insert the new ones before the node at ``place``."""
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
        # protobuf gives bytes if the text is not UTF-8
        if old.doc_string and isinstance(old.doc_string, str):
            new.nodes[-1].doc_string = old.doc_string
        self._made[root] = new.nodes
        self._places |= {name: place for node in new.nodes for name in node.output}
        # Nodes that were moved here for a reader, which may be new itself, come before it.
        there = self._new.setdefault(place, [])
        there.insert(len(there) if place == root else 0, new)

    def new_nodes(self, root: int) -> list[onnx.NodeProto]:
        """Return the nodes that replaced the match whose last node was at ``root``."""
        return self._made[root]

    def write(self) -> None:
        """Make all replacements in the model."""
        if not self._removed:
            return
        scope = self.index.scope
        nodes: list[onnx.NodeProto] = []
        gone: set[str] = set()
        for position, node in enumerate(self.index.nodes):
            for new in self._new.get(position, ()):
                first = len(scope.graph.node)
                scope.graph.initializer.extend(new.constants)
                scope.graph.node.extend(new.nodes)
                nodes += scope.graph.node[first:]
            if position in self._removed:
                gone.update(node.output)
            else:
                nodes.append(node)
        set_nodes(scope, nodes)
        made = [node for nodes in self._made.values() for node in nodes]
        import_domains(self._model, {node.domain for node in made})
        drop_value_info(scope, gone - self._places.keys())


def import_domains(model: onnx.ModelProto, domains: Collection[str]) -> None:
    """Let the model import the operators of these domains, unless it does already."""
    there = {entry.domain for entry in model.opset_import} | {"", "ai.onnx"}
    new = sorted(set(domains) - there)
    model.opset_import.extend(onnx.helper.make_opsetid(each, 1) for each in new)


def drop_value_info(scope: Scope, gone: set[str]) -> None:
    """Remove the value_info of values that are no longer in the scope."""
    infos = list(scope.graph.value_info) if gone else []
    if infos:
        _keep(scope.graph.value_info, [info for info in infos if info.name not in gone])


def _wrong(rewrite: str, message: str) -> RewriteError:
    return RewriteError(
        "PK421",
        f"{rewrite} {message}.",
        fix="build the nodes with match.plugin_node(...) and from the match's own tensors.",
    )
