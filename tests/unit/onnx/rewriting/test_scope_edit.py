"""Matched nodes are removed only if nobody else needs them, and new ones go where they can run."""

import numpy as np
import onnx
import onnx_graphsurgeon as gs
import pytest
from onnx import helper, numpy_helper

from pluginkit import Input, Output, Plugin, float32
from pluginkit.errors import RewriteError
from pluginkit.onnx.rewriting.rewrite import Op, Rewrite
from pluginkit.onnx.rewriting.rewrite_model import rewrite_model
from tests.unit.onnx.models import (
    BOOL,
    INT64,
    FuseSilu,
    Silu,
    model_of,
    silu_nodes,
    value,
)
from tests.unit.onnx.rewriting.rewritten_models import (
    assert_same_outputs,
    declared_type,
    op_types,
    silu_model,
)


def test_a_value_that_is_read_elsewhere_stays():
    nodes = [*silu_nodes("x", "y"), helper.make_node("Relu", ["gate"], ["z"])]
    model = model_of(nodes, [value("x", [4])], [value("y", [4]), value("z", [4])])
    (refused,) = rewrite_model(model, [FuseSilu]).refused
    assert "'gate', between the matched nodes, is read by other nodes" in refused.reason


class Gated(Plugin):
    """y = x * sigmoid(x), gate = sigmoid(x)."""

    x = Input(float32)
    y = Output(float32)
    gate = Output(float32)

    def output_shapes(self, x):
        return x.shape, x.shape

    def launches(self, x, y, gate):
        return ()

    def reference(self, x):
        gate = (1 / (1 + np.exp(-x))).astype(np.float32)
        return x * gate, gate


class FuseGated(Rewrite):
    """x * sigmoid(x) -> Gated_PK(x) with both values."""

    plugin = Gated
    pattern = Op("Mul", "x", Op("Sigmoid", "x", name="gate", kept=True), commutative=True)

    def rewrite(self, match):
        outputs = [match.outputs[0], match["gate"].outputs[0]]
        return match.plugin_node(Gated(), [match["x"]], outputs)


@pytest.mark.parametrize("is_before", [True, False])
def test_a_kept_value_may_be_read_elsewhere(is_before, tmp_path):
    sigmoid, mul = silu_nodes("x", "y")
    relu = helper.make_node("Relu", ["gate"], ["z"])
    nodes = [sigmoid, relu, mul] if is_before else [sigmoid, mul, relu]
    model = model_of(nodes, [value("x", [4])], [value("y", [4]), value("z", [4])])
    result = rewrite_model(model, [FuseGated])
    assert op_types(result.model) == ["Gated_PK", "Relu"]
    assert list(result.model.graph.node[0].output) == ["y", "gate"]
    assert declared_type(result.model, "gate") == (onnx.TensorProto.FLOAT, [4])
    assert_same_outputs(model, result, {"x": np.linspace(-3, 3, 4, dtype="f")}, tmp_path)


def test_a_kept_value_may_be_a_graph_output(tmp_path):
    outputs = [value("y", [4]), value("gate", [4])]
    model = model_of(silu_nodes("x", "y"), [value("x", [4])], outputs)
    result = rewrite_model(model, [FuseGated])
    assert op_types(result.model) == ["Gated_PK"]
    assert_same_outputs(model, result, {"x": np.linspace(-3, 3, 4, dtype="f")}, tmp_path)


def test_kept_values_lead_from_one_match_to_the_next(tmp_path):
    first, second = silu_nodes("x", "y", "a"), silu_nodes("gate", "z", "b", prefix="b")
    nodes = [first[0], *second, first[1]]  # the second match ends before the first
    model = model_of(nodes, [value("x", [4])], [value("y", [4]), value("z", [4])])
    result = rewrite_model(model, [FuseGated])
    assert [list(node.output) for node in result.model.graph.node] == [
        ["y", "gate"],
        ["z", "bgate"],
    ]
    assert_same_outputs(model, result, {"x": np.linspace(-3, 3, 4, dtype="f")}, tmp_path)


