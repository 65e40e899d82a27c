from typing import Any

from pluginkit import CudaKernel, Input, InputError, Launch, Output, Plugin, float32
from pluginkit.export.prove.sample_calls import CallSampler
from pluginkit.export.trace.methods import trace_plugin
from pluginkit.export.variant import Variant


class OneScaleOrMany(Plugin):
    x = Input(float32, ranks=(1, 1))
    scales = Input(float32, ranks=(1, 1))
    y = Output(float32, like="x")
    one = CudaKernel(source="__global__ void one(float* y, const float* x) {}", name="one")
    many = CudaKernel(source="__global__ void many(float* y, const float* x) {}", name="many")

    def check(self, x: Any, scales: Any) -> None:
        if scales.shape[0] != x.shape[0] and scales.shape[0] != 1:
            raise InputError("expected one scale or as many", code="scales")

    def launches(self, x: Any, scales: Any, y: Any) -> Launch:
        kernel = self.one if scales.shape[0] == 1 else self.many
        return Launch(kernel, grid=1, block=1, args=(y, x))

    def reference(self, x: Any, scales: Any) -> Any:
        return x * scales


def test_what_a_path_requires_stays_in_the_ranges_of_the_variant() -> None:
    """A library for x of 3 to 20 answers PK219 to x of 1, as one scale for each would have it."""
    ranges = (((3, 20),), ((0, 5000),))
    traced = trace_plugin(Variant(OneScaleOrMany(), (float32, float32), ranges))
    drawn = [call.dims for call in CallSampler(traced, "seed").calls(40)]
    assert ((3,), (1,)) in drawn
    assert all(3 <= x <= 20 for (x,), _ in drawn)
