import numpy as np
import pytest

from pluginkit.graph_rewrites.expand_multi_head_attention import ExpandMultiHeadAttention
from pluginkit.onnx.rewriting.rewrite_model import rewrite_model
from pluginkit.onnx.running.run_model import run_onnxruntime
from tests.graph_rewrites.microsoft import assert_spelled_out, feeds_of, microsoft_model
from tests.graph_rewrites.rewriting import reason_against
from tests.graph_rewrites.samples import integers, normal

QUERY, KEY, VALUE = normal(2, 5, 16), normal(2, 7, 16), normal(2, 7, 24)
INT = np.int32
MASKS = {
    "none": None,
    "lengths": np.array([3, 7], INT),
    "keys": integers(2, 7, dtype=INT, high=1),
    "pairs": integers(2, 5, 7, dtype=INT, high=1),
}
ORDER = ("query", "key", "value", "bias", "mask", "score_bias", "past_key", "past_value")


def attention_model(outputs=None, dtype="float32", *, dims=None, heads=4, opset=17, **given):
    inputs = {name: given.pop(name, None) for name in ORDER}
    inputs = {
        name: a.astype(dtype) if a is not None and a.dtype.kind == "f" else a
        for name, a in inputs.items()
    }
    outputs = outputs or {"y": (dtype, 3)}
    model = microsoft_model(
        "MultiHeadAttention", inputs, outputs, dims=dims, opset=opset, num_heads=heads, **given
    )
    return model, feeds_of(model, inputs)


@pytest.mark.parametrize("dtype", ["float32", "float16"])
@pytest.mark.parametrize("mask", MASKS)
def test_queries_look_at_keys(dtype, mask):
    bias = normal(16 + 16 + 24) if mask == "keys" else None
    model, feeds = attention_model(
        None, dtype, query=QUERY, key=KEY, value=VALUE, mask=MASKS[mask], bias=bias
    )
    assert_spelled_out(model, feeds, [ExpandMultiHeadAttention])


@pytest.mark.parametrize("options", [{}, {"unidirectional": 1}, {"scale": 0.2}])
@pytest.mark.parametrize("has_bias", [False, True])
def test_the_past_comes_first(options, has_bias):
    past = {"past_key": normal(2, 4, 3, 4), "past_value": normal(2, 4, 3, 4)}
    if has_bias:
        past["score_bias"] = normal(1, 4, 5, 8)
    outputs = {"y": ("float32", 3), "present_key": ("float32", 4), "present_value": ("float32", 4)}
    dims = dict.fromkeys(("query", "key", "value"), ("batch", "length", 16))
    dims |= dict.fromkeys(("past_key", "past_value"), ("batch", 4, "past", 4))
    model, feeds = attention_model(
        outputs, query=QUERY, key=QUERY * 2, value=QUERY + 1, dims=dims, **past, **options
    )
    assert_spelled_out(model, feeds, [ExpandMultiHeadAttention])


def test_keys_and_values_may_be_split_into_heads():
    model, feeds = attention_model(
        query=QUERY, key=normal(2, 4, 7, 4), value=normal(2, 4, 7, 4), opset=12
    )
    assert_spelled_out(model, feeds, [ExpandMultiHeadAttention])


def test_packed_inputs_are_those_that_are_not():
    """ONNX Runtime has packed inputs on GPUs only."""
    query, key, value = QUERY, normal(2, 5, 16), normal(2, 5, 16)
    plain, feeds = attention_model(query=query, key=key, value=value)
    expected = run_onnxruntime(plain, feeds)["y"]
    heads = [each.reshape(2, 5, 4, 4) for each in (query, key, value)]
    for given in (
        {"query": np.stack(heads, 3)},
        {"query": query, "key": np.stack(heads[1:], 3)},
    ):
        model, feeds = attention_model(**given)
        made = rewrite_model(model, [ExpandMultiHeadAttention]).model
        got = run_onnxruntime(made, feeds)["y"]
        np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-6)


def test_what_is_not_known_is_left():
    dims = {"query": ("n", "s", None)}
    model, _ = attention_model(query=QUERY, key=KEY, value=VALUE, dims=dims)
    reason = "the sizes of its heads, or the ranks of its inputs, are unknown"
    assert reason_against(ExpandMultiHeadAttention, model) == reason
