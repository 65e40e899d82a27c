"""Spell out RotaryEmbedding, as ONNX Runtime's optimizer writes it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pluginkit.graph_rewrites._spelled_out import MICROSOFT
from pluginkit.onnx import FLOATS, Match, NodeInput, Op, Replacement, Rewrite

if TYPE_CHECKING:
    import onnx_graphsurgeon as gs


@dataclass(frozen=True)
class Rotation:
    """The elements that are rotated.

    Attributes:
        head: the size of a head.
        rotated: how many of its first elements are rotated.
        is_interleaved: whether the elements of a pair are adjacent, or half the rotated elements
            apart.
    """

    head: int
    rotated: int
    is_interleaved: bool


class ExpandRotaryEmbedding(Rewrite):
    """com.microsoft.RotaryEmbedding(x) -> (x1 * cos - x2 * sin, x1 * sin + x2 * cos).

    This holds for the pairs (x1, x2) in each head, with the sines and cosines of the positions. The
    head size must be known.
    """

    pattern = Op("RotaryEmbedding", "x", "positions", "cos", "sin", domain=MICROSOFT)

    def check(
        self, match: Match, x: gs.Tensor, positions: gs.Tensor, cos: gs.Tensor
    ) -> str | Rotation:
        if match.attribute("is_packed_batching", 0):
            return "it rotates batches of different lengths that are packed"
        if match.rank(positions) not in (1, 2):
            return "the rank of its positions is unknown"
        return match.dtype_problem(FLOATS, x) or _rotation(match, x, cos)

    def rewrite(
        self,
        match: Match,
        x: gs.Tensor,
        positions: gs.Tensor,
        cos: gs.Tensor,
        sin: gs.Tensor,
        facts: Rotation,
    ) -> list[gs.Node]:
        new = Replacement(match)
        tables = position_tables(new, match, x, positions, (cos, sin))
        return _rotated(new, match, x, tables, facts)


class ExpandMRotaryEmbedding(Rewrite):
    """com.microsoft.MRotaryEmbedding(x) -> as RotaryEmbedding, with the positions of three axes.

    Each column of the tables takes the position in time, the row or the column of an image. The
    three have consecutive parts of the columns, or alternate.
    """

    pattern = Op("MRotaryEmbedding", "x", "positions", "cos", "sin", domain=MICROSOFT)

    def check(self, match: Match, x: gs.Tensor, cos: gs.Tensor) -> str | Rotation:
        if match.attribute("is_packed_batching", 0):
            return "it rotates batches of different lengths that are packed"
        found = match.dtype_problem(FLOATS, x) or _rotation(match, x, cos)
        sections = match.attribute("mrope_section", [])
        if isinstance(found, str):
            return found
        if len(sections) != 3 or min(sections) < 0 or sum(sections) != found.rotated // 2:
            return "its sections do not make the columns of its tables"
        return found

    def rewrite(
        self,
        match: Match,
        x: gs.Tensor,
        positions: gs.Tensor,
        cos: gs.Tensor,
        sin: gs.Tensor,
        facts: Rotation,
    ) -> list[gs.Node]:
        new = Replacement(match)
        of_rows, of_columns = _axes_of_columns(match, facts.rotated // 2)
        tables = []
        for table in (cos, sin):
            parts = new.add("Gather", table, positions)
            time, row, column = (new.add("Gather", parts, np.int64(at), axis=0) for at in range(3))
            space = new.add("Where", of_columns, column, time)
            tables.append(new.add("Where", of_rows, row, space))
        return _rotated(new, match, x, tables, facts)


def _axes_of_columns(match: Match, size: int) -> tuple[NodeInput, NodeInput]:
    """Return which columns of the tables take the row, and which the column of an image."""
    sections, at = match.attribute("mrope_section"), np.arange(size)
    if match.attribute("mrope_layout", 0):
        masks = [(at % 3 == part) & (at < 3 * sections[part]) for part in (1, 2)]
    else:
        ends = np.cumsum(sections)
        masks = [(at >= ends[part - 1]) & (at < ends[part]) for part in (1, 2)]
    return masks[0], masks[1]


def _rotated(
    new: Replacement,
    match: Match,
    x: gs.Tensor,
    tables: Sequence[NodeInput],
    rotation: Rotation,
) -> list[gs.Node]:
    """Rotate x; split three axes into heads, behind the axis of the sequence."""
    is_flat = match.rank(x) == 3
    value: NodeInput = x
    if is_flat:
        value = new.add("Reshape", x, np.array([0, 0, -1, rotation.head]))
    cos, sin = (new.unsqueeze(each, [2 if is_flat else 1]) for each in tables)
    y = rotate(new, value, cos, sin, rotation)
    if is_flat:
        return new.end("Reshape", y, new.add("Shape", x))
    return new.end("Identity", y)


def rotate(
    new: Replacement, value: NodeInput, cos: NodeInput, sin: NodeInput, rotation: Rotation
) -> NodeInput:
    """Rotate pairs of elements of the last of four axes."""
    half, size = rotation.rotated // 2, rotation.rotated
    if rotation.is_interleaved:
        first, second = (new.slice(value, 3, start, size, 2) for start in (0, 1))
    else:
        first, second = new.slice(value, 3, 0, half), new.slice(value, 3, half, size)
    real = new.add("Sub", new.add("Mul", first, cos), new.add("Mul", second, sin))
    imaginary = new.add("Add", new.add("Mul", first, sin), new.add("Mul", second, cos))
    if rotation.is_interleaved:
        pair = [new.unsqueeze(each, [4]) for each in (real, imaginary)]
        parts: list[NodeInput] = [
            new.add("Reshape", new.add("Concat", *pair, axis=4), np.array([0, 0, 0, size]))
        ]
    else:
        parts = [real, imaginary]
    if size < rotation.head:
        parts.append(new.slice(value, 3, size, rotation.head))
    return parts[0] if len(parts) == 1 else new.add("Concat", *parts, axis=3)


def position_tables(
    new: Replacement,
    match: Match,
    x: gs.Tensor,
    positions: gs.Tensor,
    tables: Sequence[gs.Tensor],
) -> list[gs.Variable]:
    """Return the rows of tables that belong to positions: (1 or the batch, length, columns)."""
    at: NodeInput = positions
    if match.rank(positions) == 1:
        at = _counted_from(new, match, x, positions)
    return [new.add("Gather", each, at) for each in tables]


def _counted_from(new: Replacement, match: Match, x: gs.Tensor, first: gs.Tensor) -> gs.Variable:
    """Return the positions first, first + 1, ...: [1, length]."""
    axis = 1 if match.rank(x) == 3 else 2
    length = new.slice(new.add("Shape", x), 0, axis, axis + 1)
    scalar = np.zeros(0, np.int64)
    count = new.add("Range", np.int64(0), new.add("Reshape", length, scalar), np.int64(1))
    return new.unsqueeze(new.add("Add", count, new.cast(first, "int64")), [0])


def _rotation(match: Match, x: gs.Tensor, cos: gs.Tensor) -> str | Rotation:
    shape, table = match.shape(x), match.shape(cos)
    if not shape or len(shape) not in (3, 4) or not table or table[-1] is None:
        return "the size of its tables, or the rank of its input, is unknown"
    rotated = 2 * table[-1]
    if len(shape) == 4:
        head = shape[3]
    elif match.attribute("rotary_embedding_dim", 0):
        heads = match.attribute("num_heads", 0)
        head = shape[2] // heads if shape[2] and heads else None
    else:
        head = rotated
    if head is None or head < rotated:
        return "the size of its heads is unknown, or smaller than what is rotated"
    return Rotation(head, rotated, match.attribute("interleaved", False))
