"""Samples of operators that ONNX Runtime has for the layers of newer language models."""

from __future__ import annotations

import numpy as np

from pluginkit.graph_rewrites.carry_integers import CarryIntegers
from pluginkit.graph_rewrites.expand_decoder_attention import (
    ExpandDecoderMaskedAttention,
    ExpandNGramRepeatBlock,
)
from pluginkit.graph_rewrites.expand_embed_layer_normalization import (
    ExpandQEmbedLayerNormalization,
)
from pluginkit.graph_rewrites.expand_fused_convolutions import ExpandDynamicPads
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
from pluginkit.graph_rewrites.expand_image_crops import ExpandImageCrops
from pluginkit.graph_rewrites.expand_mixture_of_experts import ExpandMoE, ExpandQMoE
from pluginkit.graph_rewrites.expand_quantized_lstm import ExpandDynamicQuantizeLSTM
from pluginkit.graph_rewrites.expand_rotary_embedding import ExpandMRotaryEmbedding
from pluginkit.graph_rewrites.inline_onnx_function import InlineMicrosoftFunction
from pluginkit.graph_rewrites.rename_microsoft_operators import ExpandMicrosoftPad
from tests.graph_rewrites.microsoft import Inputs
from tests.graph_rewrites.microsoft_samples import microsoft_sample
from tests.graph_rewrites.samples import Sample, normal


def quantized_lstm(columns: int, hidden: int, dtype: str = "int8", directions: int = 1) -> Inputs:
    """Return the inputs of a DynamicQuantizeLSTM behind the first one; the optional ones absent.

    Weights of int8 have 7 bits: where a processor has no VNNI, ONNX Runtime adds pairs of products
    with uint8 in 16 bits, which larger ones saturate.
    """
    random, absent = np.random.default_rng(0), dict.fromkeys(("b", "lengths", "h", "c", "p"))
    least, most = (-64, 64) if dtype == "int8" else (0, 255)
    inputs: dict[str, np.ndarray | None] = {}
    for name, rows in (("w", columns), ("r", hidden)):
        shape = (directions, rows, 4 * hidden)
        inputs[name] = random.integers(least, most + 1, shape, dtype)
        inputs[f"{name}_scale"] = np.full(directions, 0.01, np.float32)
        inputs[f"{name}_zero"] = np.full(directions, 3, dtype)
    order = ("w", "r", *absent, "w_scale", "w_zero", "r_scale", "r_zero")
    return {name: (absent | inputs)[name] for name in order}


def quantized_embeddings(dtype: str = "uint8", *, with_segments: bool = True) -> Inputs:
    """Return the inputs of a QEmbedLayerNormalization; those of its tables have a _ in the name."""
    random, limits = np.random.default_rng(0), np.iinfo(dtype)
    rows = {"words_q": 10, "positions_q": 8, "segments_q": 2, "gamma_q": None, "beta_q": None}
    shapes = {name: (16,) if count is None else (count, 16) for name, count in rows.items()}
    found: dict[str, np.ndarray | None] = {"ids": random.integers(0, 10, (2, 5)).astype(np.int32)}
    found["segments"] = random.integers(0, 2, (2, 5)).astype(np.int32)
    for name, shape in shapes.items():
        found[name] = random.integers(limits.min, limits.max + 1, shape, dtype)
    found["mask"] = random.integers(0, 2, (2, 5)).astype(np.int32)
    found |= {f"{name}_scale": np.float32(0.01 + at / 50) for at, name in enumerate(shapes)}
    found |= {f"{name}_zero": np.array(7 * at, dtype) for at, name in enumerate(shapes)}
    absent = () if with_segments else [name for name in found if name.startswith("segments")]
    return found | dict.fromkeys(absent)


def _gated() -> dict[str, Sample]:
    x, out = normal(2, 3, 32), {"out": ("float32", 3)}
    streams, stacked = {"x": x}, {"out": ("float32", 4)}
    dims, branches = {"x": ("n", 3, 32)}, {"num_branches": 4}
    keys = {name: normal(1, 3, 4, 8) for name in ("key", "query")} | {"value": normal(1, 3, 8)}
    post = {"y": normal(2, 3, 8), "p": normal(2, 3, 4), "m": normal(2, 3, 4, 4)}
    gates = {"a": normal(2, 5, 4), "bias": normal(4), "scale": normal(4)}
    return {
        "scaled silu": microsoft_sample(ExpandScaledSiLU, "ScaledSiLU", streams, out, dims=dims),
        "gated add": microsoft_sample(
            ExpandGatedAdd, "GatedAdd", streams | {"y": x, "gate": normal(2, 3, 1)}, out
        ),
        "gated norm": microsoft_sample(
            ExpandGatedRMSNorm,
            "GatedRMSNorm",
            streams | {"scale": normal(8), "gate": normal(2, 3, 32)},
            out,
            dims=dims,
        ),
        "branches": microsoft_sample(
            ExpandBranchwiseRMSNorm, "BranchwiseRMSNorm", streams, out, dims=dims, **branches
        ),
        "pre mix": microsoft_sample(
            ExpandHyperConnectionPreMix,
            "HyperConnectionPreMix",
            streams | {"mix": normal(2, 3, 4)},
            out,
            **branches,
        ),
        "post mix": microsoft_sample(
            ExpandHyperConnectionPostMix,
            "HyperConnectionPostMix",
            streams | post,
            out,
            **branches,
        ),
        "gates of linear attention": microsoft_sample(
            ExpandLinearAttentionGate, "LinearAttentionGate", gates, out
        ),
        "engram": microsoft_sample(
            ExpandEngramGate, "EngramGate", keys | {n: normal(4, 8) for n in "kq"}, stacked
        ),
    }


