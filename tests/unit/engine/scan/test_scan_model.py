"""What a scan does around TensorRT: the parser's log, cutting nodes out, which nodes are alike."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import onnx
import pytest
from onnx import TensorProto, helper

from pluginkit.engine.parse.parser_log import ParserLog
from pluginkit.engine.parse.single_node_model import Signatures
from pluginkit.engine.parse.traceable_model import (
    PrunedModel,
    node_ids,
    number_of,
    set_numbers,
    with_labels,
)
from pluginkit.engine.scan.scan_model import NodeReport, _with_rewrites
from pluginkit.onnx.model.model_file import inline_functions
from pluginkit.onnx.rewriting.rewrite_outcomes import AppliedRewrite

INT64, BOOL = TensorProto.INT64, TensorProto.BOOL


def value(name: str, shape: Sequence[Any] | None, dtype: int = TensorProto.FLOAT) -> Any:
    return helper.make_tensor_value_info(name, dtype, shape)


def model_of(
    nodes: list[onnx.NodeProto], inputs: list[Any], outputs: list[Any], **parts: Any
) -> onnx.ModelProto:
    functions = parts.pop("functions", [])
    graph = helper.make_graph(nodes, "graph", inputs, outputs, **parts)
    opsets = [helper.make_opsetid("", 20), helper.make_opsetid("my", 1)]
    return helper.make_model(graph, opset_imports=opsets, functions=functions, ir_version=10)


def pruned_model(model: onnx.ModelProto) -> PrunedModel:
    set_numbers(model)
    return PrunedModel(inline_functions(model) if model.functions else model)


def ops(graph: onnx.GraphProto) -> list[str]:
    return [node.op_type for node in graph.node]


# The parser's log


def read(*messages: str) -> ParserLog:
    log = ParserLog()
    for message in messages:
        log.read(message)
    return log


def test_the_node_that_was_begun_and_not_done_is_open() -> None:
    log = read(
        "Static check for parsing node: pluginkit_0 [Relu]",
        "Parsing node: pluginkit_0 [Relu]",
        "pluginkit_0 [Relu] inputs: [x -> (4)[FLOAT]], ",
        "pluginkit_0 [Relu] outputs: [y -> (4)[FLOAT]], ",
        "Parsing node: pluginkit_1 [Det]",
    )
    assert (log.begun, log.done) == ({"pluginkit_0", "pluginkit_1"}, {"pluginkit_0"})
    assert log.open == ["pluginkit_1"]


def test_after_a_body_the_node_around_it_is_open_again() -> None:
    log = read("Parsing node: a [If]", "Parsing node: b [Relu]", "b [Relu] outputs: [y -> ()], ")
    assert log.open == ["a"]


def test_the_value_that_the_parser_was_at_is_known_until_it_comes_to_a_node() -> None:
    inputs = [
        "Adding network input: x with dtype: float32, dimensions: (4)",
        "Registering tensor: x for ONNX tensor: x",
        "Adding network input: q with dtype: float32, dimensions: (3)",
        "Adding network input: z with dtype: float32, dimensions: (3)",
        "Registering tensor: z for ONNX tensor: z",
    ]
    assert read(*inputs).value == "q"
    assert read(*inputs[:2], "Importing initializer: w").value == "w"
    assert read(*inputs, "Parsing node: a [Relu]").value == ""


def test_whoever_watches_is_told_of_checks_too() -> None:
    seen: list[str] = []
    log = ParserLog(seen.append)
    log.read("Static check for parsing node: a [Relu]")
    log.read("Parsing node: b [Relu]")
    assert seen == ["a", "b"]


# Numbers and names


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


# Cutting


def test_a_graph_input_stands_in_for_a_node_that_is_cut() -> None:
    nodes = [helper.make_node("Det", ["x"], ["d"]), helper.make_node("Relu", ["d"], ["y"])]
    pruned = pruned_model(model_of(nodes, [value("x", ["n", 4, 4])], [value("y", ["n"])]))
    pruned.remove("pluginkit_0")
    assert ops(pruned.model.graph) == ["Identity", "Relu"]
    placeholder = pruned.model.graph.input[1]
    assert pruned.model.graph.node[0].input == [placeholder.name]
    assert [dim.dim_param for dim in placeholder.type.tensor_type.shape.dim] == ["n"]
    assert (pruned.removed, pruned.unasked) == ({"pluginkit_0"}, set())
    onnx.checker.check_model(pruned.model)


def test_what_reads_a_value_of_unknown_type_goes_too_and_its_own_outputs_stay_known() -> None:
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


def test_a_stand_in_that_is_refused_is_withdrawn_with_what_reads_it() -> None:
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


def test_a_node_of_a_body_is_cut_and_the_rest_of_the_body_stays() -> None:
    relu, neg = helper.make_node("Relu", ["x"], ["r"]), helper.make_node("Neg", ["r"], ["t"])
    pruned = pruned_model(loop_with([relu, neg]))
    pruned.remove("pluginkit_2")
    loop = pruned.model.graph.node[0]
    assert ops(loop.attribute[0].g) == ["Identity", "Identity", "Neg"]
    assert loop.attribute[0].g.node[1].input == [pruned.model.graph.input[-1].name]
    onnx.checker.check_model(pruned.model)


def test_a_body_that_loses_an_output_goes_with_its_node() -> None:
    pruned = pruned_model(loop_with([helper.make_node("Unheard", ["x"], ["u"], domain="my"),
                                helper.make_node("Squeeze", ["u"], ["t"])]))  # fmt: skip
    body = pruned.model.graph.node[0].attribute[0].g
    body.output[1].type.tensor_type.ClearField("shape")
    pruned = PrunedModel(pruned.model)
    pruned.remove("pluginkit_2")
    assert "Loop" not in ops(pruned.model.graph)
    assert pruned.unasked == {"pluginkit_0", "pluginkit_1", "pluginkit_3"}


def test_each_copy_of_a_function_is_cut_alone() -> None:
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


# Alike nodes


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


# Reports


def test_nodes_between_matched_ones_went_in_the_same_rewrite() -> None:
    sigmoid = helper.make_node("Sigmoid", ["x"], ["s"])
    mul = helper.make_node("Mul", ["x", "s"], ["m"], name="mul")
    relu = helper.make_node("Relu", ["m"], ["y"])
    before = model_of([sigmoid, mul, relu], [value("x", [4])], [value("y", [4])])
    silu = helper.make_node("Silu_PK", ["x"], ["m"], domain="my")
    after = model_of([silu, relu], [value("x", [4])], [value("y", [4])])
    was = [NodeReport(node, "native") for node in node_ids(before)]
    now = [NodeReport(node, "native") for node in node_ids(after)]
    now[1] = NodeReport(now[1].node, "refused", "it does not build", "builder")
    applied = [AppliedRewrite("ReplaceSilu", "main graph", "mul", "m", ("Silu_PK",))]
    found = _with_rewrites(before, was, now, applied)
    assert [one.status for one in found] == ["rewritten", "rewritten", "refused"]
    assert [one.rewrites for one in found] == [("ReplaceSilu",), ("ReplaceSilu",), ()]
    assert found[0].made == ("Silu_PK",)
    assert (found[2].node.position, found[2].stage) == (2, "builder")
