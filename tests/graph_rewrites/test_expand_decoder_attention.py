import numpy as np
import pytest

from pluginkit.graph_rewrites.expand_decoder_attention import (
    ExpandDecoderMaskedAttention,
    ExpandNGramRepeatBlock,
)
from tests.graph_rewrites.microsoft import assert_spelled_out, feeds_of, microsoft_model
from tests.graph_rewrites.rewriting import reason_against
from tests.graph_rewrites.samples import integers, normal


def step(*, place=4, dtype="float32", with_bias=False, **more):
    """One new element and a buffer of six."""
    inputs = {name: normal(2, 1, 16) for name in ("query", "key", "value")}
    inputs |= {"mask": None, "score_bias": None}
    inputs |= {name: normal(2, 2, 6, 8) for name in ("past_key", "past_value")}
    inputs = {name: each if each is None else each.astype(dtype) for name, each in inputs.items()}
    inputs["past_length"] = np.array([place], np.int32)
    if with_bias:
        inputs |= {"beams": None, "sources": None, "bias": normal(48).astype(dtype)}
    return inputs | more


def decoder_model(inputs, **options):
    dtype = inputs["query"].dtype.name
    outputs = {"y": (dtype, 3)}
    if inputs["key"] is None or inputs["key"].ndim == 3:
        outputs |= {"present_key": (dtype, 4), "present_value": (dtype, 4)}
        options = {"past_present_share_buffer": 1, **options}
    return microsoft_model(
        "DecoderMaskedMultiHeadAttention", inputs, outputs, **{"num_heads": 2, **options}
    )


@pytest.mark.parametrize("place", [0, 4, 5])
@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_a_new_key_takes_the_next_place_of_the_past(place, dtype):
    inputs = step(place=place, dtype=dtype)
    model = decoder_model(inputs)
    assert_spelled_out(model, feeds_of(model, inputs), [ExpandDecoderMaskedAttention])


@pytest.mark.parametrize(
    "inputs",
    [
        step(with_bias=True),
        step(score_bias=normal(1, 2, 1, 5)),
        step(key=normal(2, 2, 7, 8), value=normal(2, 2, 7, 8), past_key=None, past_value=None)
        | {"past_length": None},
    ],
    ids=["bias", "bias of scores", "another sequence"],
)
def test_scores_have_biases_and_keys_are_of_another_sequence(inputs):
    model = decoder_model(inputs, scale=0.4)
    assert_spelled_out(model, feeds_of(model, inputs), [ExpandDecoderMaskedAttention])


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"key": None}, "its keys are packed with its queries, or of unknown rank"),
        ({"mask": np.ones((2, 5), np.int32)}, "it has a mask"),
        ({"past_length": None}, "it has no past, or no length of it"),
        (
            {"beams": np.int32([2]), "sources": np.zeros((1, 2, 6), np.int32)},
            "its beams share a past",
        ),
        (
            {"query": normal(2, 1, 15)},
            "the size of its queries is unknown, or does not make its heads",
        ),
    ],
)
def test_other_attention_of_decoders_is_left(more, reason):
    assert reason_against(ExpandDecoderMaskedAttention, decoder_model(step(**more))) == reason


@pytest.mark.parametrize("size", [1, 2, 3])
@pytest.mark.parametrize("length", [3, 12])
def test_tokens_that_would_repeat_an_n_gram_are_banned(size, length):
    inputs = {"ids": integers(2, length, dtype=np.int64) % 3, "scores": normal(2, 5)}
    dims = {"ids": ("n", "length"), "scores": ("n", 5)}
    model = microsoft_model(
        "NGramRepeatBlock", inputs, {"y": ("float32", 2)}, dims=dims, ngram_size=size
    )
    assert_spelled_out(model, inputs, [ExpandNGramRepeatBlock])


def test_a_sequence_shorter_than_an_n_gram_is_left():
    inputs = {"ids": np.zeros((2, 2), np.int64), "scores": normal(2, 5)}
    model = microsoft_model("NGramRepeatBlock", inputs, {"y": ("float32", 2)}, ngram_size=3)
    assert reason_against(ExpandNGramRepeatBlock, model) == (
        "its sequence is shorter than an n-gram"
    )
