import numpy as np
import onnx
import pytest

from pluginkit import BuildOptions, RewriteChoice, find_rewrites
from pluginkit.engine.build.build_engine import build_engine
from pluginkit.graph_rewrites.replace_col2im import ReplaceCol2Im
from pluginkit.onnx.rewriting.rewrite_model import rewrite_model
from pluginkit.onnx.running.run_model import run_model, run_onnxruntime
from tests.graph_rewrites.rewriting import reason_against
from tests.graph_rewrites.samples import i64, node_model, normal


def model_of(x, image, block, stored=("image", "block"), **attributes):
    inputs = {"x": x, "image": i64(*image), "block": i64(*block)}
    return node_model("Col2Im", inputs, stored=stored, **attributes)


@pytest.mark.parametrize(
    ("count", "attributes"), [(25, {}), (9, {"strides": [2, 3], "pads": [1, 0, 0, 2]})], ids=str
)
def test_the_rewritten_model_gives_what_onnxruntime_does(count, attributes, tmp_path):
    x = normal(2, 18, count)
    model = model_of(x, (6, 7), (2, 3), **attributes)
    result = rewrite_model(model, [ReplaceCol2Im])
    assert [node.op_type for node in result.model.graph.node] == ["Col2Im_PK"]
    assert rewrite_model(result.model, [ReplaceCol2Im]).applied == []
    (got,) = run_model(result.model, {"x": x}, result.plugins, base_dir=tmp_path).values()
    (expected,) = run_onnxruntime(model, {"x": x}).values()
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-6)


def test_what_the_plugin_does_not_take_is_left():
    model = model_of(normal(1, 2, 4), (5,), (2,))
    assert reason_against(ReplaceCol2Im, model) == "the image has 1 axes; the plugin takes 2"
    model = model_of(normal(1, 4, 4), (3, 3), (2, 2), stored=["block"])
    assert reason_against(ReplaceCol2Im, model) == (
        "the image's shape or the block's is not stored in the model"
    )


@pytest.mark.parametrize(
    ("skip", "applied"), [([], "ReplaceCol2Im"), (["ReplaceCol2Im"], "ExpandCol2Im")], ids=str
)
def test_without_the_plugin_it_is_gathered(skip, applied):
    model = model_of(normal(1, 4, 4), (3, 3), (2, 2))
    result = rewrite_model(model, find_rewrites(), RewriteChoice(skip=skip))
    assert [each.rewrite for each in result.applied] == [applied]


@pytest.mark.trt
def test_a_real_build_takes_it(tmp_path):
    path = tmp_path / "m.onnx"
    onnx.save(model_of(normal(1, 4, 4), (3, 3), (2, 2)), path)
    built = build_engine(
        path, options=BuildOptions(flavour="tensorrt_rtx", compute_capabilities=[(8, 9)])
    )
    assert [record.name for record in built.manifest.plugins] == ["Col2Im_PK"]
