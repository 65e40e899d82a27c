import numpy as np
import pytest
from onnx import TensorProto

from pluginkit.graph_rewrites.expand_gelu import (
    ExpandBiasGelu,
    ExpandBiasSplitGelu,
    ExpandFastGelu,
    ExpandGelu,
    ExpandQuickGelu,
)
from pluginkit.onnx.rewriting.rewrite_model import rewrite_model
from pluginkit.onnx.running.run_model import run_onnxruntime
from tests.graph_rewrites.microsoft import assert_spelled_out, microsoft_model
from tests.graph_rewrites.rewriting import reason_against, with_unknown_type
from tests.graph_rewrites.samples import normal

X = normal(2, 3, 16) * 3
BIAS = normal(16)


@pytest.mark.parametrize(
    ("dtype", "opset", "dims"),
    [("float32", 11, (2, 3, 16)), ("float16", 22, (2, 3, 16)), ("float32", 17, ("n", None, 16))],
)
@pytest.mark.parametrize(
    ("rewrite", "op_type", "has_bias", "attributes"),
    [
        (ExpandGelu, "Gelu", False, {}),
        (ExpandBiasGelu, "BiasGelu", True, {}),
        (ExpandFastGelu, "FastGelu", False, {}),
        (ExpandFastGelu, "FastGelu", True, {}),
        (ExpandQuickGelu, "QuickGelu", False, {}),
        (ExpandQuickGelu, "QuickGelu", False, {"alpha": 1.0}),
        (ExpandQuickGelu, "QuickGelu", False, {"alpha": 0.5}),
    ],
)
def test_relatives_of_gelu_are_onnxruntimes(
    rewrite, op_type, has_bias, attributes, opset, dims, dtype
):
    inputs = {"x": X.astype(dtype), "b": BIAS.astype(dtype) if has_bias else None}
    stored = ["b"] if has_bias and opset == 17 else []
    model = microsoft_model(
        op_type,
        inputs,
        {"y": (dtype, 3)},
        dims={"x": dims},
        opset=opset,
        stored=stored,
        **attributes,
    )
    feeds = {value.name: inputs[value.name] for value in model.graph.input}
    assert_spelled_out(model, feeds, [rewrite])


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_the_right_half_is_the_gate(dtype):
    """ONNX Runtime has the operator on GPUs only."""
    x, bias = X.astype(dtype), BIAS.astype(dtype)
    inputs = {"x": x, "b": bias}
    model = microsoft_model("BiasSplitGelu", inputs, {"y": (dtype, 3)}, dims={"x": ("n", 3, 16)})
    made = rewrite_model(model, [ExpandBiasSplitGelu]).model
    total = (x + bias).astype(np.float32)
    gate = microsoft_model("Gelu", {"x": total[..., 8:]}, {"y": ("float32", 3)})
    expected = total[..., :8] * run_onnxruntime(gate, {"x": total[..., 8:]})["y"]
    got = run_onnxruntime(made, inputs)["y"]
    np.testing.assert_allclose(got, expected, rtol=5e-3 if dtype == "float16" else 1e-5, atol=5e-3)


def test_other_and_unknown_types_are_left():
    model = microsoft_model("Gelu", {"x": X.astype(np.float64)}, {"y": ("float64", 3)})
    reason = "'x' is float64; expected float32, float16 or bfloat16"
    assert reason_against(ExpandGelu, model) == reason
    model = with_unknown_type(microsoft_model("Gelu", {"x": X}, {"y": ("float32", 3)}), "x")
    reason = "'hidden' is of unknown type; expected float32, float16 or bfloat16"
    assert reason_against(ExpandGelu, model) == reason
    inputs = {"x": X[..., :15], "b": BIAS[:15]}
    model = microsoft_model("BiasSplitGelu", inputs, {"y": ("float32", 3)})
    reason = "the size of the last axis is unknown or odd"
    assert reason_against(ExpandBiasSplitGelu, model) == reason


def test_chains_are_typed_at_once():
    """Each operator's output type is known before any is rewritten."""
    model = microsoft_model("Gelu", {"x": X}, {"y": ("float32", 3)})
    node = model.graph.node[0]
    node.output[0] = "h0"
    for number in range(20):
        output = "y" if number == 19 else f"h{number + 1}"
        model.graph.node.add(
            op_type="Gelu", input=[f"h{number}"], output=[output], domain="com.microsoft"
        )
    result = rewrite_model(model, [ExpandGelu])
    assert len(result.applied) == 21
    assert result.refused == []
    assert result.model.graph.output[0].type.tensor_type.elem_type == TensorProto.FLOAT
