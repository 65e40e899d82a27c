import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from pluginkit import BuildOptions
from pluginkit.engine.build.build_engine import build_engine
from pluginkit.graph_rewrites.replace_max_roi_pool import ReplaceMaxRoiPool
from pluginkit.onnx.rewriting.rewrite_model import rewrite_model
from pluginkit.onnx.running.run_model import run_model, run_onnxruntime


def model_of(elem_type=TensorProto.FLOAT):
    nodes = [
        helper.make_node(
            "MaxRoiPool", ["x", "rois"], ["r"], pooled_shape=[3, 4], spatial_scale=0.5
        ),
        helper.make_node("Relu", ["r"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes,
        "g",
        [
            helper.make_tensor_value_info("x", elem_type, [2, 3, "h", "w"]),
            helper.make_tensor_value_info("rois", elem_type, ["n", 5]),
        ],
        [helper.make_tensor_value_info("y", elem_type, ["n", 3, 3, 4])],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def test_the_rewritten_model_gives_what_onnxruntime_does(tmp_path):
    rng = np.random.default_rng(4)
    low = rng.uniform(-4, 24, (9, 2))
    rois = np.concatenate([np.arange(9)[:, None] % 2, low, low + rng.uniform(-3, 30, (9, 2))], 1)
    feeds = {
        "x": rng.normal(size=(2, 3, 16, 18)).astype(np.float32),
        "rois": rois.astype(np.float32),
    }
    result = rewrite_model(model_of(), [ReplaceMaxRoiPool])
    assert [node.op_type for node in result.model.graph.node] == ["MaxRoiPool_PK", "Relu"]
    assert rewrite_model(result.model, [ReplaceMaxRoiPool]).applied == []
    got = run_model(result.model, feeds, result.plugins, base_dir=tmp_path)["y"]
    np.testing.assert_array_equal(got, run_onnxruntime(model_of(), feeds)["y"])


def test_a_type_that_plugins_lack_is_left():
    (refused,) = rewrite_model(model_of(TensorProto.DOUBLE), [ReplaceMaxRoiPool]).refused
    assert "is not a type that plugins take" in refused.reason


@pytest.mark.trt
def test_a_real_build_takes_it(tmp_path):
    path = tmp_path / "m.onnx"
    onnx.save(model_of(), path)
    built = build_engine(
        path,
        options=BuildOptions(flavour="tensorrt_rtx", compute_capabilities=[(8, 9)]),
        shapes={"x": "2x3x16x16,2x3x16x18,2x3x32x32", "rois": "1x5,6x5,100x5"},
    )
    assert [record.name for record in built.manifest.plugins] == ["MaxRoiPool_PK"]
