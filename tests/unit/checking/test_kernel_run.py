"""run_kernels: what kernels compute and what is wrong with them, without a GPU."""

from pathlib import Path

import numpy as np
import pytest

from pluginkit import (
    Copy,
    CudaKernel,
    Fill,
    Input,
    Launch,
    Output,
    Plugin,
    SizeOutput,
    attribute,
    bfloat16,
    float16,
    float32,
    int32,
)
from pluginkit.errors import KernelError, TensorError
from pluginkit.testing import run_kernels


class Weighed(Plugin):
    """y = factor * x + bias, through the workspace; z is x again."""

    types = {"T": (float32, float16, bfloat16)}
    factor: float = attribute(default=2.0)
    written: int = attribute(default=1000)
    x = Input("T")
    bias = Input("T", optional=True)
    y = Output("T", like="x")
    z = Output("T", like="x")
    kernel = CudaKernel(
        """
    #include <cuda_bf16.h>
    #include <cuda_fp16.h>
    template <typename T>
    __global__ void weigh(T* y, const T* staged, const T* bias, int n, float factor) {
        int i = blockIdx.x * blockDim.x + threadIdx.x;
        if (i < n) y[i] = T(float(staged[i]) * factor + (bias ? float(bias[i]) : 0.0f));
    }
    """,
        "weigh<{T}>",
    )

    def workspace_bytes(self, x, bias):
        return 64 + x.nbytes

    def launches(self, x, bias, y, z, workspace):
        staged = workspace.at(64)
        args = (y, staged, bias, int32(min(x.size, self.written)), self.factor)
        return (
            Fill(workspace.first(64), 0),
            Copy(staged, x),
            Launch(self.kernel, -(-x.size // 64), 64, args),
            Copy(z, x),
        )

    def reference(self, x, bias):
        return (x * x.dtype.type(self.factor) + (0 if bias is None else bias)).astype(x.dtype), x


X = np.arange(-50, 50, dtype=np.float32)


@pytest.mark.parametrize("dtype", [np.float32, np.float16, bfloat16.numpy])
def test_outputs_are_the_kernels_own(dtype) -> None:
    x = X.astype(dtype)
    run = run_kernels(Weighed(factor=3.0), [x, x])
    assert run.findings == []
    y, z = run.outputs
    assert y.dtype == z.dtype == dtype
    np.testing.assert_array_equal(y.astype(np.float32), 4 * X)
    np.testing.assert_array_equal(z, x)


def test_an_input_may_be_absent() -> None:
    run = run_kernels(Weighed(), [X.reshape(10, 10), None])
    assert run.findings == []
    np.testing.assert_array_equal(run.outputs[0], 2 * X.reshape(10, 10))


def test_bytes_that_nothing_wrote_are_a_finding() -> None:
    run = run_kernels(Weighed(written=97), [X, None])
    (finding,) = run.findings
    assert (finding.kind, finding.buffer, finding.offset) == ("unwritten", "output 'y'", 97 * 4)
    assert "12 of 400 bytes" in finding.message
    assert run.outputs[0][97:].tobytes() == bytes([0xA5]) * 12
    np.testing.assert_array_equal(run.outputs[0][:97], 2 * X[:97])


def test_a_finding_says_where_it_is() -> None:
    class TooFar(Weighed):
        def launches(self, x, bias, y, z, workspace):
            *others, launch, copy = super().launches(x, bias, y, z, workspace)
            args = (*launch.args[:3], int32(x.size + 1), launch.args[4])
            return *others, Launch(self.kernel, launch.grid, launch.block, args), copy

    run = run_kernels(TooFar(), [X, None])
    assert {finding.kind for finding in run.findings} == {"out_of_bounds"}
    written = next(one for one in run.findings if one.buffer == "output 'y'")
    assert (written.block, written.thread) == ((1, 0, 0), (36, 0, 0))
    assert written.offset == 400
    assert "y[i] = T(" in Path(__file__).read_text().splitlines()[written.line - 1]
    assert "weigh" in written.kernel


class Reversed(Plugin):
    """y may lie where x does, and then x is overwritten before it is read."""

    types = {"T": (float32,)}
    x = Input("T")
    y = Output("T", aliases="x")
    kernel = CudaKernel(
        """
    __global__ void reverse(float* y, const float* x, int n) {
        int i = threadIdx.x;
        if (i < n) y[n - 1 - i] = x[i];
    }
    """,
        "reverse",
    )

    def launches(self, x, y):
        return Launch(self.kernel, 1, 128, (y, x, int32(x.size)))

    def reference(self, x):
        return x[::-1].copy()


def test_outputs_lie_in_the_inputs_memory_where_that_is_asked_for() -> None:
    assert run_kernels(Reversed(), [X]).findings == []
    run = run_kernels(Reversed(), [X], in_place=True)
    assert {finding.kind for finding in run.findings} == {"race"}
    assert run.findings[0].buffer == "input 'x'"


class Positive(Plugin):
    """The positive elements, as many as there are."""

    types = {"T": (float32,)}
    x = Input("T", ranks=(1, 1))
    y = Output("T")
    count = SizeOutput(int32)
    kernel = CudaKernel(
        """
    __global__ void positive(float* y, int* count, const float* x, int n) {
        int found = 0;
        for (int i = 0; i < n; ++i)
            if (x[i] > 0) y[found++] = x[i];
        *count = found;
    }
    """,
        "positive",
    )

    def output_shapes(self, x):
        return (self.count.up_to(x.shape[0]),)

    def launches(self, x, y, count):
        return Launch(self.kernel, 1, 1, (y, count, x, int32(x.size)))

    def reference(self, x):
        return x[x > 0]


def test_of_an_output_that_kernels_size_only_that_much_must_be_written() -> None:
    run = run_kernels(Positive(), [X])
    assert run.findings == []
    np.testing.assert_array_equal(run.outputs[0], X[51:])
    assert run.outputs[1] == 49


class WithoutCount(Positive):
    """The kernel forgets to say how many there are."""

    kernel = CudaKernel(Positive.kernel.source.replace("*count = found;", ""), "positive")


class NegativeCount(Positive):
    """The kernel says that there are fewer than none, and writes before the start."""

    kernel = CudaKernel(
        Positive.kernel.source.replace("*count = found;", "*count = -1; y[-1] = 0;"), "positive"
    )


def test_a_size_that_no_kernel_wrote_is_a_finding() -> None:
    run = run_kernels(WithoutCount(), [X])
    assert [(one.kind, one.buffer) for one in run.findings] == [("unwritten", "output 'count'")]
    assert run.outputs[0].shape == (0,)


def test_a_wrong_size_is_an_error_that_says_what_else_is_wrong() -> None:
    with pytest.raises(TensorError, match="PK118") as caught:
        run_kernels(NegativeCount(), [X])
    assert "out_of_bounds" in str(caught.value)


def test_arrays_must_fit() -> None:
    with pytest.raises(TensorError, match="PK112"):
        run_kernels(Weighed(), [X.astype(np.int32), None])


def test_an_enqueue_of_ones_own_is_refused() -> None:
    class Own(Plugin):
        x = Input(float32)
        y = Output(float32, like="x")

        def enqueue(self, inputs, outputs, workspace, stream):
            raise AssertionError

        def reference(self, x):
            return x

    with pytest.raises(KernelError, match=r"PK356 Own: the PTX machine runs no enqueue"):
        run_kernels(Own(), [X])


def test_a_launch_can_be_stepped_and_its_registers_read() -> None:
    seen = []

    def look(launch) -> None:
        while launch.step():
            seen.append({name: launch.register(f"%r{name}") for name in range(1, 20)})

    run = run_kernels(Reversed(), [X], on_launch=look)
    np.testing.assert_array_equal(run.outputs[0], X[::-1])
    assert len(seen) > 1
    indices = np.arange(128)
    held = [one for state in seen for one in state.values() if one is not None]
    assert any(np.array_equal(one.astype(np.int64), indices) for one in held)  # threadIdx.x


def test_another_order_of_warps_computes_the_same() -> None:
    first, second = (run_kernels(Weighed(), [X, X], seed=seed) for seed in (1, 2))
    np.testing.assert_array_equal(first.outputs[0], second.outputs[0])
    assert first.findings == second.findings == []


LONG = """
    __global__ void endless(float* y, const float* x, int n) {
        FIRST
        for (unsigned i = 0; i < 4000000000u; ++i) y[i % n] = x[i % n];
    }
    """


def test_time_can_be_limited() -> None:
    class Endless(Reversed):
        kernel = CudaKernel(LONG.replace("FIRST", ""), "endless")

    with pytest.raises(KernelError, match=r"PK357 .*endless(?s:.*)kernel.cu:4, after \d+ steps"):
        run_kernels(Endless(), [X], seconds=0.5)


def test_what_was_found_before_the_time_was_over_is_reported() -> None:
    class EndlessAndWrong(Reversed):
        kernel = CudaKernel(LONG.replace("FIRST", "if (threadIdx.x == 0) y[-1] = 0;"), "endless")

    run = run_kernels(EndlessAndWrong(), [X], seconds=0.5)
    assert [finding.kind for finding in run.findings][:1] == ["out_of_bounds"]
