"""Operators that TensorRT lacks, or takes in part, become ONNX's own definition of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, cast

import onnx

from pluginkit.graph_rewrites._functions import function_of, inlined_nodes
from pluginkit.onnx import Match, Op, Rewrite

if TYPE_CHECKING:
    import onnx_graphsurgeon as gs

_T = onnx.TensorProto
_HALVES = (_T.FLOAT16, _T.BFLOAT16)
#: Head sizes for which TensorRT has attention kernels in 16 bits.
_KERNEL_HEADS = range(9, 257)
#: How many heads, in all of a batch, make it take single queries without such a kernel.
_LEAST_GROUPS = 4


def _never(_match: Match) -> str | None:
    return None


def _takes_layer_normalization(match: Match) -> str | None:
    if any(match.is_used(tensor) for tensor in match.outputs[1:]):
        return None
    return "only its first output is used"


def _takes_celu(match: Match) -> str | None:
    return "it is float32" if match.elem_type(match.inputs[0]) == _T.FLOAT else None


def _takes_clip(match: Match) -> str | None:
    elem_type = match.elem_type(match.inputs[0])
    if elem_type not in (_T.INT8, _T.UINT8):
        return "it is neither int8 nor uint8"
    if elem_type == _T.INT8 and all(match.constant(each) is not None for each in match.inputs[1:]):
        return "it is int8 and stores the bounds that it lists"
    return None


def _takes_attention(match: Match) -> str | None:
    """What its parser takes, which reads no windows, and its kernels.

    It needs no kernel for one query to each of enough heads, nor for three axes of known sizes
    with as many heads for keys as for queries and no mask.
    """
    mask, past = ([*match.inputs, None, None][at] for at in (3, 4))
    has_mask, has_past = (each is not None and bool(each.name) for each in (mask, past))
    is_causal = bool(match.attribute("is_causal", 0))
    if (
        any(match.is_used(tensor) for tensor in match.outputs[1:])
        or match.attribute("softcap", 0.0)
        or match.attribute("softmax_precision") is not None
        or match.attribute("left_window_size", -1) != -1
        or match.attribute("right_window_size", -1) != -1
        or has_past
        or (has_mask and is_causal)
        or (has_mask and not _has_size_of(match, mask, match.inputs[1]))
    ):
        return None
    return _takes_heads(match, is_masked=has_mask or is_causal)


def _has_size_of(match: Match, mask: gs.Tensor, key: gs.Tensor) -> bool:
    """Whether a mask has a column for each key, as far as is known."""
    columns, keys = match.shape(mask), match.shape(key)
    return not columns or not keys or columns[-1] in (None, 1, keys[-2]) or keys[-2] is None


def _takes_heads(match: Match, *, is_masked: bool) -> str | None:
    shapes = [match.shape(tensor) for tensor in match.inputs[:3]]
    if any(not shape or shape[-1] is None for shape in shapes):
        return "the sizes of its heads are not known"
    query, key, value = (shape or () for shape in shapes)
    is_flat = len(query) == 3
    heads, key_heads = (match.attribute(f"{each}_num_heads", 1) for each in ("q", "kv"))
    counts = (heads, key_heads, key_heads) if is_flat else (1, 1, 1)
    sizes = {(shape[-1] or 0) // n for shape, n in zip((query, key, value), counts, strict=True)}
    if len(sizes) > 1:
        return None
    groups = (query[0] or 0) * (heads if is_flat else query[1] or 0)
    if query[-2] == 1 and groups >= _LEAST_GROUPS:
        return "it has one query, and heads enough"
    if is_flat and not is_masked and heads == key_heads and None not in (*query, *key):
        return "it has three axes, as many heads for keys as for queries, and no mask"
    if match.elem_type(match.inputs[0]) in _HALVES and sizes <= {*_KERNEL_HEADS}:
        return "it has 16 bits and a head size that kernels have"
    return None


#: What TensorRT lacks, or takes only where the function gives a reason.
_TAKES: dict[str, Callable[[Match], str | None]] = {
    "Attention": _takes_attention,
    "CausalConvWithState": _never,
    "Celu": _takes_celu,
    "CenterCropPad": _never,
    "Clip": _takes_clip,
    "LayerNormalization": _takes_layer_normalization,
    "LinearAttention": _never,
    "NegativeLogLikelihoodLoss": _never,
    "SoftmaxCrossEntropyLoss": _never,
    "SwiGLU": _never,
}


class _Inline(Rewrite, abstract=True):
    """Op(...) -> the operators by which ONNX defines Op."""

    def why_taken(self, match: Match) -> str | None:
        """Why TensorRT takes the node as it is; None where it refuses it."""
        return None

    def check(self, match: Match) -> str | None:
        """TensorRT must refuse the node, and ONNX define it."""
        reason = self.why_taken(match)
        if reason is not None:
            return f"TensorRT takes it as it is: {reason}"
        if function_of(match) is None:
            return "ONNX does not define it by other operators here"
        return None

    def rewrite(self, match: Match) -> list[onnx.NodeProto]:
        """The definition's nodes; those that have a definition of their own come next."""
        return inlined_nodes(match, cast(onnx.FunctionProto, function_of(match)))


class InlineFunction(_Inline):
    """Op(...) -> the operators by which ONNX defines Op.

    For operators that TensorRT lacks (SoftmaxCrossEntropyLoss, LinearAttention, ...), and for the
    forms that it refuses of those that it has: Attention and LayerNormalization with several
    outputs, Attention for which it has no kernel, Celu in 16 bits, Clip of small integers. Optional
    inputs may be left out.
    """

    pattern = Op(tuple(_TAKES))

    def why_taken(self, match: Match) -> str | None:
        """Depends on the operator."""
        return _TAKES[match.proto.op_type](match)


class InlinePreviewFunction(_Inline):
    """ai.onnx.preview.FlexAttention(...) -> the operators by which ONNX defines it."""

    pattern = Op("FlexAttention", domain="ai.onnx.preview")
