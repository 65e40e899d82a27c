"""Copy the nodes of a body into the graph around it, with new names."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import onnx
import onnx.helper

from pluginkit.onnx.model.graphs import Nodes, bodies
from pluginkit.onnx.rewriting.graph_rewrite import Graphs


class BodyCopies:
    """Copies bodies, each time with names that are new to the model.

    Args:
        graphs: the graphs, which create new names.
        target: the graph that gets the initializers of the bodies; a local function, which stores
            none, gets Constants.
    """

    def __init__(self, graphs: Graphs, target: Nodes) -> None:
        self._graphs = graphs
        self._target = target

    def copy(
        self, body: onnx.GraphProto, given: Mapping[str, str]
    ) -> tuple[list[onnx.NodeProto], list[str]]:
        """Return a copy of a body's nodes, and the names of its outputs.

        Args:
            body: the body.
            given: the value of each of the body's inputs.
        """
        names = dict(given)
        constants = []
        for tensor in body.initializer:
            name = names[tensor.name] = self._graphs.names.new_value(tensor.name)
            if isinstance(self._target, onnx.FunctionProto):
                constants.append(onnx.helper.make_node("Constant", [], [name], value=tensor))
                continue
            stored = self._target.initializer.add()
            stored.CopyFrom(tensor)
            stored.name = name
        for node in body.node:
            names.update((each, self._graphs.names.new_value(each)) for each in node.output if each)
        nodes = [*constants, *(self._renamed(node, names) for node in body.node)]
        return nodes, [names.get(value.name, value.name) for value in body.output]

    def _renamed(self, node: onnx.NodeProto, names: Mapping[str, str]) -> onnx.NodeProto:
        copy = onnx.NodeProto()
        copy.CopyFrom(node)
        copy.name = self._graphs.names.new_node(node.name) if node.name else ""
        _rename(copy, names)
        return copy


def _rename(node: onnx.NodeProto, names: Mapping[str, str]) -> None:
    """Rename the values that a node and its bodies read or produce."""
    node.input[:] = [names.get(each, each) for each in node.input]
    node.output[:] = [names.get(each, each) for each in node.output]
    for _, body in bodies(node):
        own = _own_names(body)
        outer = {name: new for name, new in names.items() if name not in own}
        for inner in body.node:
            _rename(inner, outer)
        for value in body.output:
            value.name = outer.get(value.name, value.name)


def _own_names(body: onnx.GraphProto) -> set[str]:
    made: Iterable[str] = (name for node in body.node for name in node.output)
    return {
        *made,
        *(value.name for value in body.input),
        *(tensor.name for tensor in body.initializer),
    }
