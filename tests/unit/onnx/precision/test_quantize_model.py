import struct

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from pluginkit.errors import ModelError, UsageError
from pluginkit.onnx.model.plugin_nodes import plugin_node
from pluginkit.onnx.precision.convert_precision import convert_precision
from pluginkit.onnx.precision.precision_options import OutputLoss, Precision, Quantization
from pluginkit.onnx.precision.quantize_model import quantize_model
from pluginkit.onnx.precision.tensor_ranges import read_ranges
from pluginkit.onnx.rewriting.rewrite_model import rewrite_model
from pluginkit.plugins.circ_pad import CircPad
from tests.unit.onnx.models import BOOL, FLOAT, INT64, Silu, model_of, value
from tests.unit.onnx.precision.float_models import Weights, cnn, node, transformer
from tests.unit.onnx.precision.soft_sign import SoftSign

PLUGINS = {cls.spec.key: cls for cls in (Silu, SoftSign, CircPad)}
X, Y = value("x", ["n", 4]), value("y", ["n", 4])
RNG = np.random.default_rng(3)
IMAGES = [{"x": RNG.standard_normal((2, 3, 16, 16), np.float32)} for _ in range(2)]
NUMBERS = [{"x": np.linspace(-2, 3, 8, dtype=np.float32).reshape(2, 4)}]


def quantized(model, tmp_path, **choice):
    made = onnx.ModelProto()
    made.CopyFrom(model)
    return made, quantize_model(made, Quantization(**choice), PLUGINS, tmp_path)


def products(*extra):
    """MatMul, what is given, MatMul."""
    weights = Weights()
    weights("w", 4, 4)
    nodes = [node("MatMul", ["x", "w"], "m"), *extra, node("MatMul", ["s", "w"], "y")]
    return model_of(nodes, [X], [Y], weights.tensors)


def stored(model):
    return {each.name: numpy_helper.to_array(each) for each in model.graph.initializer}


def test_a_cnn_gets_symmetric_int8_with_a_scale_for_each_channel(tmp_path):
    made, report = quantized(cnn(), tmp_path, inputs=IMAGES)
    assert (report.dtype, report.converted, report.casts, report.kept) == ("int8", 3, 3, [])
    found = stored(made)
    assert found["w2_quantized"].dtype == np.int8
    assert found["w2_scale"].shape == (16,)
    assert all(not array.any() for name, array in found.items() if name.endswith("_zero_point"))
    largest = max(float(np.abs(each["x"]).max()) for each in IMAGES)
    assert found["x_scale"] == pytest.approx(largest / 127, rel=0.01)
    (loss,) = report.losses
    assert loss.name == "y"
    assert 25 < loss.signal_to_noise_db < 60
    assert 0 < loss.largest_error < 0.1 * loss.largest_value


def test_attention_is_quantized_and_normalised_in_float32(tmp_path):
    x = RNG.standard_normal((1, 5, 32), np.float32)
    feeds = {"x": x, "mask": np.ones((1, 5), np.int64)}
    made, report = quantized(transformer(), tmp_path, inputs=[feeds], keep=["q"])
    assert report.converted == 7
    assert [(kept.node, kept.reason) for kept in report.kept] == [
        ("MatMul 'node_q'", "kept by 'q'")
    ]
    (softmax,) = [each for each in made.graph.node if each.op_type == "Softmax"]
    assert list(softmax.input) == ["masked"]
    assert report.losses[0].signal_to_noise_db > 25


def test_plugins_stay_in_float32(tmp_path):
    model = products(plugin_node(Silu(), ["m"], ["s"], "silu"))
    model.opset_import.add(domain="pluginkit", version=1)
    made, report = quantized(model, tmp_path, inputs=NUMBERS)
    (kept,) = report.kept
    assert (kept.node, kept.reason) == ("Silu_PK 'silu'", "its plugin takes no int8")
    (silu,) = [each for each in made.graph.node if each.op_type == "Silu_PK"]
    assert list(silu.input) == ["m"]
    assert report.converted == 2


def test_ranges_go_before_what_is_measured(tmp_path):
    made, _ = quantized(
        products(node("Relu", ["m"], "s")), tmp_path, inputs=NUMBERS, ranges={"x": 12.7}
    )
    assert stored(made)["x_scale"] == pytest.approx(0.1, rel=0.01)


def test_what_has_no_range_stays(tmp_path):
    made, report = quantized(products(node("Relu", ["m"], "s")), tmp_path, ranges={"x": 3.0})
    assert [kept.reason for kept in report.kept] == ["no range of 's'"]
    assert (report.converted, report.losses) == (1, [])
    assert list(made.graph.node[-1].input) == ["s", "w"]


