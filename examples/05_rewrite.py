"""A rewrite of a subgraph: Mul(x, Sigmoid(x)) becomes one plugin node, and computes the same."""

import tempfile
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper

import pluginkit
from pluginkit import (
    CudaKernel,
    Input,
    Launch,
    Output,
    Plugin,
    Rewrite,
    ceil_div,
    float32,
)

KERNEL = """
extern "C" __global__ void silu(float* y, const float* x, long long n) {
    const long long i = blockIdx.x * static_cast<long long>(blockDim.x) + threadIdx.x;
    if (i < n) y[i] = x[i] / (1.0f + expf(-x[i]));
}
"""


class Silu(Plugin):
    """y = x / (1 + exp(-x))."""

    x = Input(float32)
    y = Output(float32, like="x")
    kernel = CudaKernel(KERNEL, "silu")

    def launches(self, x, y):
        return Launch(self.kernel, grid=ceil_div(x.size, 256), block=256, args=(y, x, x.size))

    def reference(self, x):
        return x / (1 + np.exp(-x))


class FuseSilu(Rewrite):
    """Mul(x, Sigmoid(x)) -> Silu_PK(x)."""

    plugin = Silu

    def pattern(self, op, x):
        return op.Mul(x, op.Sigmoid(x))

    def check(self, match, x):
        # A reason not to rewrite; the report gives it with the node's name.
        return match.dtype_problem(["float32"], x)

    def rewrite(self, match, x):
        return match.plugin_node(Silu(), [x])


def example_model() -> onnx.ModelProto:
    """The negated SiLU of x, with a batch dimension of any size."""
    nodes = [
        helper.make_node("Sigmoid", ["x"], ["gate"], "gate"),
        helper.make_node("Mul", ["x", "gate"], ["silu"], "mul"),
        helper.make_node("Neg", ["silu"], ["y"], "neg"),
    ]
    x, y = (
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", 8]) for name in ("x", "y")
    )
    graph = helper.make_graph(nodes, "example", [x], [y])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


def main(folder: Path) -> None:
    """Rewrite the model, then compare both on drawn inputs."""
    original, rewritten = folder / "example.onnx", folder / "example.plugins.onnx"
    onnx.save(example_model(), original)

    plugins = {Silu.spec.key: Silu}
    result = pluginkit.rewrite_model(
        pluginkit.load_model(original), plugins=plugins, rewrites=[FuseSilu]
    )
    pluginkit.save_model(result.model, rewritten, original)
    op_types = [node.op_type for node in onnx.load(rewritten).graph.node]
    print("nodes:", ", ".join(op_types))
    assert op_types == ["Silu_PK", "Neg"]

    # The original in ONNX Runtime, the plugin through its reference.
    comparison = pluginkit.compare_models(
        original, rewritten, shapes={"x": (5, 8)}, plugins=plugins
    )
    (y,) = comparison.outputs
    print(f"{y.name}: largest error {y.max_abs_error:.1e}")
    assert comparison.ok


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        main(Path(folder))
