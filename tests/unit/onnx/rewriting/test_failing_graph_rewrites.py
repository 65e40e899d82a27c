"""A rewrite of whole graphs that fails: an invalid node is to blame, or else its author."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from onnx import TensorProto, helper

from pluginkit import Op, rewrite_model
from pluginkit.errors import ModelError, RewriteError
from pluginkit.onnx import GraphRewrite
from pluginkit.onnx.rewriting.graph_rewrite import Change, Graphs


class ReadSecondInputs(GraphRewrite):
    """x -> x, after it has read what is not always there."""

    pattern = Op("Relu")

    def rewrite_graphs(self, graphs: Graphs) -> Sequence[Change]:
        for node in graphs.model.graph.node:
            assert node.input[5]
        return []


def model(inputs: list[str]) -> Any:
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [2]) for name in "xy"]
    node = helper.make_node("Relu", inputs, ["y"], "r")
    graph = helper.make_graph([node], "g", values[:1], values[1:])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


def test_an_invalid_node_is_to_blame():
    with pytest.raises(ModelError, match="PK408 Relu 'r' is invalid: .*input size 2"):
        rewrite_model(model(["x", "x"]), [ReadSecondInputs])


def test_without_one_the_rewrite_is_to_blame():
    with pytest.raises(RewriteError, match="PK421 ReadSecondInputs failed: IndexError"):
        rewrite_model(model(["x"]), [ReadSecondInputs])
