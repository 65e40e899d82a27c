"""Plugins of every kind that the base class carries, computed in host memory."""

import numpy as np

from pluginkit import (
    Case,
    Input,
    Output,
    Plugin,
    ShapeInput,
    SizeOutput,
    attribute,
    float32,
    int32,
    int64,
)
from pluginkit.errors import TensorError
from tests.integration.host_plugins import host_array


class Positive(Plugin):
    """The positive values of ``x``, in order, and where they stood."""

    x = Input(float32, ranks=(1, 1))
    values = Output(float32)
    places = Output(int64)
    count = SizeOutput()

    def output_shapes(self, x):
        found = self.count.up_to(x.shape[0])
        return (found,), (1, found)

    def enqueue(self, inputs, outputs, workspace, stream):
        x, (values, places, count) = host_array(inputs[0]), outputs
        found = np.flatnonzero(x > 0)
        host_array(values)[: len(found)] = x[found]
        host_array(places).reshape(-1)[: len(found)] = found
        host_array(count)[...] = len(found)

    def reference(self, x):
        found = np.flatnonzero(x > 0)
        return x[found], found[None]

    @classmethod
    def cases(cls):
        for name, x in (("some", [1, -2, 3, 0, 5]), ("none", [-1, -2]), ("empty", [])):
            yield Case(name, [np.array(x, np.float32)])


class First(Plugin):
    """The first ``k`` values of ``x``, where ``k`` is known when a shape is."""

    scale: float = attribute(default=1.0)
    x = Input(float32, ranks=(1, 1))
    k = ShapeInput()
    y = Output(float32)
    tactics = ("forwards", "backwards")

    def check(self, x, k):
        if k.values[0] > x.shape[0]:
            raise TensorError("PK112", f"k is {k.values[0]}; expected at most {x.shape[0]}.")

    def output_shapes(self, x, k):
        return k.values

    def enqueue(self, inputs, outputs, workspace, stream):
        (x,), (y,) = inputs, outputs
        order = slice(None) if self.tactic == "forwards" else slice(None, None, -1)
        host_array(y)[order] = host_array(x)[: y.size][order] * np.float32(self.scale)

    def reference(self, x, k):
        return x[: k[0]] * np.float32(self.scale)

    @classmethod
    def cases(cls):
        x = np.arange(7, dtype=np.float32)
        for count in (3, 7, 0):
            yield Case(f"first {count}", [x, np.array([count])], {"scale": 2.0})


class AddInto(Plugin):
    """``total = x + y`` in the memory of ``x`` where TensorRT offers that, and ``old = y - 1``."""

    y = Input(float32)
    x = Input(float32)
    total = Output(float32, aliases="x")
    old = Output(float32)

    def output_shapes(self, y, x):
        return x.shape, x.shape

    def enqueue(self, inputs, outputs, workspace, stream):
        y, x = map(host_array, inputs)
        host_array(outputs[1])[...] = y - 1
        host_array(outputs[0])[...] = x + y

    def reference(self, y, x):
        return x + y, y - 1

    @classmethod
    def cases(cls):
        rng = np.random.default_rng(0)
        for shape in ((3, 4), (1,), (0, 2)):
            yield Case(str(shape), [rng.normal(size=shape).astype(np.float32) for _ in range(2)])


class Lies(Positive):
    """Says that it found more than there can be."""

    def enqueue(self, inputs, outputs, workspace, stream):
        host_array(outputs[2])[...] = 1 + outputs[0].size


class Hidden(Plugin):
    """A shape input whose value no output's shape tells."""

    x = Input(float32, ranks=(1, 1))
    k = ShapeInput(types=(int64, int32))
    y = Output(float32)

    def output_shapes(self, x, k):
        return (k.values[0] + x.shape[0],)

    def enqueue(self, inputs, outputs, workspace, stream):
        """Never reached."""

    def reference(self, x, k):
        return np.zeros(k[0] + len(x), np.float32)
