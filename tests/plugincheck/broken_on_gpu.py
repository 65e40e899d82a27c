"""Plugins whose fault shows on a GPU alone; each names the checks that must fail."""

from __future__ import annotations

import numpy as np

from pluginkit import Copy, CudaKernel, Input, Launch, Output, Plugin, float32, int64
from tests.plugincheck.broken import Copying, _Copying

CAUGHT: dict[type[Plugin], set[str]] = {}

_TEMPLATE = """
#include <cuda_fp16.h>
template <typename T> __global__ void twice(T* y, const T* x, long long n) {
    long long i = blockIdx.x * (long long)blockDim.x + threadIdx.x;
    %s
}
"""


def kernel(body: str) -> CudaKernel:
    return CudaKernel(_TEMPLATE % body, "twice<{T}>")


class WrongFactor(_Copying):
    kernel = kernel("if (i < n) y[i] = T(float(x[i]) * 2.5f);")


CAUGHT[WrongFactor] = {"kernel_types", "kernel_sizes", "determinism", "graph_capture"}


class OneTooMany(_Copying):
    kernel = kernel("if (i <= n) y[i] = T(float(x[i < n ? i : 0]) * 2.0f);")


CAUGHT[OneTooMany] = {"canaries"}


class OneTooFew(_Copying):
    kernel = kernel("if (i < n - 1) y[i] = T(float(x[i]) * 2.0f);")


CAUGHT[OneTooFew] = {"kernel_types", "poisoned_outputs"}


class IllegalAddress(_Copying):
    kernel = kernel("if (i < n) y[i + (1ll << 40)] = x[i];")


CAUGHT[IllegalAddress] = {"kernel_types", "canaries", "two_contexts"}


class Race(Plugin):
    """Every thread adds to one element, without atomics."""

    types = {"T": (float32,)}
    x = Input("T", ranks=(1, 1))
    y = Output("T")
    add = CudaKernel(
        """
        template <typename T> __global__ void add(T* y, const T* x, long long n) {
            long long i = blockIdx.x * (long long)blockDim.x + threadIdx.x;
            if (i < n) y[0] += x[i];
        }
        """,
        "add<{T}>",
    )

    def output_shapes(self, x):
        return (1,)

    def launches(self, x, y):
        from pluginkit import Fill

        return Fill(y, 0), Launch(self.add, -(-x.size // 256), 256, (y, x, x.size))

    def reference(self, x):
        return x.sum(keepdims=True)

    @classmethod
    def cases(cls):
        from pluginkit import Case

        yield Case("ones", [np.ones(10000, np.float32)])


CAUGHT[Race] = {"kernel_types"}


class _Enqueue(Plugin, abstract=True):
    types = {"T": (float32,)}
    x = Input("T")
    y = Output("T")

    def output_shapes(self, x):
        return x.shape

    def reference(self, x):
        return x * x.dtype.type(2)

    @classmethod
    def cases(cls):
        return Copying.cases()


class RightStream(_Enqueue):
    """Nothing is wrong with this one."""

    def enqueue(self, inputs, outputs, workspace, stream):
        import cupy

        with cupy.cuda.ExternalStream(stream):
            cupy.multiply(inputs[0].cupy(), 2, out=outputs[0].cupy())


class WrongStream(_Enqueue):
    def enqueue(self, inputs, outputs, workspace, stream):
        import cupy

        own = cupy.cuda.Stream(non_blocking=True)
        with own:
            cupy.multiply(inputs[0].cupy(), 2, out=outputs[0].cupy())
        own.synchronize()


CAUGHT[WrongStream] = {"stream", "graph_capture"}


class UploadInEnqueue(_Enqueue):
    def enqueue(self, inputs, outputs, workspace, stream):
        import cupy

        with cupy.cuda.ExternalStream(stream):
            factor = cupy.asarray(np.full(1, 2, np.float32))
            cupy.multiply(inputs[0].cupy(), factor, out=outputs[0].cupy())


CAUGHT[UploadInEnqueue] = {"graph_capture"}


class SynchronisesInEnqueue(_Enqueue):
    def enqueue(self, inputs, outputs, workspace, stream):
        import cupy

        with cupy.cuda.ExternalStream(stream) as queue:
            cupy.multiply(inputs[0].cupy(), 2, out=outputs[0].cupy())
            queue.synchronize()


CAUGHT[SynchronisesInEnqueue] = {"graph_capture"}


class KeepsAnInput(_Copying):
    """Copies from the wrong tensor."""

    def launches(self, x, y, z):
        return self.twice(x, y), Copy(z, y)


CAUGHT[KeepsAnInput] = {"kernel_types"}


class IndexTypeConfused(_Copying):
    """Passes the wrong number of elements."""

    def twice(self, x, y):
        return Launch(self.kernel, -(-x.size // 256), 256, (y, x, int64(x.size // 2)))


CAUGHT[IndexTypeConfused] = {"kernel_types", "poisoned_outputs"}
