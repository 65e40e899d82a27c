import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from pluginkit import BuildOptions
from pluginkit.engine.build.build_engine import build_engine
from pluginkit.graph_rewrites.replace_linear_algebra import ReplaceDet, ReplaceInverse
from pluginkit.onnx.rewriting.rewrite_model import rewrite_model
from pluginkit.onnx.running.run_model import run_model, run_onnxruntime
from tests.graph_rewrites.rewriting import reason_against
from tests.graph_rewrites.samples import node_model, normal


def model_of(op, domain, shape, out_shape):
    graph = helper.make_graph(
        [helper.make_node(op, ["x"], ["d"], domain=domain), helper.make_node("Neg", ["d"], ["y"])],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, out_shape)],
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8)


MODELS = {
    ReplaceDet: model_of("Det", "", ["b", 7, 7], ["b"]),
    ReplaceInverse: model_of("Inverse", "com.microsoft", ["b", 7, 7], ["b", 7, 7]),
}


@pytest.mark.parametrize("rewrite", MODELS, ids=lambda each: each.__name__)
def test_the_rewritten_model_gives_what_onnxruntime_does(rewrite, tmp_path):
    model, feeds = MODELS[rewrite], {"x": normal(3, 7, 7)}
    result = rewrite_model(model, [rewrite])
    assert [node.op_type for node in result.model.graph.node][1:] == ["Neg"]
    assert rewrite_model(result.model, [rewrite]).applied == []
    got = run_model(result.model, feeds, result.plugins, base_dir=tmp_path)["y"]
    np.testing.assert_allclose(got, run_onnxruntime(model, feeds)["y"], rtol=1e-4, atol=1e-4)


def test_small_determinants_are_left_to_be_spelled_out():
    assert reason_against(ReplaceDet, node_model("Det", {"x": normal(2, 4, 4)})) == (
        "its matrices are not larger than 4 x 4: ExpandDet takes it"
    )


@pytest.mark.trt
@pytest.mark.parametrize("rewrite", MODELS, ids=lambda each: each.__name__)
def test_a_real_build_takes_it(rewrite, tmp_path):
    path = tmp_path / "m.onnx"
    onnx.save(MODELS[rewrite], path)
    built = build_engine(
        path, options=BuildOptions(flavour="tensorrt_rtx", compute_capabilities=[(8, 9)])
    )
    assert len(built.manifest.plugins) == 1
