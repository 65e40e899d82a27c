"""Calls of the Python class whose kernels are not those of the library."""

import dataclasses
from typing import Any

import pytest

from pluginkit import CudaKernel, Input, Launch, Output, Plugin, float32
from pluginkit.errors import ExportError
from pluginkit.export.prove.call import VariantCall
from pluginkit.export.prove.python_side import python_answer
from pluginkit.export.variant import ANY, Variant
from pluginkit.kernels.specialise import CudaSpecialisation


class Twice(Plugin):
    x = Input(float32)
    y = Output(float32, like="x")
    kernel = CudaKernel(source="__global__ void twice(float* y, const float* x) {}", name="twice")

    def launches(self, x: Any, y: Any) -> Launch:
        return Launch(self.kernel, grid=1, block=1, args=(y, x))

    def reference(self, x: Any) -> Any:
        return 2 * x


def test_a_kernel_that_is_changed_during_an_export_is_named() -> None:
    call = VariantCall(Variant(Twice(), (float32,), ((ANY,),)), ((3,),))
    with pytest.raises(ExportError, match="launches twice, which the exported code does not have"):
        python_answer(call, {})
    kernel = CudaSpecialisation(Twice.kernel.code, "twice", (), None, *Twice.kernel.origin)
    assert python_answer(call, {kernel: "the_symbol"}).steps[0]["function"] == "the_symbol"
    before = dataclasses.replace(kernel, code=kernel.code + "// before")
    with pytest.raises(ExportError) as caught:
        python_answer(call, {before: "the_symbol"})
    assert caught.value.code == "PK817"
    assert caught.value.where == kernel.file
