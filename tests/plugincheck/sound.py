"""Plugins with nothing wrong, which broken.py breaks one by one."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from pluginkit import Case, Input, OnnxOp, Output, Plugin, attribute, float16, float32, int32


def host_array(tensor: Any) -> np.ndarray:
    """The numpy view of a DeviceTensor that lies in host memory."""
    buffer = (ctypes.c_uint8 * tensor.nbytes).from_address(tensor.pointer)
    return np.frombuffer(buffer, np.uint8).view(tensor.dtype.numpy).reshape(tensor.shape)


class Host(Plugin, abstract=True):
    """Computes in host memory in place of a kernel."""

    def compute(self, *arrays: np.ndarray | None) -> Any:
        return self.reference(*arrays)

    def enqueue(self, inputs, outputs, workspace, stream):
        arrays = [None if tensor is None else host_array(tensor) for tensor in inputs]
        with np.errstate(all="ignore"):
            results = self.compute(*arrays)
        for output, result in zip(outputs, _listed(results), strict=True):
            host_array(output)[...] = result


def _listed(results: Any) -> Sequence[np.ndarray]:
    return (results,) if isinstance(results, np.ndarray) else results


class Blend(Host):
    """y = x * scale next to x + bias, column-wise; every kind of attribute."""

    types = {"T": (float32, float16)}
    tolerance = {float32: 1e-6, float16: 1e-3}
    scale: float = attribute(default=2.0)
    count: int = attribute(default=1)
    mode: Literal["plain", "fancy"] = attribute(default="plain")
    flag: bool = attribute(default=True)
    sizes: tuple[int, ...] = attribute(default=())
    table: np.ndarray = attribute(default=np.arange(3))
    x = Input("T", ranks=(2, 2))
    bias = Input("T", optional=True, ranks=(2, 2))
    y = Output("T")

    def output_shapes(self, x, bias):
        return x.shape[0], x.shape[1] * 2

    def workspace_bytes(self, x, bias):
        return x.nbytes

    def reference(self, x, bias):
        right = x if bias is None else x + bias
        return np.concatenate([x * x.dtype.type(self.scale), right], axis=1)

    @classmethod
    def cases(cls):
        rng = np.random.default_rng(1)
        x, bias = rng.normal(size=(2, 6, 4)).astype(np.float32)
        yield Case("both", [x, bias], {"scale": 3.0})
        yield Case("no_bias", [x[:5], None], {"count": 2**40, "mode": "fancy", "flag": False})


class HostRelu(Host):
    """ONNX Relu, so that there is a schema to agree with."""

    onnx_op = OnnxOp("Relu", since=14)
    types = {"T": (float32, float16)}
    x = Input("T")
    y = Output("T")

    def output_shapes(self, x):
        return x.shape

    def reference(self, x):
        return np.maximum(x, x.dtype.type(0))

    @classmethod
    def cases(cls):
        yield Case("line", [np.linspace(-3, 3, 12, dtype=np.float32).reshape(4, 3)])


class HostLeakyRelu(Host):
    """ONNX LeakyRelu, which has an attribute with a default."""

    onnx_op = OnnxOp("LeakyRelu", since=16)
    types = {"T": (float32, float16)}
    tolerance = {float32: 1e-6, float16: 2e-3}
    alpha: float = attribute(default=0.01)
    x = Input("T")
    y = Output("T")

    def output_shapes(self, x):
        return x.shape

    def reference(self, x):
        return np.where(x < 0, x * x.dtype.type(self.alpha), x)

    @classmethod
    def cases(cls):
        yield Case("line", [np.linspace(-3, 3, 12, dtype=np.float32).reshape(4, 3)], {"alpha": 0.5})


class HostRowMaximum(Host):
    """The largest element of each row."""

    types = {"T": (float32,)}
    tolerance = {float32: 1e-6}
    x = Input("T", ranks=(2, 2))
    y = Output("T")

    def output_shapes(self, x):
        return x.shape[:1]

    def reference(self, x):
        return x.max(axis=1, initial=-np.inf)

    @classmethod
    def cases(cls):
        yield Case("rows", [np.arange(1, 13, dtype=np.float32).reshape(3, 4)])


class Pair(Host):
    """Two outputs of different types: x doubled, and how many elements of each row are positive."""

    types = {"T": (float32, float16), "I": (int32,)}
    x = Input("T", ranks=(2, 2))
    n = Input("I", ranks=(1, 1))
    y = Output("T")
    positive = Output("I")

    def output_shapes(self, x, n):
        return x.shape, (x.shape[0],)

    def reference(self, x, n):
        return x * x.dtype.type(2), (x > 0).sum(axis=1, dtype=np.int32) + n.sum(dtype=np.int32)

    @classmethod
    def cases(cls):
        x = np.linspace(-1, 2, 15, dtype=np.float32).reshape(5, 3)
        yield Case("rows", [x, np.array([1, 2], np.int32)])
