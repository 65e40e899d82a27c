"""Convert the nodes that a rewrite returns to protobufs, with names that are new to the model."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import count
from typing import TypeAlias

import onnx
import onnx_graphsurgeon as gs
from onnx_graphsurgeon.exporters.onnx_exporter import OnnxExporter

from pluginkit.onnx.model.graphs import bodies, defined_names, label, names_read, scopes
from pluginkit.onnx.rewriting.match import Match

NewNode: TypeAlias = gs.Node | onnx.NodeProto
NODES = (gs.Node, onnx.NodeProto)


class ModelNames:
    """The names of all values and nodes of a model, from which new unique names are made."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self._values: set[str] = set()
        self._nodes: set[str] = set()
        for scope in scopes(model):
            self._values |= defined_names(scope.graph)
            self._nodes.update(node.name for node in scope.graph.node)

    def new_value(self, wanted: str) -> str:
        """Return a name for a value: ``wanted``, or if it is taken ``wanted_1``, and so on."""
        return _unique(wanted, self._values)

    def new_node(self, wanted: str) -> str:
        """Return a name for a node, as ``new_value`` does for a value."""
        return _unique(wanted, self._nodes)

    def free_node(self, name: str) -> None:
        """Make the name of a removed node available again."""
        self._nodes.discard(name)


def _unique(wanted: str, taken: set[str]) -> str:
    numbered = (f"{wanted}_{number}" for number in count(1))
    name = wanted if wanted not in taken else next(each for each in numbered if each not in taken)
    taken.add(name)
    return name


@dataclass(frozen=True)
class ExportedNodes:
    """The new nodes of one match, in the order in which they run, and the constants they need."""

    nodes: list[onnx.NodeProto]
    constants: list[onnx.TensorProto]


class NodeExport:
    """Exports the new nodes of one match, one after the other.

    Attributes:
        exported: the nodes so far, and the constants they need.
        missing: the outputs of the match that no node produces yet.
    """

    def __init__(self, match: Match, names: ModelNames) -> None:
        self.exported = ExportedNodes([], [])
        self.missing = set(match.required_names)
        self._outputs = match.required_names
        self._prefix = label(match.proto)
        self._names = names
        self._renamed = {name: name for name in match.readable_names}

    def add(self, node: NewNode) -> None:
        """Export one node.

        Errors:
            ValueError: it reads a value that does not exist, or produces one a second time.
        """
        if isinstance(node, gs.Node):
            self._export_constants(node)
            proto = OnnxExporter.export_node(node)
        else:
            proto = onnx.NodeProto()
            proto.CopyFrom(node)
        for name in sorted(names_read(proto)):
            if name not in self._renamed:
                raise ValueError(f"made a node that reads '{name}', which no node produces")
        self._rename_inside(proto, self._renamed)
        for name in proto.output:
            if name in self._renamed:
                raise ValueError(
                    f"made a node that produces '{name}', which an earlier node produces"
                )
            if name in self._outputs:
                self._renamed[name] = name
            elif name:
                self._rename(name)
        self.missing.difference_update(proto.output)
        proto.output[:] = [self._renamed.get(name, "") for name in proto.output]
        self.exported.nodes.append(proto)

    def _export_constants(self, node: gs.Node) -> None:
        for tensor in node.inputs:
            if isinstance(tensor, gs.Constant) and tensor.name not in self._renamed:
                constant = onnx.TensorProto()
                constant.CopyFrom(OnnxExporter.export_tensor_proto(tensor))
                constant.name = self._rename(tensor.name)
                self.exported.constants.append(constant)

    def _rename_inside(self, node: onnx.NodeProto, renamed: dict[str, str]) -> None:
        """Rename all that a node and its bodies read, and all that the bodies define."""
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
