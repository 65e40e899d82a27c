import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from pluginkit.graph_rewrites.expand_integer_products import ExpandMatMulInteger
from pluginkit.graph_rewrites.expand_quantization import (
    ExpandDequantizeLinear,
    ExpandDynamicQuantizeLinear,
    ExpandQuantizeLinear,
)
from pluginkit.onnx.rewriting.rewrite_model import rewrite_model
from pluginkit.onnx.running.run_model import run_onnxruntime
from tests.graph_rewrites.rewriting import outputs_of, reason_against
from tests.graph_rewrites.samples import f32, full_range, integers, node_model, normal


@pytest.mark.parametrize("zero", [np.uint8(0), np.uint8(131), np.int8(-7)])
def test_quantize_rounds_to_even_and_saturates_as_onnxruntime_does(zero):
    x = np.concatenate([np.arange(-400, 400) / 2, [1e9, -1e9, 3e38, np.inf, -np.inf]])
    feeds = {"x": x.astype(np.float32), "s": f32(1), "z": zero}
    model = node_model("QuantizeLinear", feeds, opset=13)
    (got,) = outputs_of(ExpandQuantizeLinear, model, feeds)
    np.testing.assert_array_equal(got, run_onnxruntime(model, feeds)["y"])
    low, high = np.iinfo(zero.dtype).min, np.iinfo(zero.dtype).max
    halves = [round(float(each)) + int(zero) for each in feeds["x"][:800]]
    np.testing.assert_array_equal(got[:800], np.clip(halves, low, high))
    np.testing.assert_array_equal(got[800:], [high, low, high, high, low])


def test_quantize_without_a_zero_point_is_uint8():
    feeds = {"x": normal(50) * 100, "s": f32(0.5)}
    model = node_model("QuantizeLinear", feeds, opset=13)
    (got,) = outputs_of(ExpandQuantizeLinear, model, feeds)
    assert got.dtype == np.uint8
    np.testing.assert_array_equal(got, run_onnxruntime(model, feeds)["y"])


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_each_entry_of_an_axis_has_its_own_scale(axis):
    x = normal(4, 4, 4)
    feeds = {"x": x, "s": f32(0.01, 0.02, 0.03, 0.04), "z": integers(4)}
    model = node_model("QuantizeLinear", feeds, opset=13, axis=axis)
    (quantized,) = outputs_of(ExpandQuantizeLinear, model, feeds)
    np.testing.assert_array_equal(quantized, run_onnxruntime(model, feeds)["y"])
    feeds["x"] = quantized
    model = node_model("DequantizeLinear", feeds, opset=13, axis=axis)
    (got,) = outputs_of(ExpandDequantizeLinear, model, feeds)
    np.testing.assert_array_equal(got, run_onnxruntime(model, feeds)["y"])


def test_blocks_have_their_own_scales():
    x = integers(2, 10, 3)
    scale, zero = np.abs(normal(2, 3, 3)) + 0.1, integers(2, 3, 3)
    feeds = {"x": x, "s": scale, "z": zero}
    model = node_model("DequantizeLinear", feeds, opset=21, axis=1, block_size=4)
    (got,) = outputs_of(ExpandDequantizeLinear, model, feeds)
    spread = [np.repeat(each, 4, axis=1)[:, :10] for each in (scale, zero.astype(np.float32))]
    np.testing.assert_allclose(got, (x - spread[1]) * spread[0], rtol=1e-6)


def test_precision_says_in_which_type_to_divide():
    x = np.array([2049], np.float16)
    feeds = {"x": x, "s": np.float16(10), "z": np.uint8(0)}
    for precision, expected in [(1, 205), (10, 205)]:
        model = node_model("QuantizeLinear", feeds, opset=23, precision=precision)
        (got,) = outputs_of(ExpandQuantizeLinear, model, feeds)
        assert got.tolist() == [expected]


@pytest.mark.parametrize(
    ("rewrite", "op_type", "x", "verb"),
    [
        (ExpandQuantizeLinear, "QuantizeLinear", normal(3), "quantizes to int8"),
        (ExpandDequantizeLinear, "DequantizeLinear", np.ones(3, np.int8), "dequantizes int8"),
    ],
)
def test_int8_around_zero_is_tensorrts_own(rewrite, op_type, x, verb):
    zero = np.int8(0)
    model = node_model(op_type, {"x": x, "s": f32(1), "z": zero}, stored=["z"], opset=13)
    assert reason_against(rewrite, model) == f"TensorRT takes it: it {verb} around zero"


@pytest.mark.parametrize("scale_type", [np.float32, np.float16])
def test_int32_as_of_biases_is_multiplied_in_float32(scale_type):
    x = np.array([[70000, -12345678], [3, 2**31 - 1]], np.int32)
    feeds = {"x": x, "s": np.array([1e-3, 2e-6], scale_type)}
    model = node_model("DequantizeLinear", feeds, opset=19, axis=1)
    (got,) = outputs_of(ExpandDequantizeLinear, model, feeds)
    expected = (x.astype(np.float64) * feeds["s"].astype(np.float64)).astype(scale_type)
    assert got.dtype == scale_type
    np.testing.assert_allclose(got, expected, rtol=1e-6 if scale_type == np.float32 else 1e-3)


