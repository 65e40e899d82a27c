"""Gather, multiply and add by atomics in Triton: a peer of segment_reduce.py."""

from __future__ import annotations

from typing import Any

import triton
import triton.language as tl


@triton.jit
def _gather_add(
    y, x, at, sources, weights, edges, inner, weighted: tl.constexpr, block: tl.constexpr
):
    rows = tl.program_id(0) * 16 + tl.arange(0, 16)
    columns = tl.program_id(1) * block + tl.arange(0, block)
    is_edge = rows < edges
    mask = is_edge[:, None] & (columns < inner)[None, :]
    target = tl.load(at + rows, mask=is_edge, other=0)
    source = tl.load(sources + rows, mask=is_edge, other=0)
    values = tl.load(x + source[:, None] * inner + columns[None, :], mask=mask, other=0)
    if weighted:
        values *= tl.load(weights + rows, mask=is_edge, other=0)[:, None]
    tl.atomic_add(y + target[:, None] * inner + columns[None, :], values, mask=mask, sem="relaxed")


def gather_add(y: Any, x: Any, at: Any, sources: Any, weights: Any) -> None:
    """Write the sum of x[sources], times weights unless None, to the rows of y that at names."""
    y.zero_()
    inner, block = x.shape[1], min(triton.next_power_of_2(x.shape[1]), 128)
    grid = triton.cdiv(len(at), 16), triton.cdiv(inner, block)
    given = x if weights is None else weights
    _gather_add[grid](
        y, x, at, sources, given, len(at), inner, weighted=weights is not None, block=block
    )
