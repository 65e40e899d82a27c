"""Number nodes, and remove them from a model."""

from __future__ import annotations

import onnx
from onnx import helper

from pluginkit.engine.parse.traceable_model import (
    PrunedModel,
    node_ids,
    number_of,
    set_numbers,
    with_labels,
)
from pluginkit.onnx.model.model_file import inline_functions
from tests.unit.engine.parse.models import BOOL, INT64, model_of, ops, pruned_model, value


def test_numbers_find_nodes_again_in_bodies_functions_and_reasons() -> None:
    body = helper.make_graph(
        [helper.make_node("Abs", ["x"], ["t"], name="in")], "b", [], [value("t", [4])]
    )
    call = helper.make_node("F", ["x"], ["z"], name="call", domain="my")
    function = helper.make_function(
        "my",
        "F",
        ["a"],
        ["b"],
        [helper.make_node("Neg", ["a"], ["b"])],
        [helper.make_opsetid("", 20)],
    )
    choice = helper.make_node("If", ["c"], ["y"], name="choice", then_branch=body, else_branch=body)
    model = model_of(
        [choice, call], [value("c", [], BOOL), value("x", [4])], [value("y", [4]), value("z", [4])],
        functions=[function],
    )  # fmt: skip
    ids = node_ids(model)
    assert [(one.where, one.position, one.label) for one in ids] == [
        ("main graph", 0, "choice"),
        ("main graph", 1, "call"),
        ("main graph / If 'choice'.else_branch", 0, "in"),
        ("main graph / If 'choice'.then_branch", 0, "in"),
        ("function my::F", 0, "b"),
    ]
    set_numbers(model)
    assert number_of(model.functions[0].node[0].name) == 4
    inlined = inline_functions(model)
    assert number_of(inlined.graph.node[1].name) == 4
    assert number_of("Relu_3") is None
    assert with_labels("Invalid Node - pluginkit_0", ids) == "Invalid Node - choice"


def test_a_graph_input_replaces_the_output_of_a_removed_node() -> None:
    nodes = [helper.make_node("Det", ["x"], ["d"]), helper.make_node("Relu", ["d"], ["y"])]
    pruned = pruned_model(model_of(nodes, [value("x", ["n", 4, 4])], [value("y", ["n"])]))
    pruned.remove("pluginkit_0")
    assert ops(pruned.model.graph) == ["Identity", "Relu"]
    placeholder = pruned.model.graph.input[1]
    assert pruned.model.graph.node[0].input == [placeholder.name]
    assert [dim.dim_param for dim in placeholder.type.tensor_type.shape.dim] == ["n"]
    assert (pruned.removed, pruned.unasked) == ({"pluginkit_0"}, set())
    onnx.checker.check_model(pruned.model)


def test_readers_of_a_value_of_unknown_type_are_removed_too() -> None:
    nodes = [
        helper.make_node("Unheard", ["x"], ["u"], domain="my"),
        helper.make_node("Relu", ["u"], ["v"]),
        helper.make_node("Abs", ["v"], ["w"]),
        helper.make_node("Neg", ["w"], ["y"]),
    ]
    inner = [value("w", [4])]
    pruned = pruned_model(model_of(nodes, [value("x", [4])], [value("y", [4])], value_info=inner))
    pruned.remove("pluginkit_0")
    assert ops(pruned.model.graph) == ["Identity", "Neg"]
    assert pruned.unasked == {"pluginkit_1", "pluginkit_2"}
    onnx.checker.check_model(pruned.model)


def test_outputs_that_are_lost_leave_the_model() -> None:
    nodes = [
        helper.make_node("Unheard", ["x"], ["y"], domain="my"),
        helper.make_node("Abs", ["x"], ["z"]),
    ]
    pruned = pruned_model(model_of(nodes, [value("x", [4])], [value("y", None), value("z", [4])]))
    pruned.remove("pluginkit_0")
    assert [one.name for one in pruned.model.graph.output] == ["z"]


