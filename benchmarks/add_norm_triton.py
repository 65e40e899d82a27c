"""The sum and its RMSNorm or LayerNorm as one Triton kernel, for rms_norm.py and layer_norm.py."""

from __future__ import annotations

from typing import Any

import torch
import triton
import triton.language as tl


@triton.jit
def _add_norm(y, total, x, residual, weight, bias, size, epsilon, ROW: tl.constexpr, ROUND: tl.constexpr):  # fmt: skip  # noqa: E501, N803
    at = tl.arange(0, ROW)
    mask = at < size
    row = tl.program_id(0).to(tl.int64) * size
    wide = tl.load(x + row + at, mask, 0.0).to(tl.float32)
    wide += tl.load(residual + row + at, mask, 0.0).to(tl.float32)
    rounded = wide.to(total.dtype.element_ty)
    tl.store(total + row + at, rounded, mask)
    factors = tl.load(weight + at, mask, 0.0).to(tl.float32)
    wide = rounded.to(tl.float32)
    if bias is not None:
        addends = tl.load(bias + at, mask, 0.0).to(tl.float32)
        wide = tl.where(mask, wide - tl.sum(wide) / size, 0.0)
    normal = wide * tl.rsqrt(tl.sum(wide * wide) / size + epsilon)
    if ROUND:
        normal = normal.to(y.dtype.element_ty).to(tl.float32)
    normal *= factors
    if bias is not None:
        normal += addends
    tl.store(y + row + at, normal.to(y.dtype.element_ty), mask)


def add_norm(x: Any, residual: Any, weight: Any, bias: Any, epsilon: float) -> tuple[Any, Any]:
    """Return the normalized sum and the sum, in memory of torch's; without a bias by RMSNorm."""
    y, total = torch.empty_like(x), torch.empty_like(x)
    size = x.shape[-1]
    row = triton.next_power_of_2(size)
    warps = min(max(row // 256, 1), 16)
    arguments = (y, total, x, residual, weight, bias, size, epsilon)
    rounds = bias is None and x.dtype == weight.dtype
    _add_norm[(x.numel() // size,)](*arguments, ROW=row, ROUND=rounds, num_warps=warps)
    return y, total
