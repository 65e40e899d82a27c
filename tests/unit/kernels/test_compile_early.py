"""Kernels that are compiled in the background before they are launched."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from pluginkit import CudaKernel, Input, Launch, Output, Plugin, float16, float32
from pluginkit.contract import calls
from pluginkit.kernels import compile_early as module
from pluginkit.kernels.compile_early import compile_early, kernels_of_call
from pluginkit.kernels.machine_code import machine_code


class Twice(Plugin):
    """y = 2 x"""

    types = {"T": (float32, float16)}
    x = Input("T")
    y = Output("T", like="x")
    kernel = CudaKernel(
        """
        #include <cuda_fp16.h>
        template <typename T, int N> __global__ void twice(T* y, const T* x) { y[0] = x[0] + x[0]; }
        """,
        "twice<{T}, {N}>",
        {"N": (1, 2)},
    )

    def launches(self, x, y):
        return Launch(self.kernel, x.size, 1, (y, x), constants={"N": min(x.size, 2)})

    def reference(self, x):
        return x + x


def call(size, dtype=float32):
    inputs = calls.describe_inputs(Twice(), [(size,)], [dtype])
    return inputs, calls.describe_outputs(Twice(), inputs)


@pytest.fixture(autouse=True)
def threads_run_at_once(monkeypatch):
    """What another thread would do is done when it is started."""
    monkeypatch.setattr(
        module,
        "Thread",
        lambda target, args: SimpleNamespace(start=lambda: target(*args)),
    )


@pytest.fixture
def gpu(monkeypatch):
    """What is asked of a GPU before kernels are compiled for it."""
    runtime = SimpleNamespace(getDevice=lambda: 0)
    driver = SimpleNamespace(cuInit=lambda _: (0,), cuda=SimpleNamespace(runtime=runtime))
    monkeypatch.setattr(module, "need", lambda _: driver)
    monkeypatch.setattr(module, "architecture_of", lambda device: "90")


def test_a_call_waits_for_what_was_compiled_early(compiles, gpu):
    compile_early(Twice(), [call(1), call(7), call(9), call(9, float16)])
    for size, dtype in ((7, float32), (9, float16)):
        (kernel,) = kernels_of_call(Twice(), *call(size, dtype))
        assert machine_code([kernel], "90")[kernel].cubin
    assert compiles == [["twice<float, 1>", "twice<float, 2>", "twice<__half, 2>"]]


def test_without_a_gpu_nothing_is_compiled(compiles, monkeypatch):
    def missing(_):
        raise RuntimeError("Failed to dlopen libcuda.so.1")

    monkeypatch.setattr(module, "need", lambda _: SimpleNamespace(cuInit=missing))
    compile_early(Twice(), [call(7)])
    assert compiles == []


def test_a_launch_that_fails_early_is_left_to_fail_later(compiles, gpu):
    class Fails(Twice):
        """Raises."""

        def launches(self, x, y):
            raise ZeroDivisionError

    compile_early(Fails(), [call(7)])
    assert compiles == []
