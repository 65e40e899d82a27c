"""A plugin that says what int8 means to it."""

import numpy as np

from pluginkit import (
    Case,
    CudaKernel,
    Input,
    Launch,
    Output,
    Plugin,
    attribute,
    ceil_div,
    float16,
    float32,
    int8,
)

SOURCE = """
#include <cuda_fp16.h>

template <typename T> __device__ float real(T x, float) { return static_cast<float>(x); }
__device__ float real(signed char x, float scale) { return x * scale; }
template <typename T> __device__ T stored(float y, float) { return static_cast<T>(y); }
template <> __device__ signed char stored<signed char>(float y, float scale) {
    return static_cast<signed char>(fminf(fmaxf(rintf(y / scale), -128.0f), 127.0f));
}

template <typename T>
__global__ void soft_sign(T* y, const T* x, long long n, float x_scale, float y_scale) {
    const long long i = blockIdx.x * (long long)blockDim.x + threadIdx.x;
    if (i >= n) return;
    const float value = real(x[i], x_scale);
    y[i] = stored<T>(value / (1.0f + fabsf(value)), y_scale);
}
"""


class SoftSign(Plugin):
    """y = x / (1 + |x|)"""

    types = {"T": (float32, float16, int8)}
    x_scale: float = attribute(default=1.0)
    y_scale: float = attribute(default=1.0)
    x = Input("T", scale="x_scale")
    y = Output("T", like="x", scale="y_scale")
    tolerance = {float32: 1e-6, float16: 1e-3}
    kernel = CudaKernel(SOURCE, "soft_sign<{T}>")

    def launches(self, x, y):
        arguments = (y, x, x.size, self.x_scale, self.y_scale)
        return Launch(self.kernel, ceil_div(x.size, 256), 256, arguments)

    def reference(self, x):
        is_quantized = x.dtype == np.int8
        value = x.astype(np.float32) * np.float32(self.x_scale if is_quantized else 1)
        y = value / (1 + np.abs(value))
        if is_quantized:
            y = np.clip(np.rint(y / np.float32(self.y_scale)), -128, 127)
        return y.astype(x.dtype)

    @classmethod
    def cases(cls):
        yield Case("vector", [np.linspace(-3, 3, 77, dtype=np.float32)], {"y_scale": 0.01})