@pytest.mark.parametrize("scale_type", [np.float32, np.float16])
@pytest.mark.parametrize(("dtype", "zero_point"), [(np.int16, -5), (np.uint16, 40000)])
def test_quantization_to_16_bits(dtype, zero_point, scale_type):
    x = np.array([[-9e4, -3.3, -0.5, 0.2], [1.5, 2.5, 7.77, 9e4]]).clip(-6e4, 6e4)
    feeds = {"x": x.astype(scale_type), "s": scale_type(3e-4), "z": dtype(zero_point)}
    model = node_model("QuantizeLinear", feeds, opset=21)
    (got,) = outputs_of(ExpandQuantizeLinear, model, feeds)
    (expected,) = run_onnxruntime(model, feeds).values()
    np.testing.assert_array_equal(got, expected)
    feeds = {"x": expected, "s": scale_type(3e-4), "z": dtype(zero_point)}
    model = node_model("DequantizeLinear", feeds, opset=21)
    (got,) = outputs_of(ExpandDequantizeLinear, model, feeds)
    (expected,) = run_onnxruntime(model, feeds).values()
    np.testing.assert_allclose(got, expected, rtol=1e-6 if scale_type == np.float32 else 1e-3)


def test_other_types_are_left():
    zero = np.array(0, helper.tensor_dtype_to_np_dtype(TensorProto.FLOAT8E4M3FN))
    model = node_model("QuantizeLinear", {"x": normal(3), "s": f32(1), "z": zero}, opset=21)
    reason = reason_against(ExpandQuantizeLinear, model)
    assert reason == "the output is of another type than uint8, int8, int16, uint16"


@pytest.mark.parametrize(
    "x",
    [
        normal(5, 7) * 3,
        np.abs(normal(40)) + 5,
        -np.abs(normal(40)) - 0.25,
        np.array([2.5, -1.0, 0.0, 255, 127.5], np.float32),
    ],
)
def test_dynamic_ranges_are_those_of_onnxruntime(x):
    model = node_model("DynamicQuantizeLinear", {"x": x}, outputs=("y", "scale", "zero"), opset=11)
    got = outputs_of(ExpandDynamicQuantizeLinear, model, {"x": x})
    expected = list(run_onnxruntime(model, {"x": x}).values())
    for one, other in zip(got, expected, strict=True):
        assert one.dtype == other.dtype
        assert one.shape == other.shape
        np.testing.assert_array_equal(one, other)


def test_a_range_of_nothing_but_zeros_gives_zeros():
    x = np.zeros(4, np.float32)
    model = node_model("DynamicQuantizeLinear", {"x": x}, outputs=("y", "scale", "zero"), opset=11)
    y, scale, zero = outputs_of(ExpandDynamicQuantizeLinear, model, {"x": x})
    assert (y.tolist(), scale.tolist(), zero.tolist()) == ([0, 0, 0, 0], 0.0, 0)


def test_a_dynamically_quantized_product_is_rewritten_as_a_whole():
    """A MatMul as ONNX Runtime quantizes it dynamically."""
    w = integers(300, 4, dtype=np.int8, low=-64, high=63)  # ONNX Runtime saturates without VNNI
    nodes = [
        helper.make_node("DynamicQuantizeLinear", ["x"], ["q", "s", "z"]),
        helper.make_node("MatMulInteger", ["q", "w", "z"], ["i"]),
        helper.make_node("Cast", ["i"], ["f"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["f", "s"], ["y"]),
    ]
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes,
        "test",
        [value("x", TensorProto.FLOAT, ["n", 300])],
        [value("y", TensorProto.FLOAT, ["n", 4])],
        [numpy_helper.from_array(w, "w")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    result = rewrite_model(model, [ExpandMatMulInteger, ExpandDynamicQuantizeLinear])
    assert len(result.applied) == 2
    x = normal(6, 300)
    expected = run_onnxruntime(model, {"x": x})["y"]
    np.testing.assert_allclose(run_onnxruntime(result.model, {"x": x})["y"], expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("op_type", "zero", "note"),
    [
        ("QuantizeLinear", np.int8(3), "int8 with a zero point other than a stored 0"),
        ("DequantizeLinear", np.int8(3), "int8 with a zero point other than a stored 0"),
        ("QuantizeLinear", np.uint8(128), "uint8 is computed in floating point"),
        ("DequantizeLinear", np.uint8(0), "uint8 is computed in floating point"),
    ],
)
def test_the_loss_of_integer_kernels_is_noted(op_type, zero, note):
    x = normal(3, 4) if op_type == "QuantizeLinear" else full_range(zero.dtype.type, 3, 4)
    model = node_model(op_type, {"x": x, "s": np.float32(0.1), "z": zero}, stored=["s", "z"])
    result = rewrite_model(model, [ExpandQuantizeLinear, ExpandDequantizeLinear])
    (got,) = result.notes
    assert note in got
    assert got.endswith("(1 node)")


def test_dequantized_sums_lose_nothing():
    x = np.arange(6, dtype=np.int32)
    model = node_model("DequantizeLinear", {"x": x, "s": np.float32(0.1)}, stored=["s"])
    result = rewrite_model(model, [ExpandDequantizeLinear])
    assert len(result.applied) == 1
    assert result.notes == []
