import numpy as np
import pytest

from pluginkit.graph_rewrites.carry_integers import CarryIntegers
from pluginkit.graph_rewrites.expand_fused_convolutions import (
    ExpandDynamicPads,
    ExpandFusedConv,
    ExpandNhwcConv,
    ExpandNhwcMaxPool,
)
from pluginkit.onnx.rewriting.rewrite_model import rewrite_model
from pluginkit.onnx.running.run_model import run_onnxruntime
from tests.graph_rewrites.microsoft import assert_spelled_out, feeds_of, microsoft_model
from tests.graph_rewrites.rewriting import reason_against
from tests.graph_rewrites.samples import full_range, node_model, normal

X, W, B = normal(2, 4, 9, 8), normal(6, 2, 3, 3), normal(6)


@pytest.mark.parametrize(
    ("activation", "parameters"),
    [
        ("Relu", []),
        ("Tanh", []),
        ("Sigmoid", []),
        ("LeakyRelu", [0.2]),
        ("Clip", [-0.5, 1.5]),
        ("HardSigmoid", [0.3, 0.6]),
    ],
)
@pytest.mark.parametrize("optional", ["", "b", "z", "b z"])
def test_convolutions_with_activations(activation, parameters, optional):
    inputs = {"x": X, "w": W, "b": None, "z": None}
    inputs |= {"b": B} if "b" in optional else {}
    inputs |= {"z": normal(2, 6, 5, 4)} if "z" in optional else {}
    model = microsoft_model(
        "FusedConv",
        inputs,
        {"y": ("float32", 4)},
        stored=["w"],
        dims={"x": ("n", 4, 9, 8)},
        activation=activation,
        group=2,
        pads=[1, 1, 1, 1],
        strides=[2, 2],
        **({"activation_params": parameters} if parameters else {}),
    )
    assert_spelled_out(model, feeds_of(model, inputs), [ExpandFusedConv])


def test_other_activations_are_left():
    inputs = {"x": X, "w": W}
    model = microsoft_model("FusedConv", inputs, {"y": ("float32", 4)}, group=2, activation="Snake")
    assert reason_against(ExpandFusedConv, model) == "its activation 'Snake' is not known"


@pytest.mark.parametrize("dtype", ["float32", "float16"])
@pytest.mark.parametrize("op_type", ["NhwcConv", "NhwcFusedConv"])
def test_channels_come_last(op_type, dtype):
    """ONNX Runtime has it on GPUs only, so that a Conv is what it is compared with."""
    x, w, b = (each.astype(dtype) for each in (X, W, B))
    attributes = {"group": 2, "pads": [1, 0, 1, 2], "dilations": [1, 2]}
    plain = node_model("Conv", {"x": x, "w": w, "b": b}, stored=["w"], opset=17, **attributes)
    expected = run_onnxruntime(plain, {"x": x, "b": b})["y"].transpose(0, 2, 3, 1)
    inputs = {"x": x.transpose(0, 2, 3, 1), "w": w, "b": b}
    if op_type == "NhwcConv":
        inputs["w"] = w.transpose(0, 2, 3, 1)
    else:
        inputs["z"] = expected[::-1] * 2
        expected = np.maximum(expected + inputs["z"], 0)
        attributes["activation"] = "Relu"
    model = microsoft_model(op_type, inputs, {"y": (dtype, 4)}, stored=["w"], **attributes)
    made = rewrite_model(model, [ExpandNhwcConv]).model
    got = run_onnxruntime(made, feeds_of(model, inputs))["y"]
    tolerance = 1e-5 if dtype == "float32" else 1e-2
    np.testing.assert_allclose(got, expected, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("dtype", [np.uint8, np.int8])
@pytest.mark.parametrize(
    "attributes",
    [{}, {"strides": [2, 1], "pads": [1, 0, 0, 1]}, {"strides": [2, 2], "ceil_mode": 1}],
)
def test_pools_with_channels_last(dtype, attributes):
    inputs = {"x": full_range(dtype, 2, 9, 8, 3)}
    model = microsoft_model(
        "NhwcMaxPool", inputs, {"y": (dtype, 4)}, opset=17, kernel_shape=[3, 2], **attributes
    )
    assert_spelled_out(model, inputs, [ExpandNhwcMaxPool, CarryIntegers])


@pytest.mark.parametrize("bias", [None, normal(2)])
def test_pads_of_a_transposed_convolution_are_stored(bias):
    inputs = {"x": normal(1, 3, 5, 5), "w": normal(3, 2, 3, 3), "pads": np.array([1, 0, 1, 1])}
    inputs |= {} if bias is None else {"bias": bias}
    options = {"strides": [2, 2], "output_padding": [1, 0], "kernel_shape": [3, 3]}
    outputs = {"y": ("float32", 4)}
    op_type = "ConvTransposeWithDynamicPads"
    model = microsoft_model(op_type, inputs, outputs, stored=["pads"], **options)
    assert_spelled_out(model, feeds_of(model, inputs), [ExpandDynamicPads])
    model = microsoft_model(op_type, inputs, outputs, **options)
    reason = "its pads are not known before the model runs"
    assert reason_against(ExpandDynamicPads, model) == reason