def test_other_readers_and_outputs_of_a_value_keep_it_in_float32(tmp_path):
    weights = Weights()
    weights("w", 4, 4)
    nodes = [
        node("Relu", ["x"], "r"),
        node("MatMul", ["r", "w"], "m"),
        node("Add", ["r", "m"], "y"),
    ]
    model = model_of(nodes, [X], [Y, value("r", ["n", 4])], weights.tensors)
    made, report = quantized(model, tmp_path, inputs=NUMBERS)
    (add,) = [each for each in made.graph.node if each.op_type == "Add"]
    assert list(add.input) == ["r", "m"]
    assert {each.name: each.largest_error for each in report.losses}["r"] == 0


def test_bodies_are_quantized_with_the_ranges_that_they_have(tmp_path):
    body = helper.make_graph([node("MatMul", ["m", "w"], "t")], "b", [], [value("t", ["n", 4])])
    choose = helper.make_node("If", ["c"], ["s"], then_branch=body, else_branch=body)
    weights = Weights()
    weights("w", 4, 4)
    nodes = [node("MatMul", ["x", "w"], "m"), choose, node("MatMul", ["s", "w"], "y")]
    model = model_of(nodes, [X, value("c", [], BOOL)], [Y], weights.tensors)
    made, report = quantized(model, tmp_path, inputs=[{**NUMBERS[0], "c": np.array(True)}])
    assert (report.converted, report.casts, report.kept) == (4, 4, [])
    assert report.losses[0].signal_to_noise_db > 30
    assert "w" not in stored(made)  # nobody reads it
    (choose,) = [each for each in made.graph.node if each.op_type == "If"]
    for attribute in choose.attribute:
        kinds = {each.name: each.data_type for each in attribute.g.initializer}
        assert TensorProto.INT8 in kinds.values()
        product = next(each for each in attribute.g.node if each.op_type == "MatMul")
        assert {"m", "w"}.isdisjoint(product.input)


def test_a_loop_is_quantized_over_the_range_of_all_iterations(tmp_path):
    body = helper.make_graph(
        [
            node("Identity", ["go"], "go_on"),
            node("Constant", [], "k", value=numpy_helper.from_array(2 * np.eye(4, dtype="f"))),
            node("MatMul", ["state", "k"], "next"),
        ],
        "body",
        [value("at", [], INT64), value("go", [], BOOL), value("state", ["n", 4])],
        [value("go_on", [], BOOL), value("next", ["n", 4])],
    )
    trips = numpy_helper.from_array(np.array(3), "trips")
    loop = helper.make_node("Loop", ["trips", "", "x"], ["y"], name="loop", body=body)
    made, report = quantized(model_of([loop], [X], [Y], [trips]), tmp_path, inputs=NUMBERS)
    (found,) = [each.g for each in made.graph.node[0].attribute]
    arrays = {each.name: numpy_helper.to_array(each) for each in found.initializer}
    assert arrays["state_scale"] == pytest.approx(12 / 127, rel=0.01)  # 3, doubled twice
    assert arrays["k_quantized"].dtype == np.int8
    assert report.losses[0].signal_to_noise_db > 30
    _, report = quantized(model_of([loop], [X], [Y], [trips]), tmp_path, ranges={"state": 99})
    assert report.converted == 1


def test_a_plugin_that_says_what_int8_means_gets_it(tmp_path):
    model = products(plugin_node(SoftSign(), ["m"], ["s"], "soft"))
    model.opset_import.add(domain="pluginkit", version=1)
    made, report = quantized(model, tmp_path, inputs=NUMBERS)
    assert (report.converted, report.kept) == (3, [])
    assert report.losses[0].signal_to_noise_db > 30
    (soft,) = [each for each in made.graph.node if each.op_type == "SoftSign_PK"]
    by_output = {name: each for each in made.graph.node for name in each.output}
    before, after = by_output[soft.input[0]], by_output["s"]
    assert (before.op_type, before.input[0]) == ("QuantizeLinear", "m")
    assert (after.op_type, after.input[0]) == ("DequantizeLinear", soft.output[0])
    scales = {each.name: each.f for each in soft.attribute if each.name.endswith("_scale")}
    arrays = stored(made)
    assert arrays[before.input[1]] == pytest.approx(scales["x_scale"])
    assert arrays[after.input[1]] == pytest.approx(scales["y_scale"])
    assert scales["y_scale"] < 1 / 127 < scales["x_scale"]
    kept, report = quantized(model, tmp_path, inputs=NUMBERS, keep_ops=["SoftSign_PK"])
    assert [each.reason for each in report.kept] == ["kept by 'SoftSign_PK'"]
    assert "SoftSign_PK" in [each.op_type for each in kept.graph.node]


