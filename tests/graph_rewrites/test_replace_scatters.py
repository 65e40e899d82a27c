"""Tests that hold for the rewrites of both ScatterElements and ScatterND."""

from __future__ import annotations

from typing import Any

import onnx
import pytest
from onnx import TensorProto

from pluginkit.graph_rewrites.replace_scatter_elements import ReplaceScatterElements
from pluginkit.graph_rewrites.replace_scatter_nd import ReplaceScatterND
from pluginkit.onnx.rewriting.rewrite_model import RewriteResult, rewrite_model
from tests.graph_rewrites.rewriting import scatter_model, with_unknown_type

#: The shapes of data, indices and updates.
SHAPES = {
    "Scatter": ((5, 4), (3, 4), (3, 4)),
    "ScatterElements": ((5, 4), (3, 4), (3, 4)),
    "ScatterND": ((5, 4, 3), (7, 1), (7, 4, 3)),
}
both = pytest.mark.parametrize("op_type", ["ScatterElements", "ScatterND"])


def model_of(op_type: str, **options: Any) -> onnx.ModelProto:
    return scatter_model(op_type, *SHAPES[op_type], **options)


def rewrite(model: onnx.ModelProto) -> RewriteResult:
    return rewrite_model(model, [ReplaceScatterElements, ReplaceScatterND])


@pytest.mark.parametrize(
    "model",
    [
        model_of("ScatterElements"),
        model_of("ScatterElements", reduction="none"),
        model_of("ScatterElements", opset=11),
        model_of("Scatter", opset=9),
        model_of("ScatterND"),
        model_of("ScatterND", reduction="none"),
        model_of("ScatterND", opset=11),
        model_of("ScatterND", opset=13),
    ],
)
def test_without_a_reduction_the_node_is_tensorrts_own(model: onnx.ModelProto) -> None:
    result = rewrite(model)
    assert result.model == model
    (refused,) = result.refused
    assert refused.node == "scatter"
    assert refused.reason == "TensorRT takes it: it has no reduction"


@both
@pytest.mark.parametrize(
    ("opset", "reduction"), [(16, "add"), (16, "mul"), (18, "min"), (18, "max"), (24, "add")]
)
def test_every_opset_with_a_reduction_is_taken(op_type: str, opset: int, reduction: str) -> None:
    (applied,) = rewrite(model_of(op_type, opset=opset, reduction=reduction)).applied
    assert applied.made == (f"{op_type}_PK",)


@both
@pytest.mark.parametrize(
    ("dtype", "reason"),
    [(TensorProto.DOUBLE, "is not a type that plugins take"), (TensorProto.UINT8, "uint8")],
)
def test_a_dtype_that_the_plugin_does_not_take_is_a_reason(
    op_type: str, dtype: int, reason: str
) -> None:
    (refused,) = rewrite(model_of(op_type, dtype=dtype, reduction="add")).refused
    assert reason in refused.reason


@both
def test_an_unknown_dtype_is_no_reason(op_type: str) -> None:
    model = with_unknown_type(model_of(op_type, reduction="add"), "data")
    assert len(rewrite(model).applied) == 1


@both
def test_another_domains_operator_is_left(op_type: str) -> None:
    model = model_of(op_type, reduction="add")
    model.graph.node[0].domain = "elsewhere"
    model.opset_import.add(domain="elsewhere", version=1)
    result = rewrite(model)
    assert result.applied == result.refused == []


@both
def test_applied_twice_changes_nothing(op_type: str) -> None:
    once = rewrite(model_of(op_type, reduction="add")).model
    assert rewrite(once).model == once
