import numpy as np
import pytest

from pluginkit.graph_rewrites.expand_embed_layer_normalization import (
    ExpandEmbedLayerNormalization,
    ExpandQEmbedLayerNormalization,
)
from pluginkit.graph_rewrites.expand_layer_normalization import (
    ExpandOldLayerNormalization,
    ExpandSimplifiedLayerNormalization,
    ExpandSkipLayerNormalization,
    ExpandSkipSimplifiedLayerNormalization,
)
from pluginkit.onnx.rewriting.rewrite_model import rewrite_model
from tests.graph_rewrites.fused_samples import quantized_embeddings
from tests.graph_rewrites.microsoft import assert_spelled_out, feeds_of, microsoft_model
from tests.graph_rewrites.rewriting import reason_against, run
from tests.graph_rewrites.samples import integers, normal

X, SKIP = normal(2, 5, 16), normal(2, 5, 16)
GAMMA, BETA, BIAS = normal(16), normal(16), normal(16)
FORMS = [("float32", 11), ("float32", 17), ("float16", 13), ("float16", 21)]


@pytest.mark.parametrize(("dtype", "opset"), FORMS)
@pytest.mark.parametrize("optional", ["", "beta", "bias", "beta bias"])
@pytest.mark.parametrize("skip", [SKIP, SKIP[:1], SKIP[0]])
def test_a_skip_and_its_normalization(dtype, opset, optional, skip):
    inputs = {"x": X, "skip": skip, "gamma": GAMMA, "beta": None, "bias": None}
    inputs |= {"beta": BETA} if "beta" in optional else {}
    inputs |= {"bias": BIAS} if "bias" in optional else {}
    inputs = {name: each if each is None else each.astype(dtype) for name, each in inputs.items()}
    model = microsoft_model(
        "SkipLayerNormalization",
        inputs,
        {"y": (dtype, 3), "": ("float32", 0), " ": ("float32", 0), "sum": (dtype, 3)},
        dims={"x": ("n", "length", 16)},
        opset=opset,
        epsilon=1e-3,
    )
    model.graph.node[0].output[2] = ""
    del model.graph.output[1]
    assert_spelled_out(model, feeds_of(model, inputs), [ExpandSkipLayerNormalization])


@pytest.mark.parametrize("opset", [13, 17])
@pytest.mark.parametrize("op_type", ["SkipLayerNormalization", "SkipSimplifiedLayerNormalization"])
def test_a_sum_that_is_no_output_is_not_rounded(op_type, opset):
    """As ONNX Runtime computes it: only the result is float16, to the nearest."""
    inputs = {"x": X, "skip": SKIP * 8, "gamma": GAMMA}
    inputs = {name: each.astype(np.float16) for name, each in inputs.items()}
    model = microsoft_model(op_type, inputs, {"y": ("float16", 3)}, opset=opset)
    rewrites = [ExpandSkipLayerNormalization, ExpandSkipSimplifiedLayerNormalization]
    (got,) = run(rewrite_model(model, rewrites).model, inputs)
    x, skip, gamma = (each.astype(np.float64) for each in inputs.values())
    total = x + skip
    if op_type == "SkipLayerNormalization":
        total = total - total.mean(-1, keepdims=True)
    exact = total / np.sqrt((total**2).mean(-1, keepdims=True) + 1e-12) * gamma
    assert (np.abs(got - exact) <= 0.51 * np.spacing(np.abs(got)).astype(np.float64)).all()


@pytest.mark.parametrize(("dtype", "opset"), FORMS)
@pytest.mark.parametrize("bias", [None, BIAS])
@pytest.mark.parametrize("x", [X, X[0]])
def test_a_skip_and_its_root_mean_square(dtype, opset, bias, x):
    inputs = {"x": x, "skip": x[::-1] * 2, "gamma": GAMMA, "bias": bias}
    inputs = {name: each if each is None else each.astype(dtype) for name, each in inputs.items()}
    outputs = {"y": (dtype, x.ndim)}
    if bias is not None:
        outputs |= {"": ("float32", 0), " ": ("float32", 0), "sum": (dtype, x.ndim)}
    model = microsoft_model("SkipSimplifiedLayerNormalization", inputs, outputs, opset=opset)
    if bias is not None:
        model.graph.node[0].output[2] = ""
        del model.graph.output[1]
    assert_spelled_out(model, feeds_of(model, inputs), [ExpandSkipSimplifiedLayerNormalization])


