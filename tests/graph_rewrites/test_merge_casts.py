import numpy as np
import pytest
from onnx import TensorProto, helper

from pluginkit.graph_rewrites.merge_casts import MergeCasts
from pluginkit.onnx.rewriting.rewrite_model import rewrite_model
from pluginkit.onnx.running.run_model import run_onnxruntime

INT8, UINT8, INT16, UINT16 = (
    TensorProto.INT8,
    TensorProto.UINT8,
    TensorProto.INT16,
    TensorProto.UINT16,
)
UINT32, INT32, FLOAT, BOOL = (
    TensorProto.UINT32,
    TensorProto.INT32,
    TensorProto.FLOAT,
    TensorProto.BOOL,
)


def model_of(source, between, target):
    graph = helper.make_graph(
        [
            helper.make_node("Cast", ["x"], ["a"], to=between, name="first"),
            helper.make_node("Cast", ["a"], ["y"], to=target, name="second"),
        ],
        "g",
        [helper.make_tensor_value_info("x", source, ["n"])],
        [helper.make_tensor_value_info("y", target, ["n"])],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


@pytest.mark.parametrize("target", [FLOAT, INT32, INT8])
@pytest.mark.parametrize(
    ("source", "between"), [(INT8, INT16), (UINT8, INT16), (UINT8, UINT16), (BOOL, UINT32)]
)
def test_a_cast_that_changes_nothing_goes_away(source, between, target):
    model = model_of(source, between, target)
    result = rewrite_model(model, [MergeCasts])
    assert [node.op_type for node in result.model.graph.node] == ["Cast"]
    dtype = helper.tensor_dtype_to_np_dtype(source)
    x = np.array([0, 1, 5, 127]).astype(dtype)
    if dtype == np.int8:
        x[2] = -128
    expected = run_onnxruntime(model, {"x": x})["y"]
    np.testing.assert_array_equal(run_onnxruntime(result.model, {"x": x})["y"], expected)
    assert rewrite_model(result.model, [MergeCasts]).applied == []


@pytest.mark.parametrize(
    ("source", "between", "reason"),
    [
        (INT32, INT16, "int16 may not hold every value of x"),
        (INT8, UINT16, "uint16 may not hold every value of x"),
        (FLOAT, UINT32, "uint32 may not hold every value of x"),
        (INT8, INT32, "TensorRT takes it: it has the type between"),
    ],
)
def test_a_cast_that_may_wrap_is_left(source, between, reason):
    (refused,) = rewrite_model(model_of(source, between, FLOAT), [MergeCasts]).refused
    assert refused.reason == reason
