import numpy as np
import onnx
import pytest

from pluginkit.graph_rewrites.drop_unused_outputs import DropUnusedOutputs
from pluginkit.onnx.rewriting.rewrite_model import rewrite_model
from tests.graph_rewrites.rewriting import reason_against, rewritten, run
from tests.graph_rewrites.samples import node_model

X = np.arange(36, dtype=np.float32).reshape(1, 1, 6, 6) % 7


def with_graph_outputs(model: onnx.ModelProto, *names: str) -> onnx.ModelProto:
    """Keep only these outputs of the model."""
    kept = [value for value in model.graph.output if value.name in names]
    del model.graph.output[:]
    model.graph.output.extend(kept)
    return model


@pytest.mark.parametrize("outputs", [("y", "places"), ("y", "")])
def test_what_nobody_reads_goes(outputs):
    model = node_model("MaxPool", {"x": X}, outputs=outputs, kernel_shape=[2, 2])
    model = with_graph_outputs(model, "y")
    after = rewritten(DropUnusedOutputs, model)
    assert list(after.graph.node[0].output) == ["y"]
    assert after.graph.node[0].attribute == model.graph.node[0].attribute
    np.testing.assert_array_equal(run(after, {"x": X})[0], run(model, {"x": X})[0])
    again = rewrite_model(after, [DropUnusedOutputs])
    assert again.applied == []
    assert again.model == after


def test_only_what_stands_behind_the_last_used_output_goes():
    scale = np.ones(6, np.float32)
    inputs = {"x": X, "scale": scale}
    model = node_model("LayerNormalization", inputs, outputs=("y", "mean", "deviation"))
    after = rewritten(DropUnusedOutputs, with_graph_outputs(model, "y", "mean"))
    assert list(after.graph.node[0].output) == ["y", "mean"]


def test_what_is_used_or_alone_is_left():
    model = node_model("MaxPool", {"x": X}, outputs=("y", "places"), kernel_shape=[2, 2])
    assert reason_against(DropUnusedOutputs, model) == "its last output, 'places', is used"
    model = node_model("MaxPool", {"x": X}, kernel_shape=[2, 2])
    assert reason_against(DropUnusedOutputs, model).startswith("TensorRT takes it")


def test_it_comes_before_what_would_replace_the_whole_node():
    model = node_model(
        "LayerNormalization",
        {"x": X, "scale": np.ones(6, np.float32)},
        outputs=("y", "mean", "deviation"),
    )
    result = rewrite_model(with_graph_outputs(model, "y"))
    assert [each.rewrite for each in result.applied] == ["DropUnusedOutputs"]
    assert [node.op_type for node in result.model.graph.node] == ["LayerNormalization"]
