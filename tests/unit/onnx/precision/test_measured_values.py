"""How large values inside If, Loop and Scan become is measured, and float16 stays off them."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from pluginkit.errors import UsageError
from pluginkit.onnx.model.graphs import MAIN_GRAPH, main_and_bodies
from pluginkit.onnx.model.plugin_nodes import plugin_node
from pluginkit.onnx.precision.convert_precision import convert_precision
from pluginkit.onnx.precision.measured_values import float32_values, magnitudes
from pluginkit.onnx.precision.precision_options import Precision
from pluginkit.onnx.running.run_model import run_model
from tests.unit.onnx.models import BOOL, FLOAT, INT64, Silu, model_of, value
from tests.unit.onnx.precision.float_models import node

PLUGINS = {Silu.spec.key: Silu}
X, Y = value("x", [4]), value("y", [4])
FEEDS = {"x": np.array([1, -2, np.inf, 0.5], np.float32)}


def constants(**arrays):
    return [numpy_helper.from_array(np.asarray(each), name) for name, each in arrays.items()]


def loop(nodes, inputs, outputs, name="loop", carried=("state",), scanned=()):
    """A Loop of x over ``trips`` whose carried value is called state, and its body's nodes."""
    body = helper.make_graph(
        [node("Identity", ["go"], "go_on"), *nodes],
        "body",
        [value("at", [], INT64), value("go", [], BOOL), *(value(each, [4]) for each in carried)],
        [value("go_on", [], BOOL), value("next", [4]), *(value(each, [4]) for each in scanned)],
    )
    return helper.make_node("Loop", inputs, outputs, name=name, body=body)


def measured(model, feeds=FEEDS):
    onnx.checker.check_model(model, full_check=not model.functions)
    wanted = float32_values(model)
    before = model.SerializeToString()
    found = magnitudes(model, wanted, PLUGINS, None, [feeds])
    assert model.SerializeToString() == before
    return {(path.rpartition(".")[2], name): size for (path, name), size in found.items()}


def test_a_loop_is_measured_over_its_iterations():
    nodes = [node("Mul", ["state", "three"], "next"), node("Sqrt", ["next"], "r")]
    made = loop(nodes, ["trips", "", "x"], ["y", "rs"], scanned=["r"])
    stored = constants(three=np.float32(3), trips=3)
    model = model_of([made], [X], [Y, value("rs", [3, 4])], stored)
    found = measured(model)
    # inf and NaN do not count; the state that the first iteration gets is x, the last one's is 9 x
    assert found["body", "next"] == 54
    assert found["body", "state"] == 18
    assert found["body", "r"] == pytest.approx(27**0.5)
    assert found[MAIN_GRAPH, "x"] == 2


def test_a_loop_that_does_not_run_and_a_branch_that_is_not_taken_measure_nothing():
    inner = loop([node("Mul", ["state", "three"], "next")], ["none", "", "x"], ["l"])
    then = helper.make_graph([inner, node("Abs", ["l"], "a")], "then", [], [value("a", [4])])
    other = helper.make_graph([node("Mul", ["x", "three"], "b")], "else", [], [value("b", [4])])
    choose = helper.make_node("If", ["c"], ["y"], name="if", then_branch=then, else_branch=other)
    stored = constants(three=np.float32(3), none=0)
    model = model_of([choose], [X, value("c", [], BOOL)], [Y], stored)
    taken = measured(model, FEEDS | {"c": np.array(True)})
    assert (taken["body", "next"], taken["then_branch", "a"], taken["else_branch", "b"]) == (
        0,
        2,
        0,
    )
    other = measured(model, FEEDS | {"c": np.array(False)})
    assert (other["then_branch", "a"], other["else_branch", "b"]) == (0, 6)


def test_a_scan_that_collects_along_another_axis_is_measured():
    body = helper.make_graph(
        [node("Add", ["s", "row"], "total"), node("Mul", ["row", "three"], "m")],
        "body",
        [value("s", [4]), value("row", [4])],
        [value("total", [4]), value("m", [4])],
    )
    scan = helper.make_node(
        "Scan",
        ["x", "rows"],
        ["y", "ms"],
        name="scan",
        body=body,
        num_scan_inputs=1,
        scan_output_axes=[1],
        scan_output_directions=[1],
    )
    inputs, outputs = [X, value("rows", [2, 4])], [Y, value("ms", [4, 2])]
    model = model_of([scan], inputs, outputs, constants(three=np.float32(3)))
    feeds = {"x": np.ones(4, np.float32), "rows": np.float32([[1, 2, 3, 4], [0, 0, 0, -5]])}
    found = measured(model, feeds)
    assert (found["body", "total"], found["body", "m"], found["body", "row"]) == (5, 15, 5)


