import ml_dtypes
import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from pluginkit.graph_rewrites.carry_integers import CarryIntegers
from pluginkit.graph_rewrites.decode_weights import DecodeMicrosoftWeights, DecodeWeights
from pluginkit.onnx.rewriting.rewrite_model import rewrite_model
from pluginkit.onnx.running.run_model import run_onnxruntime
from tests.graph_rewrites.rewriting import reason_against

TYPES = {"int4": ml_dtypes.int4, "uint4": ml_dtypes.uint4, "int8": np.int8}
RANDOM = np.random.default_rng(5)


def drawn(dtype, *shape):
    kind = TYPES[dtype]
    low, high = (0, 15) if dtype == "uint4" else (-8, 7)
    return RANDOM.integers(low, high, shape).astype(kind)


def weights_model(dtype, *, axis=0, block=0, zero=True, stored=True, scale_dtype=np.float32):
    """y = x @ DequantizeLinear(w), with w: [20, 6]; the last block of 20 rows is not whole."""
    shape = {(0, 0): (6,), (0, 8): (3, 6), (1, 4): (20, 2)}[0 if not block else axis, block]
    arrays = {"w": drawn(dtype, 20, 6), "s": (RANDOM.random(shape) + 0.1).astype(scale_dtype)}
    if zero:
        arrays["z"] = drawn(dtype, *shape)
    axis = axis if block else 1
    nodes = [
        helper.make_node(
            "DequantizeLinear", list(arrays), ["d"], "node", axis=axis, block_size=block
        ),
        helper.make_node("MatMul", ["x", "d"], ["y"]),
    ]
    elem_type = helper.np_dtype_to_tensor_dtype(np.dtype(scale_dtype))
    inputs = [helper.make_tensor_value_info("x", elem_type, ["n", 20])]
    tensors = [numpy_helper.from_array(array, name) for name, array in arrays.items()]
    if not stored:
        inputs.append(helper.make_tensor_value_info("s", elem_type, shape))
        tensors = [each for each in tensors if each.name != "s"]
    outputs = [helper.make_tensor_value_info("y", elem_type, ["n", 6])]
    graph = helper.make_graph(nodes, "g", inputs, outputs, tensors)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)


LAYOUTS = [{}, {"block": 8}, {"axis": 1, "block": 4}]


@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
@pytest.mark.parametrize("dtype", ["int4", "uint4"])
def test_weights_are_decoded(dtype, layout):
    model = weights_model(dtype, **layout)
    result = rewrite_model(model, [DecodeWeights])
    assert [each.rewrite for each in result.applied] == ["DecodeWeights"]
    assert "weights of 4 bits are stored as float32" in result.notes[0]
    feeds = {"x": RANDOM.standard_normal((3, 20)).astype(np.float32)}
    expected, got = run_onnxruntime(model, feeds), run_onnxruntime(result.model, feeds)
    np.testing.assert_allclose(got["y"], expected["y"], rtol=1e-5, atol=1e-4)
    assert rewrite_model(result.model, [DecodeWeights]).applied == []


def test_weights_of_the_operator_of_onnxruntime_are_decoded():
    model = weights_model("uint4", block=8)
    feeds = {"x": RANDOM.standard_normal((3, 20)).astype(np.float32)}
    expected = run_onnxruntime(model, feeds)
    model.graph.node[0].domain = "com.microsoft"
    model.opset_import[0].version = 17
    model.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    result = rewrite_model(model, [DecodeMicrosoftWeights])
    assert [each.rewrite for each in result.applied] == ["DecodeMicrosoftWeights"]
    got = run_onnxruntime(result.model, feeds)
    np.testing.assert_allclose(got["y"], expected["y"], rtol=1e-5, atol=1e-4)


def test_unsigned_weights_without_a_zero_point_are_decoded():
    model = weights_model("uint4", block=8, zero=False)
    feeds = {"x": RANDOM.standard_normal((3, 20)).astype(np.float32)}
    result = rewrite_model(model, [DecodeWeights])
    expected, got = run_onnxruntime(model, feeds), run_onnxruntime(result.model, feeds)
    np.testing.assert_allclose(got["y"], expected["y"], rtol=1e-5, atol=1e-4)


def test_nothing_that_tensorrt_lacks_is_left():
    result = rewrite_model(weights_model("uint4", block=8), [DecodeWeights, CarryIntegers])
    assert {each.data_type for each in result.model.graph.initializer} == {TensorProto.FLOAT}


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"dtype": "int4", "zero": False}, "TensorRT takes it: it dequantizes around zero"),
        ({"dtype": "int8"}, "it has no 4 bits"),
        ({"dtype": "int4", "stored": False}, "its weights are not stored in the model itself"),
    ],
)
def test_other_weights_are_left(options, reason):
    assert reason_against(DecodeWeights, weights_model(**options)) == reason
