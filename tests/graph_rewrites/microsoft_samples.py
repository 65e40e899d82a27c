"""Models of one of ONNX Runtime's own operators, with inputs, for the rewrites of them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import ml_dtypes
import numpy as np

from pluginkit.graph_rewrites.carry_integers import CarryIntegers
from pluginkit.graph_rewrites.decode_weights import DecodeMicrosoftWeights
from pluginkit.graph_rewrites.expand_attention import ExpandAttention, ExpandQAttention
from pluginkit.graph_rewrites.expand_crop_and_resize import ExpandCropAndResize
from pluginkit.graph_rewrites.expand_embed_layer_normalization import ExpandEmbedLayerNormalization
from pluginkit.graph_rewrites.expand_experimental import ExpandAffine, ExpandCrop
from pluginkit.graph_rewrites.expand_fused_convolutions import (
    ExpandFusedConv,
    ExpandNhwcConv,
    ExpandNhwcMaxPool,
)
from pluginkit.graph_rewrites.expand_fused_products import (
    ExpandFusedGemm,
    ExpandFusedMatMul,
    ExpandGemmFastGelu,
)
from pluginkit.graph_rewrites.expand_gelu import (
    ExpandBiasGelu,
    ExpandBiasSplitGelu,
    ExpandFastGelu,
    ExpandGelu,
    ExpandQuickGelu,
)
from pluginkit.graph_rewrites.expand_group_norm import ExpandBiasAdd, ExpandGroupNorm
from pluginkit.graph_rewrites.expand_group_query_attention import ExpandGroupQueryAttention
from pluginkit.graph_rewrites.expand_integer_convolutions import ExpandQLinearConv
from pluginkit.graph_rewrites.expand_integer_products import ExpandMatMulInteger
from pluginkit.graph_rewrites.expand_layer_normalization import (
    ExpandOldLayerNormalization,
    ExpandSimplifiedLayerNormalization,
    ExpandSkipLayerNormalization,
    ExpandSkipSimplifiedLayerNormalization,
)
from pluginkit.graph_rewrites.expand_mat_mul_n_bits import ExpandMatMulNBits
from pluginkit.graph_rewrites.expand_multi_head_attention import ExpandMultiHeadAttention
from pluginkit.graph_rewrites.expand_packed_weights import (
    ExpandGatherBlockQuantized,
    ExpandMatMulBnb4,
)
from pluginkit.graph_rewrites.expand_quantization import (
    ExpandDequantizeLinear,
    ExpandDynamicQuantizeLinear,
    ExpandQuantizeLinear,
)
from pluginkit.graph_rewrites.expand_quantized_operators import (
    ExpandNhwcQLinearConv,
    ExpandQLinearBinary,
    ExpandQLinearConcat,
    ExpandQLinearUnary,
    ExpandQLinearWhere,
)
from pluginkit.graph_rewrites.expand_quantized_products import (
    ExpandDynamicQuantizeMatMul,
    ExpandLongQLinearMatMul,
    ExpandMatMulIntegerToFloat,
    ExpandQGemm,
)
from pluginkit.graph_rewrites.expand_rotary_embedding import ExpandRotaryEmbedding
from pluginkit.graph_rewrites.expand_unfold_tensor import ExpandUnfoldTensor
from pluginkit.graph_rewrites.rename_microsoft_operators import (
    ExpandCDist,
    ExpandExpandDims,
    ExpandMicrosoftRange,
    RenameMicrosoftOperator,
)
from pluginkit.onnx.rewriting.rewrite import Rewrite
from tests.graph_rewrites.grouped_attention import grouped_attention
from tests.graph_rewrites.microsoft import Inputs, feeds_of, microsoft_model
from tests.graph_rewrites.samples import Sample, i64, integers, normal

_QUANTIZATION = [
    *(ExpandDequantizeLinear, ExpandQuantizeLinear, ExpandDynamicQuantizeLinear),
    *(ExpandMatMulInteger, ExpandQLinearConv, CarryIntegers),
]

#: What TensorRT-RTX's parser has an operator of the same name for.
_TAKEN = (
    *("Gelu", "LayerNormalization", "Pad", "SimplifiedLayerNormalization"),
    *("SkipSimplifiedLayerNormalization", "Trilu"),
)


def microsoft_sample(
    rewrite: type[Rewrite],
    op_type: str,
    inputs: Inputs,
    outputs: Mapping[str, tuple[str, int]],
    *,
    also: Sequence[type[Rewrite]] = (),
    given: Sequence[np.ndarray] = (),
    units: int = 0,
    **options: object,
) -> Sample:
    """A Sample of an operator of ONNX Runtime's; ``options`` as for microsoft_model."""
    model = microsoft_model(op_type, inputs, outputs, **options)
    is_refused = op_type not in _TAKEN
    return Sample(rewrite, model, feeds_of(model, inputs), units, also, given, is_refused)


