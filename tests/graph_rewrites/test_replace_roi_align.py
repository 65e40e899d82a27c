import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from pluginkit import BuildOptions, RewriteChoice
from pluginkit.engine.build.build_engine import build_engine
from pluginkit.graph_rewrites.replace_roi_align import ReplaceRoiAlign
from pluginkit.onnx.rewriting.rewrite_model import rewrite_model
from pluginkit.onnx.running.run_model import run_model, run_onnxruntime
from pluginkit.trt.target import Target

FLOAT = TensorProto.FLOAT


def model_of(opset=16, elem_type=FLOAT, **attributes):
    sizes = {"output_height": 3, "output_width": 4}
    nodes = [
        helper.make_node("RoiAlign", ["x", "rois", "at"], ["r"], name="roi", **sizes, **attributes),
        helper.make_node("Relu", ["r"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes,
        "g",
        [
            helper.make_tensor_value_info("x", elem_type, [2, 3, "h", "w"]),
            helper.make_tensor_value_info("rois", elem_type, ["n", 4]),
            helper.make_tensor_value_info("at", TensorProto.INT64, ["n"]),
        ],
        [helper.make_tensor_value_info("y", elem_type, ["n", 3, 3, 4])],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def feeds():
    rng = np.random.default_rng(4)
    low = rng.uniform(0, 12, (6, 2))
    rois = np.concatenate([low, low + rng.uniform(0, 20, low.shape)], axis=1).astype(np.float32)
    x = rng.normal(size=(2, 3, 16, 18)).astype(np.float32)
    return {"x": x, "rois": rois, "at": np.arange(6) % 2}


def rewrite(model):
    return rewrite_model(model, [ReplaceRoiAlign])


@pytest.mark.parametrize("mode", ["avg", "max"])
@pytest.mark.parametrize("sampling_ratio", [0, 2])
@pytest.mark.parametrize(
    ("opset", "pixels"), [(10, None), (15, None), (16, None), (16, "output_half_pixel")], ids=str
)
def test_each_opset_has_its_own_pixels(opset, pixels, sampling_ratio, mode, tmp_path):
    given = {} if pixels is None else {"coordinate_transformation_mode": pixels}
    model = model_of(opset, sampling_ratio=sampling_ratio, mode=mode, spatial_scale=0.5, **given)
    result = rewrite(model)
    assert [node.op_type for node in result.model.graph.node] == ["RoiAlign_PK", "Relu"]
    expected = run_onnxruntime(model, feeds())["y"]
    assert expected.any()
    got = run_model(result.model, feeds(), result.plugins, base_dir=tmp_path)["y"]
    np.testing.assert_allclose(got, expected, atol=1e-5)
    again = rewrite(result.model)
    assert (again.model, again.applied) == (result.model, [])


def test_a_type_that_plugins_do_not_take_is_left_with_the_reason():
    (refused,) = rewrite(model_of(elem_type=TensorProto.DOUBLE)).refused
    assert "is not a type that plugins take" in refused.reason


def test_tensorrt_itself_has_the_operator():
    trt, rtx = Target("tensorrt", (10, 16)), Target("tensorrt_rtx", (1, 7))
    for target, count in ((trt, 0), (rtx, 1)):
        result = rewrite_model(model_of(), [ReplaceRoiAlign], RewriteChoice(target=target))
        assert len(result.applied) == count


@pytest.mark.trt
@pytest.mark.parametrize("elem_type", [FLOAT, TensorProto.FLOAT16])
def test_a_real_build_takes_it(elem_type, tmp_path):
    path = tmp_path / "m.onnx"
    onnx.save(model_of(elem_type=elem_type), path)
    built = build_engine(
        path,
        options=BuildOptions(flavour="tensorrt_rtx", compute_capabilities=[(8, 9)]),
        shapes={"x": "2x3x16x16,2x3x16x18,2x3x32x32", "rois": "1x4,6x4,100x4", "at": "1,6,100"},
        rewrites=[ReplaceRoiAlign],
    )
    assert [record.name for record in built.manifest.plugins] == ["RoiAlign_PK"]