class FuseScaled(Rewrite):
    """w * sigmoid(x) -> Gated_PK(x) * w."""

    plugin = Gated
    pattern = Op("Mul", "w", Op("Sigmoid", "x", name="gate", kept=True))

    def rewrite(self, match):
        gate = match["gate"].outputs[0]
        node = match.plugin_node(Gated(), [match["x"]], [gs.Variable("other"), gate])
        return [
            node,
            helper.make_node("Mul", [match["w"].name, gate.name], [match.outputs[0].name]),
        ]


def test_what_reads_a_kept_value_too_early_keeps_the_nodes():
    """w comes from the gate: one node could not give the one before it has read the other."""
    sigmoid, relu = silu_nodes("x", "y")[0], helper.make_node("Relu", ["gate"], ["w"])
    nodes = [sigmoid, relu, helper.make_node("Mul", ["w", "gate"], ["y"])]
    model = model_of(nodes, [value("x", [4])], [value("y", [4])])
    result = rewrite_model(model, [FuseScaled])
    assert result.model == model
    (refused,) = result.refused
    assert (
        refused.reason == "an output of the new nodes is read before all their inputs are computed"
    )


def test_nodes_that_leave_out_a_kept_value_are_an_error():
    class Forget(Rewrite):
        """x * sigmoid(x) -> Silu_PK(x) without the gate."""

        plugin = Silu
        pattern = FuseGated.pattern

        def rewrite(self, match):
            return match.plugin_node(Silu(), [match["x"]])

    with pytest.raises(RewriteError, match="PK421 Forget made nodes that do not produce 'gate'"):
        rewrite_model(silu_model(), [Forget])


def test_a_value_that_a_body_reads_stays():
    inner = helper.make_node("Identity", ["gate"], ["b"])
    body = helper.make_graph([inner], "body", [], [value("b", [4])])
    choice = helper.make_node("If", ["c"], ["z"], then_branch=body, else_branch=body)
    inputs = [value("x", [4]), value("c", [], BOOL)]
    outputs = [value("y", [4]), value("z", [4])]
    model = model_of([*silu_nodes("x", "y"), choice], inputs, outputs)
    (refused,) = rewrite_model(model, [FuseSilu]).refused
    assert "is read by other nodes" in refused.reason


def test_a_value_that_a_body_only_returns_stays():
    body = helper.make_graph([], "body", [], [value("gate", [4])])
    choice = helper.make_node("If", ["c"], ["z"], then_branch=body, else_branch=body)
    inputs = [value("x", [4]), value("c", [], BOOL)]
    outputs = [value("y", [4]), value("z", [4])]
    model = model_of([*silu_nodes("x", "y"), choice], inputs, outputs)
    (refused,) = rewrite_model(model, [FuseSilu]).refused
    assert "is read by other nodes" in refused.reason


def test_a_value_that_is_a_graph_output_stays():
    model = model_of(silu_nodes("x", "y"), [value("x", [4])], [value("y", [4]), value("gate", [4])])
    (refused,) = rewrite_model(model, [FuseSilu]).refused
    assert "'gate', between the matched nodes, is a graph output" in refused.reason


def test_overlapping_matches_take_turns(tmp_path):
    class FusePair(Rewrite):
        """relu(relu(x)) -> Silu_PK(x)."""

        plugin = Silu
        pattern = Op("Relu", Op("Relu", "x"))

        def rewrite(self, match):
            return match.plugin_node(Silu(), [match["x"]])

    chain = [helper.make_node("Relu", [f"v{i}"], [f"v{i + 1}"], name=f"r{i}") for i in range(5)]
    model = model_of(chain, [value("v0", [4])], [value("v5", [4])])
    result = rewrite_model(model, [FusePair])
    assert op_types(result.model) == ["Silu_PK", "Silu_PK", "Relu"]
    assert [each.node for each in result.applied] == ["r1", "r3"]


