from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from pluginkit import RewriteChoice
from pluginkit.graph_rewrites.replace_non_zero import ReplaceNonZero
from pluginkit.graph_rewrites.replace_scatter_elements import ReplaceScatterElements
from pluginkit.onnx.model.model_file import save_model
from pluginkit.onnx.rewriting.rewrite_model import rewrite_model
from pluginkit.onnx.running.compare_models import compare_models
from pluginkit.onnx.running.run_model import run_model
from pluginkit.plugins.non_zero import NonZero
from pluginkit.plugins.scatter_elements import ScatterElements
from pluginkit.trt.target import Target

PLUGINS = {plugin.spec.key: plugin for plugin in (NonZero, ScatterElements)}


def model_of(shape, elem_type=TensorProto.FLOAT):
    nodes = [
        helper.make_node("NonZero", ["x"], ["found"], name="find"),
        helper.make_node("Transpose", ["found"], ["y"], perm=[1, 0]),
    ]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", elem_type, shape)],
        [helper.make_tensor_value_info("y", TensorProto.INT64, ["k", len(shape)])],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


def test_the_node_becomes_a_plugin_node_that_also_gives_the_count(tmp_path):
    model = model_of(["n", 3])
    result = rewrite_model(model, [ReplaceNonZero])
    node = result.model.graph.node[0]
    assert node.op_type == "NonZero_PK"
    found, count = node.output
    assert found == "found"
    infos = {info.name: info.type.tensor_type for info in result.model.graph.value_info}
    rows, columns = infos["found"].shape.dim
    assert rows.dim_value == 2
    assert not columns.HasField("dim_value")
    assert infos[count].elem_type == TensorProto.INT32
    x = np.array([[0, 2, 0], [np.nan, -0.0, 1]], np.float32)
    got = run_model(result.model, {"x": x}, result.plugins, base_dir=tmp_path)["y"]
    assert got.tolist() == [[0, 1], [1, 0], [1, 2]]


def test_applied_twice_changes_nothing():
    once = rewrite_model(model_of(["n", 3]), [ReplaceNonZero]).model
    twice = rewrite_model(once, [ReplaceNonZero])
    assert twice.model == once
    assert twice.applied == []


def test_a_scalar_is_left_with_the_reason():
    model = model_of([])
    model.graph.output[0].type.tensor_type.shape.dim[1].dim_value = 1
    (refused,) = rewrite_model(model, [ReplaceNonZero]).refused
    assert refused.reason == "x is a scalar, which has no axis to count along"


def test_a_type_that_plugins_cannot_read_is_left_with_the_reason():
    (refused,) = rewrite_model(model_of(["n"], TensorProto.UINT8), [ReplaceNonZero]).refused
    assert "uint8" in refused.reason


def test_tensorrt_itself_has_the_operator():
    model = model_of(["n"])
    trt, rtx = Target("tensorrt", (10, 16)), Target("tensorrt_rtx", (1, 7))
    assert rewrite_model(model, [ReplaceNonZero], RewriteChoice(target=trt)).applied == []
    assert len(rewrite_model(model, [ReplaceNonZero], RewriteChoice(target=rtx)).applied) == 1


@pytest.mark.parametrize("sizes", [(50, 200), (7, 31), (1, 1), (1000, 5000)])
def test_a_graph_network_with_masks_agrees_with_onnxruntime(sizes, tmp_path):
    """As PyTorch Geometric exports add_remaining_self_loops: edges are chosen by a mask."""
    nodes, edges = sizes
    graph = helper.make_graph(
        [
            helper.make_node("Gather", ["edges", "zero"], ["from"], axis=0),
            helper.make_node("Gather", ["edges", "one"], ["to"], axis=0),
            helper.make_node("Equal", ["from", "to"], ["loops"]),
            helper.make_node("Not", ["loops"], ["mask"]),
            helper.make_node("NonZero", ["mask"], ["kept_row"]),
            helper.make_node("Squeeze", ["kept_row", "axis"], ["kept"]),
            helper.make_node("Gather", ["to", "kept"], ["targets"]),
            helper.make_node("Gather", ["from", "kept"], ["sources"]),
            helper.make_node("Gather", ["x", "sources"], ["messages"], axis=0),
            helper.make_node("Unsqueeze", ["targets", "last"], ["column"]),
            helper.make_node("Shape", ["messages"], ["size"]),
            helper.make_node("Expand", ["column", "size"], ["indices"]),
            helper.make_node(
                "ScatterElements", ["x", "indices", "messages"], ["y"], axis=0, reduction="add"
            ),
        ],
        "g",
        [
            helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 4]),
            helper.make_tensor_value_info("edges", TensorProto.INT64, [2, "e"]),
        ],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 4])],
        [
            helper.make_tensor("zero", TensorProto.INT64, [], [0]),
            helper.make_tensor("one", TensorProto.INT64, [], [1]),
            helper.make_tensor("axis", TensorProto.INT64, [1], [0]),
            helper.make_tensor("last", TensorProto.INT64, [1], [-1]),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    source, target = Path(tmp_path / "a.onnx"), Path(tmp_path / "b.onnx")
    onnx.save(model, source)
    result = rewrite_model(model, [ReplaceNonZero, ReplaceScatterElements])
    assert [one.rewrite for one in result.applied] == ["ReplaceNonZero", "ReplaceScatterElements"]
    save_model(result.model, target, source)
    rng = np.random.default_rng(nodes)
    inputs = {
        "x": rng.normal(size=(nodes, 4)).astype(np.float32),
        "edges": rng.integers(0, nodes, (2, edges)),
    }
    comparison = compare_models(source, target, inputs=inputs, plugins=PLUGINS)
    assert comparison.ok, comparison
