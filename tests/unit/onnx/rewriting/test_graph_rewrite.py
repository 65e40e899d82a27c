"""Which rewrites of whole graphs are called, and what they are told of a model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import onnx
from onnx import TensorProto, helper

from pluginkit import Op, rewrite_model
from pluginkit.onnx import Change, GraphRewrite, Graphs


class Counted(GraphRewrite):
    """x -> x, and the operators of each model that it was called with."""

    pattern = Op(("Relu", "Tanh"))
    calls: ClassVar[list[frozenset[str]]] = []

    def rewrite_graphs(self, graphs: Graphs) -> Sequence[Change]:
        self.calls.append(graphs.operators)
        return []


class RenameTanh(GraphRewrite):
    """Tanh(x) -> Relu(x), after Counted."""

    pattern = Op("Tanh")
    order = 1

    def rewrite_graphs(self, graphs: Graphs) -> Sequence[Change]:
        assert not graphs.has_bodies
        assert graphs.elem_types == {TensorProto.FLOAT}
        (node,) = graphs.model.graph.node
        node.op_type = "Relu"
        return [(("main graph", node.name, "y"), ("Relu",))]


def model(op_type: str) -> onnx.ModelProto:
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [2]) for name in "xy"]
    node = helper.make_node(op_type, ["x"], ["y"], "n")
    graph = helper.make_graph([node], "g", values[:1], values[1:])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


def test_a_rewrite_is_called_only_for_operators_of_its_pattern():
    Counted.calls.clear()
    rewrite_model(model("Sigmoid"), [Counted])
    assert not Counted.calls
    rewrite_model(model("Relu"), [Counted])
    assert Counted.calls == [{"Relu"}]


def test_the_operators_are_counted_again_after_a_change():
    Counted.calls.clear()
    result = rewrite_model(model("Tanh"), [Counted, RenameTanh])
    assert [each.rewrite for each in result.applied] == ["RenameTanh"]
    assert Counted.calls == [{"Tanh"}, {"Relu"}]
