"""Apply one rewrite to a model of one node, for the tests of single rewrites."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import onnx
import onnx.helper
from onnx.reference import ReferenceEvaluator

from pluginkit.onnx.rewriting.rewrite import Rewrite
from pluginkit.onnx.rewriting.rewrite_model import rewrite_model
from pluginkit.onnx.running.run_model import run_onnxruntime


def run(model: onnx.ModelProto, feeds: Mapping[str, np.ndarray]) -> list[np.ndarray]:
    """Run a model in ONNX Runtime, or in onnx's reference if ONNX Runtime lacks the opset."""
    if model.opset_import[0].version > 26:
        return [np.asarray(each) for each in ReferenceEvaluator(model).run(None, dict(feeds))]
    return list(run_onnxruntime(model, feeds).values())


def rewritten(rewrite: type[Rewrite], model: onnx.ModelProto) -> onnx.ModelProto:
    """Rewrite a model; the rewrite must match once, and find nothing in its own result."""
    result = rewrite_model(model, [rewrite])
    assert [each.rewrite for each in result.applied] == [rewrite.__name__], result.refused
    again = rewrite_model(result.model, [rewrite])
    assert again.applied == []
    assert again.model == result.model
    return result.model


def outputs_of(
    rewrite: type[Rewrite], model: onnx.ModelProto, feeds: Mapping[str, np.ndarray]
) -> list[np.ndarray]:
    """Return the outputs of the rewritten model."""
    return run(rewritten(rewrite, model), feeds)


def reason_against(rewrite: type[Rewrite], model: onnx.ModelProto) -> str:
    """Return why the rewrite refuses the model's node."""
    result = rewrite_model(model, [rewrite])
    assert result.model == model
    (refused,) = result.refused
    assert refused.node == "node"
    return refused.reason


def scatter_model(
    op_type: str,
    data: Sequence[int],
    indices: Sequence[int],
    updates: Sequence[int],
    *,
    dtype: int = onnx.TensorProto.FLOAT,
    opset: int = 18,
    **attributes: object,
) -> onnx.ModelProto:
    """Make a model of one scatter from the shapes of its inputs."""
    inputs = {
        "data": (dtype, data),
        "indices": (onnx.TensorProto.INT64, indices),
        "updates": (dtype, updates),
    }
    node = onnx.helper.make_node(op_type, list(inputs), ["y"], name="scatter", **attributes)
    graph = onnx.helper.make_graph(
        [node],
        "test",
        [onnx.helper.make_tensor_value_info(name, *given) for name, given in inputs.items()],
        [onnx.helper.make_tensor_value_info("y", dtype, data)],
    )
    opsets = [onnx.helper.make_opsetid("", opset)]
    return onnx.helper.make_model(graph, opset_imports=opsets, ir_version=8)


def with_unknown_type(model: onnx.ModelProto, name: str) -> onnx.ModelProto:
    """Hide the type of an input: put a node of another domain between it and its reader."""
    model.graph.node.insert(
        0, onnx.helper.make_node("Mystery", [name], ["hidden"], domain="elsewhere")
    )
    node = model.graph.node[1]
    node.input[:] = ["hidden" if each == name else each for each in node.input]
    model.opset_import.add(domain="elsewhere", version=1)
    return model
