from __future__ import annotations

import re
from pathlib import Path
from typing import Literal

import pytest

from pluginkit import FLOAT_TYPES, CudaKernel, Launch
from pluginkit.errors import KernelError
from pluginkit.kernels.arguments import ArgumentType
from pluginkit.kernels.compile import (
    ARCHITECTURES,
    compile_cuda,
    compile_launches,
    compile_numba,
    python_function,
)
from pluginkit.kernels.specialise import NumbaSpecialisation, cuda_specialisation

KERNELS = Path(__file__).parent / "numba_kernels.py"
FLOATS = ArgumentType("float32", 1)


def specialisation(code, name="f", **options):
    return cuda_specialisation(CudaKernel(code + "\n", name, **options), name)


@pytest.mark.parametrize("arch", ARCHITECTURES)
@pytest.mark.parametrize("dtype", FLOAT_TYPES, ids=repr)
def test_launches_compile_and_fit_their_kernel(combine, describe, dtype, arch):
    (compiled,) = compile_launches(combine(), *describe(combine(), (5,), dtype=dtype), arch)
    assert compiled.cubin.startswith(b"\x7fELF")
    assert compiled.parameter_sizes == ((8, 8, 8, 8, 8, 4, 1),)


def test_several_expressions_in_one_go():
    code = "template <int N> __global__ void f(int (*x)[N]) {}"
    kernel = CudaKernel(code + "\n", "f<{N}>")
    compiled = compile_cuda([cuda_specialisation(kernel, f"f<{n}>") for n in (1, 2)], "90")
    assert len(set(compiled.symbols)) == 2
    assert all(symbol.encode() in compiled.cubin for symbol in compiled.symbols)


def test_compile_error_has_the_log():
    wanted = specialisation("__global__ void f(float* x) {\n  missing(x);\n}")
    with pytest.raises(KernelError, match="PK320 kernel 'f' does not compile for sm_80") as caught:
        compile_cuda([wanted], "80")
    assert 'kernel.cu(2): error: identifier "missing" is undefined' in caught.value.cause


INLINE = CudaKernel(
    """
#include <cuda_fp16.h>
__global__ void f(__half* x) { missing(x); }
""",
    "f",
    defines={"SCALE": 2},
)
CONTINUED = CudaKernel(
    """\
__global__ void f(float* x) { missing(x); }
""",
    "f",
)


@pytest.mark.parametrize("kernel", [INLINE, CONTINUED], ids=["inline", "continued"])
def test_the_log_names_the_authors_line_of_a_source_in_python(kernel):
    kernel.locate(type("Author", (), {"__module__": __name__}))
    with pytest.raises(KernelError, match="PK320") as caught:
        compile_cuda([cuda_specialisation(kernel, "f")], "80")
    found = re.search(r"(\S+)\((\d+)\): error: identifier .missing.", caught.value.cause)
    path, line = found.groups()
    assert path == str(Path(__file__).resolve())
    assert "missing(x)" in Path(path).read_text().splitlines()[int(line) - 1]


def test_every_missing_header_is_named():
    code = "template <typename T> __global__ void f(T* x) {}\n"
    kernel = CudaKernel(code, "f<{T}>")
    wanted = [cuda_specialisation(kernel, f"f<{t}>") for t in ("__half", "__nv_bfloat16")]
    with pytest.raises(KernelError, match="PK320") as caught:
        compile_cuda(wanted, "80")
    expected = "write #include <cuda_fp16.h> and #include <cuda_bf16.h> in the kernel's source"
    assert expected in caught.value.fix


@pytest.mark.parametrize(
    ("header", "fix"),
    [
        ("cassert", "remove #include <cassert>"),
        ("stdint.h", "remove #include <stdint.h>"),
        ("crt/anything.h", "pip install nvidia-cuda-crt"),
        ("mine.h", "correct the kernel's source"),
    ],
)
def test_the_fix_of_a_missing_header_says_where_there_is_one(header, fix):
    with pytest.raises(KernelError, match="PK320") as caught:
        compile_cuda([specialisation(f"#include <{header}>\n__global__ void f() {{}}")], "80")
    assert fix in caught.value.fix


def test_options_reach_the_compiler():
    code = "static_assert(VALUE == 3);\n__global__ void f() {}"
    compile_cuda([specialisation(code, options=("-DVALUE=3",))], "80")
    with pytest.raises(KernelError, match="PK320"):
        compile_cuda([specialisation(code)], "80")


def test_a_define_changes_the_machine_code():
    code = "__global__ void f(int* x) { *x = pluginkit::SCALE * *x; }"
    cubins = [
        compile_cuda([specialisation(code, defines={"SCALE": scale})], "80").cubin
        for scale in (3, 5, 3)
    ]
    assert cubins[0] == cubins[2] != cubins[1]


