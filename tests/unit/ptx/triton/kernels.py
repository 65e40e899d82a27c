"""Kernels in Triton; compile_kernels.py compiles them to PTX."""

import triton
import triton.language as tl


@triton.jit
def softmax(y, x, columns, block: tl.constexpr):
    row = tl.program_id(0)
    i = tl.arange(0, block)
    value = tl.load(x + row * columns + i, i < columns, -float("inf"))
    power = tl.exp(value - tl.max(value, 0))
    tl.store(y + row * columns + i, power / tl.sum(power, 0), i < columns)


@triton.jit
def histogram(y, x, n, block: tl.constexpr):
    i = tl.program_id(0) * block + tl.arange(0, block)
    tl.atomic_add(y + tl.load(x + i, i < n, 0), 1, i < n)


@triton.jit
def running_sum(y, x, columns, block: tl.constexpr):
    row = tl.program_id(0)
    i = tl.arange(0, block)
    value = tl.load(x + row * columns + i, i < columns, 0.0)
    tl.store(y + row * columns + i, tl.cumsum(value, 0), i < columns)


@triton.jit
def ordered(y, x, columns, block: tl.constexpr):
    row = tl.program_id(0)
    i = tl.arange(0, block)
    value = tl.load(x + row * columns + i, i < columns, float("inf"))
    tl.store(y + row * columns + i, tl.sort(value), i < columns)


@triton.jit
def product(y, a, b, depth: tl.constexpr, block: tl.constexpr):
    i = tl.arange(0, block)
    k = tl.arange(0, depth)
    left = tl.load(a + i[:, None] * depth + k[None, :])
    right = tl.load(b + k[:, None] * block + i[None, :])
    tl.store(y + i[:, None] * block + i[None, :], tl.dot(left, right))
