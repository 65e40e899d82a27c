"""Look up the nodes of one scope by op_type, and who produces and who reads each value."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy.typing as npt
import onnx
import onnx.numpy_helper

from pluginkit.onnx.model.external_data import is_external
from pluginkit.onnx.model.graphs import Scope, defined_names, is_op, names_read, output_names
from pluginkit.onnx.model.stored_tensors import constant_tensor, stored_tensors


class GraphIndex:
    """The nodes of one scope. A node's position is its index in ``nodes``.

    The tables are built when they are first asked for, and describe the nodes as they were then;
    only ``readers`` follows the changes of which ``replace`` is told.

    Attributes:
        scope: the scope.
        nodes: its nodes.
        outputs: the names of its outputs.
    """

    def __init__(self, scope: Scope) -> None:
        self.scope = scope
        self.nodes = list(scope.graph.node)
        self.outputs = frozenset(output_names(scope.graph))
        self._replaced: list[tuple[list[onnx.NodeProto], list[onnx.NodeProto]]] = []

    @cached_property
    def positions(self) -> Mapping[str, Sequence[int]]:
        """The positions of the nodes of each op_type."""
        found: dict[str, list[int]] = {}
        for position, node in enumerate(self.nodes):
            found.setdefault(node.op_type, []).append(position)
        return found

    @cached_property
    def producers(self) -> Mapping[str, int]:
        """The position of the node that produces each value."""
        return {
            name: index for index, node in enumerate(self.nodes) for name in node.output[:] if name
        }

    @cached_property
    def readers(self) -> Counter[str]:
        """How many nodes read each value."""
        found = Counter(name for node in self.nodes for name in names_read(node))
        for old, new in self._replaced:
            _recount(found, old, new)
        return found

    def replace(self, old: list[onnx.NodeProto], new: list[onnx.NodeProto]) -> None:
        """Update ``readers`` for nodes that took the place of others."""
        if "readers" in self.__dict__:
            _recount(self.readers, old, new)
        else:
            self._replaced.append((old, new))

    @cached_property
    def _stored(self) -> dict[str, onnx.TensorProto]:
        """The stored tensors that nodes can read, of this and the outer scopes."""
        found, hidden, outer = stored_tensors(self.scope.graph), self._own, self.scope.outer
        while outer is not None:
            stored = stored_tensors(outer.graph)
            found |= {name: stored[name] for name in stored.keys() - hidden}
            hidden = hidden | defined_names(outer.graph)
            outer = outer.outer
        return found

    def constant(self, name: str) -> onnx.TensorProto | None:
        """Return the stored value: a Constant node's or an initializer, of this or an outer scope.

        None if the value is computed.
        """
        if name not in self.producers:
            return self._stored.get(name)
        node = self.nodes[self.producers[name]]
        return constant_tensor(node) if is_op(node, "Constant") else None

    def array(self, name: str) -> npt.NDArray[Any] | None:
        """Return the value if the model itself stores it; external files are never read."""
        tensor = self.constant(name)
        if tensor is None or is_external(tensor):
            return None
        return onnx.numpy_helper.to_array(tensor)

    def is_outer(self, name: str) -> bool:
        """Whether the value comes from the graph around this body."""
        return self.scope.outer is not None and name not in self._own

    @cached_property
    def _own(self) -> set[str]:
        """The names that this scope defines itself."""
        return defined_names(self.scope.graph)


def _recount(
    readers: Counter[str], old: Iterable[onnx.NodeProto], new: Iterable[onnx.NodeProto]
) -> None:
    for nodes, change in ((old, -1), (new, 1)):
        for node in nodes:
            for name in names_read(node):
                readers[name] += change
