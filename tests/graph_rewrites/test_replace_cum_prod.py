import numpy as np
import onnx
import pytest

from pluginkit import BuildOptions, RewriteChoice, find_rewrites
from pluginkit.engine.build.build_engine import build_engine
from pluginkit.graph_rewrites.replace_cum_prod import ReplaceCumProd
from pluginkit.onnx.rewriting.rewrite_model import rewrite_model
from pluginkit.onnx.running.run_model import run_model
from tests.graph_rewrites.rewriting import reason_against
from tests.graph_rewrites.samples import node_model, normal


def model_of(x, axis, stored=("axis",), **attributes):
    return node_model(
        "CumProd", {"x": x, "axis": np.array(axis)}, stored=stored, opset=26, **attributes
    )


@pytest.mark.parametrize("attributes", [{}, {"reverse": 1, "exclusive": 1}], ids=str)
@pytest.mark.parametrize("axis", [1, -1])
def test_the_rewritten_model_gives_what_onnx_does(axis, attributes, tmp_path):
    x = normal(3, 4, 5)
    model = model_of(x, axis, **attributes)
    result = rewrite_model(model, [ReplaceCumProd])
    assert [node.op_type for node in result.model.graph.node] == ["CumProd_PK"]
    assert rewrite_model(result.model, [ReplaceCumProd]).applied == []
    (got,) = run_model(result.model, {"x": x}, result.plugins, base_dir=tmp_path).values()
    (expected,) = onnx.reference.ReferenceEvaluator(model).run(None, {"x": x})
    np.testing.assert_allclose(got, expected, rtol=1e-6)


def test_an_axis_that_is_computed_is_left():
    model = model_of(normal(3), 0, stored=())
    assert reason_against(ReplaceCumProd, model) == "its axis is not stored in the model"


@pytest.mark.parametrize(
    ("skip", "applied"), [([], "ReplaceCumProd"), (["ReplaceCumProd"], "ExpandCumProd")], ids=str
)
def test_without_the_plugin_it_is_a_scan(skip, applied):
    result = rewrite_model(model_of(normal(3, 4), 1), find_rewrites(), RewriteChoice(skip=skip))
    assert {each.rewrite for each in result.applied} - {"FoldKnown"} == {applied}


@pytest.mark.trt
def test_a_real_build_takes_it(tmp_path):
    path = tmp_path / "m.onnx"
    onnx.save(model_of(normal(3, 4), 1), path)
    built = build_engine(
        path, options=BuildOptions(flavour="tensorrt_rtx", compute_capabilities=[(8, 9)])
    )
    assert [record.name for record in built.manifest.plugins] == ["CumProd_PK"]