def _of_floats() -> dict[str, Sample]:
    x, skip, bias = normal(2, 5, 16), normal(2, 5, 16), normal(16)
    y = {"y": ("float32", 3)}
    dims = {"x": ("n", 5, 16)}
    norm = {"x": x, "skip": skip, "gamma": normal(16)}
    total = (x + bias)[..., :8], (x + bias)[..., 8:]
    erf = np.vectorize(math.erf)
    gated = total[0] * total[1] * (0.5 + 0.5 * erf(total[1] / math.sqrt(2)))
    found = {
        "unfold": microsoft_sample(
            ExpandUnfoldTensor, "UnfoldTensor", {"x": x}, {"y": ("float32", 4)}, dims=dims, size=4
        ),
        "gelu": microsoft_sample(ExpandGelu, "Gelu", {"x": x}, y, dims=dims),
        "bias gelu": microsoft_sample(ExpandBiasGelu, "BiasGelu", {"x": x, "b": bias}, y),
        "fast gelu": microsoft_sample(ExpandFastGelu, "FastGelu", {"x": x, "b": bias}, y),
        "quick gelu": microsoft_sample(ExpandQuickGelu, "QuickGelu", {"x": x}, y),
        "split gelu": microsoft_sample(
            ExpandBiasSplitGelu,
            "BiasSplitGelu",
            {"x": x, "b": bias},
            y,
            given=[gated.astype(np.float32)],
        ),
        "bias add": microsoft_sample(
            ExpandBiasAdd, "BiasAdd", {"x": x, "b": bias, "skip": skip}, y, given=[x + bias + skip]
        ),
        "skip": microsoft_sample(
            ExpandSkipLayerNormalization,
            "SkipLayerNormalization",
            {**norm, "beta": bias, "bias": bias},
            y,
            stored=["gamma", "beta", "bias"],
            dims=dims,
        ),
        "skip without beta": microsoft_sample(
            ExpandSkipLayerNormalization, "SkipLayerNormalization", norm, y, opset=13
        ),
        "simplified skip": microsoft_sample(
            ExpandSkipSimplifiedLayerNormalization, "SkipSimplifiedLayerNormalization", norm, y
        ),
        "simplified": microsoft_sample(
            ExpandSimplifiedLayerNormalization,
            "SimplifiedLayerNormalization",
            {"x": x.astype(np.float16), "scale": bias.astype(np.float16)},
            {"y": ("float16", 3)},
            domain="",
        ),
        "old normalization": microsoft_sample(
            ExpandOldLayerNormalization,
            "LayerNormalization",
            {"x": x, "scale": bias, "b": bias},
            y,
            domain="",
            opset=13,
        ),
        "embedding": microsoft_sample(
            ExpandEmbedLayerNormalization,
            "EmbedLayerNormalization",
            {
                "ids": integers(2, 5, dtype=np.int32, high=29),
                "segments": integers(2, 5, dtype=np.int32, high=1),
                **{name: normal(size, 16) for name, size in [("w", 30), ("p", 9), ("s", 2)]},
                "gamma": bias,
                "beta": bias,
                "mask": integers(2, 5, dtype=np.int32, high=1),
            },
            {"y": ("float32", 3), "index": ("int32", 1)},
            stored=["w", "p", "s", "gamma", "beta"],
            dims={"ids": ("n", "s"), "segments": ("n", "s"), "mask": ("n", "s")},
        ),
    }
    tables = {name: normal(20, 4) for name in ("cos", "sin")}
    for name, at in {"each": integers(2, 5, dtype=np.int64, high=9), "first": i64(3)}.items():
        found[f"rotary {name}"] = microsoft_sample(
            ExpandRotaryEmbedding,
            "RotaryEmbedding",
            {"x": x, "at": at, **tables},
            y,
            dims={"x": ("n", "s", 16), "at": ("n", "s") if name == "each" else (1,)},
            stored=["cos", "sin"],
            interleaved=int(name == "first"),
        )
    return found


