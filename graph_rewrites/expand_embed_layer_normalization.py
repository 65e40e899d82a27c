"""Split the embeddings that ONNX Runtime's optimizer has fused with their layer normalization."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pluginkit.graph_rewrites._spelled_out import MICROSOFT, normalized
from pluginkit.onnx import FLOATS, Match, NodeInput, Op, Optional, Replacement, Rewrite

if TYPE_CHECKING:
    import onnx_graphsurgeon as gs

#: The first opset in which ONNX has LayerNormalization.
_SINCE = 17


class ExpandEmbedLayerNormalization(Rewrite):
    """com.microsoft.EmbedLayerNormalization(ids, ...) -> LayerNormalization(sum of Gathers).

    The sum is that of the embeddings of words, of positions (0, 1, ... unless they are given) and
    of segments, if there are any. The index of the mask is the number of its ones, or 0 without a
    mask.
    """

    pattern = Op(
        "EmbedLayerNormalization",
        *("ids", Optional("segments"), "words", "positions", Optional("of_segments")),
        *("gamma", "beta", Optional("mask"), Optional("position_ids")),
        domain=MICROSOFT,
    )

    def check(self, match: Match, ids: gs.Tensor, words: gs.Tensor) -> str | None:
        return match.dtype_problem(FLOATS, words) or match.dtype_problem(("int32", "int64"), ids)

    def rewrite(
        self,
        match: Match,
        ids: gs.Tensor,
        segments: gs.Tensor | None,
        words: gs.Tensor,
        positions: gs.Tensor,
        of_segments: gs.Tensor | None,
        gamma: gs.Tensor,
        beta: gs.Tensor,
        mask: gs.Tensor | None,
        position_ids: gs.Tensor | None,
    ) -> list[gs.Node]:
        new, dtype = Replacement(match), match.dtype(words)
        tables = (words, positions, of_segments, gamma, beta)
        places = _placed(new, ids, positions, position_ids)
        return _embedded(new, match, _Words(ids, segments, places, mask), tables, dtype)


class ExpandQEmbedLayerNormalization(Rewrite):
    """com.microsoft.QEmbedLayerNormalization(ids, ...) -> LayerNormalization(sum of Gathers).

    As ExpandEmbedLayerNormalization, of tables of 8-bit integers. Those that the model stores are
    dequantized when it is rewritten.
    """

    pattern = Op(
        "QEmbedLayerNormalization",
        *("ids", Optional("segments"), "words", "positions", Optional("of_segments")),
        *("gamma", "beta", Optional("mask"), ...),
        domain=MICROSOFT,
    )

    def check(self, match: Match, ids: gs.Tensor, words: gs.Tensor) -> str | None:
        if len(match.inputs) != 18:
            return "it has not a scale and a zero point for each of its five tables"
        problem = match.dtype_problem(("int8", "uint8"), words)
        return problem or match.dtype_problem(("int32", "int64"), ids)

    def rewrite(
        self, match: Match, ids: gs.Tensor, segments: gs.Tensor | None, mask: gs.Tensor | None
    ) -> list[gs.Node]:
        new, every = Replacement(match), [each if each.name else None for each in match.inputs]
        tables = [
            _dequantized(new, *each)
            for each in zip(every[2:7], every[8:13], every[13:18], strict=True)
        ]
        places = _placed(new, ids, tables[1], None)
        return _embedded(new, match, _Words(ids, segments, places, mask), tables, "float32")


def _dequantized(
    new: Replacement, table: gs.Tensor | None, scale: gs.Tensor | None, zero: gs.Tensor | None
) -> NodeInput:
    """Return a table in float32; None stays None."""
    if table is None:
        return None
    wide, middle, factor = (
        each if each is None else new.cast(each, "float32") for each in (table, zero, scale)
    )
    if (
        isinstance(wide, np.ndarray)
        and isinstance(middle, np.ndarray)
        and isinstance(factor, np.ndarray)
    ):
        return (wide - middle) * factor
    return new.add("Mul", new.add("Sub", wide, middle), factor)


@dataclass(frozen=True)
class _Words:
    """The numbers of words and of their segments, the rows of their positions, and the mask."""

    ids: gs.Tensor
    segments: gs.Tensor | None
    placed: NodeInput
    mask: gs.Tensor | None


def _placed(
    new: Replacement, ids: gs.Tensor, positions: NodeInput, position_ids: gs.Tensor | None
) -> NodeInput:
    """Return the rows of the positions, which are 0, 1, ... unless they are given."""
    if position_ids is not None:
        return new.add("Gather", positions, position_ids)
    length, first = new.slice(new.add("Shape", ids), 0, 1, 2), np.zeros(1, np.int64)
    return new.add("Slice", positions, first, length, first)


def _embedded(
    new: Replacement, match: Match, given: _Words, tables: Sequence[NodeInput], dtype: str
) -> list[gs.Node]:
    """Produce the normalized sum of rows.

    Args:
        new: the new nodes.
        match: the match.
        given: the words.
        tables: those of words, positions and segments, the scale and the shift.
        dtype: the type of the output.
    """
    words, _, of_segments, gamma, beta = tables
    total = new.add("Add", new.add("Gather", words, given.ids), given.placed)
    if given.segments is not None and of_segments is not None:
        total = new.add("Add", total, new.add("Gather", of_segments, given.segments))
    y, index, summed = [*match.outputs, None, None][:3]
    if index is not None and index.name:
        _count(new, index, given.ids, given.mask)
    if summed is not None and summed.name:
        new.into([summed], "Identity", total)
    epsilon = match.attribute("epsilon", 1e-12)
    if new.opset >= _SINCE:
        return new.into([y], "LayerNormalization", total, gamma, beta, axis=-1, epsilon=epsilon)
    wide = new.cast(total, "float32")
    made, _, _ = normalized(new, wide, [-1], epsilon, centred=True)
    product = new.add("Mul", made, new.cast(gamma, "float32"))
    shifted = new.add("Add", product, new.cast(beta, "float32"))
    return new.into([y], "Cast", shifted, to=dtype)


def _count(new: Replacement, index: gs.Tensor, ids: gs.Tensor, mask: gs.Tensor | None) -> None:
    """Produce the number of ones in each row of the mask, or zeros."""
    if mask is None:
        rows = new.slice(new.add("Shape", ids), 0, 0, 1)
        new.into([index], "Expand", np.int32(0), rows)
        return
    counted = new.reduce("ReduceSum", new.cast(mask, "float32"), [1])
    new.into([index], "Cast", counted, to="int32")
