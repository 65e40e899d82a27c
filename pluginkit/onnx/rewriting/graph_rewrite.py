"""Define :class:`GraphRewrite`, a rewrite that changes a whole model instead of single matches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar, NoReturn, TypeAlias

import onnx

from pluginkit.onnx.inference.annotations import verified_types
from pluginkit.onnx.inference.value_types import Types
from pluginkit.onnx.model.graphs import Place, scopes
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

    def types_of_shapes(self) -> Types:
        """Return the types to read sizes from: those that follow from inputs and nodes alone.

        What a model declares of other values may be wrong, and would be stored for good.
        """
        has_shapes = any(
            node.op_type in ("Shape", "Size")
            for scope in scopes(self.model)
            for node in scope.graph.node
        )
        names = {name for name, _, _ in self.plugins}
        return verified_types(self.model, names) if has_shapes else Types()


class GraphRewrite(Rewrite, abstract=True):
    """Change the graphs of a model where no pattern of a few nodes says what to change.

    A subclass is found, chosen, listed and skipped as any other rewrite. Its ``pattern`` is an Op
    with the operators whose nodes it may change, for people to read.

    Class members:
        cost: what the user should know about each change, in a sentence; "" for nothing.
    """

    cost: ClassVar[str] = ""

    def rewrite_graphs(self, graphs: Graphs) -> Sequence[Change]:
        """Change the graphs, and return what was changed.

        It is called again after other rewrites have changed the model.
        """
        raise NotImplementedError

    def rewrite(self, match: Match) -> NoReturn:
        """Fail: there are no matches."""
        raise NotImplementedError(f"{type(self).__name__} rewrites graphs, not matches")
