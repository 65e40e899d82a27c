"""Models of one operator of PyTorch, as its TorchScript exporter keeps those that ONNX lacks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

ATEN = "org.pytorch.aten"


def aten_model(
    op: str,
    feeds: Mapping[str, np.ndarray],
    *arguments: Any,
    outputs: Mapping[str, tuple[int, list[Any]]],
    fallback: bool = False,
    dims: Mapping[str, list[Any]] | None = None,
) -> onnx.ModelProto:
    """Return what torch.onnx.export(..., dynamo=False, operator_export_type=...) writes.

    Args:
        op: the name of the C++ function.
        feeds: the inputs of the model.
        arguments: the function's arguments: names of inputs, arrays and numbers that are stored,
            ("text",) or None.
        outputs: the element type and shape of each output.
        fallback: the node is that of ONNX_ATEN_FALLBACK, else that of ONNX_FALLTHROUGH.
        dims: shapes of inputs with names for sizes.
    """
    nodes, names = [], []
    for number, each in enumerate(arguments):
        if each is None or isinstance(each, str):
            names.append(each or "")
            continue
        names.append(f"/Constant_{number}_output_0")
        stored = each[0] if isinstance(each, tuple) else numpy_helper.from_array(np.asarray(each))
        nodes.append(helper.make_node("Constant", [], [names[-1]], value=stored))
    named = {"operator": op, "overload_name": ""} if fallback else {}
    op_type = "ATen" if fallback else op
    nodes.append(helper.make_node(op_type, names, list(outputs), "node", domain=ATEN, **named))
    graph = helper.make_graph(
        nodes,
        "main_graph",
        [
            helper.make_tensor_value_info(
                name,
                helper.np_dtype_to_tensor_dtype(array.dtype),
                (dims or {}).get(name, array.shape),
            )
            for name, array in feeds.items()
        ],
        [helper.make_tensor_value_info(name, *each) for name, each in outputs.items()],
    )
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid(ATEN, 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8)
