"""What a GPU does not promise: large grids, blocks at the same time, clocks, memory of a heap."""

from __future__ import annotations

import numpy as np

from pluginkit import Case, Fill, Launch, Output, float32, int32
from tests.plugincheck.planted_bugs.corpus import (
    BLOCK,
    Doubled,
    Rows,
    Total,
    blocks_for,
    cuda,
    line,
    planted,
    planted_in_results,
)


@planted_in_results("launches")
class RowsInTheSecondDimension(Rows):
    """A grid has at most 65535 blocks there, and the matrix may have more rows."""

    kernel = cuda("""
    __global__ void row_sums(float* y, const float* x, int columns) {
        float sum = 0.0f;
        for (int c = threadIdx.x; c < columns; c += blockDim.x)
            sum += x[(long long)blockIdx.y * columns + c];
        atomicAdd(y + blockIdx.y, sum);
    }
    """)

    def launches(self, x, y):
        args = (y, x, int32(x.shape[1]))
        return Fill(y, 0), Launch(self.kernel, (1, x.shape[0]), BLOCK, args)


class Carried(Total, abstract=True):
    """The sum, in which each block adds what another one has: ``kernel(y, x, n, sums, ready)``."""

    def workspace_bytes(self, x):
        return 8 * blocks_for(x)

    def launches(self, x, y, workspace):
        blocks = blocks_for(x)
        sums, ready = workspace.split([4 * blocks, 4 * blocks])
        args = (y, x, int32(x.size), sums, ready)
        return Fill(y, 0), Fill(ready, 0), Launch(self.kernel, blocks, BLOCK, args)


@planted("deadlock")
class WaitsForTheNextBlock(Carried):
    """A GPU begins blocks in order: where the first ones fill it, the last one never begins."""

    kernel = cuda("""
    __global__ void total(float* y, const float* x, int n, volatile float* sums,
                          volatile int* ready) {
        if (threadIdx.x > 0) return;
        float sum = 0.0f;
        for (int i = blockIdx.x * 128; i < min(n, int(blockIdx.x + 1) * 128); ++i) sum += x[i];
        if (blockIdx.x + 1 < gridDim.x) {
            while (ready[blockIdx.x + 1] == 0) {}
            __threadfence();
            sum += sums[blockIdx.x + 1];
        }
        sums[blockIdx.x] = sum;
        __threadfence();
        ready[blockIdx.x] = 1;
        if (blockIdx.x == 0) y[0] = sum;
    }
    """)


@planted("deadlock")
class BarrierOfTheGrid(Carried):
    """Every block waits for all others, in a launch that does not make them run at once."""

    kernel = cuda("""
    __global__ void total(float* y, const float* x, int n, float* sums, int* ready) {
        if (threadIdx.x > 0) return;
        float sum = 0.0f;
        for (int i = blockIdx.x * 128; i < min(n, int(blockIdx.x + 1) * 128); ++i) sum += x[i];
        sums[blockIdx.x] = sum;
        __threadfence();
        atomicAdd(ready, 1);
        while (atomicAdd(ready, 0) < gridDim.x) {}
        __threadfence();
        if (blockIdx.x > 0) return;
        float all = 0.0f;
        for (int b = 0; b < gridDim.x; ++b) all += sums[b];
        y[0] = all;
    }
    """)


@planted("unrepeatable")
class NoiseFromAClock(Doubled):
    """What is added differs in each run."""

    kernel = cuda("""
    __global__ void twice(float* y, const float* x, int n) {
        int i = blockIdx.x * blockDim.x + threadIdx.x;
        if (i < n) y[i] = x[i] * 2.0f + float(clock64() & 1) * 1e-9f;
    }
    """)


@planted("unrepeatable")
class SumPlacedByMultiprocessor(Doubled):
    """What is added is 0 where there is a single multiprocessor."""

    kernel = cuda("""
    __global__ void twice(float* y, const float* x, int n) {
        int i = blockIdx.x * blockDim.x + threadIdx.x;
        unsigned processor;
        asm volatile("mov.u32 %0, %%smid;" : "=r"(processor));
        if (i < n) y[i] = x[i] * 2.0f + float(processor) * 1e-9f;
    }
    """)


@planted_in_results("kernel_types")
class LessWorkOnSomeMultiprocessors(Doubled):
    """The blocks of all multiprocessors but the first two do nothing of use."""

    kernel = cuda("""
    __global__ void twice(float* y, const float* x, int n) {
        int i = blockIdx.x * blockDim.x + threadIdx.x;
        unsigned processor;
        asm volatile("mov.u32 %0, %%smid;" : "=r"(processor));
        if (i < n) y[i] = processor < 2 ? x[i] * 2.0f : x[i];
    }
    """)


@planted("out_of_bounds")
class HeapTrustedToHaveRoom(Doubled):
    """All kernels share 8 MB; malloc returns NULL once these are used up."""

    kernel = cuda("""
    __global__ void twice(float* y, const float* x, int n) {
        int i = blockIdx.x * blockDim.x + threadIdx.x;
        if (i >= n) return;
        float* pair = static_cast<float*>(malloc(8));
        for (int k = 0; k < 2; ++k) pair[k] = x[i];
        y[i] = pair[0] + pair[1];
        free(pair);
    }
    """)


@planted_in_results("kernel_nan_inf")
class DenormalsFlushed(Doubled):
    """Kernels are compiled so that denormals are 0, unless they have the option ``-ftz=false``."""

    types = {"T": (float32,)}
    y = Output(int32)
    kernel = cuda("""
    __global__ void is_positive(int* y, const float* x, int n) {
        int i = blockIdx.x * blockDim.x + threadIdx.x;
        if (i < n) y[i] = x[i] > 0.0f;
    }
    """)

    def output_shapes(self, x):
        return x.shape

    def reference(self, x):
        return (x > 0).astype(np.int32)

    @classmethod
    def cases(cls):
        yield Case("line", [-np.abs(line(100))])
