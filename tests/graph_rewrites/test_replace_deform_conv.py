import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from pluginkit import BuildOptions
from pluginkit.engine.build.build_engine import build_engine
from pluginkit.graph_rewrites.replace_deform_conv import ReplaceDeformConv
from pluginkit.onnx.rewriting.rewrite_model import rewrite_model
from pluginkit.onnx.running.run_model import run_model, run_onnxruntime

FLOAT = TensorProto.FLOAT
ALL = ("x", "w", "offset", "b", "mask")


def model_of(inputs=ALL, opset=19, elem_type=FLOAT, shape=(2, 4, 7, 8)):
    """Return a model whose DeformConv has groups, offset groups, strides and dilations."""
    given = {"group": 2, "offset_group": 2, "strides": [2, 1], "pads": [1, 0, 1, 2]}
    node = helper.make_node("DeformConv", inputs, ["d"], dilations=[1, 2], **given)
    shapes = {"x": shape, "w": (6, 2, 3, 2), "offset": (2, 24, 4, 8), "b": (6,)}
    shapes["mask"] = (2, 12, 4, 8)
    graph = helper.make_graph(
        [node, helper.make_node("Relu", ["d"], ["y"])],
        "g",
        [helper.make_tensor_value_info(name, elem_type, shapes[name]) for name in inputs if name],
        [helper.make_tensor_value_info("y", elem_type, None)],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def feeds(model):
    rng = np.random.default_rng(4)
    return {
        value.name: rng.normal(
            size=[dim.dim_value for dim in value.type.tensor_type.shape.dim]
        ).astype(np.float32)
        for value in model.graph.input
    }


@pytest.mark.parametrize("opset", [19, 22])
@pytest.mark.parametrize(
    "inputs", [ALL, ALL[:3], ALL[:4], ("x", "w", "offset", "", "mask")], ids=" ".join
)
def test_each_form_computes_the_same(inputs, opset, tmp_path):
    model = model_of(inputs, opset)
    arrays = feeds(model)
    result = rewrite_model(model, [ReplaceDeformConv])
    assert [node.op_type for node in result.model.graph.node] == ["DeformConv_PK", "Relu"]
    expected = run_onnxruntime(model, arrays)["y"]
    assert expected.any()
    got = run_model(result.model, arrays, result.plugins, base_dir=tmp_path)["y"]
    np.testing.assert_allclose(got, expected, atol=1e-5)
    again = rewrite_model(result.model, [ReplaceDeformConv])
    assert (again.model, again.applied) == (result.model, [])


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        (model_of(shape=(2, 4, 7)), "x has rank 3; an image has rank 4"),
        (model_of(elem_type=TensorProto.DOUBLE), "is not a type that plugins take"),
    ],
    ids=["rank", "type"],
)
def test_what_no_plugin_computes_is_left_with_the_reason(model, reason):
    (refused,) = rewrite_model(model, [ReplaceDeformConv]).refused
    assert reason in refused.reason


@pytest.mark.trt
@pytest.mark.parametrize("elem_type", [FLOAT, TensorProto.FLOAT16])
def test_a_real_build_takes_it(elem_type, tmp_path):
    path = tmp_path / "m.onnx"
    onnx.save(model_of(elem_type=elem_type), path)
    options = BuildOptions(flavour="tensorrt_rtx", compute_capabilities=[(8, 9)])
    built = build_engine(path, options=options, rewrites=[ReplaceDeformConv])
    assert [record.name for record in built.manifest.plugins] == ["DeformConv_PK"]
