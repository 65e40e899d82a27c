from __future__ import annotations

import pytest

from pluginkit import (
    CudaKernel,
    Input,
    Launch,
    NumbaKernel,
    Output,
    Plugin,
    attribute,
    bfloat16,
    float32,
    int64,
)
from pluginkit.contract import launches
from pluginkit.errors import KernelError
from pluginkit.kernels.specialise import (
    cuda_specialisation,
    name_expression,
    name_expressions,
    specialise,
    type_bindings,
)


def test_expression_spells_types_attributes_and_constants(combine):
    plugin = combine(mode="twice", negate=True)
    expression = name_expression(combine.kernel, plugin, {"T": bfloat16}, {"WIDTH": 1})
    assert expression == "combine<__nv_bfloat16, Mode::twice, true, 1>"


def test_every_choice_of_constants(combine):
    assert name_expressions(combine.kernel, combine(), {"T": float32}) == [
        "combine<float, Mode::plain, false, 1>",
        "combine<float, Mode::plain, false, 4>",
    ]


@pytest.mark.parametrize(
    ("constants", "message"),
    [
        ({}, r"PK301 Combine: .*gives the constants \[\]; expected \['WIDTH'\]"),
        ({"WIDTH": 4, "DEPTH": 1}, r"PK301 .*\['DEPTH', 'WIDTH'\]"),
        ({"WIDTH": 2}, r"PK301 .*WIDTH=2; expected one of \[1, 4\]"),
    ],
)
def test_undeclared_constants(combine, constants, message):
    with pytest.raises(KernelError, match=message):
        name_expression(combine.kernel, combine(), {"T": float32}, constants)


class Attributes(Plugin):
    """Attributes of every kind."""

    types = {"T": (float32,), "U": (float32, int64)}
    sizes: tuple[int, ...] = attribute(default=(-1, 2**40))
    scale: float = attribute(default=1.0)
    x = Input("T")
    mask = Input("U", optional=True)
    y = Output("T")
    kernel = CudaKernel("__global__ void\nf() {}", "f<{sizes}>")
    scaled = CudaKernel("__global__ void\nf() {}", "f<{scale}>")
    masked = CudaKernel("__global__ void\nf() {}", "f<{U}>")

    def output_shapes(self, x, mask):
        return x.shape

    def launches(self, x, mask, y):
        return ()

    def reference(self, x, mask):
        return x


def test_tuple_becomes_several_template_arguments():
    assert name_expression(Attributes.kernel, Attributes(), {}, {}) == "f<-1, 1099511627776>"


class Halved(Attributes):
    halves = CudaKernel("__global__ void\nf() {}", "f<{half_sizes}>")

    @property
    def half_sizes(self):
        return tuple(size // 2 for size in self.sizes)


def test_a_property_can_be_a_template_argument():
    class Inherited(Halved):
        pass

    for cls in (Halved, Inherited):
        assert name_expression(cls.halves, cls(sizes=(8, 6)), {}, {}) == "f<4, 3>"


def test_float_cannot_be_a_template_argument():
    with pytest.raises(KernelError, match="PK300 Attributes: attribute 'scale' is a float"):
        name_expression(Attributes.scaled, Attributes(), {}, {})


def test_type_of_an_absent_input(describe):
    plugin = Attributes().with_inputs("x")
    inputs, outputs = describe(plugin, (3,))
    with pytest.raises(KernelError, match="PK300 .*needs the type 'U'.* absent"):
        name_expression(Attributes.masked, plugin, type_bindings(plugin, inputs, outputs), {})


def test_bindings_come_from_inputs_and_outputs(combine, describe):
    inputs, outputs = describe(combine(), (3,), dtype=bfloat16)
    assert type_bindings(combine(), inputs, outputs) == {"T": bfloat16}
    assert type_bindings(combine(), (None,), outputs) == {"T": bfloat16}


def test_numba_signature_from_arguments(stamp, describe):
    inputs, outputs = describe(stamp(), (9,), dtype=bfloat16)
    plugin = stamp()
    launch = plugin.launches(*inputs, *outputs, workspace_of(25))[1]
    assert str(specialise(plugin, {}, launch)) == "stamp(uint8[:], float32[:], int32x3, bool)"


def workspace_of(nbytes):
    from pluginkit import Workspace

    return Workspace(nbytes)


def test_numba_kernel_outside_a_class(stamp):
    launch = Launch(NumbaKernel("numba_kernels.py", "stamp"), 1, 1, ())
    with pytest.raises(KernelError, match="PK302 Stamp: numba kernel 'stamp' is no member"):
        specialise(stamp(), {}, launch)


def test_included_headers_change_the_code_and_others_do_not(tmp_path):
    for folder in ("kernel", "shared"):
        (tmp_path / folder).mkdir()
    source, direct = tmp_path / "kernel" / "k.cu", tmp_path / "shared" / "direct.cuh"
    indirect, other = tmp_path / "shared" / "indirect.cuh", tmp_path / "kernel" / "other.cuh"
    source.write_text('#include <cuda_fp16.h>\n  # include "../shared/direct.cuh"\n')
    kernel = CudaKernel("k.cu", "f")
    kernel.path = source
    direct.write_text('#pragma once\n#include "indirect.cuh"\n#include "direct.cuh"\n')
    indirect.write_text('#include "missing.cuh"\n')
    assert kernel.files == (source, direct, indirect)
    codes = {cuda_specialisation(kernel, "f").code}
    other.write_text("// nobody includes this")
    assert {cuda_specialisation(kernel, "f").code} == codes
    for number, header in enumerate((direct, indirect), start=2):
        header.write_text(header.read_text() + "// more\n")
        codes.add(cuda_specialisation(kernel, "f").code)
        assert len(codes) == number


def test_headers_are_read_again_only_when_one_changes_or_appears(tmp_path, monkeypatch):
    read = []
    find = launches._local_files
    monkeypatch.setattr(launches, "_local_files", lambda path: read.append(path) or find(path))
    shared = tmp_path / "shared"
    shared.mkdir()
    kernel = CudaKernel("k.cu", "f")
    kernel.path = tmp_path / "k.cu"
    kernel.path.write_text('#include "shared/a.cuh"\n')
    (shared / "a.cuh").write_text('#include "b.cuh"\n')
    (tmp_path / "b.cuh").write_text("// beside the source\n")
    codes = [cuda_specialisation(kernel, "f").code for _ in range(3)]
    assert len(set(codes)) == len(read) == 1
    (shared / "b.cuh").write_text("// beside the header, which is nearer\n")
    codes.append(cuda_specialisation(kernel, "f").code)
    assert kernel.files == (kernel.path, shared / "a.cuh", shared / "b.cuh")
    assert len(set(codes)) == len(read) == 2


def test_a_changed_define_is_another_specialisation(tmp_path):
    def specialised(**defines):
        return cuda_specialisation(
            CudaKernel("__global__ void f() {}\n", "f", defines=defines), "f"
        )

    assert specialised(N=3) == specialised(N=3)
    assert len({specialised(), specialised(N=3), specialised(N=4), specialised(M=3)}) == 4
    assert "constexpr int N = 3;" in specialised(N=3).code


def test_source_without_own_headers_is_compiled_as_it_is(tmp_path):
    kernel = CudaKernel("k.cu", "f")
    kernel.path = tmp_path / "k.cu"
    kernel.path.write_text("#include <cuda_fp16.h>\n")
    (tmp_path / "k.cuh").write_text("// nobody includes this")
    assert cuda_specialisation(kernel, "f").code == kernel.path.read_text()
    assert CudaKernel("__global__ void\nf() {}", "f").files == ()