def test_a_literal_is_an_enum_of_the_source():
    code = """using pluginkit::Mode;
    template <Mode MODE> __global__ void f(int* x) { *x = MODE == Mode::cubic ? 3 : 2; }"""
    defines = {"Mode": Literal["linear", "cubic"]}
    compile_cuda([specialisation(code, "f<Mode::cubic>", defines=defines)], "80")
    with pytest.raises(KernelError, match="PK320"):
        compile_cuda([specialisation(code, "f<Mode::nearest>", defines=defines)], "80")


def test_a_constant_that_python_does_not_define_is_a_compile_error():
    code = "__global__ void f(int* x) {\n  *x = pluginkit::SCALE;\n}"
    with pytest.raises(KernelError, match="PK320") as caught:
        compile_cuda([specialisation(code, defines={"SCALES": 3})], "80")
    assert "kernel.cu(2): error" in caught.value.cause  # the source's own line


@pytest.mark.slow
def test_cub_is_found():
    code = """#include <cub/block/block_scan.cuh>
    __global__ void f(int* x) {
        using Scan = cub::BlockScan<int, 64>;
        __shared__ Scan::TempStorage storage;
        Scan(storage).InclusiveSum(x[threadIdx.x], x[threadIdx.x]);
    }"""
    assert compile_cuda([specialisation(code)], "90").parameter_sizes == ((8,),)


@pytest.mark.parametrize("place", ["", "../shared/"])
def test_headers_are_found_from_the_sources_folder(tmp_path, place):
    folder = tmp_path / "kernel"
    folder.mkdir()
    headers = folder / place
    headers.mkdir(exist_ok=True)
    (folder / "k.cu").write_text(f'#include "{place}k.cuh"\n__global__ void f(Value* x) {{}}\n')
    (headers / "k.cuh").write_text('#include "value.cuh"\n')
    (headers / "value.cuh").write_text("using Value = float;\n")
    kernel = CudaKernel("k.cu", "f")
    kernel.path = folder / "k.cu"
    assert compile_cuda([cuda_specialisation(kernel, "f")], "80").parameter_sizes == ((8,),)


def test_arguments_that_do_not_fit_the_kernel(combine, describe):
    class Short(combine):
        """Leaves out the last argument."""

        plugin_name = "Short_PK"

        def launches(self, x, y):
            whole = super().launches(x, y)
            return Launch(whole.kernel, 1, 64, whole.args[:-1], constants=whole.constants)

    with pytest.raises(KernelError, match=r"PK306 Short: .* have \[8, 8, 8, 8, 8, 4\] bytes"):
        compile_launches(Short(), *describe(Short(), (5,)), "80")


@pytest.mark.slow
@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_numba_launch_fits_its_kernel(stamp, describe, arch):
    (compiled,) = compile_launches(stamp(), *describe(stamp(), (9,)), arch)
    assert compiled.cubin.startswith(b"\x7fELF")
    array = (8,) * 7
    assert compiled.parameter_sizes == ((*array, *array, 4, 4, 4, 1),)


def test_a_numba_kernel_is_the_same_code_each_time():
    """numba numbers what it compiles, over the life of the process."""
    kernel = NumbaSpecialisation(
        KERNELS, "saxpy", (FLOATS, FLOATS, ArgumentType("float32"), ArgumentType("int64"))
    )
    first, second = compile_numba(kernel, "80"), compile_numba(kernel, "80")
    assert first == second
    assert first.symbols[0].encode() in first.ptx


def test_numba_error_has_the_log():
    with pytest.raises(KernelError, match=r"PK321 kernel 'broken\(float32\[:\]\)'") as caught:
        compile_numba(NumbaSpecialisation(KERNELS, "broken", (FLOATS,)), "80")
    assert "undefined_name" in caught.value.cause


def test_numba_kernel_that_needs_more_than_its_own_code():
    with pytest.raises(KernelError, match="PK322") as caught:
        compile_numba(NumbaSpecialisation(KERNELS, "calls_elsewhere", (FLOATS,)), "80")
    assert "elsewhere" in caught.value.cause


@pytest.mark.parametrize("arch", ["75", "120"])
def test_numba_kernel_calls_device_functions_without_a_gpu(arch):
    compiled = compile_numba(NumbaSpecialisation(KERNELS, "calls_its_own", (FLOATS,)), arch)
    assert compiled.cubin.startswith(b"\x7fELF")


@pytest.mark.parametrize(("name", "message"), [("absent", "is None"), ("not_a_function", "is 5")])
def test_name_that_is_no_function(name, message):
    with pytest.raises(KernelError, match=f"PK302 numba kernel '{name}' {message}"):
        python_function(KERNELS, name)


def test_file_that_fails_to_import(tmp_path):
    path = tmp_path / "bad.py"
    path.write_text("1 / 0\n")
    with pytest.raises(KernelError, match="PK302 kernel file 'bad.py' .*division by zero"):
        python_function(path, "f")
