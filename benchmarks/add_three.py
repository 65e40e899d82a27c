"""The plugin of the enqueue benchmarks: three inputs, one output, one small kernel."""

from __future__ import annotations

from pluginkit import CudaKernel, Input, Launch, Output, Plugin, ceil_div, float32

BLOCK = 256
#: The name of the kernel, which is extern "C".
SYMBOL = "add_three"
SOURCE = r"""
extern "C" __global__ void add_three(const float* a, const float* b, const float* c, float* y,
                                     long long count) {
    const long long i = blockIdx.x * static_cast<long long>(blockDim.x) + threadIdx.x;
    if (i < count) y[i] = a[i] + b[i] + c[i];
}
"""


class AddThreeBase(Plugin, abstract=True):
    """y = a + b + c."""

    types = {"T": (float32,)}
    a, b, c = Input("T"), Input("T"), Input("T")
    y = Output("T", like="a")
    kernel = CudaKernel(SOURCE, SYMBOL)

    def launches(self, a, b, c, y):
        """Return a launch with one thread for each element."""
        return Launch(self.kernel, ceil_div(y.size, BLOCK), BLOCK, (a, b, c, y, y.size))

    def reference(self, a, b, c):
        """Return the sum."""
        return a + b + c
