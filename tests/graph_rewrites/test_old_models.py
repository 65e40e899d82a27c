"""Models of IR version 3, whose initializers are inputs too, and of opsets 9 to 12."""

import numpy as np
import onnx
import pytest
from onnx import helper

from pluginkit.onnx.rewriting.find_rewrites import find_rewrites
from pluginkit.onnx.rewriting.rewrite_model import rewrite_model
from pluginkit.onnx.running.run_model import run_model, run_onnxruntime
from tests.graph_rewrites.samples import full_range, i64, node_model, normal

U8, I8 = full_range(np.uint8, 4, 4), full_range(np.int8, 4, 4)
IMAGE = normal(1, 2, 6, 6)
SCALE, ZERO = np.float32(0.05), np.uint8(3)
PLACES = np.array([0, 3, 4, 12, 14, 17, 24, 26, 29]).reshape(1, 1, 3, 3)
PRODUCT = {"b": np.ascontiguousarray(U8.T), "za": ZERO, "zb": np.uint8(9)}
LINEAR = {
    "as": SCALE, "az": ZERO, "b": PRODUCT["b"], "bs": SCALE, "bz": ZERO,
    "ys": np.float32(20), "yz": np.uint8(7),
}  # fmt: skip
#: Operator, inputs that are computed, inputs that are stored, options, and opsets.
NODES = {
    "shift to the left": (
        "BitShift", {"x": U8}, {"n": np.uint8([0, 1, 7, 8])}, {"direction": "LEFT"}, (11, 12)
    ),
    "shift to the right": (
        "BitShift", {"x": U8}, {"n": np.uint8([0, 1, 7, 9])}, {"direction": "RIGHT"}, (11, 12)
    ),
    "unpool": (
        "MaxUnpool", {"x": normal(1, 1, 3, 3)}, {"i": PLACES},
        {"kernel_shape": [2, 2], "strides": [2, 2]}, (9, 11),
    ),
    "quantize": ("QuantizeLinear", {"x": normal(3, 4)}, {"s": SCALE, "z": ZERO}, {}, (10, 12)),
    "dequantize": ("DequantizeLinear", {"x": U8}, {"s": SCALE, "z": ZERO}, {}, (10, 12)),
    "dequantize int8": ("DequantizeLinear", {"x": I8}, {"s": SCALE, "z": np.int8(3)}, {}, (10, 12)),
    "dynamic": ("DynamicQuantizeLinear", {"x": normal(3, 4)}, {},
                {"outputs": ("y", "scale", "zero")}, (11, 12)),
    "product": ("MatMulInteger", {"a": U8}, PRODUCT, {}, (10, 12)),
    "quantized product": ("QLinearMatMul", {"a": U8}, LINEAR, {}, (10, 12)),
    "convolution": (
        "ConvInteger", {"x": full_range(np.uint8, 1, 2, 5, 5)},
        {"w": full_range(np.uint8, 3, 2, 3, 3), "z": ZERO}, {}, (10, 12),
    ),
    "dilated pooling": (
        "MaxPool", {"x": IMAGE}, {},
        {"kernel_shape": [2, 2], "dilations": [2, 2], "pads": [1, 1, 1, 1]}, (10, 11, 12),
    ),
    "places": (
        "MaxPool", {"x": IMAGE}, {},
        {"kernel_shape": [2, 2], "strides": [2, 2], "outputs": ("y", "indices_of_y")}, (10, 12),
    ),
    "largest": (
        "TopK", {"x": normal(1, 4000)}, {"k": i64(3900)}, {"outputs": ("y", "at")}, (10, 11, 12)
    ),
    "not zero": ("NonZero", {"x": U8.astype(np.float32)}, {}, {}, (9, 11, 12)),
    "unique": ("Unique", {"x": U8.astype(np.float32)}, {}, {}, (11, 12)),
}  # fmt: skip


def with_ir_version_3(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model as old exporters wrote it: every initializer is an input of the graph too."""
    model.ir_version = 3
    model.graph.input.extend(
        helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims)
        for tensor in model.graph.initializer
    )
    return model


@pytest.mark.parametrize(
    ("name", "opset"), [(name, opset) for name, node in NODES.items() for opset in node[-1]]
)
def test_old_models_are_rewritten_and_compute_the_same(name, opset, tmp_path):
    op_type, computed, stored, options, _ = NODES[name]
    inputs = {**computed, **stored}
    model = with_ir_version_3(
        node_model(op_type, inputs, stored=list(stored), opset=opset, **options)
    )
    result = rewrite_model(model, find_rewrites())
    assert result.applied
    assert list(result.model.graph.input) == list(model.graph.input)
    onnx.checker.check_model(result.model)
    got = run_model(result.model, computed, result.plugins, base_dir=tmp_path)
    for output, expected in run_onnxruntime(model, computed).items():
        assert got[output].dtype == expected.dtype
        np.testing.assert_array_equal(got[output], expected)
    assert rewrite_model(result.model, find_rewrites()).applied == []


def test_a_model_of_ir_version_3_that_needs_nothing_stays_the_same():
    model = with_ir_version_3(
        node_model("Add", {"a": normal(3), "b": normal(3)}, stored=["b"], opset=9)
    )
    result = rewrite_model(model, find_rewrites())
    assert (result.model, result.applied) == (model, [])


def test_initializers_that_are_no_inputs_are_not_refused_in_ir_version_3():
    """onnx's checker refuses such a model; TensorRT and ONNX Runtime take it."""
    model = node_model("QuantizeLinear", {"x": normal(4), "s": SCALE, "z": ZERO},
                       stored=["s", "z"], opset=10)  # fmt: skip
    model.ir_version = 3
    result = rewrite_model(model, find_rewrites())
    assert "ExpandQuantizeLinear" in {each.rewrite for each in result.applied}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("(float[3] x) => (int64[3] y) { y = ai.onnx.ml.LabelEncoder<keys_floats = [1.0, 2.0],"
         " values_int64s = [5, 6]>(x) }", "opset 8 has no negative axes of Unsqueeze"),
        ("(float[2, 3] x) => (float[2, 3] y) { y = ai.onnx.ml.Imputer<replaced_value_float = nan,"
         " imputed_value_floats = [1.0, 2.0, 3.0]>(x) }", "opset 8 has no IsNaN"),
    ],
)  # fmt: skip
def test_what_an_old_opset_lacks_is_a_reason(text, reason):
    heads = '<ir_version: 3, opset_import: ["" : 8, "ai.onnx.ml" : 2]> g '
    model = onnx.parser.parse_model(heads + text)
    result = rewrite_model(model, find_rewrites())
    assert result.model == model
    assert [each.reason for each in result.refused] == [f"{reason}; export with a later opset"]
