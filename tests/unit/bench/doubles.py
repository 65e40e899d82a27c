"""A device that plays a GPU with numpy arrays and times that tests choose; a plugin for it."""

from __future__ import annotations

import ctypes

import numpy as np

from pluginkit import Input, Output, Plugin, float32


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


def array_of(tensor):
    """The host memory of a DeviceTensor."""
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
