"""Define :class:`GraphRewrite`, a rewrite that changes a whole model instead of single matches."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import ClassVar, NoReturn, TypeAlias

import onnx

from pluginkit.onnx.inference.annotations import verified_types
from pluginkit.onnx.inference.value_types import Types
from pluginkit.onnx.model.graphs import Place, Scope, main_and_bodies, scopes
from pluginkit.onnx.model.plugin_nodes import Plugins
from pluginkit.onnx.rewriting.export_nodes import ModelNames
from pluginkit.onnx.rewriting.known_values import Extents
from pluginkit.onnx.rewriting.match import Match
from pluginkit.onnx.rewriting.rewrite import Rewrite

#: The place that a changed node had, and the op_types of the nodes that took it.
Change: TypeAlias = tuple[Place, tuple[str, ...]]


@dataclass(frozen=True)
class Graphs:
    """The graphs of a model, to be changed in place.

    What it counts is counted when it is first asked for. After a change the driver makes new ones.

    Attributes:
        model: the model.
        types: the types of its values.
        names: makes names that are new to the model.
        plugins: the plugins whose nodes the model may hold.
        extents: the least and the greatest size of named dimensions, where the user gave them.
    """

    model: onnx.ModelProto
    types: Types
    names: ModelNames
    plugins: Plugins
    extents: Extents = field(default_factory=dict)

    @cached_property
    def operators(self) -> frozenset[str]:
        """The op_types of all nodes, of bodies and local functions too."""
        return frozenset(node.op_type for scope in self._scopes for node in scope.graph.node)

    @cached_property
    def has_bodies(self) -> bool:
        """Whether a node has a graph of its own, as If, Loop and Scan do."""
        return any(scope.outer is not None for scope in self._scopes)

    @cached_property
    def elem_types(self) -> frozenset[int]:
        """The element types of all values that are known, stored ones included."""
        stored = (
            tensor.data_type
            for scope in self._scopes
            if isinstance(scope.graph, onnx.GraphProto)
            for tensor in scope.graph.initializer
        )
        return frozenset(self.types.elem_types().union(stored))

    @cached_property
    def _scopes(self) -> list[Scope]:
        return list(scopes(self.model))

    def types_of_shapes(self) -> Types:
        """Return the types to read sizes from: those that follow from inputs and nodes alone.

        What a model declares of other values may be wrong, and would be stored for good.
        """
        if self.operators.isdisjoint(("Shape", "Size")):
            return Types()
        return verified_types(self.model, {name for name, _, _ in self.plugins})


class GraphRewrite(Rewrite, abstract=True):
    """Change the graphs of a model where no pattern of a few nodes says what to change.

    A subclass is found, chosen, listed and skipped as any other rewrite. Its ``pattern`` is an Op
    with the operators whose nodes it changes.

    Class members:
        cost: what the user should know about each change, in a sentence; "" for nothing.
    """

    cost: ClassVar[str] = ""

    def may_change(self, graphs: Graphs) -> bool:
        """Whether ``rewrite_graphs`` is called: by default if a node has an op_type of the pattern.

        Large models have few operators, and looking at each node for every rewrite takes longer
        than all else.
        """
        return not graphs.operators.isdisjoint(self.op.op_types)

    def rewrite_graphs(self, graphs: Graphs) -> Sequence[Change]:
        """Change the graphs, and return what was changed.

        By default ``rewrite_scope`` changes the main graph and each body. It is called again after
        other rewrites have changed the model.
        """
        every = main_and_bodies(graphs.model)
        return [change for scope in every for change in self.rewrite_scope(scope, graphs)]

    def rewrite_scope(self, scope: Scope, graphs: Graphs) -> Iterable[Change]:
        """Change the nodes of one graph, without those inside its bodies."""
        raise NotImplementedError

    def rewrite(self, match: Match) -> NoReturn:
        """Fail: there are no matches."""
        raise NotImplementedError(f"{type(self).__name__} rewrites graphs, not matches")
