"""Memory that is not the kernel's own: past a tail, before a start, too little asked for."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from pluginkit import (
    Case,
    CudaKernel,
    Input,
    Launch,
    Output,
    Plugin,
    ceil_div,
    float16,
    float32,
    int32,
)
from tests.plugincheck.planted_bugs.corpus import (
    BLOCK,
    Doubled,
    Gathered,
    Rows,
    cuda,
    line,
    planted,
    refuse_empty,
)


@planted("out_of_bounds")
class TailWrittenOneTooFar(Doubled):
    """``<=`` in place of ``<``: one element past the end of y is written."""

    kernel = cuda("""
    __global__ void twice(float* y, const float* x, int n) {
        int i = blockIdx.x * blockDim.x + threadIdx.x;
        if (i <= n) y[i] = x[i < n ? i : 0] * 2.0f;
    }
    """)


@planted("out_of_bounds")
class NeighbourReadPastTheEnd(Doubled):
    """The last thread reads x[n], and drops what it read."""

    kernel = cuda("""
    __global__ void twice(float* y, const float* x, int n) {
        int i = blockIdx.x * blockDim.x + threadIdx.x;
        if (i >= n) return;
        float next = x[i + 1];
        y[i] = 2.0f * x[i] + fminf(fabsf(next), 0.0f);
    }
    """)


@planted("out_of_bounds")
class NeighbourReadBeforeTheStart(Doubled):
    """The first thread reads x[-1], and drops what it read."""

    kernel = cuda("""
    __global__ void twice(float* y, const float* x, int n) {
        int i = blockIdx.x * blockDim.x + threadIdx.x;
        if (i >= n) return;
        float before = x[i - 1];
        y[i] = 2.0f * x[i] + fminf(fabsf(before), 0.0f);
    }
    """)


@planted("out_of_bounds")
class RowsAndColumnsConfused(Doubled):
    """The offset multiplies by the number of rows: far past the end, perhaps in another tensor."""

    x = Input("T", ranks=(2, 2))
    kernel = cuda("""
    __global__ void twice(float* y, const float* x, int rows, int columns) {
        int i = blockIdx.x * blockDim.x + threadIdx.x;
        if (i >= rows * columns) return;
        int row = i / columns, column = i % columns;
        y[row * rows + column] = 2.0f * x[row * rows + column];
    }
    """)

    def launches(self, x, y):
        args = (y, x, *map(int32, x.shape))
        return Launch(self.kernel, ceil_div(x.size, BLOCK), BLOCK, args)

    @classmethod
    def cases(cls):
        yield Case("tall", [line(600).reshape(60, 10)])


@planted("out_of_bounds")
class OffsetOverflows32Bits(Plugin):
    """A fixed-point position passes 2^31 and turns negative: nearest resize of 3000 elements."""

    types = {"T": (float32,)}
    x = Input("T", ranks=(1, 1))
    y = Output("T")
    kernel = cuda("""
    __global__ void resize(float* y, const float* x, int n, int step) {
        int i = blockIdx.x * blockDim.x + threadIdx.x;
        if (i < n) y[i] = x[(i * step) >> 20];
    }
    """)

    def output_shapes(self, x):
        return x.shape

    def launches(self, x, y):
        args = (y, x, int32(x.size), int32(1 << 20))
        return Launch(self.kernel, ceil_div(x.size, BLOCK), BLOCK, args)

    def reference(self, x):
        return x.copy()

    @classmethod
    def cases(cls):
        yield Case("long", [line(3000)])


@planted("out_of_bounds")
class NegativeIndexTakenAsItIs(Gathered):
    """ONNX counts a negative index from the end; the kernel reads before the start."""

    kernel = cuda("""
    __global__ void gather(float* y, const float* x, const int* indices, int n) {
        int i = blockIdx.x * blockDim.x + threadIdx.x;
        if (i < n) y[i] = x[indices[i]];
    }
    """)


@planted("out_of_bounds")
class WorkspaceTooSmall(Doubled):
    """The workspace holds n floats and is asked for as n halves."""

    kernel = cuda("""
    __global__ void stage(float* staged, const float* x, int n) {
        int i = blockIdx.x * blockDim.x + threadIdx.x;
        if (i < n) staged[i] = x[i];
    }
    """)
    finish = cuda("""
    __global__ void finish(float* y, const float* staged, int n) {
        int i = blockIdx.x * blockDim.x + threadIdx.x;
        if (i < n) y[i] = staged[i] * 2.0f;
    }
    """)

    def workspace_bytes(self, x):
        return x.size * 2

    def launches(self, x, y, workspace):
        grid, n = ceil_div(x.size, BLOCK), int32(x.size)
        return (
            Launch(self.kernel, grid, BLOCK, (workspace, x, n)),
            Launch(self.finish, grid, BLOCK, (y, workspace, n)),
        )


@planted("out_of_bounds")
class WorkspacePartsOverlapTheEnd(Doubled):
    """The second part of the workspace begins one element late, and ends behind its end."""

    kernel = cuda("""
    __global__ void twice(float* y, const float* x, float* low, float* high, int n) {
        int i = blockIdx.x * blockDim.x + threadIdx.x;
        if (i >= n) return;
        low[i] = x[i];
        high[i] = x[i];
        y[i] = low[i] + high[i];
    }
    """)

    def workspace_bytes(self, x):
        return 2 * x.nbytes

    def launches(self, x, y, workspace):
        low, high = workspace.first(x.nbytes), workspace.at(min(x.nbytes + 4, 2 * x.nbytes))
        args = (y, x, low, high, int32(x.size))
        return Launch(self.kernel, ceil_div(x.size, BLOCK), BLOCK, args)


@planted("out_of_bounds")
class SharedBytesOfAnotherType(Doubled):
    """Dynamic shared memory for floats is asked for with the size of a half."""

    kernel = cuda("""
    extern __shared__ float tile[];
    __global__ void twice(float* y, const float* x, int n) {
        int i = blockIdx.x * blockDim.x + threadIdx.x;
        tile[threadIdx.x] = i < n ? x[i] : 0.0f;
        __syncthreads();
        int mirrored = blockDim.x - 1 - threadIdx.x;
        int target = blockIdx.x * blockDim.x + mirrored;
        if (target < n) y[target] = tile[mirrored] * 2.0f;
    }
    """)

    def launches(self, x, y):
        grid = ceil_div(x.size, BLOCK)
        return Launch(self.kernel, grid, BLOCK, (y, x, int32(x.size)), shared_bytes=2 * BLOCK)


@planted("out_of_bounds", "uninitialised")
class HaloForgottenInTile(Doubled):
    """A tile without room for the halo: the last thread reads one element past it."""

    kernel = cuda("""
    __global__ void twice(float* y, const float* x, int n) {
        __shared__ float tile[128];
        int t = threadIdx.x, i = blockIdx.x * blockDim.x + t;
        tile[t] = i < n ? x[i] : 0.0f;
        __syncthreads();
        float next = tile[t + 1];
        if (i < n) y[i] = 2.0f * tile[t] + fminf(fabsf(next), 0.0f);
    }
    """)


@planted("out_of_bounds")
class LocalArrayTooShort(Rows):
    """Each thread keeps the largest ``keep`` values in a local array of four; keep is six."""

    kernel = cuda("""
    __global__ void best_of(float* y, const float* x, int columns, int keep) {
        float best[4];
        for (int k = 0; k < keep; ++k) best[k] = -1e30f;
        if (threadIdx.x > 0) return;
        for (int c = 0; c < columns; ++c) {
            float value = x[blockIdx.x * columns + c];
            for (int k = 0; k < keep; ++k) {
                if (value > best[k]) { float was = best[k]; best[k] = value; value = was; }
            }
        }
        y[blockIdx.x] = best[0];
    }
    """)

    def launches(self, x, y):
        args = (y, x, int32(x.shape[1]), int32(6))
        return Launch(self.kernel, x.shape[0], BLOCK, args)

    def check(self, x):
        refuse_empty(x)

    def reference(self, x):
        return x.max(axis=1)


@planted("out_of_bounds")
class TableTooShort(Doubled):
    """A table of eight factors is read with an index of nine values."""

    kernel = cuda("""
    __device__ float factors[8] = {2.0f, 2.0f, 2.0f, 2.0f, 2.0f, 2.0f, 2.0f, 2.0f};
    __global__ void twice(float* y, const float* x, int n) {
        int i = blockIdx.x * blockDim.x + threadIdx.x;
        if (i < n) y[i] = x[i] * factors[i % 9];
    }
    """)


@planted("misaligned")
class VectorLoadMisaligned(Doubled):
    """float4 loads from x + 1, which is aligned to 4 bytes alone."""

    kernel = cuda("""
    __global__ void twice(float* y, const float* x, int n) {
        int i = blockIdx.x * blockDim.x + threadIdx.x;
        if (i == 0) y[0] = x[0] * 2.0f;
        int first = 1 + 4 * i;
        if (first + 4 > n) {
            for (int k = first; k < n; ++k) y[k] = x[k] * 2.0f;
            return;
        }
        float4 four = *reinterpret_cast<const float4*>(x + first);
        y[first] = four.x * 2.0f;
        y[first + 1] = four.y * 2.0f;
        y[first + 2] = four.z * 2.0f;
        y[first + 3] = four.w * 2.0f;
    }
    """)

    @classmethod
    def cases(cls):
        yield Case("multiple_of_four", [line(1001)])


@planted("misaligned")
class WorkspacePartMisaligned(Doubled):
    """Doubles are staged after a flag of four bytes."""

    kernel = cuda("""
    __global__ void twice(float* y, const float* x, double* staged, int n) {
        int i = blockIdx.x * blockDim.x + threadIdx.x;
        if (i >= n) return;
        staged[i] = x[i];
        y[i] = static_cast<float>(2.0 * staged[i]);
    }
    """)

    def workspace_bytes(self, x):
        return 4 + 8 * x.size

    def launches(self, x, y, workspace):
        args = (y, x, workspace.at(4), int32(x.size))
        return Launch(self.kernel, ceil_div(x.size, BLOCK), BLOCK, args)


@planted("out_of_bounds")
class VectorTailForgotten(Doubled):
    """float4 loads and stores reach past the end where n is no multiple of four."""

    kernel = cuda("""
    __global__ void twice(float4* y, const float4* x, int n) {
        int i = blockIdx.x * blockDim.x + threadIdx.x;
        if (4 * i >= n) return;
        float4 four = x[i];
        y[i] = make_float4(four.x * 2.0f, four.y * 2.0f, four.z * 2.0f, four.w * 2.0f);
    }
    """)

    @classmethod
    def cases(cls):
        yield Case("odd", [line(1001)])


@planted("out_of_bounds")
class HalfWrittenAsFloat(Doubled):
    """The output is float16 and the kernel writes floats: twice as many bytes."""

    types = {"T": (float16,)}
    kernel = CudaKernel(
        """
    #include <cuda_fp16.h>
    __global__ void twice(float* y, const __half* x, int n) {
        int i = blockIdx.x * blockDim.x + threadIdx.x;
        if (i < n) y[i] = 2.0f * __half2float(x[i]);
    }
    """,
        "twice",
    )

    def reference(self, x):
        return x * np.float16(2)

    @classmethod
    def cases(cls):
        yield Case("line", [line(300).astype(np.float16)])


@planted("out_of_bounds")
class AbsentInputRead(Doubled):
    """The optional bias is absent, and its null pointer is read."""

    bias = Input("T", ranks=(1, 1), optional=True)
    kernel = cuda("""
    __global__ void twice(float* y, const float* x, const float* bias, int n) {
        int i = blockIdx.x * blockDim.x + threadIdx.x;
        if (i < n) y[i] = 2.0f * x[i] + bias[i];
    }
    """)

    def launches(self, x, bias, y):
        args = (y, x, bias, int32(x.size))
        return Launch(self.kernel, ceil_div(x.size, BLOCK), BLOCK, args)

    def reference(self, x, bias):
        return x * np.float32(2) + (0 if bias is None else bias)

    @classmethod
    def cases(cls):
        yield Case("absent", [line(300), None])


@planted("out_of_bounds")
class StaleSizeAfterReshape(Doubled):
    """The kernel is told the rounded-up size of the grid as the number of elements."""

    kernel = cuda("""
    __global__ void twice(float* y, const float* x, int n) {
        int i = blockIdx.x * blockDim.x + threadIdx.x;
        if (i < n) y[i] = x[i] * 2.0f;
    }
    """)

    def launches(self, x, y):
        grid = ceil_div(x.size, BLOCK)
        return Launch(self.kernel, grid, BLOCK, (y, x, int32(grid * BLOCK)))


@planted("out_of_bounds")
class DescriptionOfAnotherTensor(Doubled):
    """launches() takes an offset in elements for one in bytes."""

    kernel = cuda("""
    __global__ void twice(float* y, const float* tail, int half, int n) {
        int i = blockIdx.x * blockDim.x + threadIdx.x;
        if (i < n) y[i] = 2.0f * tail[i - half];
    }
    """)

    def launches(self, x, y):
        half = x.size // 2
        slot = replace(x.slot, offset=half)  # elements, where bytes are meant
        tail = replace(x, shape=(half,), slot=slot)
        args = (y, tail, int32(half), int32(x.size))
        return Launch(self.kernel, ceil_div(x.size, BLOCK), BLOCK, args)