def test_a_body_with_a_plugin_is_measured():
    plugin = plugin_node(Silu(), ["state"], ["p"], "plugin")
    made = loop([plugin, node("Mul", ["p", "three"], "next")], ["trips", "", "x"], ["y"])
    stored = constants(three=np.float32(3), trips=2)
    model = model_of([made], [X], [Y], stored)
    model.opset_import.add(domain=Silu.plugin_namespace, version=1)
    wanted = float32_values(model)
    found = magnitudes(model, wanted, PLUGINS, None, [{"x": np.full(4, 20, np.float32)}])
    body = next(scope.path for scope in main_and_bodies(model) if scope.path != MAIN_GRAPH)
    assert found[body, "next"] == pytest.approx(180, rel=1e-3)


def run_rounding(model, feeds):
    return run_model(model, feeds, {}, base_dir=None, is_rounding=True)["y"]


def test_what_leaves_float16_inside_a_body_stays_float32():
    nodes = [
        node("Mul", ["state", "h"], "big"),
        node("Mul", ["big", "h"], "bigger"),
        node("Div", ["bigger", "h"], "back"),
        node("Div", ["back", "h"], "next"),
    ]
    made = loop(nodes, ["trips", "", "x"], ["y"])
    model = model_of([made], [X], [Y], constants(h=np.float32(300), trips=2))
    feeds = {"x": np.full(4, 1.5, np.float32)}
    blind, mixed = onnx.ModelProto(), onnx.ModelProto()
    for each, inputs in ((blind, []), (mixed, [feeds])):
        each.CopyFrom(model)
        report = convert_precision(each, Precision("float16", inputs=inputs), {}, None)
    assert [kept.node for kept in report.kept] == ["Mul 'node_bigger'", "Div 'node_back'"]
    assert {kept.where for kept in report.kept} == {"main graph / Loop 'loop'.body"}
    text = onnx.printer.to_text(mixed)
    assert "[node_bigger] bigger = Mul (big_float32, h)" in text
    assert "[node_next] next_float16 = Div (back_float16, h_float16)" in text
    assert not np.isfinite(run_rounding(blind, feeds)).all()
    np.testing.assert_allclose(run_rounding(mixed, feeds), 1.5, rtol=1e-3)


def test_what_a_plugin_makes_is_measured_without_annotations():
    nodes = [
        plugin_node(Silu(), ["x"], ["big"], "plugin"),
        node("MatMul", ["big", "w"], "y"),
    ]
    stored = constants(w=0.01 * np.eye(2, dtype="f"))
    model = model_of(nodes, [value("x", [2, 2])], [value("y", [2, 2])], stored)
    model.opset_import.add(domain=Silu.plugin_namespace, version=1)
    feeds = {"x": np.full((2, 2), 3e4, np.float32)}
    report = convert_precision(model, Precision("float16", inputs=[feeds]), PLUGINS, None)
    assert [each.node for each in report.kept] == ["Silu_PK 'plugin'", "MatMul 'node_y'"]


def test_an_input_that_float16_lacks_is_read_in_float32():
    model = model_of([node("Div", ["x", "h"], "y")], [X], [Y], constants(h=np.float32(300)))
    feeds = {"x": np.full(4, 1e6, np.float32)}
    report = convert_precision(model, Precision("float16", inputs=[feeds]), {}, None)
    assert [each.reason for each in report.kept] == ["beyond float16 on the given inputs"]


def test_an_output_that_float16_lacks_keeps_its_type():
    nodes = [node("Mul", ["x", "h"], "y"), node("Mul", ["x", "x"], "z")]
    outputs = [Y, value("z", [4])]
    model = model_of(nodes, [X], outputs, constants(h=np.float32(300)))
    feeds = {"x": np.full(4, 200, np.float32)}
    wanted = Precision("float16", convert_io=True, inputs=[feeds])
    report = convert_precision(model, wanted, {}, None)
    values = [*model.graph.input, *model.graph.output]
    kinds = [each.type.tensor_type.elem_type for each in values]
    assert kinds == [TensorProto.FLOAT16, FLOAT, FLOAT]
    assert [each.node for each in report.kept][:2] == ["output 'y'", "output 'z'"]
    assert run_rounding(model, {"x": feeds["x"].astype(np.float16)}).max() == 60000


def test_bodies_of_an_old_opset_are_refused():
    made = loop([node("Abs", ["state"], "next")], ["trips", "", "x"], ["y"])
    model = model_of([made], [X], [Y], constants(trips=2), opset=8)
    with pytest.raises(UsageError, match="PK463 the model has opset 8; to look at values inside"):
        convert_precision(model, Precision("float16", inputs=[FEEDS]), {}, None)
