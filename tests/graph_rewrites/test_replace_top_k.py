import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from pluginkit import BuildOptions
from pluginkit.engine.build.build_engine import build_engine
from pluginkit.graph_rewrites.replace_top_k import ReplaceTopK
from pluginkit.onnx.rewriting.rewrite_model import rewrite_model
from pluginkit.onnx.running.run_model import run_model, run_onnxruntime

FLOAT, INT64 = TensorProto.FLOAT, TensorProto.INT64


def model_of(k, shape=("n", 5000), elem_type=FLOAT, opset=18, **attributes):
    """A TopK; ``k`` is a number, or None for a graph input."""
    inputs = [helper.make_tensor_value_info("x", elem_type, shape)]
    initializers = []
    if opset >= 10 and k is not None:
        initializers.append(helper.make_tensor("k", INT64, [1], [k]))
    elif opset >= 10:
        inputs.append(helper.make_tensor_value_info("k", INT64, [1]))
    else:
        attributes["k"] = k
    names = ["x", "k"] if opset >= 10 else ["x"]
    graph = helper.make_graph(
        [helper.make_node("TopK", names, ["values", "indices"], name="top", **attributes)],
        "g",
        inputs,
        [
            helper.make_tensor_value_info("values", elem_type, [None] * len(shape)),
            helper.make_tensor_value_info("indices", INT64, [None] * len(shape)),
        ],
        initializers,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=9)


def rewrite(model):
    return rewrite_model(model, [ReplaceTopK])


@pytest.mark.parametrize("opset", [9, 10, 11, 18])
@pytest.mark.parametrize("attributes", [{}, {"largest": 0}, {"axis": 0}])
def test_a_large_k_becomes_a_plugin_and_agrees_with_onnxruntime(opset, attributes, tmp_path):
    if opset < 11 and "largest" in attributes:
        attributes = {"axis": 1}  # largest came with opset 11
    shape = (5000, 2) if attributes.get("axis") == 0 else (2, 5000)
    model = model_of(4000, shape, opset=opset, **attributes)
    result = rewrite(model)
    (applied,) = result.applied
    assert applied.made == ("TopK_PK",)
    (node,) = result.model.graph.node
    (indices,) = [a for a in node.attribute if a.name == "tensorrt_plugin_shape_input_indices"]
    assert list(indices.ints) == [1]
    x = np.random.default_rng(0).permutation(10000).reshape(shape).astype(np.float32)
    expected = run_onnxruntime(model, {"x": x})
    got = run_model(result.model, {"x": x}, result.plugins, base_dir=tmp_path)
    for name in ("values", "indices"):
        np.testing.assert_array_equal(got[name], expected[name])


def test_the_constant_gives_the_outputs_their_types():
    graph = rewrite(model_of(4000)).model.graph
    onnx.checker.check_model(rewrite(model_of(4000)).model, full_check=True)
    assert [len(o.type.tensor_type.shape.dim) for o in graph.output] == [2, 2]


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        (model_of(3840), "k is 3840, not above 3840"),
        (model_of(5, opset=9), "k is 5, not above 3840"),
        (model_of(None, ("n", 3840)), "the axis has 3840 elements, not above 3840"),
    ],
)
def test_what_tensorrt_builds_is_left(model, reason):
    result = rewrite(model)
    assert result.applied == []
    (refused,) = result.refused
    assert refused.reason == f"TensorRT takes it: {reason}"


def test_a_type_that_plugins_do_not_give_is_left():
    (refused,) = rewrite(model_of(4000, elem_type=TensorProto.DOUBLE)).refused
    assert "is not a type that plugins take" in refused.reason


@pytest.mark.parametrize("k", [1, 5, 4500])
def test_k_may_be_an_input(k, tmp_path):
    model = model_of(None)
    result = rewrite(model)
    assert len(result.applied) == 1
    feeds = {
        "x": np.random.default_rng(1).permutation(10000).reshape(2, 5000).astype(np.float32),
        "k": np.array([k]),
    }
    expected = run_onnxruntime(model, feeds)
    got = run_model(result.model, feeds, result.plugins, base_dir=tmp_path)
    for name in ("values", "indices"):
        np.testing.assert_array_equal(got[name], expected[name])


def test_applied_twice_changes_nothing():
    once = rewrite(model_of(4000)).model
    assert rewrite(once).model == once


@pytest.mark.trt
@pytest.mark.parametrize("k", [4000, None])
def test_a_real_build_takes_it(k, tmp_path):
    path = tmp_path / "m.onnx"
    onnx.save(model_of(k), path)
    built = build_engine(
        path,
        options=BuildOptions(flavour="tensorrt_rtx", compute_capabilities=[(8, 9)]),
        shapes={} if k else {"k": "1,4000,5000"},
        rewrites=[ReplaceTopK],
    )
    assert [record.name for record in built.manifest.plugins] == ["TopK_PK"]
