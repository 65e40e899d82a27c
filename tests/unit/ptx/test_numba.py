"""Kernels of numba: shuffles, and the author's line in a finding."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from pluginkit import Input, Launch, NumbaKernel, Output, Plugin, ceil_div, float16, int32
from pluginkit.contract import calls
from pluginkit.kernels.compile import compile_launches
from pluginkit.testing import run_kernels

FILE = Path(__file__).parent / "numba_shuffles.py"


class SumOfWarps(Plugin):
    """y[i] = x[32 i] + ... + x[32 i + 31]"""

    x = Input(int32, ranks=(1, 1))
    y = Output(int32)
    kernel = NumbaKernel("numba_shuffles.py", "sum_of_warp")

    def output_shapes(self, x):
        return (ceil_div(x.size, 32),)

    def launches(self, x, y):
        return Launch(self.kernel, ceil_div(x.size, 64), 64, (y, x))

    def reference(self, x):
        return np.add.reduceat(x, range(0, len(x), 32), dtype=np.int32)


class Neighbours(Plugin):
    """y[i] = x[i + 1], which is out of bounds for the last element."""

    x = Input(int32, ranks=(1, 1))
    y = Output(int32, like="x")
    kernel = NumbaKernel("numba_shuffles.py", "neighbour")

    def launches(self, x, y):
        return Launch(self.kernel, ceil_div(x.size, 64), 64, (y, x))

    def reference(self, x):
        return np.roll(x, -1)


class Polynomial(Plugin):
    """y = x * x + x"""

    x = Input(float16)
    y = Output(float16, like="x")
    kernel = NumbaKernel("numba_shuffles.py", "polynomial")

    def launches(self, x, y):
        return Launch(self.kernel, ceil_div(x.size, 64), 64, (y, x))

    def reference(self, x):
        return x * x + x


def test_the_cuda_functions_that_numba_calls_for_halves_are_linked() -> None:
    x = np.linspace(-3, 3, 100).astype(np.float16)
    run = run_kernels(Polynomial(), [x])
    assert not run.findings
    np.testing.assert_array_equal(run.outputs[0], Polynomial().reference(x))
    inputs = calls.describe_inputs(Polynomial(), [x.shape], [float16])
    described = inputs, calls.describe_outputs(Polynomial(), inputs)
    (compiled,) = compile_launches(Polynomial(), *described, "80")
    assert compiled.cubin.startswith(b"\x7fELF")
    assert b".extern" not in compiled.ptx


def test_shuffles_of_a_whole_warp() -> None:
    x = np.arange(150, dtype=np.int32)
    run = run_kernels(SumOfWarps(), [x])
    assert not run.findings
    np.testing.assert_array_equal(run.outputs[0], SumOfWarps().reference(x))


def test_an_index_error_is_at_the_authors_line() -> None:
    run = run_kernels(Neighbours(), [np.arange(100, dtype=np.int32)])
    (finding,) = run.findings
    line = 1 + FILE.read_text().splitlines().index("        y[i] = x[i + 1]")
    assert (finding.kind, finding.line) == ("out_of_bounds", line)
    assert Path(str(finding.file)).name == FILE.name
    assert "4 bytes of input 'x' are read, 4 past its end" in finding.message
