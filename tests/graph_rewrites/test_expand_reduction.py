import numpy as np
import pytest

from pluginkit.graph_rewrites.expand_reduction import (
    ExpandIntegerReduction,
    ExpandScalarReduction,
)
from pluginkit.onnx.running.run_model import run_onnxruntime
from tests.graph_rewrites.rewriting import outputs_of, reason_against, rewritten
from tests.graph_rewrites.samples import f32, i64, node_model


@pytest.mark.parametrize("opset", [11, 18])
@pytest.mark.parametrize(("op_type", "value"), [("ReduceMax", -2.5), ("ReduceL2", 2.5)])
def test_a_scalar_is_reduced_to_itself(op_type, value, opset):
    model = node_model(op_type, {"x": f32(-2.5)}, opset=opset)
    (got,) = outputs_of(ExpandScalarReduction, model, {"x": f32(-2.5)})
    assert (got.shape, got.item()) == ((), value)
    nodes = rewritten(ExpandScalarReduction, model).graph.node
    assert [node.op_type for node in nodes] == ["Reshape", op_type, "Identity"]


@pytest.mark.parametrize(
    ("x", "attributes", "reason"),
    [
        (f32(1, 2), {}, "its input is not known to be a scalar"),
        (f32(1), {"noop_with_empty_axes": 1}, "without axes it reduces nothing"),
    ],
)
def test_what_is_no_scalar_is_left(x, attributes, reason):
    model = node_model("ReduceSum", {"x": x}, **attributes)
    assert reason_against(ExpandScalarReduction, model) == reason


@pytest.mark.parametrize("dtype", [np.int32, np.int64])
@pytest.mark.parametrize("keepdims", [0, 1])
@pytest.mark.parametrize("op_type", ["ReduceL2", "ReduceLogSum", "ReduceLogSumExp"])
def test_integers_are_reduced_as_onnxruntime_does(op_type, keepdims, dtype):
    x = np.array([[3, 3, 2, 2], [1, 2, 4, 1], [9, 9, 9, 9]], dtype)
    model = node_model(op_type, {"x": x, "axes": i64(1)}, stored=["axes"], keepdims=keepdims)
    (got,) = outputs_of(ExpandIntegerReduction, model, {"x": x})
    expected = run_onnxruntime(model, {"x": x})["y"]
    np.testing.assert_array_equal(got, expected)
    assert got.dtype == dtype


def test_a_logarithm_of_negative_numbers_is_rounded_to_zero():
    """-3 + log(2) is -2.3."""
    x = np.array([-3, -3, -5], np.int64)
    model = node_model("ReduceLogSumExp", {"x": x}, keepdims=0)
    (got,) = outputs_of(ExpandIntegerReduction, model, {"x": x})
    assert got == run_onnxruntime(model, {"x": x})["y"] == -2
