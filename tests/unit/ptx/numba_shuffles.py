"""numba kernels that numba's own simulator runs wrongly, or whose errors it places in its files."""

from numba import cuda, int32


def sum_of_warp(y, x):
    i = cuda.grid(1)
    value = x[i] if i < x.size else int32(0)
    for step in (16, 8, 4, 2, 1):
        value += cuda.shfl_down_sync(0xFFFFFFFF, value, step)
    if i % 32 == 0 and i // 32 < y.size:
        y[i // 32] = value


def neighbour(y, x):
    i = cuda.grid(1)
    if i < y.size:
        y[i] = x[i + 1]


def polynomial(y, x):
    i = cuda.grid(1)
    if i < x.size:
        y[i] = x[i] * x[i] + x[i]
