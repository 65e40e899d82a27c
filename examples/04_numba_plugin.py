"""The plugin of 02_first_plugin.py with its kernel in Python, compiled by numba.cuda.

The kernel is a file of its own, swish_kernel.py, so that numba is imported only to compile it.
"""

import numpy as np

from pluginkit import Case, Input, Launch, NumbaKernel, Output, Plugin, attribute, ceil_div, float32
from pluginkit.contract import calls
from pluginkit.kernels.compile import compile_launches
from pluginkit.testing import run_reference


class Swish(Plugin):
    """y = x / (1 + exp(-beta * x))."""

    tolerance = {float32: 1e-6}

    beta: float = attribute(default=1.0)
    x = Input(float32)
    y = Output(float32, like="x")
    kernel = NumbaKernel("swish_kernel.py", "swish")

    def launches(self, x, y):
        # A tensor is an array for numba, with the rank that it has here.
        args = (x.reshape(x.size), y.reshape(y.size), self.beta)
        return Launch(self.kernel, grid=ceil_div(x.size, 256), block=256, args=args)

    def reference(self, x):
        return (x / (1 + np.exp(-np.float32(self.beta) * x))).astype(x.dtype)

    @classmethod
    def cases(cls):
        yield Case("small", [np.linspace(-3, 3, 7, dtype=np.float32)])


def main() -> None:
    """Check the reference, then compile the kernel for two GPUs, which needs none."""
    (case,) = Swish.cases()
    plugin = Swish()
    (y,) = run_reference(plugin, case.inputs)
    np.testing.assert_allclose(y[[0, 3, 6]], [-0.142278, 0, 2.857722], rtol=1e-5)
    print("swish of -3 to 3:", np.round(y, 3))

    inputs = calls.describe_inputs(plugin, [(7,)], [float32])
    outputs = calls.describe_outputs(plugin, inputs)
    for architecture in ("86", "120"):
        (compiled,) = compile_launches(plugin, inputs, outputs, architecture)
        assert compiled.cubin.startswith(b"\x7fELF")
        print(f"compiled for {architecture}")


if __name__ == "__main__":
    main()
