import numpy as np
import onnx
import pytest
from onnx import TensorProto

from pluginkit import BuildOptions
from pluginkit.engine.build.build_engine import build_engine
from pluginkit.graph_rewrites.rename_aten_operators import StoreAtenText
from pluginkit.graph_rewrites.replace_search_sorted import ReplaceAtenSearchSorted
from pluginkit.onnx.rewriting.rewrite_model import rewrite_model
from pluginkit.onnx.running.run_model import run_model
from tests.graph_rewrites.aten_models import aten_model
from tests.graph_rewrites.rewriting import reason_against
from tests.graph_rewrites.samples import normal

EDGES = np.array([-1, -0.25, 0.5, 0.5, 1.5], np.float32)
X = np.array([[-2, -1, 0.5], [0.75, 1.5, 9]], np.float32)


def model_of(*arguments, feeds=None, kind=TensorProto.INT64):
    outputs = {"y": (kind, [2, 3])}
    return aten_model("searchsorted", feeds or {"x": X}, *arguments, outputs=outputs)


@pytest.mark.parametrize(
    ("arguments", "side"),
    [
        ((EDGES, "x", False, False, None, None), "left"),
        ((EDGES, "x", False, True, None, None), "right"),
        ((EDGES, "x", False, False, ("right",), None), "right"),
        ((EDGES, "x", True, False, ("left",), None), "left"),
        ((EDGES[::-1].copy(), "x", False, False, None, np.arange(4, -1, -1)), "left"),
    ],
    ids=["left", "right", "side", "int32", "sorter"],
)
def test_numpy_agrees(arguments, side, tmp_path):
    kind = TensorProto.INT32 if arguments[2] else TensorProto.INT64
    model = model_of(*arguments, kind=kind)
    result = rewrite_model(model, [StoreAtenText, ReplaceAtenSearchSorted])
    assert not result.refused
    assert rewrite_model(result.model, [StoreAtenText, ReplaceAtenSearchSorted]).applied == []
    got = run_model(result.model, {"x": X}, result.plugins, base_dir=tmp_path)["y"]
    np.testing.assert_array_equal(got, np.searchsorted(EDGES, X, side))
    assert got.dtype == (np.int32 if arguments[2] else np.int64)


def test_each_row_has_its_sequence(tmp_path):
    feeds = {"edges": np.sort(normal(2, 7)), "x": X}
    model = model_of("edges", "x", False, False, None, None, feeds=feeds)
    result = rewrite_model(model, [ReplaceAtenSearchSorted])
    got = run_model(result.model, feeds, result.plugins, base_dir=tmp_path)["y"]
    rows = zip(feeds["edges"], X, strict=True)
    np.testing.assert_array_equal(got, [np.searchsorted(*each) for each in rows])


@pytest.mark.parametrize(
    ("arguments", "feeds", "reason"),
    [
        (
            (EDGES, "x", False, "r", None, None),
            {"x": X, "r": np.array(True)},
            "its arguments are not stored in the model",
        ),
        (
            (EDGES, "x", False, False, None, None),
            {"x": np.float32(0.5)},
            "it looks up a scalar; expected a tensor",
        ),
    ],
    ids=["side", "scalar"],
)
def test_what_is_not_the_plugin_s_is_left(arguments, feeds, reason):
    assert reason_against(ReplaceAtenSearchSorted, model_of(*arguments, feeds=feeds)) == reason


@pytest.mark.trt
def test_a_real_build_takes_it(tmp_path):
    path = tmp_path / "m.onnx"
    onnx.save(model_of(EDGES, "x", False, False, ("right",), None), path)
    options = BuildOptions(flavour="tensorrt_rtx", compute_capabilities=[(8, 9)])
    assert len(build_engine(path, options=options).manifest.plugins) == 1
