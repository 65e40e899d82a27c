"""Fuse rotary embeddings, spelled out or whole, into one plugin.

TensorRT supports these nodes, so the rewrites are opt-in: measure with and without them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from pluginkit.graph_rewrites.expand_rotary_embedding import (
    ExpandRotaryEmbedding,
    Rotation,
    position_tables,
)
from pluginkit.onnx import (
    FLOATS,
    Match,
    NodeInput,
    Op,
    PatternBuilder,
    PatternOperand,
    Replacement,
    Rewrite,
)
from pluginkit.plugins.rotary_embedding import RotaryEmbedding

if TYPE_CHECKING:
    import onnx_graphsurgeon as gs

    from pluginkit.onnx import NewNode


#: The shape in which all items share one table: their heads are those of one item.
_SHARED = (1, -1, 0, 0)


class FuseRotaryEmbedding(Rewrite):
    """x * cos + Concat(-x[..., D/2:], x[..., :D/2]) * sin -> RotaryEmbedding_PK(x, cos, sin).

    As transformers rotates the heads of Llama and most other models, (N, H, S, D), by tables
    (1 or N, 1, S, D).
    """

    plugin = RotaryEmbedding
    opt_in = True

    def pattern(
        self, op: PatternBuilder, x: PatternOperand, cos: PatternOperand, sin: PatternOperand
    ) -> Op:
        high, low = op.Slice(x, ...).named("high"), op.Slice(x, ...).named("low")
        turned = op.Concat(op.Neg(high), low).named("turned")
        return op.Add(op.Mul(x, cos), op.Mul(turned, sin))

    def check(
        self,
        match: Match,
        x: gs.Tensor,
        cos: gs.Tensor,
        sin: gs.Tensor,
        high: gs.Node,
        low: gs.Node,
        turned: gs.Node,
    ) -> str | None:
        shape, table = x.shape, cos.shape
        if shape is None or len(shape) != 4 or not isinstance(shape[3], int) or shape[3] % 2:
            return f"'{x.name}' is {shape}; expected heads of a known, even size"
        half = shape[3] // 2
        if (
            turned.attrs.get("axis") not in (-1, 3)
            or _taken(match, low) != (0, half)
            or _taken(match, high) != (half, shape[3])
        ):
            return "it does not exchange the halves of the last axis"
        if table is None or table != sin.shape or None in table or len(table) != 4:
            return "the shapes of its tables are unknown, or differ"
        if table[0] not in (1, shape[0]) or table[1] != 1 or table[2:] != shape[2:]:
            return f"its tables are {table}; expected (1 or N, 1, S, D) of {shape}"
        if len({match.dtype(each) for each in (x, cos, sin)}) > 1:
            return "its tables have another type"
        return match.dtype_problem(FLOATS, x)

    def rewrite(
        self, match: Match, x: gs.Tensor, cos: gs.Tensor, sin: gs.Tensor
    ) -> Iterable[NewNode]:
        new = Replacement(match)
        tables = [new.squeeze(each, [1]) for each in (cos, sin)]
        is_shared = cos.shape[0] != x.shape[0]
        return _rotated(new, match, RotaryEmbedding(), x, tables, _SHARED if is_shared else None)


def _rotated(
    new: Replacement,
    match: Match,
    plugin: RotaryEmbedding,
    x: gs.Tensor,
    tables: Sequence[NodeInput],
    shape: Sequence[int] | None,
) -> list[NewNode]:
    """Return the plugin's node after those so far; x is reshaped for it, if there is a shape."""
    import onnx_graphsurgeon as gs

    if shape is None:
        return [*new, match.plugin_node(plugin, [x, *tables])]
    value, y = new.add("Reshape", x, np.array(shape)), gs.Variable("RotaryEmbedding_rotated")
    before = list(new)
    node = match.plugin_node(plugin, [value, *tables], [y])
    new.end("Reshape", y, new.add("Shape", x))
    return [*before, node, *list(new)[len(before) :]]


def _taken(match: Match, node: gs.Node) -> tuple[int, int] | None:
    """Return which elements of the last of four axes a Slice takes, up to the last one at most."""
    stored = [match.value_from_shapes(each) for each in node.inputs[1:]]
    if len(stored) < 3 or any(each is None or each.size != 1 for each in stored):
        return None
    start, end, axis, *step = (int(each.item()) for each in stored if each is not None)
    size = node.inputs[0].shape[3]
    if axis not in (-1, 3) or step not in ([], [1]):
        return None
    return start % size if start < 0 else start, end % size if end < 0 else min(end, size)


class FuseMicrosoftRotaryEmbedding(ExpandRotaryEmbedding):
    """com.microsoft.RotaryEmbedding(x, positions, cos, sin) -> RotaryEmbedding_PK(x, cos, sin).

    The tables are those of the positions, gathered. ONNX's own RotaryEmbedding is left: TensorRT
    has a layer for it.
    """

    plugin = RotaryEmbedding
    opt_in = True
    order = -1

    def check(
        self, match: Match, x: gs.Tensor, positions: gs.Tensor, cos: gs.Tensor
    ) -> str | Rotation:
        if match.rank(x) == 3 and (match.shape(x) or [None])[-1] is None:
            return "the number of its heads is unknown"
        return super().check(match, x, positions, cos)

    def rewrite(  # type: ignore[override]  # the plugin's node comes last
        self,
        match: Match,
        x: gs.Tensor,
        positions: gs.Tensor,
        cos: gs.Tensor,
        sin: gs.Tensor,
        facts: Rotation,
    ) -> Iterable[NewNode]:
        """Rotate (N, H, S, D); of (N, S, H * D) each position becomes an item of its own."""
        new = Replacement(match)
        plugin = RotaryEmbedding(interleaved=bool(facts.is_interleaved), whole=False)
        tables: list[NodeInput] = list(position_tables(new, match, x, positions, (cos, sin)))
        is_shared = match.rank(positions) == 1
        if match.rank(x) == 4:
            return _rotated(new, match, plugin, x, tables, _SHARED if is_shared else None)
        width = np.array([facts.rotated // 2])
        if is_shared:
            places = new.slice(new.add("Shape", x), 0, 0, 2)
            every = new.add("Concat", places, width, axis=0)
            tables = [new.add("Expand", each, every) for each in tables]
        tables = [new.add("Reshape", each, np.array([-1, 1, width[0]])) for each in tables]
        heads = ((match.shape(x) or ())[-1] or 0) // facts.head
        return _rotated(new, match, plugin, x, tables, (-1, heads, 1, facts.head))
