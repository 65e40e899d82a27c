import numpy as np
import pytest

from pluginkit.graph_rewrites.expand_gated_operators import (
    ExpandBranchwiseRMSNorm,
    ExpandEngramGate,
    ExpandGatedAdd,
    ExpandGatedRMSNorm,
    ExpandHyperConnectionPostMix,
    ExpandHyperConnectionPreMix,
    ExpandLinearAttentionGate,
    ExpandScaledSiLU,
)
from tests.graph_rewrites.microsoft import assert_spelled_out, microsoft_model
from tests.graph_rewrites.rewriting import reason_against
from tests.graph_rewrites.samples import f32, normal

DTYPES = ("float32", "float16")
GROUPED, FLAT = normal(2, 3, 4, 8), normal(2, 3, 32)
KEYS = {name: normal(1, 3, 4, 8) for name in ("key", "query")} | {"value": normal(1, 3, 8)}
SCALES = {name: normal(4, 8) for name in ("k", "q", "y")}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("rewrite", "inputs", "attributes"),
    [
        (ExpandScaledSiLU, {"x": FLAT}, {"alpha": 0.7}),
        (ExpandScaledSiLU, {"x": FLAT, "scale": f32(1.5)}, {}),
        (ExpandGatedAdd, {"x": FLAT, "y": normal(2, 3, 32), "gate": normal(2, 3, 1)}, {}),
        (ExpandGatedRMSNorm, {"x": FLAT, "scale": normal(32), "gate": normal(2, 3, 32)}, {}),
        (
            ExpandGatedRMSNorm,
            {"x": FLAT, "scale": normal(8), "gate": normal(2, 3, 32)},
            {"activation": "sigmoid", "epsilon": 0.1},
        ),
        (ExpandBranchwiseRMSNorm, {"x": GROUPED}, {"epsilon": 0.1}),
        (ExpandBranchwiseRMSNorm, {"x": GROUPED, "scale": normal(8)}, {}),
        (ExpandBranchwiseRMSNorm, {"x": GROUPED, "scale": normal(32)}, {}),
        (ExpandBranchwiseRMSNorm, {"x": FLAT, "scale": normal(32)}, {"num_branches": 4}),
        (ExpandBranchwiseRMSNorm, {"x": FLAT, "scale": normal(4, 8)}, {"num_branches": 4}),
        (ExpandHyperConnectionPreMix, {"x": GROUPED, "mix": normal(2, 3, 4)}, {}),
        (
            ExpandHyperConnectionPreMix,
            {"x": FLAT, "mix": normal(2, 3, 32)},
            {"num_branches": 4, "reduction_scale": 0.3},
        ),
        (
            ExpandHyperConnectionPostMix,
            {"x": FLAT, "y": normal(2, 3, 8), "p": normal(2, 3, 4), "m": normal(2, 3, 4, 4)},
            {"num_branches": 4},
        ),
        (
            ExpandHyperConnectionPostMix,
            {"x": GROUPED, "y": normal(2, 3, 8), "p": normal(2, 3, 4, 8)},
            {},
        ),
    ],
)
def test_rows_and_branches_are_gated_or_normalized(rewrite, inputs, attributes, dtype):
    arrays = {name: each.astype(dtype) for name, each in inputs.items()}
    rank = 3 if rewrite is ExpandHyperConnectionPreMix else inputs["x"].ndim
    op_type = rewrite.__name__.removeprefix("Expand")
    dims = {"x": ("n", *inputs["x"].shape[1:])}
    model = microsoft_model(op_type, arrays, {"out": (dtype, rank)}, dims=dims, **attributes)
    assert_spelled_out(model, arrays, [rewrite])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("with_rate", [False, True])
def test_the_gates_of_linear_attention(dtype, with_rate):
    inputs = {"a": normal(2, 5, 4).astype(dtype), "bias": normal(4), "scale": normal(4)}
    outputs = {"decay": (dtype, 3)}
    if with_rate:
        inputs["b"] = normal(2, 5, 4).astype(dtype)
        outputs["rate"] = (dtype, 3)
    model = microsoft_model("LinearAttentionGate", inputs, outputs)
    assert_spelled_out(model, inputs, [ExpandLinearAttentionGate])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("outputs", [("out",), ("out", "normed")])
def test_the_gate_of_an_engram(dtype, outputs):
    inputs = {name: each.astype(dtype) for name, each in (KEYS | SCALES).items()}
    made = dict.fromkeys(outputs, (dtype, 4))
    model = microsoft_model("EngramGate", inputs, made, epsilon=0.01)
    assert_spelled_out(model, inputs, [ExpandEngramGate])


@pytest.mark.parametrize(
    ("rewrite", "inputs", "dims", "reason"),
    [
        (
            ExpandGatedAdd,
            {"x": FLAT, "y": FLAT, "gate": FLAT, "w": normal(32, 1)},
            {},
            "it projects its gate, as ONNX Runtime does in bfloat16 on a GPU only",
        ),
        (
            ExpandGatedRMSNorm,
            {"x": FLAT, "scale": normal(8), "gate": FLAT},
            {"scale": ["n"]},
            "the number of its scales is unknown",
        ),
        (
            ExpandBranchwiseRMSNorm,
            {"x": GROUPED, "scale": normal(8)},
            {"x": ["n", 3, 4, "size"]},
            "the last size of its input is unknown",
        ),
        (
            ExpandHyperConnectionPreMix,
            {"x": GROUPED, "mix": np.ones((2, 3, 4), np.float64)},
            {"mix": [2, 3, "n"]},
            "the last size of an input is unknown",
        ),
        (
            ExpandEngramGate,
            KEYS | SCALES,
            {"key": [1, 3, 4, "n"]},
            "the size of its keys is unknown",
        ),
    ],
)
def test_what_is_unknown_is_left(rewrite, inputs, dims, reason):
    op_type = rewrite.__name__.removeprefix("Expand")
    model = microsoft_model(op_type, inputs, {"out": ("float32", 3)}, dims=dims)
    assert reason_against(rewrite, model) == reason