def _of_experts() -> dict[str, Sample]:
    rows = {"x": normal(5, 32), "scores": normal(5, 3)}
    out = {"out": ("float32", 2)}
    layers = {"a": normal(3, 16, 32) / 6, "b": None, "c": normal(3, 32, 16) / 4}
    packed = {name: np.full((3, *sizes), 0x5B, np.uint8) for name, sizes in _PACKED.items()}
    scales = {"a_scales": np.full((3, 16), 0.1, np.float32), "b": None}
    more = {"c": packed["c"], "c_scales": np.full((3, 32), 0.1, np.float32)}
    return {
        "experts": microsoft_sample(
            ExpandMoE, "MoE", rows | layers, out, dims={"x": ("n", 32)}, k=2
        ),
        "packed experts": microsoft_sample(
            ExpandQMoE,
            "QMoE",
            rows | {"a": packed["a"]} | scales | more,
            out,
            stored=["a", "a_scales", "c", "c_scales"],
            k=2,
        ),
    }


def _recurrent() -> dict[str, Sample]:
    heads = {name: normal(2, 3, 8) for name in ("query", "key", "value")}
    state, made = {"past": normal(2, 2, 4, 4)}, {"out": ("float32", 3)}
    gates = {"decay": -abs(normal(2, 3, 2)), "beta": abs(normal(2, 3, 2))}
    signal = {"x": normal(2, 4, 7), "w": normal(4, 1, 3), "b": normal(4), "past": normal(2, 4, 2)}
    counts = {"q_num_heads": 2, "kv_num_heads": 2}
    return {
        "linear attention": microsoft_sample(
            InlineMicrosoftFunction,
            "LinearAttention",
            heads | state | gates,
            made | {"state": ("float32", 4)},
            **counts,
        ),
        "causal convolution": microsoft_sample(
            InlineMicrosoftFunction,
            "CausalConvWithState",
            signal,
            made | {"state": ("float32", 3)},
            activation="silu",
        ),
    }


def _of_steps() -> dict[str, Sample]:
    x, tables = {"x": normal(2, 5, 32)}, {"cos": normal(16, 4), "sin": normal(16, 4)}
    places = {"at": np.arange(30).reshape(3, 2, 5) % 16}
    step = {name: normal(2, 1, 16) for name in ("query", "key", "value")}
    past = {name: normal(2, 2, 6, 8) for name in ("past_key", "past_value")}
    present = dict.fromkeys(("present_key", "present_value"), ("float32", 4))
    length = {"length": np.array([3], np.int32)}
    rois = {"rois": np.float32([[0.1, 0.2, 0.7, 0.9]]), "images": np.int32([1])}
    return {
        "rotation along three axes": microsoft_sample(
            ExpandMRotaryEmbedding,
            "MRotaryEmbedding",
            x | places | tables,
            {"out": ("float32", 3)},
            mrope_section=[2, 1, 1],
            num_heads=4,
        ),
        "step of a decoder": microsoft_sample(
            ExpandDecoderMaskedAttention,
            "DecoderMaskedMultiHeadAttention",
            step | dict.fromkeys(("mask", "bias")) | past | length,
            {"out": ("float32", 3)} | present,
            past_present_share_buffer=1,
            num_heads=2,
        ),
        "n-grams": microsoft_sample(
            ExpandNGramRepeatBlock,
            "NGramRepeatBlock",
            {"ids": np.arange(18).reshape(2, 9) % 4, "scores": normal(2, 20)},
            {"out": ("float32", 2)},
            ngram_size=2,
        ),
        "quantized embeddings": microsoft_sample(
            ExpandQEmbedLayerNormalization,
            "QEmbedLayerNormalization",
            quantized_embeddings(),
            {"out": ("float32", 3), "index": ("int32", 1)},
            stored=[name for name in quantized_embeddings() if "_" in name],
            also=[CarryIntegers],
        ),
        "pads in a matrix": microsoft_sample(
            ExpandMicrosoftPad,
            "Pad",
            {"x": normal(3, 4), "pads": np.array([[1, 0, 2, 1]])},
            {"out": ("float32", 2)},
            stored=["pads"],
        ),
        "stored pads": microsoft_sample(
            ExpandDynamicPads,
            "ConvTransposeWithDynamicPads",
            {"x": normal(1, 3, 5, 5), "w": normal(3, 2, 3, 3), "pads": np.array([1, 0, 1, 1])},
            {"out": ("float32", 4)},
            stored=["pads"],
            strides=[2, 2],
        ),
        "quantized lstm": microsoft_sample(
            ExpandDynamicQuantizeLSTM,
            "DynamicQuantizeLSTM",
            {"x": normal(5, 2, 4), **quantized_lstm(4, 6)},
            {"out": ("float32", 4)},
            stored=["w", "r", "w_scale", "w_zero", "r_scale", "r_zero"],
            also=[CarryIntegers],
            hidden_size=6,
        ),
        "crops of images": microsoft_sample(
            ExpandImageCrops,
            "CropAndResize",
            {"x": normal(2, 3, 7, 8), **rois, "size": np.int32([2, 3])},
            {"out": ("float32", 4)},
            stored=["size"],
            mode="bilinear",
        ),
    }


_PACKED = {"a": (16, 16), "c": (32, 8)}
FUSED_SAMPLES: dict[str, Sample] = _gated() | _of_experts() | _recurrent() | _of_steps()
