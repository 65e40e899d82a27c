"""A plugin whose output's shape depends on data: the positive values of a vector.

The kernel writes how many there are into a SizeOutput, TensorRT's size tensor.
"""

import tempfile
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper

import pluginkit
from pluginkit import CudaKernel, Input, Launch, Op, Output, Plugin, Rewrite, SizeOutput, float32
from pluginkit.testing import run_reference

# One block, for brevity; plugins/non_zero shows how many blocks share the work.
KERNEL = """
extern "C" __global__ void positive(float* y, int* count, const float* x, long long n) {
    __shared__ int before[256];
    int found = 0;
    for (long long base = 0; base < n; base += 256) {
        const long long i = base + threadIdx.x;
        const bool is_positive = i < n && x[i] > 0.0f;
        before[threadIdx.x] = is_positive;
        const int total = __syncthreads_count(is_positive);
        int place = found;
        for (int other = 0; other < threadIdx.x; ++other) place += before[other];
        if (is_positive) y[place] = x[i];
        found += total;
        __syncthreads();
    }
    if (threadIdx.x == 0) *count = found;
}
"""


class Positive(Plugin):
    """The positive values of ``x``, in order."""

    x = Input(float32, ranks=(1, 1))
    y = Output(float32)
    count = SizeOutput()
    kernel = CudaKernel(KERNEL, "positive")

    def output_shapes(self, x):
        return (self.count.up_to(x.size),)

    def launches(self, x, y, count):
        return Launch(self.kernel, grid=1, block=256, args=(y, count, x, x.size))

    def reference(self, x):
        return x[x > 0]  # the count follows from it


class ReplacePositive(Rewrite):
    """com.example::Positive(x) -> Positive_PK(x), with the count as a second output."""

    plugin = Positive
    pattern = Op("Positive", "x", domain="com.example")

    def rewrite(self, match):
        return match.plugin_node(Positive)


def example_model() -> onnx.ModelProto:
    """The positive values of x, in an output of a size that only the data tells."""
    node = helper.make_node("Positive", ["x"], ["y"], "positive", domain="com.example")
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n"])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["found"])
    graph = helper.make_graph([node], "example", [x], [y])
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("com.example", 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=10)


def main(folder: Path) -> None:
    """Check the reference, build the model."""
    y, *_ = run_reference(Positive(), [np.array([3, -1, 0, 2], np.float32)])
    assert y.tolist() == [3, 2]
    print("positive:", y)

    path = folder / "example.onnx"
    onnx.save(example_model(), path)
    built = pluginkit.build_engine(
        path,
        shapes={"x": ((1,), (1000,), (100_000,))},
        options=pluginkit.BuildOptions(compute_capabilities=[(8, 9)]),
        plugins={Positive.spec.key: Positive},
        rewrites=[ReplacePositive],
    )
    (record,) = built.manifest.plugins
    assert built.plan_path.stat().st_size > 0
    print(f"{built.plan_path.name} calls {record.name}")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        main(Path(folder))