def with_bodies():
    """Silu in the main graph, in an If, in a Loop in that, in a Scan and in a function."""
    loop_body = helper.make_graph(
        [*silu_nodes("s", "s2", "in_loop", "l"), helper.make_node("Identity", ["go"], ["go2"])],
        "loop",
        [value("i", [], INT64), value("go", [], BOOL), value("s", [4])],
        [value("go2", [], BOOL), value("s2", [4])],
    )
    loop = helper.make_node("Loop", ["trips", "", "x"], ["t"], "loop", body=loop_body)
    then = helper.make_graph([loop], "then", [], [value("t", [4])])
    other = helper.make_graph(silu_nodes("x", "e", "in_else", "e"), "else", [], [value("e", [4])])
    choice = helper.make_node("If", ["c"], ["a"], "if", then_branch=then, else_branch=other)
    scan_body = helper.make_graph(
        silu_nodes("row", "out", "in_scan", "s"), "scan", [value("row", [])], [value("out", [])]
    )
    scan = helper.make_node("Scan", ["a"], ["b"], "scan", body=scan_body, num_scan_inputs=1)
    function = helper.make_function(
        "local",
        "F",
        ["p"],
        ["q"],
        silu_nodes("p", "q", "in_function"),
        [helper.make_opsetid("", 18)],
    )
    call = helper.make_node("F", ["b"], ["d"], "call", domain="local")
    return model_of(
        [choice, scan, call, *silu_nodes("d", "y", "in_main", "m")],
        [value("x", [4]), value("c", [], BOOL)],
        [value("y", [4])],
        [numpy_helper.from_array(np.array(3, np.int64), "trips")],
        functions=[function],
    )


@pytest.mark.parametrize("condition", [True, False])
def test_bodies_and_functions_are_rewritten_and_run(condition, tmp_path):
    model = with_bodies()
    result = rewrite_model(model, [FuseSilu])
    places = {each.node.partition("__")[0]: each.where for each in result.applied}
    assert places == {
        "in_main": "main graph",
        "in_else": "main graph / If 'if'.else_branch",
        "in_loop": "main graph / If 'if'.then_branch / Loop 'loop'.body",
        "in_scan": "main graph / Scan 'scan'.body",
        "in_function": "main graph",
    }
    assert list(result.model.functions) == []
    inputs = {"x": np.array([-1, 0, 2, 5], np.float32), "c": np.array(condition)}
    assert_same_outputs(model, result, inputs, tmp_path)
    assert rewrite_model(result.model, [FuseSilu]).model == result.model


def test_nothing_that_the_model_carries_is_lost():
    model = model_of(
        [*silu_nodes("x", "a"), helper.make_node("Add", ["a", "w"], ["y"])],
        [value("x", ["n", 4]), value("w", [4])],
        [value("y", ["n", 4])],
        [numpy_helper.from_array(np.ones(4, np.float32), name) for name in ("w", "unused")],
        value_info=[value("a", ["n", 4]), value("gate", ["n", 4])],
        doc_string="the graph",
    )
    sparse = onnx.SparseTensorProto(dims=[4])
    sparse.values.CopyFrom(numpy_helper.from_array(np.ones(1, np.float32), "sparse"))
    sparse.indices.CopyFrom(numpy_helper.from_array(np.array([2]), "at"))
    model.graph.sparse_initializer.append(sparse)
    model.graph.metadata_props.add(key="k", value="graph")
    model.graph.node[1].metadata_props.add(key="trace", value="line 7")
    model.graph.node[1].doc_string = "the product"
    model.graph.node[2].metadata_props.add(key="trace", value="line 8")
    model.metadata_props.add(key="author", value="somebody")
    model.producer_name, model.model_version, model.domain = "maker", 7, "org"
    model.doc_string = "the model"
    expected = onnx.ModelProto()
    expected.CopyFrom(model)
    got = rewrite_model(model, [FuseSilu]).model
    plugin = got.graph.node[0]
    assert plugin.op_type == "Silu_PK"
    assert plugin.doc_string == "the product"
    assert plugin.metadata_props[0].value == "line 7"
    del expected.graph.node[:2]
    del expected.graph.value_info[1]  # that of 'gate', which is gone
    expected.graph.node.insert(0, plugin)
    expected.opset_import.add(domain="pluginkit", version=1)
    assert got == expected


def test_a_nodes_description_that_is_no_text_is_left_out():
    model = model_of(silu_nodes("x", "y"), [value("x", [4])], [value("y", [4])])
    model.graph.node[1].doc_string = "QZ"
    model.ParseFromString(model.SerializeToString().replace(b"QZ", b"\xff\xfe"))
    assert not rewrite_model(model, [FuseSilu]).model.graph.node[0].doc_string
