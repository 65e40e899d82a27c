"""Find nodes that compute the same, and let one of them do for all."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count

import onnx
import onnx.helper

from pluginkit.onnx.model.external_data import is_external
from pluginkit.onnx.model.graphs import (
    Scope,
    has_bodies,
    inner_scopes,
    is_op,
    place_of,
    scopes,
)
from pluginkit.onnx.rewriting.graph_index import GraphIndex
from pluginkit.onnx.rewriting.graph_rewrite import Change, Graphs
from pluginkit.onnx.rewriting.scope_edit import drop_value_info

#: Operators whose outputs differ from run to run, or may.
_RANDOM = frozenset(
    {
        *("Bernoulli", "Dropout", "Multinomial", "RandomNormal", "RandomNormalLike"),
        *("RandomUniform", "RandomUniformLike"),
    }
)


def merge_equal_nodes(graphs: Graphs, merges: Callable[[onnx.NodeProto], bool]) -> list[Change]:
    """Replace nodes by Identities of an earlier equal one; return the changes.

    Nodes are equal if they have one operator, equal attributes, and inputs that are equal or come
    from equal nodes. A node in a body may be equal to an earlier one of an outer graph.

    Args:
        graphs: the graphs, which are changed. Local functions are left.
        merges: whether a node is to be merged with its equals. Others are only compared.
    """
    main = _ScopeNumbering(next(scopes(graphs.model)), None, count(), merges)
    main.run()
    return main.changes


class _ScopeNumbering:
    """Gives equal values of one scope, and of those around it, the same number."""

    def __init__(
        self,
        scope: Scope,
        outer: _ScopeNumbering | None,
        numbers: Iterator[int],
        merges: Callable[[onnx.NodeProto], bool],
    ) -> None:
        self.changes: list[Change] = [] if outer is None else outer.changes
        self._scope = scope
        self._numbers = numbers
        self._merges = merges
        self._of_value: dict[str, int] = dict(outer._of_value) if outer is not None else {}
        self._equal: dict[object, list[str]] = dict(outer._equal) if outer is not None else {}
        self._stored: dict[bytes, int] = dict(outer._stored) if outer is not None else {}
        graph = scope.graph
        if isinstance(graph, onnx.GraphProto):
            for value in graph.input:
                self._of_value[value.name] = next(numbers)
            for tensor in graph.initializer:
                self._of_value[tensor.name] = self._number_of_stored(tensor)

    def run(self) -> None:
        """Number the values, node by node, and merge."""
        inner = {id(node): bodies for node, bodies in inner_scopes(self._scope)}
        index = GraphIndex(self._scope)
        before = len(self.changes)
        nodes: list[onnx.NodeProto] = []
        for node in index.nodes:
            for _, body in inner.get(id(node), ()):
                _ScopeNumbering(body, self, self._numbers, self._merges).run()
            first = self._number(node)
            if first is None or not self._merges(node):
                nodes.append(node)
                continue
            self.changes.append((place_of(self._scope, node), ("Identity",)))
            used = [
                at
                for at, name in enumerate(node.output)
                if name and (index.readers[name] or name in index.outputs)
            ]
            nodes += (_identity(node, at, first[at]) for at in used)
            drop_value_info(self._scope, {name for name in node.output if name})
        if len(self.changes) > before:
            nodes = [onnx.NodeProto.FromString(each.SerializeToString()) for each in nodes]
            del self._scope.graph.node[:]
            self._scope.graph.node.extend(nodes)

    def _number(self, node: onnx.NodeProto) -> list[str] | None:
        """Number a node's outputs; return the outputs of an earlier node that is equal, or None."""
        is_identity = is_op(node, "Identity") and len(node.input) == len(node.output) == 1
        if is_identity and node.input[0] in self._of_value:
            self._of_value[node.output[0]] = self._of_value[node.input[0]]
            return None
        key = self._key(node)
        first = self._equal.get(key) if key is not None else None
        if first is not None:
            for name, other in zip(node.output, first, strict=True):
                self._of_value[name] = self._of_value[other]
            return first
        self._number_outputs(node)
        if key is not None:
            self._equal[key] = list(node.output)
        return None

    def _number_outputs(self, node: onnx.NodeProto) -> None:
        for name in node.output:
            self._of_value[name] = next(self._numbers)

    def _key(self, node: onnx.NodeProto) -> tuple[object, ...] | None:
        """Return what equal nodes have in common; None for a node that is equal to no other."""
        if (
            node.op_type in _RANDOM
            or has_bodies(node)
            or any(each.ref_attr_name for each in node.attribute)
        ):
            return None
        numbers = tuple(self._of_value.get(name, -1) if name else None for name in node.input)
        if -1 in numbers:
            return None
        attributes = tuple(sorted(each.SerializeToString() for each in node.attribute))
        return node.domain, node.op_type, attributes, numbers, tuple(map(bool, node.output))

    def _number_of_stored(self, tensor: onnx.TensorProto) -> int:
        if is_external(tensor) or tensor.ByteSize() > 4096:
            return next(self._numbers)
        bare = onnx.TensorProto()
        bare.CopyFrom(tensor)
        bare.name = ""
        return self._stored.setdefault(bare.SerializeToString(), next(self._numbers))


def _identity(node: onnx.NodeProto, at: int, value: str) -> onnx.NodeProto:
    """Return the node that gives an output of ``node`` the value of another."""
    name = node.name if not node.name or at == 0 else f"{node.name}_{at}"
    return onnx.helper.make_node("Identity", [value], [node.output[at]], name=name)
