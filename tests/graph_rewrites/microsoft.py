"""Models of one operator of ONNX Runtime's own domain, and the comparison with ONNX Runtime."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import onnx
from onnx import helper, numpy_helper

from pluginkit.onnx.rewriting.rewrite import Rewrite
from pluginkit.onnx.rewriting.rewrite_model import rewrite_model
from pluginkit.onnx.running.run_model import run_onnxruntime

Inputs = Mapping[str, np.ndarray | None]
#: Relative and absolute, by dtype.
TOLERANCES = {"float32": 1e-5, "float16": 5e-3}


def microsoft_model(
    op_type: str,
    inputs: Inputs,
    outputs: Mapping[str, tuple[str, int]],
    *,
    stored: Sequence[str] = (),
    dims: Mapping[str, Sequence[int | str | None]] | None = None,
    domain: str = "com.microsoft",
    opset: int = 17,
    **attributes: object,
) -> onnx.ModelProto:
    """A model of one node, called ``node``.

    Args:
        op_type: its operator.
        inputs: an array for each of its inputs; None for one that is absent.
        outputs: the dtype and the rank of each output.
        stored: the inputs that the model stores.
        dims: the declared shapes of inputs, where they are not those of the arrays.
        domain: that of the operator.
        opset: the version of ONNX's own operators.
        attributes: the node's attributes.
    """
    arrays = {name: array for name, array in inputs.items() if array is not None}
    names = [name if array is not None else "" for name, array in inputs.items()]
    values = [
        helper.make_tensor_value_info(
            name,
            helper.np_dtype_to_tensor_dtype(array.dtype),
            (dims or {}).get(name, array.shape),
        )
        for name, array in arrays.items()
        if name not in stored
    ]
    results = [
        helper.make_tensor_value_info(
            name, helper.np_dtype_to_tensor_dtype(np.dtype(dtype)), [None] * rank
        )
        for name, (dtype, rank) in outputs.items()
        if name
    ]
    while names and not names[-1]:
        names.pop()
    node = helper.make_node(op_type, names, list(outputs), name="node", domain=domain, **attributes)
    tensors = [numpy_helper.from_array(arrays[name], name) for name in stored]
    graph = helper.make_graph([node], "test", values, results, tensors)
    opsets = [helper.make_opsetid("", opset), helper.make_opsetid("com.microsoft", 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=10)


def feeds_of(model: onnx.ModelProto, inputs: Inputs) -> dict[str, np.ndarray]:
    """Return the arrays of the graph inputs."""
    return {value.name: np.asarray(inputs[value.name]) for value in model.graph.input}


def assert_spelled_out(
    model: onnx.ModelProto,
    feeds: Mapping[str, np.ndarray],
    rewrites: Sequence[type[Rewrite]],
    *,
    units: int = 0,
    tolerance: float = 0.0,
) -> onnx.ModelProto:
    """Rewrite a model; it gives the same, has ONNX's operators only, and nothing is left to do.

    Args:
        model: the model, which ONNX Runtime runs.
        feeds: its inputs.
        rewrites: the rewrites; the first must apply.
        units: by how much integers may differ.
        tolerance: in place of that of the dtype.
    """
    result = rewrite_model(model, rewrites)
    assert rewrites[0].__name__ in [each.rewrite for each in result.applied], result.refused
    assert {node.domain for node in result.model.graph.node} == {""}
    again = rewrite_model(result.model, rewrites)
    assert again.applied == []
    assert again.model == result.model
    expected = run_onnxruntime(model, feeds)
    got = run_onnxruntime(result.model, feeds)
    for name, before in expected.items():
        assert_close(got[name], before, units=units, tolerance=tolerance)
    return result.model


def assert_close(
    after: np.ndarray, before: np.ndarray, *, units: int = 0, tolerance: float = 0.0
) -> None:
    """Two arrays are of one dtype and shape, and equal within the tolerance of the dtype."""
    assert after.dtype == before.dtype
    assert after.shape == before.shape
    allowed = tolerance or TOLERANCES.get(before.dtype.name, 0)
    wide = [each.astype(np.float64) for each in (after, before)]
    np.testing.assert_allclose(*wide, rtol=allowed, atol=allowed or units)
