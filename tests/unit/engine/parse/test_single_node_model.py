"""Group nodes that are alike, and make models of one node."""

from __future__ import annotations

import onnx
import pytest
from onnx import helper

from pluginkit.engine.parse.single_node_model import Signatures
from tests.unit.engine.parse.models import INT64, model_of, pruned_model, value


def scatter(data: str, out: str, reduction: str = "add") -> onnx.NodeProto:
    return helper.make_node("ScatterElements", [data, "i", "u"], [out], reduction=reduction)


@pytest.fixture
def scatters() -> Signatures:
    nodes = [
        helper.make_node("Relu", ["x"], ["a"]),
        helper.make_node("Relu", ["a"], ["b"]),
        helper.make_node("Relu", ["w"], ["c"]),
        scatter("a", "y0"),
        scatter("b", "y1"),
        scatter("c", "y2"),  # of another shape
        scatter("a", "y3", "mul"),  # another attribute
        scatter("x", "y4"),  # a graph input
    ]
    index = helper.make_tensor("i", INT64, [1, 4], [0] * 4)
    inputs = [value("x", ["n", 4]), value("w", ["n", 8]), value("u", [1, 4])]
    outputs = [value(f"y{at}", ["n", "k"]) for at in range(5)]
    return Signatures(pruned_model(model_of(nodes, inputs, outputs, initializer=[index])))


def test_alike_nodes_have_equal_attributes_types_and_origins(scatters: Signatures) -> None:
    assert scatters.alike("pluginkit_3") == ["pluginkit_3", "pluginkit_4"]
    for name in ("pluginkit_5", "pluginkit_6", "pluginkit_7"):
        assert scatters.alike(name) == [name]


def test_a_node_with_an_input_of_unknown_type_is_like_no_other() -> None:
    nodes = [helper.make_node("Unheard", ["x"], ["u"], domain="my")]
    nodes += [helper.make_node("Relu", ["u"], [f"y{at}"]) for at in range(2)]
    model = model_of(nodes, [value("x", [4])], [value("y0", None), value("y1", None)])
    for output in model.graph.output:
        output.type.ClearField("tensor_type")
    assert Signatures(pruned_model(model)).alike("pluginkit_1") == ["pluginkit_1"]


def test_a_model_of_one_node_keeps_constants_and_takes_the_rest_as_inputs(
    scatters: Signatures,
) -> None:
    model = scatters.model_of("pluginkit_3")
    assert model is not None
    assert [one.name for one in model.graph.input] == ["a", "u"]
    assert [one.name for one in model.graph.initializer] == ["i"]
    onnx.checker.check_model(model)
