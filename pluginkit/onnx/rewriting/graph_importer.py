"""Convert the nodes of a match, and the values that they read and write, to onnx-graphsurgeon."""

from __future__ import annotations

import onnx
import onnx_graphsurgeon as gs
from onnx_graphsurgeon.importers.onnx_importer import OnnxImporter

from pluginkit.onnx.inference.value_types import Types
from pluginkit.onnx.model.external_data import is_external
from pluginkit.onnx.rewriting.graph_index import GraphIndex
from pluginkit.onnx.rewriting.lazy_tensors import constant, read, variable


class GraphImporter:
    """Converts nodes and values when they are asked for; a name always gives the same tensor.

    Args:
        index: the graph.
        types: what is known of its values.
        opset: the version of the operators of the nodes' domain.
    """

    def __init__(self, index: GraphIndex, types: Types, opset: int) -> None:
        self._index = index
        self._types = types
        self._opset = opset
        self._tensors: dict[str, gs.Tensor] = {}

    def node(self, node: onnx.NodeProto) -> gs.Node:
        """Convert a node with its inputs and outputs."""
        for name in [*node.input, *node.output]:
            if name:
                self.tensor(name)
        return read(OnnxImporter.import_node, node, {}, self._tensors, self._opset, None)

    def tensor(self, name: str) -> gs.Tensor:
        """Return the tensor of that name, a ``gs.Constant`` if the model itself stores it."""
        if not name:
            return gs.Variable.empty()
        if name not in self._tensors:
            stored = self._index.constant(name)
            if stored is not None and not is_external(stored):
                self._tensors[name] = constant(name, stored)
            else:
                value_type = self._types.find(self._index.scope, name)
                self._tensors[name] = read(variable, name, value_type)
        return self._tensors[name]

    def has_made(self, tensor: gs.Tensor) -> bool:
        """Whether this very tensor came from here, and not only one of its name."""
        return self._tensors.get(tensor.name) is tensor
