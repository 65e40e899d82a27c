"""A plugin of one's own: declared, tested against numpy, put into a model and built.

The model holds ``com.example::Swish``, which no parser knows; a rewrite turns it into a plugin.
"""

import tempfile
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper

import pluginkit
from pluginkit import (
    Case,
    CudaKernel,
    Input,
    Launch,
    Op,
    Output,
    Plugin,
    Rewrite,
    attribute,
    ceil_div,
    float16,
    float32,
)
from pluginkit.testing import run_reference

KERNEL = """
#include <cuda_fp16.h>
template <typename T> __global__ void swish(T* y, const T* x, long long n, float beta) {
    const long long i = blockIdx.x * static_cast<long long>(blockDim.x) + threadIdx.x;
    if (i < n) {
        const float value = x[i];
        y[i] = value / (1.0f + expf(-beta * value));
    }
}
"""


class Swish(Plugin):
    """y = x / (1 + exp(-beta * x))."""

    types = {"T": (float32, float16)}
    tolerance = {float32: 1e-6, float16: 1e-3}

    beta: float = attribute(default=1.0)
    x = Input("T")
    y = Output("T", like="x")
    kernel = CudaKernel(KERNEL, "swish<{T}>")

    def launches(self, x, y):
        grid = ceil_div(x.size, 256)
        return Launch(self.kernel, grid=grid, block=256, args=(y, x, x.size, self.beta))

    def reference(self, x):
        return (x / (1 + np.exp(-np.float32(self.beta) * x))).astype(x.dtype)

    @classmethod
    def cases(cls):
        yield Case("small", [np.linspace(-3, 3, 7, dtype=np.float32)])


class ReplaceSwish(Rewrite):
    """com.example::Swish(x, beta) -> Swish_PK(x, beta)."""

    plugin = Swish
    pattern = Op("Swish", "x", domain="com.example")

    def rewrite(self, match):
        return match.plugin_node(Swish)  # with the inputs and attributes of the node


def example_model() -> onnx.ModelProto:
    """Y = Swish(x), with a batch dimension of any size."""
    node = helper.make_node("Swish", ["x"], ["y"], "act", domain="com.example", beta=1.5)
    graph = helper.make_graph(
        [node],
        "example",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 8])],
    )
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("com.example", 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=10)


def main(folder: Path) -> None:
    """Check the reference, rewrite the model, build it."""
    (case,) = Swish.cases()
    (y,) = run_reference(Swish(), case.inputs)
    print("swish of -3 to 3:", np.round(y, 3))

    path = folder / "example.onnx"
    onnx.save(example_model(), path)
    built = pluginkit.build_engine(
        path,
        options=pluginkit.BuildOptions(compute_capabilities=[(8, 9)]),
        plugins={Swish.spec.key: Swish},
        rewrites=[ReplaceSwish],
    )
    (record,) = built.manifest.plugins
    print(f"{built.plan_path.name} calls {record.name} with {record.nodes[0].attributes}")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        main(Path(folder))
