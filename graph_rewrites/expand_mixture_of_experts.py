"""Spell out the mixtures of experts of ONNX Runtime's language models."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from pluginkit.graph_rewrites._spelled_out import MICROSOFT, number, tanh_gelu
from pluginkit.graph_rewrites.expand_mat_mul_n_bits import unpacked
from pluginkit.onnx import FLOATS, Match, NodeInput, Op, Optional, Replacement, Rewrite

if TYPE_CHECKING:
    import onnx_graphsurgeon as gs

_ACTIVATIONS = ("gelu", "identity", "relu", "silu", "swiglu")
#: The size of the blocks in which TensorRT has experts of its own.
_OWN_BLOCK = 128


@dataclass(frozen=True)
class _Experts:
    """What is known of the experts.

    Attributes:
        count: how many there are.
        chosen: how many compute a row.
        size: the size of a row.
        is_misread: whether the shapes of earlier models call the weights [inputs, outputs]. ONNX
            Runtime reads them as [outputs, inputs] all the same.
    """

    count: int
    chosen: int
    size: int = 0
    is_misread: bool = False


@dataclass(frozen=True)
class _DecodedExperts:
    """The experts, and their decoded weights: [experts, outputs, inputs]."""

    experts: _Experts
    first: npt.NDArray[Any]
    second: npt.NDArray[Any]


class ExpandMoE(Rewrite):
    """com.microsoft.MoE(x, scores) -> sum over experts of weight * expert(x).

    An expert is MatMul(activation(MatMul(x, a) + b), c) + d. The weights of the k best are their
    part of the softmax of all scores, and the others are 0: every expert computes every row.
    """

    pattern = Op(
        "MoE",
        *("x", "scores", "first", Optional("first_bias"), "second", Optional("second_bias")),
        *(Optional("third"), Optional("third_bias")),
        domain=MICROSOFT,
    )

    def check(
        self, match: Match, x: gs.Tensor, first: gs.Tensor, third: gs.Tensor | None
    ) -> str | _Experts:
        if third is not None:
            return "it has a third product, which ONNX Runtime's CPU has not"
        experts = _experts(match, (match.shape(first) or (None,))[0])
        problem = match.dtype_problem(FLOATS, x)
        if problem is not None or isinstance(experts, str):
            return problem or experts
        sizes, given = (match.shape(first) or ())[1:], (match.shape(x) or (None,))[-1]
        if len(sizes) != 2 or given is None or None in sizes or given not in sizes:
            return "the sizes of its weights are unknown, or do not fit its input"
        return replace(experts, size=given, is_misread=given != sizes[1])

    def rewrite(
        self,
        match: Match,
        x: gs.Tensor,
        scores: gs.Tensor,
        first: gs.Tensor,
        first_bias: gs.Tensor | None,
        second: gs.Tensor,
        second_bias: gs.Tensor | None,
        facts: _Experts,
    ) -> list[gs.Node]:
        new, dtype = Replacement(match), match.dtype(x)
        chances = new.add("Softmax", new.cast(scores, "float32"), axis=-1)
        values, places = new.add_many("TopK", chances, np.array([facts.chosen]), outputs=2, axis=-1)
        if match.attribute("normalize_routing_weights", 0):
            total = new.reduce("ReduceSum", values, [1], keepdims=True)
            values = new.add("Div", values, total)
        weights = _by_expert(new, values, places, facts.count, dtype)
        shapes = ((facts.count, -1, facts.size), (facts.count, facts.size, -1))
        rows = [
            new.add("Reshape", each, np.array(shape)) if facts.is_misread else each
            for each, shape in zip((first, second), shapes, strict=True)
        ]
        given = ((_turned(new, rows[0]), first_bias), (_turned(new, rows[1]), second_bias))
        return _mixed(new, match, x, weights, given)

    def note(self, match: Match) -> str:
        return _COST


class ExpandQMoE(Rewrite):
    """com.microsoft.QMoE(x, scores, q, scales) -> sum over experts of weight * expert(x).

    As ExpandMoE, but the weights of the k best are the softmax of their scores alone. The weights
    of the experts are decoded when the model is rewritten, which takes two to eight times the
    space, and must be stored in the model itself.
    """

    pattern = Op(
        "QMoE",
        *("x", "scores", "first", "first_scales", Optional("first_bias")),
        *("second", "second_scales", Optional("second_bias")),
        *(Optional("third"), Optional("third_scales"), Optional("third_bias")),
        *(Optional("first_zeros"), Optional("second_zeros"), Optional("third_zeros")),
        *(Optional("router"), Optional("first_whole"), Optional("second_whole")),
        domain=MICROSOFT,
    )

    def check(
        self,
        match: Match,
        x: gs.Tensor,
        first: gs.Tensor,
        first_scales: gs.Tensor,
        first_zeros: gs.Tensor | None,
        second: gs.Tensor,
        second_scales: gs.Tensor,
        second_zeros: gs.Tensor | None,
        third: gs.Tensor | None,
        router: gs.Tensor | None,
        first_whole: gs.Tensor | None,
    ) -> str | _DecodedExperts:
        block = match.attribute("block_size", 0)
        if block == _OWN_BLOCK and match.attribute("activation_type", "relu") == "swiglu":
            return f"TensorRT takes it: its experts come in blocks of {_OWN_BLOCK}"
        if third is not None or router is not None or first_whole is not None:
            return "it has a third product, weights of its own for experts, or scales for all"
        if match.attribute("quant_type", "int") != "int":
            return "its weights are no integers"
        names = ("expert_weight_bits", "fc1_expert_weight_bits", "fc2_expert_weight_bits")
        bits = {match.attribute(each) for each in names} - {None} or {4}
        if len(bits) > 1 or not bits <= {2, 4, 8}:
            return "its weights have not all 2, 4 or 8 bits"
        experts = _experts(match, (match.shape(first) or (None,))[0])
        problem = match.dtype_problem(FLOATS, x)
        if problem is not None:
            return problem
        if isinstance(experts, str):
            return experts
        decoded = [
            _decoded(match, max(bits), *each)
            for each in ((first, first_scales, first_zeros), (second, second_scales, second_zeros))
        ]
        if decoded[0] is None or decoded[1] is None:
            return "its weights are not stored in the model itself, or fit no scales"
        inner = decoded[0].shape[1] // (2 if match.attribute("activation_type") == "swiglu" else 1)
        if (match.shape(x) or (None,))[-1] != decoded[0].shape[2] or inner != decoded[1].shape[2]:
            return "the sizes of its weights do not fit its input"
        return _DecodedExperts(experts, decoded[0], decoded[1])

    def rewrite(
        self,
        match: Match,
        x: gs.Tensor,
        scores: gs.Tensor,
        first_bias: gs.Tensor | None,
        second_bias: gs.Tensor | None,
        facts: _DecodedExperts,
    ) -> list[gs.Node]:
        new, dtype, experts = Replacement(match), match.dtype(x), facts.experts
        wide = new.cast(scores, "float32")
        best, places = new.add_many("TopK", wide, np.array([experts.chosen]), outputs=2, axis=-1)
        values = new.add("Softmax", best, axis=-1)
        weights = _by_expert(new, values, places, experts.count, dtype)
        first, second = (
            new.cast(each.transpose(0, 2, 1), dtype) for each in (facts.first, facts.second)
        )
        return _mixed(new, match, x, weights, ((first, first_bias), (second, second_bias)))

    def note(self, match: Match) -> str:
        return f"{_COST} The weights of the experts are stored as {match.dtype(match.inputs[0])}."


_COST = "every expert computes every row, also those that it is not chosen for."


def _experts(match: Match, count: int | None) -> str | _Experts:
    """Return how many experts there are, or why the node is left."""
    kind, chosen = match.attribute("activation_type", "relu"), match.attribute("k", 1)
    if kind not in _ACTIVATIONS:
        return f"its activation '{kind}' is not known"
    if kind == "swiglu" and match.attribute("swiglu_fusion", 0) != 1:
        return "its gates are not interleaved, as those of ONNX Runtime's CPU are"
    if match.attribute("use_sparse_mixer", 0):
        return "it chooses experts by a sparse mixer"
    if match.attribute("swiglu_limit_after_activation", 0):
        return "it limits its gates after their activation"
    if match.onnx_opset < 11:
        return f"ONNX has TopK with sorted results since opset 11; the model has {match.onnx_opset}"
    if not count or not 0 < chosen <= count:
        return "the number of its experts is unknown, or not as many are chosen"
    return _Experts(count, chosen)


def _by_expert(
    new: Replacement, values: NodeInput, places: NodeInput, count: int, dtype: str
) -> NodeInput:
    """Return the weight of each expert for each row, 0 if it is not chosen: [experts, rows, 1]."""
    every = np.arange(count, dtype=np.int64)
    is_chosen = new.add("Equal", new.unsqueeze(places, [2]), every)
    spread = new.add("Where", is_chosen, new.unsqueeze(values, [2]), np.float32(0))
    weights = new.reduce("ReduceSum", spread, [1])
    turned = new.unsqueeze(new.add("Transpose", weights, perm=[1, 0]), [2])
    return new.cast(turned, dtype)


def _mixed(
    new: Replacement,
    match: Match,
    x: gs.Tensor,
    weights: NodeInput,
    layers: tuple[tuple[NodeInput, gs.Tensor | None], ...],
) -> list[gs.Node]:
    """Produce the sum of what all experts make of the rows, with their weights."""
    dtype = match.dtype(x)
    is_deep = match.rank(x) != 2
    value: NodeInput = x
    if is_deep:
        last = new.slice(new.add("Shape", x), 0, -1, 2**31)
        value = new.add("Reshape", x, new.add("Concat", np.array([-1]), last, axis=0))
    for at, (matrix, bias) in enumerate(layers):
        value = new.add("MatMul", value, matrix)
        if bias is not None:
            value = new.add("Add", value, new.unsqueeze(bias, [1]))
        if at == 0:
            value = _activated(new, match, value, dtype)
    y = new.reduce("ReduceSum", new.add("Mul", value, weights), [0])
    return new.end("Reshape", y, new.add("Shape", x)) if is_deep else new.end("Identity", y)


def _turned(new: Replacement, matrices: NodeInput) -> NodeInput:
    """Return the matrices [experts, inputs, outputs] of [experts, outputs, inputs]."""
    return new.add("Transpose", matrices, perm=[0, 2, 1])


def _activated(new: Replacement, match: Match, value: NodeInput, dtype: str) -> NodeInput:
    """Return the activation; of swiglu gates and values alternate along the last axis."""
    kind = match.attribute("activation_type", "relu")
    if kind == "identity":
        return value
    if kind == "relu":
        return new.add("Relu", value)
    if kind == "gelu":
        return tanh_gelu(new, value, dtype)
    if kind == "silu":
        return new.add("Mul", value, new.add("Sigmoid", value))
    gate, linear = (new.slice(value, 2, start, 2**31, 2) for start in (0, 1))
    limit = match.attribute("swiglu_limit")
    if limit is not None:
        bound, least = number(limit, dtype), number(-limit, dtype)
        gate = new.add("Min", gate, bound)
        linear = new.add("Max", new.add("Min", linear, bound), least)
    scaled = new.add("Mul", gate, number(match.attribute("activation_alpha", 1.0), dtype))
    shifted = new.add("Add", linear, number(match.attribute("activation_beta", 0.0), dtype))
    return new.add("Mul", new.add("Mul", gate, new.add("Sigmoid", scaled)), shifted)


def _decoded(
    match: Match, bits: int, packed: gs.Tensor, scales: gs.Tensor, zeros: gs.Tensor | None
) -> npt.NDArray[Any] | None:
    """Return the weights that packed integers represent; None if they are not stored, or not so."""
    block = match.attribute("block_size", 0)
    stored, factors = match.constant(packed), match.constant(scales)
    middles = None if zeros is None else match.constant(zeros)
    if stored is None or factors is None or (zeros is not None and middles is None):
        return None
    values = unpacked(stored, bits).astype(np.float32)
    if values.ndim != 3:
        return None
    columns = values.shape[2]
    blocks = -(-columns // block) if block else 1
    if factors.size != values.shape[0] * values.shape[1] * blocks:
        return None
    shape = (*values.shape[:2], blocks)
    middle: npt.NDArray[Any] = np.full(shape, 2 ** (bits - 1), np.float32)
    if middles is not None:
        rows = middles if block else middles.reshape(values.shape[0], -1)
        middle = unpacked(rows, bits).astype(np.float32)[..., : blocks if block else shape[1]]
    places = np.arange(columns) // (block or columns)
    factor = factors.astype(np.float32).reshape(shape)[..., places]
    return np.ascontiguousarray((values - middle.reshape(shape)[..., places]) * factor)
