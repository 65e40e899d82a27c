"""Find nodes that compute the same, and let one of them do for all."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count
from typing import TypeAlias

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
from pluginkit.onnx.rewriting.lift_nodes import rename_reads
from pluginkit.onnx.rewriting.scope_edit import drop_value_info

#: Operators whose outputs differ from run to run, or may.
_RANDOM = frozenset(
    {
        *("Bernoulli", "Dropout", "Multinomial", "RandomNormal", "RandomNormalLike"),
        *("RandomUniform", "RandomUniformLike"),
    }
)


#: Whether a node of a scope is to be merged with its equals.
Merges: TypeAlias = Callable[[Scope, onnx.NodeProto], bool]


def merge_equal_nodes(graphs: Graphs, merges: Merges) -> list[Change]:
    """Let what reads a node read an earlier equal one instead; return the changes.

    The node is removed. If an output of its graph is its own, an Identity gives that its value.

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
        merges: Merges,
    ) -> None:
        self.changes: list[Change] = [] if outer is None else outer.changes
        self._scope = scope
        self._numbers = numbers
        self._merges = merges
        self._of_value: dict[str, int] = dict(outer._of_value) if outer is not None else {}
        #: The nodes of each operator with equal inputs; their attributes may differ.
        self._alike: dict[object, tuple[onnx.NodeProto, ...]] = (
            dict(outer._alike) if outer is not None else {}
        )
        self._stored: dict[bytes, int] = dict(outer._stored) if outer is not None else {}
        graph = scope.graph
        if isinstance(graph, onnx.GraphProto):
            for value in graph.input:
                self._of_value[value.name] = next(numbers)
            for tensor in graph.initializer:
                self._of_value[tensor.name] = self._number_of_stored(tensor)

    def run(self) -> None:
        """Number the values, node by node, and merge."""
        index = GraphIndex(self._scope)
        inner = {id(node): bodies for node, bodies in inner_scopes(self._scope)}
        before = len(self.changes)
        nodes: list[onnx.NodeProto] = []
        renamed: dict[str, str] = {}
        for node in index.nodes:
            for _, body in inner.get(id(node), ()):
                _ScopeNumbering(body, self, self._numbers, self._merges).run()
            first = self._number(node)
            if first is None or not self._merges(self._scope, node):
                nodes.append(node)
                continue
            kept = [at for at, name in enumerate(node.output) if name in index.outputs]
            nodes += (_identity(node, at, first[at]) for at in kept)
            others = {at: name for at, name in enumerate(node.output) if name and at not in kept}
            renamed.update((name, renamed.get(first[at], first[at])) for at, name in others.items())
            self.changes.append((place_of(self._scope, node), ("Identity",) * bool(kept)))
            drop_value_info(self._scope, {name for name in node.output if name})
        if len(self.changes) > before:
            nodes = [onnx.NodeProto.FromString(each.SerializeToString()) for each in nodes]
            del self._scope.graph.node[:]
            self._scope.graph.node.extend(nodes)
            rename_reads(self._scope.graph, renamed)

    def _number(self, node: onnx.NodeProto) -> list[str] | None:
        """Number a node's outputs; return the outputs of an earlier node that is equal, or None."""
        values, inputs = self._of_value, node.input[:]
        if node.op_type == "Identity" and is_op(node, "Identity") and inputs[0] in values:
            values[node.output[0]] = values[inputs[0]]
            return None
        numbers = tuple([values.get(name, -1) if name else None for name in inputs])
        alike = self._alike.get((node.op_type, numbers), ())
        first = next((other for other in alike if _is_equal(node, other)), None) if alike else None
        if first is None:
            for name in node.output[:]:
                values[name] = next(self._numbers)
            if -1 not in numbers and node.op_type not in _RANDOM:
                self._alike[node.op_type, numbers] = (*alike, node)
            return None
        pairs = zip(node.output, first.output, strict=True)
        values.update((name, values[other]) for name, other in pairs)
        return list(first.output)

    def _number_of_stored(self, tensor: onnx.TensorProto) -> int:
        if is_external(tensor) or tensor.ByteSize() > 4096:
            return next(self._numbers)
        bare = onnx.TensorProto()
        bare.CopyFrom(tensor)
        bare.name = ""
        return self._stored.setdefault(bare.SerializeToString(), next(self._numbers))


def _is_equal(node: onnx.NodeProto, other: onnx.NodeProto) -> bool:
    """Whether two nodes of one operator, with equal inputs, compute the same."""
    if node.domain != other.domain or has_bodies(node):
        return False
    if [bool(name) for name in node.output] != [bool(name) for name in other.output]:
        return False
    if any(each.ref_attr_name for each in node.attribute):
        return False
    mine, others = (
        sorted(each.SerializeToString() for each in one.attribute) for one in (node, other)
    )
    return mine == others


def _identity(node: onnx.NodeProto, at: int, value: str) -> onnx.NodeProto:
    """Return the node that gives an output of ``node`` the value of another."""
    name = node.name if not node.name or at == 0 else f"{node.name}_{at}"
    return onnx.helper.make_node("Identity", [value], [node.output[at]], name=name)
