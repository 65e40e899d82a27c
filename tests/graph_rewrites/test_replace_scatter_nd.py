import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from pluginkit import BuildOptions
from pluginkit.engine import build_engine, check_manifest
from pluginkit.errors import ParseError
from pluginkit.graph_rewrites.replace_scatter_nd import ReplaceScatterND
from pluginkit.onnx.model.model_file import save_model
from pluginkit.onnx.model.plugin_nodes import plugin_nodes
from pluginkit.onnx.rewriting.rewrite_model import rewrite_model
from pluginkit.onnx.running.compare_models import compare_models
from pluginkit.onnx.running.run_model import run_model, run_onnxruntime
from pluginkit.plugins.scatter_nd import ScatterND
from tests.graph_rewrites.rewriting import scatter_model

PLUGINS = {ScatterND.spec.key: ScatterND}
DATA = (5, 4, 3)


def rewrite(model):
    return rewrite_model(model, [ReplaceScatterND])


@pytest.mark.parametrize("reduction", ["add", "mul", "min", "max"])
@pytest.mark.parametrize("depth", [1, 2, 3])
def test_a_reduction_becomes_the_plugin_and_gives_the_same(reduction, depth, tmp_path):
    updates = (7, *DATA[depth:])
    model = scatter_model("ScatterND", DATA, (7, depth), updates, reduction=reduction)
    result = rewrite(model)
    ((_, node, plugin),) = plugin_nodes(result.model, result.plugins)
    assert node.op_type == "ScatterND_PK"
    assert plugin == ScatterND(reduction=reduction)
    random = np.random.default_rng(7)
    sizes = np.array(DATA[:depth])
    inputs = {
        "data": random.standard_normal(DATA).astype(np.float32),
        "indices": random.integers(-sizes, sizes, (7, depth)),
        "updates": random.standard_normal(updates).astype(np.float32),
    }
    expected = run_onnxruntime(model, inputs)["y"]
    got = run_model(result.model, inputs, PLUGINS, base_dir=tmp_path)["y"]
    assert not np.allclose(expected, inputs["data"])
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-6)


def voxel_model(reduction="max"):
    """Make a model that reduces the points of a cloud into a grid of voxels, and rectifies it."""
    features = helper.make_tensor_value_info("features", TensorProto.FLOAT, ["points", 8])
    voxels = helper.make_tensor_value_info("voxels", TensorProto.INT64, ["points", 3])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, [4, 6, 5, 8])
    shape = helper.make_tensor("value", TensorProto.FLOAT, [1], [0.0])
    sizes = helper.make_tensor("sizes", TensorProto.INT64, [4], [4, 6, 5, 8])
    nodes = [
        helper.make_node("ConstantOfShape", ["sizes"], ["grid"], name="grid", value=shape),
        helper.make_node(
            "ScatterND",
            ["grid", "voxels", "features"],
            ["filled"],
            name="fill",
            reduction=reduction,
        ),
        helper.make_node("Relu", ["filled"], ["y"], name="relu"),
    ]
    graph = helper.make_graph(nodes, "voxels", [features, voxels], [y], [sizes])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


@pytest.mark.parametrize("points", [0, 1, 300])
def test_a_model_agrees_with_onnxruntime(points, tmp_path):
    source, target = tmp_path / "voxels.onnx", tmp_path / "rewritten.onnx"
    onnx.save(voxel_model(), source)
    result = rewrite(voxel_model())
    save_model(result.model, target, source)
    random = np.random.default_rng(points)
    inputs = {
        "features": random.standard_normal((points, 8)).astype(np.float32),
        "voxels": random.integers(0, (4, 6, 5), (points, 3)),
    }
    comparison = compare_models(source, target, inputs=inputs, plugins=PLUGINS)
    assert comparison.ok, comparison
    (output,) = comparison.outputs
    assert output.shape == (4, 6, 5, 8)
    assert output.max_abs_error == 0


@pytest.mark.trt
@pytest.mark.parametrize("reduction", ["add", "mul", "min", "max"])
def test_a_model_with_a_reduction_builds(reduction, tmp_path):
    source, plan = tmp_path / "voxels.onnx", tmp_path / "voxels.plan"
    onnx.save(voxel_model(reduction), source)
    options = {
        "shapes": {"features": "1x8,100x8,4000x8", "voxels": "1x3,100x3,4000x3"},
        "options": BuildOptions(
            flavour="tensorrt_rtx", compute_capabilities=[(8, 6), (8, 9), (12, 0)]
        ),
    }
    with pytest.raises(ParseError, match="PK520 .*ScatterND 'fill'"):
        build_engine(source, plan, rewrites=[], **options)
    build_engine(source, plan, **options)
    assert plan.stat().st_size > 0
    (record,) = check_manifest(plan).plugins
    assert record.key == ("ScatterND_PK", "1", "pluginkit")
    assert record.nodes[0].attributes == {"reduction": reduction}
