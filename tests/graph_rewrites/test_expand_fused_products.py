import numpy as np
import pytest

from pluginkit.graph_rewrites.expand_fused_products import (
    ExpandFusedGemm,
    ExpandFusedMatMul,
    ExpandGemmFastGelu,
)
from pluginkit.graph_rewrites.expand_gelu import ExpandFastGelu
from pluginkit.onnx.rewriting.rewrite_model import rewrite_model
from pluginkit.onnx.running.run_model import run_onnxruntime
from tests.graph_rewrites.microsoft import assert_spelled_out, feeds_of, microsoft_model
from tests.graph_rewrites.rewriting import reason_against
from tests.graph_rewrites.samples import normal


@pytest.mark.parametrize("dtype", ["float32", "float16"])
@pytest.mark.parametrize("op_type", ["FusedMatMul", "TransposeMatMul"])
@pytest.mark.parametrize(
    ("a", "b", "attributes"),
    [
        ((3, 4), (4, 5), {"alpha": 0.5}),
        ((4, 3), (4, 5), {"transA": 1}),
        ((2, 3, 4), (2, 5, 4), {"transB": 1, "alpha": -2.0}),
        ((2, 6, 4, 3), (2, 6, 5, 4), {"transA": 1, "transB": 1}),
        ((4,), (4, 5), {"transA": 1}),
        ((3, 4), (4,), {"transB": 1}),
        ((2, 3, 4), (5, 4), {"transB": 1}),
    ],
)
def test_factors_are_transposed_and_scaled(op_type, a, b, attributes, dtype):
    inputs = {"a": normal(*a).astype(dtype), "b": normal(*b).astype(dtype)}
    rank = np.ndim(np.zeros(a) if len(a) > 1 else 0)
    rank = max(len(a), len(b)) - (len(a) == 1) - (len(b) == 1)
    dims = {"a": ["n", *a[1:]]} if len(a) > 2 else {}
    model = microsoft_model(op_type, inputs, {"y": (dtype, rank)}, dims=dims, **attributes)
    assert_spelled_out(model, inputs, [ExpandFusedMatMul])


@pytest.mark.parametrize(
    ("a", "b", "attributes"),
    [
        ((3, 2, 6, 4), (2, 6, 4, 5), {"transBatchA": 1}),
        ((4, 2, 6, 3), (2, 6, 4, 5), {"transBatchA": 1, "transA": 1}),
        ((2, 3, 4), (4, 2, 5), {"transBatchB": 1}),
        ((3, 2, 4), (5, 2, 4), {"transBatchA": 1, "transBatchB": 1, "transB": 1, "alpha": 3.0}),
    ],
)
def test_batches_are_transposed(a, b, attributes):
    inputs = {"a": normal(*a), "b": normal(*b)}
    model = microsoft_model("FusedMatMul", inputs, {"y": ("float32", len(a))}, **attributes)
    assert_spelled_out(model, inputs, [ExpandFusedMatMul])


def test_what_cannot_be_transposed_is_left():
    inputs = {"a": normal(3, 4), "b": normal(4, 5)}
    model = microsoft_model("FusedMatMul", inputs, {"y": ("float32", 2)}, transBatchA=1)
    reason = "'a' has no batch axes, which are to be transposed"
    assert reason_against(ExpandFusedMatMul, model) == reason


@pytest.mark.parametrize(
    ("activation", "parameters"),
    [
        ("Relu", {}),
        ("LeakyRelu", {"activation_alpha": 0.2}),
        ("LeakyRelu", {"activation_alpha": 0.01}),
        ("Tanh", {}),
        ("Sigmoid", {}),
        ("Elu", {"activation_alpha": 0.7}),
        ("HardSigmoid", {"activation_alpha": 0.3, "activation_beta": 0.4}),
        ("Softplus", {}),
        ("Softsign", {}),
        ("ThresholdedRelu", {"activation_alpha": 0.5}),
        ("Selu", {"activation_alpha": 0.5, "activation_gamma": 1.2}),
        ("ScaledTanh", {"activation_alpha": 0.5, "activation_beta": 1.2}),
        ("ParametricSoftplus", {"activation_alpha": 0.5, "activation_beta": 1.2}),
    ],
)
@pytest.mark.parametrize("has_c", [True, False])
def test_activations_of_gemm(activation, parameters, has_c):
    inputs = {"a": normal(4, 3), "b": normal(5, 4), "c": normal(5) if has_c else None}
    given = {"alpha": 0.5, "beta": 2.0, "transA": 1, "transB": 1, **parameters}
    if activation:
        given["activation"] = activation
    model = microsoft_model(
        "FusedGemm", inputs, {"y": ("float32", 2)}, stored=["b"], dims={"a": (4, "n")}, **given
    )
    assert_spelled_out(model, feeds_of(model, inputs), [ExpandFusedGemm])


def test_activations_that_are_not_known_are_left():
    inputs = {"a": normal(3, 4), "b": normal(4, 5)}
    model = microsoft_model("FusedGemm", inputs, {"y": ("float32", 2)}, activation="Snake")
    assert reason_against(ExpandFusedGemm, model) == "its activation 'Snake' is not known"


def test_a_product_with_gelu():
    """ONNX Runtime has it on GPUs only: its parts are compared."""
    inputs = {"x": normal(2, 3, 4), "w": normal(4, 8), "b": normal(8)}
    model = microsoft_model("GemmFastGelu", inputs, {"y": ("float32", 3)}, stored=["w", "b"])
    made = rewrite_model(model, [ExpandGemmFastGelu, ExpandFastGelu]).model
    product = inputs["x"] @ inputs["w"]
    gelu = microsoft_model("FastGelu", {"x": product, "b": inputs["b"]}, {"y": ("float32", 3)})
    expected = run_onnxruntime(gelu, {"x": product, "b": inputs["b"]})["y"]
    got = run_onnxruntime(made, {"x": inputs["x"]})["y"]
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-6)