def _of_products() -> dict[str, Sample]:
    a, b, bias = normal(2, 3, 4), normal(2, 5, 4), normal(5)
    gemm = {"a": normal(3, 4), "b": normal(4, 5), "c": bias}
    x, w, image = normal(3, 4), normal(4, 5), normal(2, 4, 9, 8)
    product = (x @ w + bias).astype(np.float64)
    inner = product * (0.7978845608028654 + 0.035677408136300125 * product**2)
    gelu = (product * (0.5 + 0.5 * np.tanh(inner))).astype(np.float32)
    kernel = np.zeros((3, 1, 1, 4), np.float32)
    kernel[:, 0, 0, :3] = np.eye(3)
    last = image.transpose(0, 2, 3, 1)
    matrix = {"y": ("float32", 2)}
    return {
        "product": microsoft_sample(
            ExpandFusedMatMul,
            "FusedMatMul",
            {"a": a, "b": b},
            {"y": ("float32", 3)},
            dims={"a": ("n", 3, 4), "b": ("n", 5, 4)},
            alpha=0.25,
            transB=1,
        ),
        "gemm": microsoft_sample(
            ExpandFusedGemm, "FusedGemm", gemm, matrix, stored=["b", "c"], activation="Relu"
        ),
        "gemm gelu": microsoft_sample(
            ExpandGemmFastGelu,
            "GemmFastGelu",
            {"x": x, "w": w, "b": bias},
            matrix,
            stored=["w", "b"],
            also=[ExpandFastGelu],
            given=[gelu],
        ),
        "convolution": microsoft_sample(
            ExpandFusedConv,
            "FusedConv",
            {"x": image, "w": normal(6, 4, 3, 3), "b": normal(6)},
            {"y": ("float32", 4)},
            stored=["w", "b"],
            activation="LeakyRelu",
            activation_params=[0.2],
        ),
        "convolution, channels last": microsoft_sample(
            ExpandNhwcConv,
            "NhwcConv",
            {"x": last, "w": kernel},
            {"y": ("float32", 4)},
            stored=["w"],
            given=[last[..., :3]],
        ),
        "pool, channels last": microsoft_sample(
            ExpandNhwcMaxPool,
            "NhwcMaxPool",
            {"x": integers(2, 9, 8, 3)},
            {"y": ("uint8", 4)},
            kernel_shape=[3, 2],
            also=[CarryIntegers],
        ),
        "group norm": _group_norm(last),
        "distances": microsoft_sample(
            ExpandCDist, "CDist", {"a": x, "b": normal(5, 4)}, matrix, metric="euclidean"
        ),
        "expanded": microsoft_sample(
            ExpandExpandDims,
            "ExpandDims",
            {"x": x, "axis": np.array(-1, np.int32)},
            {"y": ("float32", 3)},
            stored=["axis"],
        ),
        "range": microsoft_sample(
            ExpandMicrosoftRange,
            "Range",
            {"from": i64(3), "to": i64(9)},
            {"y": ("int64", 1)},
            stored=["from", "to"],
        ),
        "renamed": microsoft_sample(RenameMicrosoftOperator, "Trilu", {"x": x}, matrix),
        "weights of 4 bits": microsoft_sample(
            DecodeMicrosoftWeights,
            "DequantizeLinear",
            {
                "x": integers(6, 4, dtype=ml_dtypes.int4, low=-8, high=7),
                "s": np.float32([0.1, 0.2, 0.3, 0.4]),
                "z": integers(4, dtype=ml_dtypes.int4, low=1, high=7),
            },
            matrix,
            stored=["x", "s", "z"],
            axis=1,
        ),
        **_of_onnx(),
    }


def _of_onnx() -> dict[str, Sample]:
    """Of ONNX's own domain, as ONNX Runtime computes them."""
    image, y = normal(1, 2, 9, 8), {"y": ("float32", 4)}
    return {
        "affine": microsoft_sample(
            ExpandAffine, "Affine", {"x": image}, y, domain="", opset=8, alpha=2.0, beta=1.0
        ),
        "crop": microsoft_sample(
            ExpandCrop, "Crop", {"x": image}, y, domain="", opset=8, border=[1, 2, 0, 1]
        ),
        "crop and resize": microsoft_sample(
            ExpandCropAndResize,
            "Resize",
            {
                "x": image,
                "region": np.float32([0, 0, 0.1, 0.2, 1, 1, 0.8, 0.9]),
                "scales": None,
                "sizes": i64(1, 2, 4, 5),
            },
            y,
            stored=["sizes"],
            domain="",
            mode="linear",
            coordinate_transformation_mode="tf_crop_and_resize",
        ),
    }