def test_int8_without_a_scale_is_left_to_the_author(tmp_path):
    model = products(plugin_node(CircPad(pads=(1, 1)), ["m"], ["s"], "pad"))
    model.graph.node[-1].input[0] = "m"
    model.opset_import.add(domain="pluginkit", version=1)
    _, report = quantized(model, tmp_path, inputs=NUMBERS)
    assert [each.reason for each in report.kept] == ["its plugin declares no scale for int8"]


def test_weights_in_nodes_and_in_files_are_quantized(tmp_path):
    weight = numpy_helper.from_array(np.eye(4, dtype=np.float32), "w")
    nodes = [helper.make_node("Constant", [], ["w"], value=weight), node("MatMul", ["x", "w"], "y")]
    made, report = quantized(model_of(nodes, [X], [Y]), tmp_path, inputs=NUMBERS)
    assert report.converted == 1
    assert stored(made)["w_quantized"].dtype == np.int8
    path = tmp_path / "cnn.onnx"
    onnx.save(cnn(), path, save_as_external_data=True, location="w.bin", size_threshold=0)
    outside = onnx.load(path, load_external_data=False)
    quantize_model(outside, Quantization(inputs=IMAGES), {}, tmp_path)
    assert stored(outside)["w1_quantized"].dtype == np.int8


@pytest.mark.parametrize(
    ("model", "choice", "code"),
    [
        (cnn(), {}, "PK462"),
        (model_of([node("Relu", ["x"], "y")], [X], [Y]), {"inputs": NUMBERS}, "PK462"),
        (cnn(11), {"inputs": IMAGES}, "PK463"),
        (cnn(), {"inputs": IMAGES, "keep_ops": ["Matmul"]}, "PK460"),
    ],
)
def test_what_cannot_be_quantized_is_refused(model, choice, code, tmp_path):
    with pytest.raises(UsageError) as caught:
        quantized(model, tmp_path, **choice)
    assert caught.value.code == code


def test_an_opset_that_is_imported_twice_does_no_harm(tmp_path):
    model = products(node("Relu", ["m"], "s"))
    model.opset_import.add(domain="", version=18)
    made, report = quantized(model, tmp_path, inputs=NUMBERS)
    assert report.converted == 2
    assert [each.version for each in made.opset_import] == [18]


def test_a_failure_of_the_quantizer_is_told_apart_from_a_bug(tmp_path, monkeypatch):
    def fail(*args, **options):
        raise ValueError("no such scale")

    monkeypatch.setattr("onnxruntime.quantization.QDQQuantizer", fail)
    with pytest.raises(ModelError, match="quantizer refuses the model") as caught:
        quantized(cnn(), tmp_path, inputs=IMAGES)
    assert caught.value.code == "PK464"
    assert caught.value.cause == "ValueError: no such scale"


def test_the_loss_of_indices_is_measured_too(tmp_path):
    nodes = [node("MatMul", ["x", "w"], "m"), node("ArgMax", ["m"], "y", axis=1, keepdims=0)]
    weights = Weights()
    weights("w", 4, 4)
    model = model_of(nodes, [X], [value("y", ["n"], TensorProto.INT64)], weights.tensors)
    _, report = quantized(model, tmp_path, inputs=NUMBERS, ranges={"x": 1000.0})
    (loss,) = report.losses
    assert loss.largest_error == int(loss.largest_error) >= 1


def test_ranges_are_read_as_lines_or_as_a_calibration_cache(tmp_path):
    path = tmp_path / "ranges"
    path.write_text("# by hand\nx: 2.5\n\n/m/a:b: 1e-3\n")
    assert read_ranges(path) == {"x": 2.5, "/m/a:b": 0.001}
    scale = struct.pack("!f", 2.54 / 127).hex()
    path.write_text(f"TRT-101600-EntropyCalibration2\nx: {scale}\n(Unnamed Layer* 0): 3c010a14\n")
    found = read_ranges(path)
    assert found["x"] == pytest.approx(2.54)
    assert found["(Unnamed Layer* 0)"] == pytest.approx(1.0, rel=0.01)


@pytest.mark.parametrize(
    "text", ["x", "x: ", "x: -1", "x: nan", ": 1", "TRT-1\nx: 1.5", "x: 1,2", None]
)
def test_other_ranges_are_refused(text, tmp_path):
    path = tmp_path / "ranges"
    if text is not None:
        path.write_text(text)
    with pytest.raises(UsageError) as caught:
        read_ranges(path)
    assert caught.value.code == "PK617"


