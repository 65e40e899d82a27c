"""The kernels of numba_bugs.py and of its sound twins."""

import numpy as np
from numba import cuda


def twice(y, x):
    i = cuda.grid(1)
    if i < x.size:
        y[i] = x[i] * np.float32(2)


def twice_one_too_far(y, x):
    i = cuda.grid(1)
    if i <= x.size:
        y[i] = x[min(i, x.size - 1)] * np.float32(2)


def twice_without_the_last(y, x):
    i = cuda.grid(1)
    if i < x.size - 1:
        y[i] = x[i] * np.float32(2)


def twice_with_the_next(y, x):
    i = cuda.grid(1)
    if i < x.size:
        y[i] = x[i] * np.float32(2) + min(abs(x[i + 1]), np.float32(0))


def reversed_tile(y, x):
    tile = cuda.shared.array(128, np.float32)
    t, i = cuda.threadIdx.x, cuda.grid(1)
    tile[t] = x[i] * np.float32(2) if i < x.size else np.float32(0)
    cuda.syncthreads()
    target = cuda.blockIdx.x * 128 + 127 - t
    if target < x.size:
        y[target] = tile[127 - t]


def reversed_tile_without_barrier(y, x):
    tile = cuda.shared.array(128, np.float32)
    t, i = cuda.threadIdx.x, cuda.grid(1)
    tile[t] = x[i] * np.float32(2) if i < x.size else np.float32(0)
    target = cuda.blockIdx.x * 128 + 127 - t
    if target < x.size:
        y[target] = tile[127 - t]


def barrier_in_a_branch(y, x):
    tile = cuda.shared.array(128, np.float32)
    t, i = cuda.threadIdx.x, cuda.grid(1)
    tile[t] = np.float32(0)
    cuda.syncthreads()
    if t < 64:
        tile[t] = x[i] if i < x.size else np.float32(0)
        cuda.syncthreads()
    if i < x.size:
        y[i] = x[i] * np.float32(2)
    cuda.syncthreads()
    if t == 127 and i < x.size:
        y[i] = x[i] * np.float32(2)


def total(y, x):
    i = cuda.grid(1)
    if i < x.size:
        cuda.atomic.add(y, 0, x[i])


def total_without_atomics(y, x):
    i = cuda.grid(1)
    if i < x.size:
        y[0] += x[i]


def row_sums_unset(y, x):
    sums = cuda.shared.array(1, np.float32)
    row = cuda.blockIdx.x
    column = cuda.threadIdx.x
    while column < x.shape[1]:
        cuda.atomic.add(sums, 0, x[row, column])
        column += cuda.blockDim.x
    cuda.syncthreads()
    if cuda.threadIdx.x == 0:
        y[row] = sums[0]


def row_sums(y, x):
    sums = cuda.shared.array(1, np.float32)
    row = cuda.blockIdx.x
    column = cuda.threadIdx.x
    if column == 0:
        sums[0] = np.float32(0)
    cuda.syncthreads()
    while column < x.shape[1]:
        cuda.atomic.add(sums, 0, x[row, column])
        column += cuda.blockDim.x
    cuda.syncthreads()
    if cuda.threadIdx.x == 0:
        y[row] = sums[0]


def gather_wrapped(y, x, indices):
    i = cuda.grid(1)
    if i < indices.size:
        y[i] = x[indices[i] + 1]


def reversed_in_place(y, x):
    i = cuda.grid(1)
    if i < x.size:
        y[x.size - 1 - i] = x[i]