def test_a_refused_placeholder_is_withdrawn_with_its_readers() -> None:
    nodes = [helper.make_node("Det", ["x"], ["d"]), helper.make_node("Relu", ["d"], ["y"])]
    pruned = pruned_model(model_of(nodes, [value("x", ["n", 4, 4])], [value("y", ["n"])]))
    pruned.remove("pluginkit_0")
    name = pruned.model.graph.node[0].name
    assert pruned.withdraw(name)
    assert ops(pruned.model.graph) == ["Identity"]
    assert pruned.model.graph.node[0].output == ["y"]
    assert pruned.unasked == {"pluginkit_1"}
    assert not pruned.withdraw(name)


def loop_with(nodes: list[onnx.NodeProto]) -> onnx.ModelProto:
    """A Loop around ``nodes``, which read ``x`` and give ``t``."""
    keep = helper.make_node("Identity", ["keep"], ["keep_on"])
    inputs = [value("at", [], INT64), value("keep", [], BOOL)]
    body = helper.make_graph(
        [keep, *nodes], "body", inputs, [value("keep_on", [], BOOL), value("t", [4])]
    )
    loop = helper.make_node("Loop", ["n", "go"], ["y"], body=body)
    given = [value("n", [], INT64), value("go", [], BOOL), value("x", [4])]
    return model_of([loop], given, [value("y", ["n", 4])])


def test_a_node_of_a_body_is_removed_and_the_rest_of_the_body_stays() -> None:
    relu, neg = helper.make_node("Relu", ["x"], ["r"]), helper.make_node("Neg", ["r"], ["t"])
    pruned = pruned_model(loop_with([relu, neg]))
    pruned.remove("pluginkit_2")
    loop = pruned.model.graph.node[0]
    assert ops(loop.attribute[0].g) == ["Identity", "Identity", "Neg"]
    assert loop.attribute[0].g.node[1].input == [pruned.model.graph.input[-1].name]
    onnx.checker.check_model(pruned.model)


def test_a_placeholder_in_a_body_that_goes_is_no_node_that_was_not_asked() -> None:
    relu, neg = helper.make_node("Relu", ["x"], ["r"]), helper.make_node("Neg", ["r"], ["t"])
    pruned = pruned_model(loop_with([relu, neg]))
    for name in ("pluginkit_2", "pluginkit_0"):
        pruned.remove(name)
    assert pruned.unasked == {"pluginkit_1", "pluginkit_3"}


def test_a_body_that_loses_an_output_goes_with_its_node() -> None:
    pruned = pruned_model(loop_with([helper.make_node("Unheard", ["x"], ["u"], domain="my"),
                                helper.make_node("Squeeze", ["u"], ["t"])]))  # fmt: skip
    body = pruned.model.graph.node[0].attribute[0].g
    body.output[1].type.tensor_type.ClearField("shape")
    pruned = PrunedModel(pruned.model)
    pruned.remove("pluginkit_2")
    assert "Loop" not in ops(pruned.model.graph)
    assert pruned.unasked == {"pluginkit_0", "pluginkit_1", "pluginkit_3"}


def test_each_copy_of_a_function_is_removed_separately() -> None:
    function = helper.make_function(
        "my",
        "F",
        ["a"],
        ["b"],
        [helper.make_node("Abs", ["a"], ["b"])],
        [helper.make_opsetid("", 20)],
    )
    calls = [helper.make_node("F", [a], [b], domain="my") for a, b in (("x", "m"), ("m", "y"))]
    model = model_of(calls, [value("x", [4])], [value("y", [4])], functions=[function])
    pruned = pruned_model(model)
    first, second = pruned.names_of("pluginkit_2")
    assert number_of(first) == number_of(second) == 2
    pruned.remove(second)
    assert sorted(ops(pruned.model.graph)) == ["Abs", "Identity"]