def test_a_loss_is_measured():
    loss = OutputLoss.between("y", np.array([3.0, -4.0]), np.array([3.0, -4.5]))
    assert (loss.largest_error, loss.largest_value) == (0.5, 4.0)
    assert loss.signal_to_noise_db == pytest.approx(20.0)
    assert OutputLoss.between("y", np.ones(2), np.ones(2)).signal_to_noise_db == float("inf")


def test_inputs_with_nan_are_refused(tmp_path):
    feeds = {name: np.full_like(array, np.nan) for name, array in NUMBERS[0].items()}
    model = products(node("Relu", ["m"], "s"))
    with pytest.raises(UsageError, match="PK465 input 'x' holds NaN"):
        quantized(model, tmp_path, inputs=[feeds])
    with pytest.raises(UsageError, match="PK465"):
        convert_precision(model, Precision("float16", inputs=[feeds]), {}, tmp_path)


@pytest.mark.parametrize("kind", ["INT4", "FLOAT8E4M3FN"])
def test_weights_of_four_and_eight_bits_pass_through(kind):
    elem_type = getattr(TensorProto, kind)
    numbers = (np.arange(16) % 7 - 3).astype(np.float32)
    weight = helper.make_tensor("w", elem_type, [4, 4], numbers)
    scale = numpy_helper.from_array(np.full(4, 0.5, np.float32), "scale")
    nodes = [
        node("DequantizeLinear", ["w", "scale"], "d", axis=1),
        node("MatMul", ["x", "d"], "y"),
    ]
    model = model_of(nodes, [X], [Y], [weight, scale], opset=23)
    result = rewrite_model(model, [])
    report = convert_precision(result.model, Precision("float16"), {}, None)
    (kept,) = [each for each in result.model.graph.initializer if each.name == "w"]
    assert kept == weight
    assert report.kept == []
    types = {each.name: each.data_type for each in result.model.graph.initializer}
    assert types == {"w": elem_type, "scale_float16": TensorProto.FLOAT16}
    assert result.model.graph.output[0].type.tensor_type.elem_type == FLOAT


def test_what_is_quantized_already_stays_as_it_is(tmp_path):
    weight = helper.make_tensor("w4", TensorProto.INT4, [4, 4], np.arange(16) % 7 - 3)
    nodes = [
        node("DequantizeLinear", ["w4", "scale"], "d", axis=1),
        node("MatMul", ["x", "d"], "m"),
        node("MatMul", ["m", "w"], "y"),
    ]
    weights = Weights()
    weights("w", 4, 4)
    weights.keep("scale", np.full(4, 0.5))
    model = model_of(nodes, [X], [Y], [weight, *weights.tensors], opset=23)
    made, report = quantized(model, tmp_path, inputs=NUMBERS)
    assert [each.reason for each in report.kept] == ["it reads quantized values already"]
    assert next(each for each in made.graph.initializer if each.name == "w4") == weight
    assert report.converted == 1
    with pytest.raises(UsageError, match="MatMul 'node_m': it reads quantized values already"):
        quantized(model, tmp_path, inputs=NUMBERS, keep=["y"])


def test_the_nodes_of_local_functions_are_quantized(tmp_path):
    function = helper.make_function(
        "local",
        "Twice",
        ["a", "b"],
        ["r"],
        [node("MatMul", ["a", "b"], "t"), node("Relu", ["t"], "r")],
        [helper.make_opsetid("", 18)],
    )
    weights = Weights()
    weights("w", 4, 4)
    calls = [
        helper.make_node("Twice", ["x", "w"], ["m"], domain="local", name="one"),
        helper.make_node("Twice", ["m", "w"], ["y"], domain="local", name="two"),
    ]
    model = model_of(calls, [X], [Y], weights.tensors)
    model.functions.append(function)
    model.opset_import.add(domain="local", version=1)
    made, report = quantized(model, tmp_path, inputs=NUMBERS)
    assert (report.converted, report.kept) == (2, [])
    assert sum(array.dtype == np.int8 and array.ndim == 2 for array in stored(made).values()) == 1


def test_a_gemm_with_a_row_for_c_is_quantized(tmp_path):
    weights = Weights()
    inputs = ["x", weights("w", 4, 4), weights.keep("c", np.full((1, 4), 1e-4))]
    nodes = [node("Gemm", inputs, "y", alpha=0.5, beta=3e4)]
    made, report = quantized(model_of(nodes, [X], [Y], weights.tensors), tmp_path, inputs=NUMBERS)
    assert report.converted == 1
    assert stored(made)["c"].shape == (1, 4)
    assert report.losses[0].signal_to_noise_db > 30
