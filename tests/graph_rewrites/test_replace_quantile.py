import numpy as np
import onnx
import pytest
from onnx import TensorProto

from pluginkit import BuildOptions
from pluginkit.engine.build.build_engine import build_engine
from pluginkit.graph_rewrites.rename_aten_operators import StoreAtenText
from pluginkit.graph_rewrites.replace_quantile import ReplaceAtenQuantile
from pluginkit.onnx.rewriting.rewrite_model import rewrite_model
from pluginkit.onnx.running.run_model import run_model
from tests.graph_rewrites.aten_models import aten_model
from tests.graph_rewrites.rewriting import reason_against
from tests.graph_rewrites.samples import normal

REWRITES = [StoreAtenText, ReplaceAtenQuantile]
X = normal(4, 10)
HOLES = X.copy()
HOLES[1, 2:6] = np.nan
SEVERAL = np.array([0.1, 0.5, 0.9], np.float32)


def model_of(op, x, *arguments, shape):
    outputs = {"y": (TensorProto.FLOAT, shape)}
    return aten_model(op, {"x": x}, "x", *arguments, outputs=outputs)


def output_of(folder, op, x, *arguments, shape):
    result = rewrite_model(model_of(op, x, *arguments, shape=shape), REWRITES)
    assert not result.refused
    assert rewrite_model(result.model, REWRITES).applied == []
    return run_model(result.model, {"x": x}, result.plugins, base_dir=folder)["y"]


@pytest.mark.parametrize("way", ["linear", "lower", "higher", "nearest", "midpoint"])
def test_numpy_agrees_on_every_interpolation(way, tmp_path):
    got = output_of(tmp_path, "quantile", X, 0.3, 1, False, (way,), shape=[4])
    np.testing.assert_allclose(got, np.quantile(X, 0.3, 1, method=way), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize(
    ("op", "numpy"), [("quantile", np.quantile), ("nanquantile", np.nanquantile)]
)
def test_several_quantiles_come_first_and_nan_is_as_in_numpy(op, numpy, axis, tmp_path):
    for keepdim in (False, True):
        expected = numpy(HOLES, SEVERAL, axis, keepdims=keepdim)
        arguments = (SEVERAL, axis, keepdim, ("linear",))
        got = output_of(tmp_path, op, HOLES, *arguments, shape=expected.shape)
        np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-6)


def test_a_quantile_of_all_elements(tmp_path):
    got = output_of(tmp_path, "quantile", X, 0.95, None, False, ("linear",), shape=[])
    np.testing.assert_allclose(got, np.quantile(X, 0.95), rtol=1e-5)


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ((0.3, None, True, ("linear",)), "it keeps the dimensions of a quantile of all elements"),
        ((0.3, 1, True, ("cubic",)), "its interpolation 'cubic' is not known"),
    ],
    ids=["keepdim", "interpolation"],
)
def test_what_is_not_known_is_left(arguments, reason):
    model = model_of("quantile", X, *arguments, shape=[1, 1])
    model = rewrite_model(model, [StoreAtenText]).model
    assert reason_against(ReplaceAtenQuantile, model) == reason


@pytest.mark.trt
def test_a_real_build_takes_it(tmp_path):
    path = tmp_path / "m.onnx"
    onnx.save(model_of("quantile", X, 0.3, 1, False, ("linear",), shape=[4]), path)
    options = BuildOptions(flavour="tensorrt_rtx", compute_capabilities=[(8, 9)])
    assert len(build_engine(path, options=options).manifest.plugins) == 1
