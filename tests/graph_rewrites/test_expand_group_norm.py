import numpy as np
import pytest

from pluginkit.graph_rewrites.expand_group_norm import ExpandBiasAdd, ExpandGroupNorm
from pluginkit.onnx.rewriting.rewrite_model import rewrite_model
from pluginkit.onnx.running.run_model import run_onnxruntime
from tests.graph_rewrites.microsoft import feeds_of, microsoft_model
from tests.graph_rewrites.rewriting import reason_against
from tests.graph_rewrites.samples import normal

GAMMA, BETA, BIAS = normal(12), normal(12), normal(12)


def group_norm(x, groups, epsilon, activation):
    """Normalize, as ONNX Runtime's GPUs do, with the channels first."""
    grouped = x.astype(np.float64).reshape(len(x), groups, -1)
    mean, variance = grouped.mean(-1, keepdims=True), grouped.var(-1, keepdims=True)
    y = ((grouped - mean) / np.sqrt(variance + epsilon)).reshape(x.shape)
    y = y * GAMMA[:, None, None] + BETA[:, None, None]
    return y / (1 + np.exp(-y)) if activation else y


@pytest.mark.parametrize("dtype", ["float32", "float16"])
@pytest.mark.parametrize("is_last", [True, False])
@pytest.mark.parametrize("activation", [0, 1])
@pytest.mark.parametrize("skip", ["", "same", "flat", "bias", "one"])
def test_groups_of_channels_are_normalized(dtype, is_last, activation, skip):
    x = normal(2, 12, 5, 4)
    added = {
        "same": normal(2, 12, 5, 4),
        "flat": normal(2, 12),
        "one": normal(2, 12, 1, 1),
        "bias": normal(2, 12, 5, 4),
    }.get(skip)
    total = x
    if added is not None:
        total = x + added.reshape(*added.shape, *[1] * (4 - added.ndim))
    if skip == "bias":
        total = total + BIAS[:, None, None]
    inputs = {"x": x, "gamma": GAMMA, "beta": BETA}
    inputs |= {} if added is None else {"skip": added}
    inputs |= {"bias": BIAS} if skip == "bias" else {}
    if is_last:
        for name in ("x", "skip"):
            if np.ndim(inputs.get(name)) == 4:
                inputs[name] = inputs[name].transpose(0, 2, 3, 1)
    halves = ("x", "skip", "bias")
    inputs = {name: a.astype(dtype) if name in halves else a for name, a in inputs.items()}
    outputs = {"y": (dtype, 4)} | ({"sum": (dtype, 4)} if skip == "bias" else {})
    model = microsoft_model(
        "SkipGroupNorm" if skip else "GroupNorm",
        inputs,
        outputs,
        stored=["gamma", "beta"],
        dims={"x": ("n", "h", "w", 12) if is_last else ("n", 12, "h", "w")},
        activation=activation,
        groups=3,
        epsilon=1e-3,
        channels_last=int(is_last),
    )
    result = rewrite_model(model, [ExpandGroupNorm])
    got = run_onnxruntime(result.model, feeds_of(model, inputs))
    order = (0, 3, 1, 2) if is_last else (0, 1, 2, 3)
    tolerance = 1e-5 if dtype == "float32" else 1e-2
    expected = group_norm(total, 3, 1e-3, activation)
    np.testing.assert_allclose(got["y"].transpose(order), expected, rtol=tolerance, atol=tolerance)
    if skip == "bias":
        np.testing.assert_allclose(
            got["sum"].transpose(order), total, rtol=tolerance, atol=tolerance
        )
    assert rewrite_model(result.model, [ExpandGroupNorm]).applied == []


def test_channels_that_make_no_groups_are_left():
    inputs = {"x": normal(2, 5, 4, 12), "gamma": GAMMA, "beta": BETA}
    model = microsoft_model("GroupNorm", inputs, {"y": ("float32", 4)}, groups=5, activation=0)
    assert reason_against(ExpandGroupNorm, model) == "12 channels do not make 5 groups"


def test_a_bias_and_a_skip_are_added():
    inputs = {"x": normal(2, 5, 12), "bias": BIAS, "skip": normal(2, 5, 12)}
    model = microsoft_model("BiasAdd", inputs, {"y": ("float32", 3)})
    made = rewrite_model(model, [ExpandBiasAdd]).model
    got = run_onnxruntime(made, inputs)["y"]
    np.testing.assert_allclose(got, inputs["x"] + BIAS + inputs["skip"], rtol=1e-6)
