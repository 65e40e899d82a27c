"""Plugins whose enqueue works in host memory, so that a whole life can be driven without a GPU."""

from __future__ import annotations

import ctypes
from typing import Any, Literal

import numpy as np

from pluginkit import (
    FLOAT_TYPES,
    Input,
    InputError,
    Output,
    Plugin,
    attribute,
    ceil_div,
    dim_max,
    int32,
    int64,
)


def host_array(tensor: Any) -> np.ndarray:
    """The numpy view of a DeviceTensor that lies in host memory."""
    buffer = (ctypes.c_uint8 * tensor.nbytes).from_address(tensor.pointer)
    return np.frombuffer(buffer, np.uint8).view(tensor.dtype.numpy).reshape(tensor.shape)


class HostPlugin(Plugin, abstract=True):
    """Runs its reference on host memory in place of a kernel."""

    def enqueue(self, inputs, outputs, workspace, stream):
        arrays = [None if tensor is None else host_array(tensor) for tensor in inputs]
        results = self.reference(*arrays)
        results = (results,) if isinstance(results, np.ndarray) else results
        for output, result in zip(outputs, results, strict=True):
            host_array(output)[...] = result


class PadRows(HostPlugin):
    """Repeats x, pads rows to a multiple of four, adds the optional bias; moves ``rows``."""

    types = {"T": FLOAT_TYPES, "I": (int32, int64)}
    repeats: int = attribute(default=1)
    mode: Literal["zeros", "ones"] = attribute(default="zeros")
    scale: float = attribute(default=1.0)
    exact: bool = attribute(default=True)
    offsets: tuple[int, ...] = attribute(default=())
    labels: tuple[str, ...] = attribute(default=())
    table: np.ndarray = attribute(default=np.zeros(0, np.int64))
    x = Input("T", ranks=(2, 2))
    rows = Input("I", ranks=(1, 1))
    bias = Input("T", optional=True, ranks=(1, 1))
    y = Output("T")
    count = Output("I")

    def check(self, x, rows, bias):
        if x.shape[1] == 13:
            raise InputError("13 columns are unlucky.", code="unlucky")

    def output_shapes(self, x, rows, bias):
        padded = ceil_div(x.shape[0] * self.repeats, 4) * 4
        return (dim_max(padded, 4), x.shape[1]), rows.shape

    def workspace_bytes(self, x, rows, bias):
        return x.nbytes * 2

    def reference(self, x, rows, bias):
        repeated = np.tile(x, (self.repeats, 1))
        height = max(-(-len(repeated) // 4) * 4, 4)
        y = np.full((height, x.shape[1]), float(self.mode == "ones"), x.dtype)
        y[: len(repeated)] = repeated
        y = y if bias is None else (y + bias).astype(x.dtype)
        return y, rows + len(x)