@pytest.mark.parametrize(("dtype", "opset"), FORMS)
@pytest.mark.parametrize("axis", [-1, 1, -2])
def test_a_simplified_normalization_is_in_onnxs_own_domain(dtype, opset, axis):
    scale = GAMMA if axis == -1 else normal(5, 16)
    inputs = {"x": X.astype(dtype), "scale": scale.astype(dtype)}
    outputs = {"y": (dtype, 3), "inverse": ("float32", 3)} if axis == -1 else {"y": (dtype, 3)}
    model = microsoft_model(
        "SimplifiedLayerNormalization", inputs, outputs, domain="", opset=opset, axis=axis
    )
    assert_spelled_out(model, inputs, [ExpandSimplifiedLayerNormalization])


@pytest.mark.parametrize(("dtype", "opset"), [("float32", 11), ("float16", 16)])
@pytest.mark.parametrize("axis", [-1, 1])
@pytest.mark.parametrize("has_bias", [True, False])
def test_a_layer_normalization_before_onnx_had_it(dtype, opset, axis, has_bias):
    scale = GAMMA if axis == -1 else normal(5, 16)
    inputs = {"x": X.astype(dtype), "scale": scale.astype(dtype), "b": None}
    inputs |= {"b": scale.astype(dtype) * 2} if has_bias else {}
    model = microsoft_model(
        "LayerNormalization", inputs, {"y": (dtype, 3)}, domain="", opset=opset, axis=axis
    )
    assert_spelled_out(model, feeds_of(model, inputs), [ExpandOldLayerNormalization])


def test_onnxs_own_layer_normalization_is_left():
    inputs = {"x": X, "scale": GAMMA}
    model = microsoft_model("LayerNormalization", inputs, {"y": ("float32", 3)}, domain="")
    reason = reason_against(ExpandOldLayerNormalization, model)
    assert reason == "ONNX has the operator since opset 17"


@pytest.mark.parametrize(("dtype", "opset"), FORMS)
@pytest.mark.parametrize(
    "optional", ["", "segments", "mask", "segments mask sum", "places", "segments places sum"]
)
def test_embeddings_are_summed_and_normalized(dtype, opset, optional):
    tables = {name: normal(size, 16).astype(dtype) for name, size in [("w", 30), ("p", 9)]}
    inputs = {
        "ids": integers(2, 5, dtype=np.int32, high=29),
        "segments": integers(2, 5, dtype=np.int32, high=1) if "segments" in optional else None,
        **tables,
        "s": normal(2, 16).astype(dtype) if "segments" in optional else None,
        "gamma": GAMMA.astype(dtype),
        "beta": BETA.astype(dtype),
        "mask": None,
        "places": None,
    }
    if "mask" in optional:
        inputs["mask"] = np.array([[1, 1, 1, 0, 0], [1, 1, 1, 1, 1]], np.int32)
    if "places" in optional:
        inputs["places"] = integers(2, 5, dtype=np.int32, high=8)
    outputs = {"y": (dtype, 3), "index": ("int32", 1)}
    outputs |= {"sum": (dtype, 3)} if "sum" in optional else {}
    model = microsoft_model(
        "EmbedLayerNormalization",
        inputs,
        outputs,
        stored=["w", "p"],
        dims={"ids": ("n", "length")},
        opset=opset,
        epsilon=1e-6,
    )
    assert_spelled_out(model, feeds_of(model, inputs), [ExpandEmbedLayerNormalization])


def test_integers_are_left():
    inputs = {"x": X.astype(np.float64), "skip": X.astype(np.float64), "gamma": GAMMA}
    model = microsoft_model("SkipLayerNormalization", inputs, {"y": ("float64", 3)})
    reason = reason_against(ExpandSkipLayerNormalization, model)
    assert reason == "'x' is float64; expected float32, float16 or bfloat16"


def test_a_mean_that_is_not_computed_is_left():
    inputs = {"x": normal(2, 5, 16), "skip": normal(2, 5, 16), "gamma": normal(16)}
    outputs = {"y": ("float32", 3), "mean": ("float32", 3)}
    model = microsoft_model("SkipSimplifiedLayerNormalization", inputs, outputs)
    reason = "its mean is an output, and it computes none"
    assert reason_against(ExpandSkipSimplifiedLayerNormalization, model) == reason


@pytest.mark.parametrize("dtype", ["uint8", "int8"])
@pytest.mark.parametrize("with_segments", [False, True])
@pytest.mark.parametrize("is_stored", [False, True])
def test_quantized_embeddings_are_summed_and_normalized(dtype, with_segments, is_stored):
    inputs = quantized_embeddings(dtype, with_segments=with_segments)
    outputs = {"y": ("float32", 3), "index": ("int32", 1)}
    tables = [name for name, each in inputs.items() if "_" in name and each is not None]
    model = microsoft_model(
        "QEmbedLayerNormalization", inputs, outputs, stored=tables if is_stored else ()
    )
    assert_spelled_out(model, feeds_of(model, inputs), [ExpandQEmbedLayerNormalization])
