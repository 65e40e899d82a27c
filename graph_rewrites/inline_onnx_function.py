"""Replace operators that TensorRT lacks, or supports only partly, by ONNX's own definitions."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import onnx
import onnx.defs

from pluginkit.graph_rewrites._onnx_functions import function_of, inlined_nodes
from pluginkit.graph_rewrites._spelled_out import MICROSOFT
from pluginkit.onnx import Match, Op, Rewrite

if TYPE_CHECKING:
    import onnx_graphsurgeon as gs

_HALVES = ("float16", "bfloat16")
#: Head sizes for which TensorRT has attention kernels in 16 bits.
_KERNEL_HEADS = range(9, 257)
#: With at least this many heads in the batch, TensorRT needs no kernel for single queries.
_LEAST_GROUPS = 4


def _never(_match: Match) -> str | None:
    return None


def _takes_layer_normalization(match: Match) -> str | None:
    if any(match.is_used(tensor) for tensor in match.outputs[1:]):
        return None
    return "only its first output is used"


def _takes_celu(match: Match) -> str | None:
    return "it is float32" if match.dtype(match.inputs[0]) == "float32" else None


def _takes_clip(match: Match) -> str | None:
    dtype = match.dtype(match.inputs[0])
    if dtype not in ("int8", "uint8"):
        return "it is neither int8 nor uint8"
    if dtype == "int8" and all(match.constant(each) is not None for each in match.inputs[1:]):
        return "it is int8 and stores the bounds that it lists"
    return None


def _takes_attention(match: Match) -> str | None:
    """Return why TensorRT's parser, which ignores windows, and its kernels support the node."""
    mask, past = ([*match.inputs, None, None][at] for at in (3, 4))
    has_mask, has_past = (each is not None and bool(each.name) for each in (mask, past))
    is_causal = match.attribute("is_causal", False)
    if (
        any(match.is_used(tensor) for tensor in match.outputs[1:])
        or match.attribute("softcap", 0.0)
        or match.attribute("softmax_precision") is not None
        or match.attribute("left_window_size", -1) != -1
        or match.attribute("right_window_size", -1) != -1
        or has_past
        or (has_mask and is_causal)
        or (has_mask and not _has_column_for_each_key(match, mask, match.inputs[1]))
    ):
        return None
    return _takes_heads(match, is_masked=has_mask or is_causal)


def _has_column_for_each_key(match: Match, mask: gs.Tensor, key: gs.Tensor) -> bool:
    """Whether a mask has a column for each key, or may have."""
    columns, keys = match.shape(mask), match.shape(key)
    return not columns or not keys or columns[-1] in (None, 1, keys[-2]) or keys[-2] is None


def _takes_heads(match: Match, *, is_masked: bool) -> str | None:
    """Return why TensorRT supports the heads, or None.

    It needs a kernel, except for a single query with enough heads, and for inputs of three axes
    with known sizes, as many heads for keys as for queries, and no mask.
    """
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
    if match.dtype(match.inputs[0]) in _HALVES and sizes <= {*_KERNEL_HEADS}:
        return "it has 16 bits and a head size that kernels have"
    return None


#: For each operator a function that returns why TensorRT supports a node, or None.
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
    def check(self, match: Match) -> str | onnx.FunctionProto:
        function = function_of(match)
        return "ONNX does not define it by other operators here" if function is None else function

    def rewrite(self, match: Match, facts: onnx.FunctionProto) -> list[onnx.NodeProto]:
        """Inline one definition; nodes in it that are defined by functions too are inlined next."""
        return inlined_nodes(match, facts)


class InlineFunction(_Inline):
    """Op(...) -> the operators by which ONNX defines Op.

    For operators that TensorRT lacks (SoftmaxCrossEntropyLoss, LinearAttention, ...), and for nodes
    that it refuses: Attention and LayerNormalization with several outputs, Attention without a
    kernel, Celu in 16 bits, Clip of small integers. Optional inputs may be absent.
    """

    pattern = Op(tuple(_TAKES))

    def check(self, match: Match) -> str | onnx.FunctionProto:
        reason = _TAKES[match.proto.op_type](match)
        return super().check(match) if reason is None else f"TensorRT takes it: {reason}"


class InlinePreviewFunction(_Inline):
    """ai.onnx.preview.FlexAttention(...) -> the operators by which ONNX defines it."""

    pattern = Op("FlexAttention", domain="ai.onnx.preview")


class InlineMicrosoftFunction(_Inline):
    """com.microsoft.LinearAttention(...) -> the operators by which ONNX defines LinearAttention.

    The same holds for CausalConvWithState. What ONNX Runtime adds to them is left: states of
    several positions, dilation, further axes, channels that come last.
    """

    pattern = Op(("CausalConvWithState", "LinearAttention"), domain=MICROSOFT)

    def check(self, match: Match) -> str | onnx.FunctionProto:
        if match.onnx_opset < _SINCE:
            return f"its definition needs opset {_SINCE}; the model has {match.onnx_opset}"
        if not onnx.defs.has(match.proto.op_type):
            return "this version of onnx does not define it"
        for name, value in _PLAIN.items():
            if match.attribute(name, value) != value:
                return f"ONNX's operator has no attribute '{name}'"
        if any(match.is_used(each) for each in match.outputs[2:]):
            return "ONNX's operator has two outputs"
        return _missing(match) or super().check(match)


def _missing(match: Match) -> str | None:
    """Return which attribute or input LinearAttention lacks, or None."""
    if match.proto.op_type != "LinearAttention":
        return None
    if not match.attribute("q_num_heads", 0) or not match.attribute("kv_num_heads", 0):
        return "the number of its heads is missing"
    rule, given = match.attribute("update_rule", "gated_delta"), list(match.proto.input)
    for part, at in (("gated", 4), ("delta", 5)):
        if part in rule and not any(given[at : at + 1]):
            return f"its update rule is '{rule}', and it has no input for it"
    return None


#: The first opset with all operators of the definitions.
_SINCE = 15
#: The attributes that ONNX's operators lack, with the values that mean nothing.
_PLAIN = {
    **{"channels_last": 0, "dilation": 1, "input_channel_offset": 0, "input_channels": 0},
    **{"ndim": 1, "state_channels_last": -1, "state_length": 0, "state_update_capacity": 0},
    "state_window": 0,
}
