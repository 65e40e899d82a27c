"""A Loop gets the condition that it leaves out, 0 for a negative count, and counts its runs."""

import numpy as np
import onnx
import pytest
from onnx import helper

from pluginkit.graph_rewrites.store_loop_condition import (
    CountLoopRuns,
    StoreLoopCondition,
    StoreLoopCount,
)
from pluginkit.onnx.model.graphs import scopes
from pluginkit.onnx.rewriting.rewrite_model import rewrite_model
from tests.graph_rewrites.carried_models import body, model_of
from tests.graph_rewrites.rewriting import run

X = np.array([1, 2, 3], np.float32)


def _loop(condition, output, inside=()):
    inner = body(
        [*inside, helper.make_node("Add", [inside[0].output[0] if inside else f"{output}s", "x"],
                                   [f"{output}n"]),
         helper.make_node("Identity", [f"{output}go"], [f"{output}on"])],
        [(f"{output}i", "int64", []), (f"{output}go", "bool", []), (f"{output}s", "float32", [3])],
        [(f"{output}on", "bool", []), (f"{output}n", "float32", [3])],
    )  # fmt: skip
    return helper.make_node("Loop", ["count", condition, "x"], [output], body=inner)


def _model(nodes, count=2):
    return model_of(
        nodes, {"x": X}, {"y": ("float32", [3])}, {"count": np.int64(count), "c": np.array(True)}
    )


def test_loops_get_a_stored_true_and_twice_changes_nothing():
    model = _model([_loop("", "y", [_loop("", "z")])])
    result = rewrite_model(model, [StoreLoopCondition])
    assert [each.rewrite for each in result.applied] == ["StoreLoopCondition"] * 2
    onnx.checker.check_model(result.model, full_check=True)
    loops = [n for scope in scopes(result.model) for n in scope.graph.node if n.op_type == "Loop"]
    assert [bool(node.input[1]) for node in loops] == [True, True]
    np.testing.assert_array_equal(run(result.model, {"x": X})[0], run(model, {"x": X})[0])
    assert rewrite_model(result.model, [StoreLoopCondition]).applied == []


def test_a_loop_with_a_condition_is_left():
    model = _model([_loop("c", "y")])
    result = rewrite_model(model, [StoreLoopCondition])
    assert result.applied == []
    assert result.model == model


def test_a_negative_count_becomes_0_and_twice_changes_nothing():
    model = _model([_loop("c", "y")], count=-2)
    result = rewrite_model(model, [StoreLoopCount])
    assert [each.rewrite for each in result.applied] == ["StoreLoopCount"]
    np.testing.assert_array_equal(run(result.model, {"x": X})[0], X)
    assert rewrite_model(result.model, [StoreLoopCount]).applied == []


def test_a_count_that_is_not_negative_is_left():
    assert rewrite_model(_model([_loop("c", "y")]), [StoreLoopCount]).applied == []


@pytest.mark.parametrize(
    ("limit", "read", "applied"),
    [
        ("", "i", ["CountLoopRuns"]),
        ("far", "i", ["CountLoopRuns"]),
        ("far", "one", []),
        ("near", "i", []),
    ],
)
def test_the_number_of_a_loop_without_a_limit_is_counted(limit, read, applied):
    model = onnx.parser.parse_model(f"""<ir_version: 8, opset_import: ["" : 16]>
        g (float[3] x) => (float[3] y, float[n] all) <bool go = {{1}}, int64 one = {{1}},
        int64 far = {{9223372036854775807}}, int64 near = {{5}}> {{
        y, all = Loop({limit}, go, x) <body = b (int64 i, bool c, float[3] s)
            => (bool d, float[3] e, float m) {{
            f = Cast<to = 1>({read}) e = Add(s, f) m = ReduceMax<keepdims = 0>(e)
            most = Constant<value = float {{9.0}}>() d = Less(m, most) }}> }}""")
    result = rewrite_model(model, [CountLoopRuns])
    assert [each.rewrite for each in result.applied] == applied
    for got, expected in zip(*(run(each, {"x": X}) for each in (result.model, model)), strict=True):
        np.testing.assert_array_equal(got, expected)
    assert rewrite_model(result.model, [CountLoopRuns]).applied == []
