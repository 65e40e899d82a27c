from pathlib import Path

import numpy as np
import onnx
import pytest

from pluginkit.graph_rewrites.replace_scatter_elements import (
    ReplaceEveryScatterElements,
    ReplaceScatterElements,
)
from pluginkit.onnx.model.model_file import load_model, save_model
from pluginkit.onnx.model.plugin_nodes import plugin_nodes
from pluginkit.onnx.rewriting.rewrite_choice import RewriteChoice
from pluginkit.onnx.rewriting.rewrite_model import rewrite_model
from pluginkit.onnx.running.compare_models import compare_models
from pluginkit.onnx.running.random_inputs import draw_inputs
from pluginkit.onnx.running.run_model import run_model, run_onnxruntime
from pluginkit.plugins.scatter_elements import ScatterElements
from tests.graph_rewrites.rewriting import scatter_model

MODELS = Path(__file__).parents[2] / "examples" / "models"
PLUGINS = {ScatterElements.spec.key: ScatterElements}


def rewrite(model):
    return rewrite_model(model, [ReplaceScatterElements])


@pytest.mark.parametrize("reduction", ["add", "mul", "min", "max"])
@pytest.mark.parametrize("axis", [None, 1, -2])
def test_a_reduction_becomes_the_plugin_and_gives_the_same(reduction, axis, tmp_path):
    attributes = {"reduction": reduction} | ({} if axis is None else {"axis": axis})
    model = scatter_model("ScatterElements", (5, 4), (3, 4), (3, 4), **attributes)
    result = rewrite(model)
    ((_, node, plugin),) = plugin_nodes(result.model, result.plugins)
    assert node.op_type == "ScatterElements_PK"
    assert plugin == ScatterElements(axis=axis or 0, reduction=reduction)
    random = np.random.default_rng(7)
    size = 4 if axis == 1 else 5
    inputs = {
        "data": random.standard_normal((5, 4)).astype(np.float32),
        "indices": random.integers(-size, size, (3, 4)),
        "updates": random.standard_normal((3, 4)).astype(np.float32),
    }
    expected = run_onnxruntime(model, inputs)["y"]
    got = run_model(result.model, inputs, PLUGINS, base_dir=tmp_path)["y"]
    assert not np.allclose(expected, inputs["data"])
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_more_indices_than_elements_keep_the_last_update(axis, tmp_path):
    shape = (9, 4) if axis == 0 else (3, 9)
    model = scatter_model("ScatterElements", (3, 4), shape, shape, axis=axis)
    result = rewrite(model)
    ((_, _, plugin),) = plugin_nodes(result.model, result.plugins)
    assert plugin == ScatterElements(axis=axis, reduction="none", deterministic=True)
    random = np.random.default_rng(7)
    inputs = {
        "data": np.zeros((3, 4), np.float32),
        "indices": random.integers(0, 3, shape),
        "updates": random.standard_normal(shape).astype(np.float32),
    }
    expected = run_onnxruntime(model, inputs)["y"]
    got = run_model(result.model, inputs, PLUGINS, base_dir=tmp_path)["y"]
    np.testing.assert_array_equal(got, expected)
    assert expected.any()


def test_rows_whose_number_varies_become_the_plugin_if_that_is_chosen(tmp_path):
    text = """<ir_version: 9, opset_import: ["" : 20]>
        t (float[n] x, int64[m] at, float[m] u) => (float[n] y) { y = ScatterElements(x, at, u) }"""
    rewrites = [ReplaceScatterElements, ReplaceEveryScatterElements]
    left = rewrite_model(onnx.parser.parse_model(text), rewrites)
    assert (left.applied, left.opt_in) == ([], ["ReplaceEveryScatterElements"])
    chosen = RewriteChoice(also=["ReplaceEveryScatterElements"])
    result = rewrite_model(left.model, rewrites, chosen)
    ((_, _, plugin),) = plugin_nodes(result.model, result.plugins)
    assert plugin == ScatterElements(reduction="none", deterministic=True)
    places = np.array([2, 0, 2, 1, 2, 0])
    inputs = {"x": np.zeros(3, np.float32), "at": places, "u": np.arange(6, dtype=np.float32)}
    expected = run_onnxruntime(left.model, inputs)["y"]
    got = run_model(result.model, inputs, PLUGINS, base_dir=tmp_path)["y"]
    np.testing.assert_array_equal(got, expected)
    again = rewrite_model(result.model, rewrites, chosen)
    assert (again.applied, again.model) == ([], result.model)


@pytest.mark.parametrize("name", ["sage_dyn", "sage_ts"])
@pytest.mark.parametrize("sizes", [(50, 200), (7, 31), (1, 1), (3, 0), (1000, 5000)])
def test_the_real_models_agree_with_onnxruntime(name, sizes, tmp_path):
    source = MODELS / f"{name}.onnx"
    result = rewrite(load_model(source))
    assert len(result.applied) == 5
    assert result.refused == []
    assert "ScatterElements" not in {node.op_type for node in result.model.graph.node}
    target = tmp_path / "rewritten.onnx"
    save_model(result.model, target, source)
    onnx.checker.check_model(target)
    shapes = {"x": (sizes[0], 16), "edge_index": (2, sizes[1])}
    comparison = compare_models(source, target, shapes=shapes, plugins=PLUGINS)
    assert comparison.ok, comparison
    (output,) = comparison.outputs
    assert output.shape == (sizes[0], 8)
    assert output.max_abs_error <= 1e-5


@pytest.mark.parametrize("name", ["sage_dyn", "sage_ts"])
def test_a_wrong_plugin_would_be_seen_in_the_real_models(name, tmp_path, monkeypatch):
    source = MODELS / f"{name}.onnx"
    target = tmp_path / "rewritten.onnx"
    save_model(rewrite(load_model(source)).model, target, source)
    monkeypatch.setattr(ScatterElements, "reference", lambda self, data, indices, updates: data)
    inputs = draw_inputs(source)
    assert not compare_models(source, target, inputs=inputs, plugins=PLUGINS).ok


def test_the_real_models_stay_as_they_are_when_rewritten_twice():
    for name in ("sage_dyn", "sage_ts"):
        once = rewrite(load_model(MODELS / f"{name}.onnx")).model
        twice = rewrite(once)
        assert twice.model == once
        assert twice.applied == []