def _group_norm(x: np.ndarray) -> Sample:
    groups = x.astype(np.float64).reshape(2, -1, 2, 2)
    centred = groups - groups.mean((1, 3), keepdims=True)
    y = centred / np.sqrt((centred**2).mean((1, 3), keepdims=True) + 1e-5)
    return microsoft_sample(
        ExpandGroupNorm,
        "GroupNorm",
        {"x": x, "gamma": np.ones(4, np.float32), "beta": np.zeros(4, np.float32)},
        {"y": ("float32", 4)},
        stored=["gamma", "beta"],
        dims={"x": ("n", 9, 8, 4)},
        given=[y.reshape(x.shape).astype(np.float32)],
        groups=2,
        activation=0,
    )


def _of_attention() -> dict[str, Sample]:
    x, weights, bias = normal(2, 5, 16), normal(16, 48) / 4, normal(48)
    mask, y = np.array([3, 5], np.int32), {"y": ("float32", 3)}
    merged = {"x": x, "w": weights, "b": bias, "mask": mask}
    past = {"past": normal(2, 2, 4, 3, 4)}
    heads = {name: normal(2, 5, 16) for name in ("query", "key", "value")}
    keys = {"b": bias, "mask": integers(2, 5, dtype=np.int32, high=1)}
    quantized = {
        "x": integers(2, 5, 16),
        "w": integers(16, 48, high=60),
        "b": bias,
        "x_scale": np.float32(0.02),
        "w_scale": np.float32(0.01),
        "mask": mask,
        "x_zero": np.uint8(120),
        "w_zero": np.uint8(30),
    }
    stored = ["w", "b", "x_scale", "w_scale", "x_zero", "w_zero"]
    return {
        "attention": microsoft_sample(
            ExpandAttention, "Attention", merged, y, stored=["w", "b"], num_heads=4
        ),
        "attention, past": microsoft_sample(
            ExpandAttention,
            "Attention",
            {**merged, "mask": None, **past},
            {**y, "present": ("float32", 5)},
            stored=["w", "b"],
            dims={"x": ("n", "s", 16), "past": (2, "n", 4, "p", 4)},
            num_heads=4,
            unidirectional=1,
        ),
        "heads": microsoft_sample(
            ExpandMultiHeadAttention,
            "MultiHeadAttention",
            {**heads, **keys},
            y,
            stored=["b"],
            dims=dict.fromkeys(heads, ("n", "s", 16)) | {"mask": ("n", "s")},
            num_heads=4,
        ),
        "quantized attention": microsoft_sample(
            ExpandQAttention,
            "QAttention",
            quantized,
            y,
            stored=stored,
            num_heads=4,
            also=[ExpandAttention, ExpandDequantizeLinear, CarryIntegers],
        ),
    }


def _of_groups() -> dict[str, Sample]:
    """A prompt without a past, the next step in a cache that grows, and one in a buffer.

    The total length is stored: as an input it is a shape tensor, whose range TensorRT needs.
    """
    rotary = {"do_rotary": 1, "stored": ["total", "cos", "sin"]}
    cases = {
        "prompt": grouped_attention(5, None, (5, 5), softcap=2.0),
        "prompt, rotary": grouped_attention(5, 0, (5, 5), is_packed=True, **rotary),
        "step": grouped_attention(1, 6, (4, 7), local_window_size=3, stored=["total"]),
        "step in a buffer": grouped_attention(
            1, 9, (4, 7), dtype="float16", rotary_interleaved=1, **rotary
        ),
    }
    return {
        f"grouped queries, {name}": microsoft_sample(
            ExpandGroupQueryAttention, "GroupQueryAttention", inputs, **given
        )
        for name, (inputs, given) in cases.items()
    }


def _n_bits() -> Sample:
    inputs = {
        "x": normal(5, 40),
        "packed": integers(6, 3, 8),
        "scales": np.abs(normal(6, 3)) / 50 + 0.01,
    }
    return microsoft_sample(
        ExpandMatMulNBits,
        "MatMulNBits",
        inputs,
        {"y": ("float32", 2)},
        stored=["packed", "scales"],
        **{"K": 40, "N": 6, "bits": 4, "block_size": 16},
    )


