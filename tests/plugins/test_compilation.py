"""The front end of NVRTC, which reads kernels in place of compiling them, finds mistakes in all."""

import pytest

from pluginkit import CudaKernel
from pluginkit.errors import KernelError
from pluginkit.kernels.specialise import cuda_specialisation
from tests.plugins.compilation import QUICK, assert_all_are_read, assert_kernels_compile

CODE = """
template <typename T> __device__ void store(T* x) {
    static_assert(sizeof(T) == 4);
    *x = 1;
}
template <typename T> __global__ void f(T* x) { store(x); }
"""


def specialisations(*types: str):
    kernel = CudaKernel(CODE, "f<{T}>")
    return [cuda_specialisation(kernel, f"f<{each}>") for each in types]


def test_sound_kernels_pass():
    assert_kernels_compile(specialisations("float", "int", "unsigned"), QUICK)


def test_a_mistake_in_a_single_kernel_is_found():
    every = specialisations("float", "int", "unsigned", "double")
    with pytest.raises(KernelError, match=r"(?s)PK320.*static assertion failed"):
        assert_all_are_read(every, QUICK)
    with pytest.raises(KernelError, match="PK320"):
        assert_kernels_compile(every, QUICK, 1)


def test_a_kernel_that_is_counted_twice_is_found():
    with pytest.raises(AssertionError):
        assert_all_are_read(specialisations("float", "float"), QUICK)
