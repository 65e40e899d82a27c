import numpy as np
import onnx
import pytest
from onnx import TensorProto

from pluginkit import BuildOptions
from pluginkit.engine.build.build_engine import build_engine
from pluginkit.graph_rewrites.expand_random import (
    ExpandBernoulli,
    ExpandMultinomial,
    ExpandTrainingDropout,
)
from tests.graph_rewrites.rewriting import outputs_of, reason_against
from tests.graph_rewrites.samples import node_model

CHANCES = np.array([[0.1, 0.2, 0.7], [0.5, 0.5, 0.0]])


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
@pytest.mark.parametrize("to", [None, TensorProto.INT64, TensorProto.BOOL])
def test_bernoulli_is_one_as_often_as_its_input_says(to, dtype):
    x = np.repeat(np.array([0.0, 0.25, 0.75, 1.0], dtype)[:, None], 4000, axis=1)
    options = {} if to is None else {"dtype": to}
    model = node_model("Bernoulli", {"x": x}, seed=3.0, **options)
    (got,) = outputs_of(ExpandBernoulli, model, {"x": x})
    assert got.dtype == (dtype if to is None else onnx.helper.tensor_dtype_to_np_dtype(to))
    assert set(np.unique(got)) == {0, 1}
    np.testing.assert_allclose(got.astype(float).mean(axis=1), x[:, 0], atol=0.03)


@pytest.mark.parametrize("to", [None, TensorProto.INT64])
def test_multinomial_draws_each_class_as_often_as_its_chance(to):
    with np.errstate(divide="ignore"):
        x = np.log(3 * CHANCES).astype(np.float32)
    options = {} if to is None else {"dtype": to}
    model = node_model("Multinomial", {"x": x}, sample_size=8000, seed=3.0, **options)
    (got,) = outputs_of(ExpandMultinomial, model, {"x": x})
    assert got.dtype == (np.int32 if to is None else np.int64)
    assert got.shape == (2, 8000)
    found = [[(row == each).mean() for each in range(3)] for row in got]
    np.testing.assert_allclose(found, CHANCES, atol=0.02)
    assert not (got[1] == 2).any()


def dropout_of(x, ratio, training=True):
    inputs = {"x": x, "ratio": ratio, "training": np.array(training)}
    stored = [name for name in ("ratio", "training") if inputs[name] is not None]
    return node_model("Dropout", inputs, stored=stored, outputs=["y", "mask"])


@pytest.mark.parametrize("ratio", [0.25, None])
def test_dropout_drops_its_ratio_and_scales_the_rest(ratio):
    x = np.random.default_rng(0).uniform(1, 2, (50, 80)).astype(np.float32)
    given = None if ratio is None else np.float32(ratio)
    y, mask = outputs_of(ExpandTrainingDropout, dropout_of(x, given), {"x": x})
    dropped = ratio or 0.5
    np.testing.assert_allclose(y, np.where(mask, x / np.float32(1 - dropped), 0), rtol=1e-6)
    assert mask.dtype == bool
    np.testing.assert_allclose(mask.mean(), 1 - dropped, atol=0.03)


def test_dropout_in_inference_is_left():
    x = np.ones((2, 3), np.float32)
    reason = reason_against(ExpandTrainingDropout, dropout_of(x, np.float32(0.3), training=False))
    assert reason == "it does not train, or its mode is not stored"
    reason = reason_against(ExpandTrainingDropout, dropout_of(x, np.float32(0)))
    assert reason == "its ratio is zero: DropDropout takes it"


@pytest.mark.parametrize(
    ("rewrite", "op_type"), [(ExpandBernoulli, "Bernoulli"), (ExpandMultinomial, "Multinomial")]
)
def test_doubles_are_left_with_the_reason(rewrite, op_type):
    model = node_model(op_type, {"x": CHANCES})
    assert "is float64" in reason_against(rewrite, model)


@pytest.mark.trt
@pytest.mark.parametrize(
    ("rewrite", "op_type"), [(ExpandBernoulli, "Bernoulli"), (ExpandMultinomial, "Multinomial")]
)
def test_a_real_build_takes_it(rewrite, op_type, tmp_path):
    path = tmp_path / "m.onnx"
    x = CHANCES.astype(np.float32)
    onnx.save(node_model(op_type, {"x": x}, dims={"x": ("n", 3)}), path)
    options = BuildOptions(flavour="tensorrt_rtx", compute_capabilities=[(8, 9)])
    build_engine(path, options=options, shapes={"x": "1x3,2x3,9x3"}, rewrites=[rewrite])
    assert path.with_suffix(".plan").stat().st_size
