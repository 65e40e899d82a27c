import numpy as np
import onnx
import pytest
from onnx import TensorProto

from pluginkit import BuildOptions
from pluginkit.engine.build.build_engine import build_engine
from pluginkit.graph_rewrites.replace_kth_value import ReplaceAtenKthValue, ReplaceAtenMedian
from pluginkit.onnx.rewriting.rewrite_model import rewrite_model
from pluginkit.onnx.running.run_model import run_model
from tests.graph_rewrites.aten_models import aten_model
from tests.graph_rewrites.rewriting import reason_against
from tests.graph_rewrites.samples import normal

REWRITES = [ReplaceAtenKthValue, ReplaceAtenMedian]
FLOAT, INT64 = TensorProto.FLOAT, TensorProto.INT64
X = normal(3, 8)
HOLES = X.copy()
HOLES[1, 2:6] = np.nan
#: The lower one of two middle elements; numpy's median is their mean.
LOWER = {"method": "lower"}


def outputs_of(folder, op, x, *arguments, shape, indices=True):
    outputs = {"y": (FLOAT, shape)} | ({"i": (INT64, shape)} if indices else {})
    model = aten_model(op, {"x": x}, "x", *arguments, outputs=outputs)
    result = rewrite_model(model, REWRITES)
    assert not result.refused
    assert rewrite_model(result.model, REWRITES).applied == []
    return list(run_model(result.model, {"x": x}, result.plugins, base_dir=folder).values())


def test_kthvalue_counts_from_one_and_names_the_element(tmp_path):
    values, indices = outputs_of(tmp_path, "kthvalue", X, 3, 1, True, shape=[3, 1])
    np.testing.assert_array_equal(values, np.sort(X)[:, 2:3])
    np.testing.assert_array_equal(np.take_along_axis(X, indices, 1), values)


@pytest.mark.parametrize("x", [X, HOLES], ids=["numbers", "with NaN"])
def test_medians_of_rows_are_nan_where_a_row_has_one(x, tmp_path):
    values, indices = outputs_of(tmp_path, "median", x, 1, False, shape=[3])
    np.testing.assert_array_equal(values, np.quantile(x, 0.5, 1, **LOWER))
    np.testing.assert_array_equal(x[np.arange(3), indices], values)


def test_nanmedian_passes_nan_over(tmp_path):
    (values,) = outputs_of(tmp_path, "nanmedian", HOLES, 0, False, shape=[8], indices=False)
    np.testing.assert_array_equal(values, np.nanquantile(HOLES, 0.5, 0, **LOWER))


def test_nanmedian_of_nan_alone_is_nan(tmp_path):
    (values,) = outputs_of(
        tmp_path,
        "nanmedian",
        np.full((2, 3), np.nan, np.float32),
        1,
        True,
        shape=[2, 1],
        indices=False,
    )
    assert np.isnan(values).all()


@pytest.mark.parametrize(
    ("op", "quantile"), [("median", np.quantile), ("nanmedian", np.nanquantile)]
)
def test_medians_of_all_elements(op, quantile, tmp_path):
    for x in (X, HOLES):
        (value,) = outputs_of(tmp_path, op, x, shape=[], indices=False)
        np.testing.assert_array_equal(value, quantile(x, 0.5, **LOWER))


def test_a_k_that_only_a_run_tells_is_left():
    feeds = {"x": X, "k": np.array(2)}
    model = aten_model("kthvalue", feeds, "x", "k", 1, True, outputs={"y": (FLOAT, [3, 1])})
    assert reason_against(ReplaceAtenKthValue, model) == "its arguments are not stored in the model"


@pytest.mark.trt
def test_a_real_build_takes_it(tmp_path):
    path = tmp_path / "m.onnx"
    outputs = {"y": (FLOAT, [3]), "i": (INT64, [3])}
    onnx.save(aten_model("median", {"x": X}, "x", 1, False, outputs=outputs, fallback=True), path)
    options = BuildOptions(flavour="tensorrt_rtx", compute_capabilities=[(8, 9)])
    assert len(build_engine(path, options=options).manifest.plugins) == 1
