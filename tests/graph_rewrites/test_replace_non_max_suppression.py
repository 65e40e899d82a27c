import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from pluginkit import BuildOptions, RewriteChoice
from pluginkit.engine.build.build_engine import build_engine
from pluginkit.graph_rewrites.replace_non_max_suppression import ReplaceNonMaxSuppression
from pluginkit.onnx.rewriting.rewrite_model import rewrite_model
from pluginkit.onnx.running.run_model import run_model, run_onnxruntime
from pluginkit.trt.target import Target

INPUTS = {
    "boxes": (TensorProto.FLOAT, [1, "n", 4]),
    "scores": (TensorProto.FLOAT, [1, 2, "n"]),
    "most": (TensorProto.INT64, [1]),
    "iou": (TensorProto.FLOAT, [1]),
    "score": (TensorProto.FLOAT, [1]),
}


def model_of(names=tuple(INPUTS), stored=None):
    """A NonMaxSuppression with these inputs, of which some are stored, and what follows it."""
    stored = stored or {}
    nodes = [
        helper.make_node("NonMaxSuppression", names, ["found"], name="nms"),
        helper.make_node("Gather", ["found", "column"], ["chosen"], axis=1),
        helper.make_node("Gather", ["boxes", "chosen"], ["y"], axis=1),
    ]
    graph = helper.make_graph(
        nodes,
        "g",
        [
            helper.make_tensor_value_info(name, *INPUTS[name])
            for name in names
            if name and name not in stored
        ],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, None, 4])],
        [
            numpy_helper.from_array(np.array(value), name)
            for name, value in ({"column": np.int64(2)} | stored).items()
        ],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


def feeds(count=40):
    rng = np.random.default_rng(2)
    low = rng.uniform(0, 6, (1, count, 2))
    boxes = np.concatenate([low, low + rng.uniform(1, 4, low.shape)], axis=2)
    return {
        "boxes": boxes.astype(np.float32),
        "scores": rng.random((1, 2, count), np.float32),
        "most": np.array([7]),
        "iou": np.array([0.4], np.float32),
        "score": np.array([0.2], np.float32),
    }


def rewrite(model):
    return rewrite_model(model, [ReplaceNonMaxSuppression])


@pytest.mark.parametrize(
    ("names", "stored", "most_boxes"),
    [
        (tuple(INPUTS), {}, None),
        (tuple(INPUTS), {"most": [5], "iou": np.float32([0.5]), "score": np.float32([0.1])}, 5),
        (tuple(INPUTS), {"most": [-1]}, 0),
        (tuple(INPUTS), {"most": 2**63 - 1}, None),
        (("boxes", "scores", "most", "", "score"), {}, None),
        (("boxes", "scores", "most"), {"most": 3}, 3),
        (("boxes", "scores"), {}, None),
    ],
    ids=str,
)
def test_the_node_becomes_a_plugin_node(names, stored, most_boxes, tmp_path):
    model = model_of(names, stored)
    result = rewrite(model)
    node = result.model.graph.node[0]
    assert node.op_type == "NonMaxSuppression_PK"
    attributes = {each.name: helper.get_attribute_value(each) for each in node.attribute}
    assert attributes.get("most_boxes") == most_boxes
    assert list(node.input) == [name for name in names if name]
    given = {name: value for name, value in feeds().items() if name in names and name not in stored}
    expected = run_onnxruntime(model, given)
    got = run_model(result.model, given, result.plugins, base_dir=tmp_path)
    np.testing.assert_array_equal(got["y"], expected["y"])
    again = rewrite(result.model)
    assert (again.model, again.applied) == (result.model, [])


def test_a_threshold_that_onnx_does_not_allow_is_left_with_the_reason():
    (refused,) = rewrite(model_of(stored={"iou": np.float32([1.5])})).refused
    assert refused.reason == "iou_threshold is [1.5]; ONNX has a number from 0 to 1"


def test_tensorrt_itself_has_the_operator():
    trt, rtx = Target("tensorrt", (10, 16)), Target("tensorrt_rtx", (1, 7))
    for target, count in ((trt, 0), (rtx, 1)):
        choice = RewriteChoice(target=target)
        result = rewrite_model(model_of(), [ReplaceNonMaxSuppression], choice)
        assert len(result.applied) == count


@pytest.mark.trt
@pytest.mark.parametrize("stored", [{}, {"most": [5], "iou": np.float32([0.5])}], ids=str)
def test_a_real_build_takes_it(stored, tmp_path):
    path = tmp_path / "m.onnx"
    onnx.save(model_of(stored=stored), path)
    built = build_engine(
        path,
        options=BuildOptions(flavour="tensorrt_rtx", compute_capabilities=[(8, 9)]),
        shapes={"boxes": "1x1x4,1x64x4,1x512x4", "scores": "1x2x1,1x2x64,1x2x512"},
        rewrites=[ReplaceNonMaxSuppression],
    )
    assert [record.name for record in built.manifest.plugins] == ["NonMaxSuppression_PK"]
