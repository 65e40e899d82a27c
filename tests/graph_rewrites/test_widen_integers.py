import numpy as np
import pytest

from pluginkit.graph_rewrites.widen_integers import WidenIntegers
from pluginkit.onnx.rewriting.rewrite_model import rewrite_model
from tests.graph_rewrites.rewriting import outputs_of, reason_against, rewritten
from tests.graph_rewrites.samples import full_range, i64, node_model


@pytest.mark.parametrize("op_type", ["Add", "Sub", "Mul"])
def test_results_wrap_around_as_those_of_uint8_do(op_type):
    every = np.arange(256, dtype=np.uint8)
    feeds = {"a": every[:, None], "b": every}
    (got,) = outputs_of(WidenIntegers, node_model(op_type, feeds), feeds)
    python = {"Add": int.__add__, "Sub": int.__sub__, "Mul": int.__mul__}[op_type]
    expected = [[python(a, b) % 256 for b in range(256)] for a in range(256)]
    np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize(("op_type", "expected"), [("ReduceMax", 0), ("ReduceMin", 255)])
def test_nothing_to_reduce_gives_the_types_own_limit(op_type, expected):
    """onnx's reference is the only one that reduces nothing."""
    from onnx.reference import ReferenceEvaluator

    x = np.zeros((0, 3), np.uint8)
    model = node_model(op_type, {"x": x, "axes": i64(0)}, stored=["axes"], keepdims=0)
    (got,) = ReferenceEvaluator(rewritten(WidenIntegers, model)).run(None, {"x": x})
    np.testing.assert_array_equal(got, [expected] * 3)
    assert got.dtype == np.uint8


@pytest.mark.parametrize(("op_type", "python"), [("ReduceMax", any), ("ReduceMin", all)])
def test_bools_are_reduced_to_bools(op_type, python):
    x = np.array([[True, False], [True, True], [False, False]])
    model = node_model(op_type, {"x": x, "axes": i64(1)}, stored=["axes"], keepdims=0)
    (got,) = outputs_of(WidenIntegers, model, {"x": x})
    assert got.tolist() == [python(row) for row in x.tolist()]


def test_every_output_of_the_type_is_cast_back():
    x = full_range(np.uint8, 2, 6)
    model = node_model("Split", {"x": x}, outputs=("a", "b"), axis=1, num_outputs=2, opset=18)
    first, second = outputs_of(WidenIntegers, model, {"x": x})
    np.testing.assert_array_equal(np.concatenate([first, second], 1), x)
    assert first.dtype == second.dtype == np.uint8


def test_stored_values_are_cast_at_once():
    feeds = {"a": full_range(np.uint8, 5), "b": np.array([3], np.uint8)}
    model = rewritten(WidenIntegers, node_model("Div", feeds, stored=["b"]))
    assert [node.op_type for node in model.graph.node] == ["Cast", "Div", "Cast"]


def test_reductions_that_wrap_around_are_left():
    feeds = {
        "x": np.full((3, 2), 200, np.uint8),
        "i": i64(0, 0)[None],
        "u": full_range(np.uint8, 2, 2)[:1],
    }
    for reduction, is_left in [("none", False), ("add", True), ("mul", True), ("max", False)]:
        model = node_model("ScatterElements", feeds, opset=18, reduction=reduction)
        if is_left:
            assert "wraps around" in reason_against(WidenIntegers, model)
        else:
            assert len(rewritten(WidenIntegers, model).graph.node) == 4


@pytest.mark.parametrize("dtype", [np.int32, np.float32])
def test_nodes_of_other_types_are_not_even_looked_at(dtype):
    a = np.ones(3, dtype)
    model = node_model("Add", {"a": a, "b": a})
    result = rewrite_model(model, [WidenIntegers])
    assert result.model == model
    assert result.refused == []


@pytest.mark.parametrize("dtype", [np.int8, np.bool_])
def test_what_tensorrt_has_in_a_type_is_left(dtype):
    reason = reason_against(WidenIntegers, node_model("Transpose", {"a": np.ones((2, 3), dtype)}))
    assert reason == "TensorRT takes it: no input has a type that it refuses here"