def _packed() -> dict[str, Sample]:
    embedding = {
        "table": integers(7, 16),
        "indices": np.array([[0, 6], [3, 3]]),
        "scales": np.abs(normal(7, 2)),
    }
    floats = {"x": normal(5, 32), "packed": integers(96), "largest": np.abs(normal(12))}
    return {
        "embedding of few bits": microsoft_sample(
            ExpandGatherBlockQuantized,
            "GatherBlockQuantized",
            embedding,
            {"y": ("float32", 3)},
            stored=["table", "scales"],
            **{"gather_axis": 0, "quantize_axis": 1, "block_size": 16, "bits": 4},
        ),
        "floats of 4 bits": microsoft_sample(
            ExpandMatMulBnb4,
            "MatMulBnb4",
            floats,
            {"y": ("float32", 2)},
            stored=["packed", "largest"],
            **{"K": 32, "N": 6, "block_size": 16, "quant_type": 1},
        ),
    }


def _quantized(name: str, array: np.ndarray, scale: float, zero: int) -> dict[str, np.ndarray]:
    zero_point = np.array(zero, array.dtype)
    return {name: array, f"{name}_scale": np.float32(scale), f"{name}_zero": zero_point}


def _of_integers() -> dict[str, Sample]:
    """Of uint8, whose zero points are not 0, and of int8, with which TensorRT computes."""
    target = {"y_scale": np.float32(0.06), "y_zero": np.uint8(100)}
    image, a = integers(2, 3, 5, 6), _quantized("a", integers(4, 7), 0.03, 120)
    pair = a | _quantized("b", integers(4, 7), 0.05, 7)
    int8 = _quantized("a", integers(4, 7, dtype=np.int8, low=-128, high=127), 0.03, 0)
    int8 |= _quantized("b", integers(4, 7, dtype=np.int8, low=-128, high=127), 0.05, 0)
    weights = _quantized("w", integers(7, 5, high=90), 0.02, 30)
    filters = _quantized("w", integers(4, 3, 3, 3, dtype=np.int8, low=-60, high=60), 0.01, 0)
    bias = {"bias": normal(5)}
    float_product = [a["a"], weights["w"], a["a_scale"], weights["w_scale"], a["a_zero"]]
    names = ("a", "w", "a_scale", "w_scale", "a_zero")
    cases: list[tuple[str, type[Rewrite], dict[str, np.ndarray], str, int, dict[str, object]]] = [
        ("QLinearAdd", ExpandQLinearBinary, pair | target, "uint8", 2, {}),
        (
            "QLinearMul",
            ExpandQLinearBinary,
            int8 | {"y_scale": np.float32(0.2), "y_zero": np.int8(0)},
            "int8",
            2,
            {},
        ),
        (
            "QLinearAveragePool",
            ExpandQLinearUnary,
            _quantized("x", image, 0.03, 9) | target,
            "uint8",
            4,
            {"kernel_shape": [2, 2]},
        ),
        (
            "QLinearMatMul",
            ExpandLongQLinearMatMul,
            pair | _quantized("b", integers(7, 4), 0.05, 7) | target,
            "uint8",
            2,
            {"domain": "", "dims": {"a": (4, "k"), "b": ("k", 4)}},
        ),
        ("QLinearConcat", ExpandQLinearConcat, target | pair, "uint8", 2, {"axis": 1}),
        (
            "QLinearWhere",
            ExpandQLinearWhere,
            {"condition": normal(4, 7) > 0} | pair | target,
            "uint8",
            2,
            {},
        ),
        (
            "QLinearConv",
            ExpandNhwcQLinearConv,
            _quantized("x", integers(2, 5, 6, 3), 0.03, 9) | filters | target,
            "uint8",
            4,
            {"channels_last": 1},
        ),
        (
            "QGemm",
            ExpandQGemm,
            {**a, **weights, "c": np.arange(5, dtype=np.int32)},
            "float32",
            2,
            {},
        ),
        (
            "DynamicQuantizeMatMul",
            ExpandDynamicQuantizeMatMul,
            {"x": normal(4, 7), **weights, **bias},
            "float32",
            2,
            {},
        ),
        (
            "MatMulIntegerToFloat",
            ExpandMatMulIntegerToFloat,
            dict(zip(names, float_product, strict=True)),
            "float32",
            2,
            {},
        ),
    ]
    found = {"n bits": _n_bits()}
    for op_type, rewrite, inputs, dtype, rank, attributes in cases:
        stored = [name for name in inputs if "_" in name or name in ("w", "c", "bias")]
        found[op_type] = microsoft_sample(
            rewrite,
            op_type,
            inputs,
            {"y": (dtype, rank)},
            stored=stored,
            also=_QUANTIZATION,
            units=1,
            **attributes,
        )
    return found


MICROSOFT_SAMPLES: dict[str, Sample] = {
    f"microsoft {name}": each
    for name, each in (
        _of_floats() | _packed() | _of_products() | _of_attention() | _of_groups() | _of_integers()
    ).items()
}
