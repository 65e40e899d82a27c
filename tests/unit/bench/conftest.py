"""A device that plays a GPU: numpy arrays, and times that tests choose."""

from __future__ import annotations

import numpy as np
import pytest

from pluginkit import Input, Output, Plugin, float32
from pluginkit.bench.bench_report import BenchReport, Measurement


class FakeDevice:
    xp = np
    stream = 0
    l2_bytes = 4096
    method = "a clock"
    us_by_call = 2.0

    def __init__(self) -> None:
        self.counts = []

    def environment(self):
        return {
            "gpu": "Fake <GPU>",
            "driver": "1.2",
            "cuda_driver": "13.0",
            "versions": {"numpy": np.__version__},
        }

    def copy_bandwidth(self):
        return 1e12

    def driver_launch(self):
        return 3.5, "C loop"

    def device_times(self, calls):
        self.counts.append(len(calls))
        for call in calls:
            call()
        return [self.us_by_call] * 10

    def host_times(self, calls):
        calls[0]()
        return [5.0, 6.0, 7.0]

    def pointer(self, array):
        return array.ctypes.data

    def copy(self, target, array):
        target[:] = np.frombuffer(array.tobytes(), np.uint8)

    def synchronize(self):
        pass

    def free(self):
        pass


@pytest.fixture
def device():
    return FakeDevice()


def array_of(tensor):
    """The host memory of a DeviceTensor."""
    import ctypes

    raw = (ctypes.c_uint8 * tensor.nbytes).from_address(tensor.pointer)
    return np.frombuffer(raw, tensor.dtype.numpy).reshape(tensor.shape)


class HostDouble(Plugin):
    """y = 2 x, on the host."""

    types = {"T": (float32,)}
    tolerance = {float32: 1e-6}
    x = Input("T")
    y = Output("T")

    def output_shapes(self, x):
        return x.shape

    def enqueue(self, inputs, outputs, workspace, stream):
        array_of(outputs[0])[...] = array_of(inputs[0]) * 2

    def reference(self, x):
        return x * 2


@pytest.fixture
def report():
    def result(implementation, device_us, **fields):
        given = {
            "case": "big",
            "variant": "a|b",
            "dtype": "float32",
            "shapes": ["float32[4]"],
            "status": "ok",
            "compulsory_bytes": 1000,
            "floor_us": 10.0,
        }
        return Measurement(**(given | fields), implementation=implementation, device_us=device_us)

    environment = FakeDevice().environment() | {"tensorrt": "tensorrt_lean 11.4"}
    results = [
        result("pluginkit", 12.5, error=0.0, host_v2_us=6.0, host_v3_us=4.0),
        result("torch <eager>", 25.0),
        result("cupy", None, status="not offered", note="no"),
        result("pluginkit", None, case="small", status="wrong", note="error 3"),
    ]
    date = "2026-01-02T03:04:05+00:00"
    return BenchReport("Double", date, environment, 4e12, 3.5, "C loop", "by hand", results)
