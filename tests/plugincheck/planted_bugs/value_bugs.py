"""Arguments and arithmetic: what is swapped, divided by zero, rounded or left out."""

from __future__ import annotations

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
    Rows,
    cuda,
    line,
    planted,
    planted_in_results,
)


@planted("input_written")
class ArgumentsSwapped(Doubled):
    """Input and output have changed places in the launch."""

    kernel = cuda("""
    __global__ void twice(float* y, const float* x, int n) {
        int i = blockIdx.x * blockDim.x + threadIdx.x;
        if (i < n) y[i] = x[i] * 2.0f;
    }
    """)

    def launches(self, x, y):
        return Launch(self.kernel, ceil_div(x.size, BLOCK), BLOCK, (x, y, int32(x.size)))


@planted("input_written")
class InputUsedAsScratch(Rows):
    """Each row of the input is added up in place."""

    kernel = cuda("""
    __global__ void row_sums(float* y, float* x, int columns) {
        float* row = x + blockIdx.x * columns;
        for (int half = 128; half > 0; half /= 2) {
            if (threadIdx.x < half && threadIdx.x + half < columns)
                row[threadIdx.x] += row[threadIdx.x + half];
            __syncthreads();
        }
        if (threadIdx.x == 0) y[blockIdx.x] = row[0];
    }
    """)


@planted("division")
class DivisorOfSmallRows(Rows):
    """The mean of each part of a row: a row shorter than its parts has parts of no elements."""

    kernel = cuda("""
    __global__ void parts(float* y, const float* x, int columns, int parts) {
        if (threadIdx.x > 0) return;
        int length = columns / parts;
        float sum = 0.0f;
        for (int c = 0; c < columns; ++c)
            if (c / length >= 0) sum += x[blockIdx.x * columns + c];
        y[blockIdx.x] = sum;
    }
    """)

    def launches(self, x, y):
        args = (y, x, int32(x.shape[1]), int32(8))
        return Launch(self.kernel, x.shape[0], BLOCK, args)

    @classmethod
    def cases(cls):
        yield Case("long_rows", [line(60).reshape(3, 20)])
        yield Case("short_rows", [line(12).reshape(3, 4)])


@planted("division")
class RemainderByAnEmptyAxis(Doubled):
    """A position modulo the number of weights, of which there are none."""

    weights = Input("T", ranks=(1, 1))
    kernel = cuda("""
    __global__ void weigh(float* y, const float* x, const float* weights, int n, int count) {
        int i = blockIdx.x * blockDim.x + threadIdx.x;
        if (i >= n) return;
        int k = i % count;
        y[i] = 2.0f * x[i] + (k < count ? weights[k] : 0.0f);
    }
    """)

    def launches(self, x, weights, y):
        args = (y, x, weights, int32(x.size), int32(weights.size))
        return Launch(self.kernel, ceil_div(x.size, BLOCK), BLOCK, args)

    def reference(self, x, weights):
        return 2 * x + (np.resize(weights, x.shape) if weights.size else np.float32(0))

    @classmethod
    def cases(cls):
        yield Case("weights", [line(100), line(4)])
        yield Case("no_weights", [line(100), line(0)])


@planted_in_results("kernel_types")
class SizesSwapped(Doubled):
    """A transposition of a square is right, of anything else wrong: the sizes are swapped."""

    x = Input("T", ranks=(2, 2))
    y = Output("T")
    kernel = cuda("""
    __global__ void transpose(float* y, const float* x, int rows, int columns) {
        int i = blockIdx.x * blockDim.x + threadIdx.x;
        if (i < rows * columns) y[i % columns * rows + i / columns] = x[i];
    }
    """)

    def output_shapes(self, x):
        return x.shape[1], x.shape[0]

    def launches(self, x, y):
        args = (y, x, int32(x.shape[1]), int32(x.shape[0]))
        return Launch(self.kernel, ceil_div(x.size, BLOCK), BLOCK, args)

    def reference(self, x):
        return np.ascontiguousarray(x.T)

    @classmethod
    def cases(cls):
        yield Case("square", [line(16).reshape(4, 4)])
        yield Case("wide", [line(60).reshape(4, 15)])


@planted_in_results("kernel_types")
class BranchForTheOtherType(Doubled):
    """The half version forgets the factor."""

    types = {"T": (float32, float16)}
    tolerance = {float16: 1e-3}
    kernel = CudaKernel(
        """
    #include <cuda_fp16.h>
    __device__ float widened(float x) { return 2.0f * x; }
    __device__ float widened(__half x) { return __half2float(x); }
    template <typename T> __global__ void twice(T* y, const T* x, int n) {
        int i = blockIdx.x * blockDim.x + threadIdx.x;
        if (i < n) y[i] = T(widened(x[i]));
    }
    """,
        "twice<{T}>",
    )

    def reference(self, x):
        return x * x.dtype.type(2)


@planted_in_results("kernel_types")
class RoundedTowardsZero(Plugin):
    """A cast where the operator rounds to the nearest even integer."""

    types = {"T": (float32,), "I": (int32,)}
    x = Input("T", ranks=(1, 1))
    y = Output("I")
    kernel = cuda("""
    __global__ void rounded(int* y, const float* x, int n) {
        int i = blockIdx.x * blockDim.x + threadIdx.x;
        if (i < n) y[i] = static_cast<int>(x[i]);
    }
    """)

    def output_shapes(self, x):
        return x.shape

    def launches(self, x, y):
        return Launch(self.kernel, ceil_div(x.size, BLOCK), BLOCK, (y, x, int32(x.size)))

    def reference(self, x):
        return np.rint(x).astype(np.int32)

    @classmethod
    def cases(cls):
        yield Case("quarters", [line(300) / 4])


@planted_in_results("kernel_nan_inf")
class NanLostInMaximum(Rows):
    """``fmaxf`` ignores NaN, numpy and ONNX do not."""

    kernel = cuda("""
    __global__ void largest(float* y, const float* x, int columns) {
        if (threadIdx.x > 0) return;
        float most = x[blockIdx.x * columns];
        for (int c = 1; c < columns; ++c) most = fmaxf(most, x[blockIdx.x * columns + c]);
        y[blockIdx.x] = most;
    }
    """)

    def reference(self, x):
        return x.max(axis=1)

    @classmethod
    def cases(cls):
        yield Case("rows", [line(30).reshape(3, 10)])


@planted_in_results("kernel_sizes")
class EvenSizesAlone(Doubled):
    """Two elements a thread, and none for the last one of an odd size."""

    kernel = cuda("""
    __global__ void twice(float* y, const float* x, int n) {
        int i = 2 * (blockIdx.x * blockDim.x + threadIdx.x);
        if (i + 1 < n) {
            y[i] = x[i] * 2.0f;
            y[i + 1] = x[i + 1] * 2.0f;
        }
    }
    """)

    @classmethod
    def cases(cls):
        yield Case("even", [line(100)])
