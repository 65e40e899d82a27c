"""Small models for the tests of parsing and scanning."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import onnx
from onnx import TensorProto, helper

from pluginkit.engine.parse.traceable_model import PrunedModel, set_numbers
from pluginkit.onnx.model.model_file import inline_functions

INT64, BOOL = TensorProto.INT64, TensorProto.BOOL


def value(name: str, shape: Sequence[Any] | None, dtype: int = TensorProto.FLOAT) -> Any:
    return helper.make_tensor_value_info(name, dtype, shape)


def model_of(
    nodes: list[onnx.NodeProto], inputs: list[Any], outputs: list[Any], **parts: Any
) -> onnx.ModelProto:
    functions = parts.pop("functions", [])
    graph = helper.make_graph(nodes, "graph", inputs, outputs, **parts)
    opsets = [helper.make_opsetid("", 20), helper.make_opsetid("my", 1)]
    return helper.make_model(graph, opset_imports=opsets, functions=functions, ir_version=10)


def pruned_model(model: onnx.ModelProto) -> PrunedModel:
    set_numbers(model)
    return PrunedModel(inline_functions(model) if model.functions else model)


def ops(graph: onnx.GraphProto) -> list[str]:
    return [node.op_type for node in graph.node]
