"""Bytes that nobody wrote: read as if they were zero, or left in an output."""

from __future__ import annotations

import numpy as np

from pluginkit import Case, CudaKernel, Fill, Input, Launch, Output, Plugin, float32, int32
from tests.plugincheck.planted_bugs.corpus import (
    BLOCK,
    Doubled,
    Rows,
    Total,
    blocks_for,
    cuda,
    line,
    planted,
)


@planted("unwritten")
class GridOneBlockShort(Doubled):
    """The grid is rounded down: the last elements have no thread."""

    kernel = cuda("""
    __global__ void twice(float* y, const float* x, int n) {
        int i = blockIdx.x * blockDim.x + threadIdx.x;
        if (i < n) y[i] = x[i] * 2.0f;
    }
    """)

    def launches(self, x, y):
        return Launch(self.kernel, x.size // BLOCK, BLOCK, (y, x, int32(x.size)))


@planted("unwritten")
class LastElementLeftOut(Doubled):
    """``n - 1`` in place of n."""

    kernel = cuda("""
    __global__ void twice(float* y, const float* x, int n) {
        int i = blockIdx.x * blockDim.x + threadIdx.x;
        if (i < n - 1) y[i] = x[i] * 2.0f;
    }
    """)


@planted("unwritten")
class FloatWrittenAsHalf(Doubled):
    """The output is float32 and the kernel writes halves: the second half of y stays as it was."""

    kernel = CudaKernel(
        """
    #include <cuda_fp16.h>
    __global__ void twice(__half* y, const float* x, int n) {
        int i = blockIdx.x * blockDim.x + threadIdx.x;
        if (i < n) y[i] = __float2half(x[i] * 2.0f);
    }
    """,
        "twice",
    )


@planted("unwritten")
class IndexNarrowedTo16Bits(Doubled):
    """A short holds the index: from 32768 on it is negative, and the guard leaves it out."""

    kernel = cuda("""
    __global__ void twice(float* y, const float* x, int n) {
        short i = blockIdx.x * blockDim.x + threadIdx.x;
        if (i >= 0 && i < n) y[i] = x[i] * 2.0f;
    }
    """)

    @classmethod
    def cases(cls):
        yield Case("beyond_16_bits", [line(33000)])


@planted("unwritten")
class EmptyRowsForgotten(Rows):
    """The sum of a row without columns is zero; the kernel returns before it writes."""

    kernel = cuda("""
    __global__ void row_sums(float* y, const float* x, int columns) {
        if (columns == 0 || threadIdx.x > 0) return;
        float sum = 0.0f;
        for (int c = 0; c < columns; ++c) sum += x[blockIdx.x * columns + c];
        y[blockIdx.x] = sum;
    }
    """)

    @classmethod
    def cases(cls):
        yield Case("rows", [line(12).reshape(3, 4)])
        yield Case("no_columns", [np.zeros((3, 0), np.float32)])


@planted("uninitialised", "unwritten")
class OutputAddedToBeforeItIsWritten(Total):
    """atomicAdd to an output that nothing has set to zero."""

    kernel = cuda("""
    __global__ void total(float* y, const float* x, int n) {
        int i = blockIdx.x * blockDim.x + threadIdx.x;
        if (i < n) atomicAdd(y, x[i]);
    }
    """)

    def launches(self, x, y):
        _, launch = super().launches(x, y)
        return launch


@planted("uninitialised")
class RowsAddedUpInTheOutput(Rows):
    """``y[row] += ...`` is the accumulator, without a first value."""

    kernel = cuda("""
    __global__ void row_sums(float* y, const float* x, int columns) {
        if (threadIdx.x > 0) return;
        for (int c = 0; c < columns; ++c) y[blockIdx.x] += x[blockIdx.x * columns + c];
    }
    """)


@planted("uninitialised")
class SharedAccumulatorNotCleared(Rows):
    """The block adds to a shared sum that holds whatever was there."""

    kernel = cuda("""
    __global__ void row_sums(float* y, const float* x, int columns) {
        __shared__ float sum;
        for (int c = threadIdx.x; c < columns; c += blockDim.x)
            atomicAdd(&sum, x[blockIdx.x * columns + c]);
        __syncthreads();
        if (threadIdx.x == 0) y[blockIdx.x] = sum;
    }
    """)


@planted("uninitialised")
class CountersInWorkspaceNotCleared(Total):
    """Counters in the workspace need a Fill: it is undefined at each enqueue."""

    kernel = cuda("""
    __global__ void count(float* y, const float* x, int* counter, int n) {
        int i = blockIdx.x * blockDim.x + threadIdx.x;
        if (i < n && x[i] > 0.0f) atomicAdd(counter, 1);
    }
    """)
    finish = cuda("""
    __global__ void finish(float* y, const int* counter) { y[0] = *counter; }
    """)

    def workspace_bytes(self, x):
        return 4

    def launches(self, x, y, workspace):
        return (
            Launch(self.kernel, blocks_for(x), BLOCK, (y, x, workspace, int32(x.size))),
            Launch(self.finish, 1, 1, (y, workspace)),
        )

    def reference(self, x):
        return (x > 0).sum(keepdims=True).astype(np.float32)


@planted("uninitialised")
class EveryBinButTheLastCleared(Plugin):
    """A histogram of 129 bins: 128 threads clear a bin each."""

    types = {"T": (float32,), "I": (int32,)}
    x = Input("T", ranks=(1, 1))
    y = Output("I")
    kernel = cuda("""
    __global__ void histogram(int* y, const float* x, int n) {
        __shared__ int bins[129];
        bins[threadIdx.x] = 0;
        __syncthreads();
        for (int i = threadIdx.x; i < n; i += blockDim.x)
            atomicAdd(&bins[min(max(int(x[i]), 0), 128)], 1);
        __syncthreads();
        for (int b = threadIdx.x; b < 129; b += blockDim.x) y[b] = bins[b];
    }
    """)

    def output_shapes(self, x):
        return (129,)

    def launches(self, x, y):
        return Launch(self.kernel, 1, BLOCK, (y, x, int32(x.size)))

    def reference(self, x):
        return np.bincount(np.clip(x, 0, 128).astype(np.int64), minlength=129).astype(np.int32)

    @classmethod
    def cases(cls):
        yield Case("clipped", [line(700)])


@planted("uninitialised")
class TailOfTileNotFilled(Rows):
    """Threads past the end of a short row leave their place of the tile alone; all are added up."""

    kernel = cuda("""
    __global__ void row_sums(float* y, const float* x, int columns) {
        __shared__ float tile[128];
        if (threadIdx.x < columns) tile[threadIdx.x] = x[blockIdx.x * columns + threadIdx.x];
        __syncthreads();
        for (int half = 64; half > 0; half /= 2) {
            if (threadIdx.x < half) tile[threadIdx.x] += tile[threadIdx.x + half];
            __syncthreads();
        }
        if (threadIdx.x == 0) y[blockIdx.x] = tile[0];
    }
    """)

    @classmethod
    def cases(cls):
        yield Case("short_rows", [line(300).reshape(3, 100)])


@planted("uninitialised")
class FillOfHalfTheBytes(Total):
    """The workspace is cleared for as many bytes as it has elements."""

    kernel = cuda("""
    __global__ void count(const float* x, int* bins, int n) {
        int i = blockIdx.x * blockDim.x + threadIdx.x;
        if (i < n) atomicAdd(&bins[i % 8], 1);
    }
    """)
    finish = cuda("""
    __global__ void finish(float* y, const int* bins) {
        float sum = 0.0f;
        for (int b = 0; b < 8; ++b) sum += bins[b];
        y[0] = sum;
    }
    """)

    def workspace_bytes(self, x):
        return 8 * 4

    def launches(self, x, y, workspace):
        return (
            Fill(workspace.first(8), 0),
            Launch(self.kernel, blocks_for(x), BLOCK, (x, workspace, int32(x.size))),
            Launch(self.finish, 1, 1, (y, workspace)),
        )

    def reference(self, x):
        return np.array([x.size], np.float32)
