"""Plugins for the tests of pluginkit.kernels."""

from __future__ import annotations

from typing import Literal

from pluginkit import (
    FLOAT_TYPES,
    CudaKernel,
    Fill,
    Input,
    Launch,
    NumbaKernel,
    Output,
    Plugin,
    attribute,
    bfloat16,
    float32,
    int32,
)

SOURCE = """
#include <cuda_bf16.h>
#include <cuda_fp16.h>
enum class Mode { plain, twice };
struct Pair { int values[2]; };
template <typename T, Mode MODE, bool NEGATE, int WIDTH>
__global__ void combine(const T* x, const T* absent, T* y, Pair pair, long long count,
                        float factor, bool flag) {}
"""


class Combine(Plugin):
    """Every kind of argument and template parameter."""

    types = {"T": FLOAT_TYPES}
    mode: Literal["plain", "twice"] = attribute(default="plain")
    negate: bool = attribute(default=False)
    factor: float = attribute(default=0.5)

    x = Input("T")
    y = Output("T")
    kernel = CudaKernel(
        SOURCE, "combine<{T}, Mode::{mode}, {negate}, {WIDTH}>", constants={"WIDTH": (1, 4)}
    )

    def output_shapes(self, x):
        return x.shape

    def launches(self, x, y):
        args = (x, None, y, int32((3, 4)), x.size, self.factor, True)
        return Launch(self.kernel, -(-x.size // 64), 64, args, constants={"WIDTH": 4})

    def reference(self, x):
        return x


class Stamp(Plugin):
    """A numba kernel with an array, a workspace, a tuple and a bool."""

    x = Input((float32, bfloat16))
    y = Output(float32)
    kernel = NumbaKernel("numba_kernels.py", "stamp")

    def output_shapes(self, x):
        return x.shape

    def workspace_bytes(self, x):
        return 16 + x.size

    def launches(self, x, y, workspace):
        scratch = workspace.at(16)
        return (
            Fill(scratch, 7),
            Launch(self.kernel, (2, 1), (8, 1), (scratch, y, int32((10, 20, 30)), True)),
        )

    def reference(self, x):
        raise NotImplementedError
