from __future__ import annotations

import struct

import pytest

from pluginkit import (
    CudaKernel,
    Launch,
    NumbaKernel,
    TensorDesc,
    Workspace,
    bfloat16,
    bool_,
    float16,
    float32,
    int8,
    int32,
    int64,
)
from pluginkit.contract.tensors import Slot
from pluginkit.errors import KernelError
from pluginkit.kernels.arguments import argument_types, check_parameters, parameters

CUDA = CudaKernel("__global__ void\nf() {}", "f")
NUMBA = NumbaKernel("numba_kernels.py", "f")
X = TensorDesc("x", (2, 3, 5), float16, Slot("input", 1))


def passed(kernel, *args):
    return parameters(Launch(kernel, 1, 1, args))


@pytest.mark.parametrize(
    ("argument", "expected"),
    [
        (X, Slot("input", 1)),
        (Workspace(100).at(64), Slot("workspace", 0, 64)),
        (None, bytes(8)),
        (True, b"\x01"),
        (-2, struct.pack("<q", -2)),
        (0.1, struct.pack("<f", 0.1)),
        (int32(-2), struct.pack("<i", -2)),
        (int8(-2), b"\xfe"),
        (bool_(False), b"\x00"),
        (float16(1.5), struct.pack("<e", 1.5)),
        (bfloat16(1.5), struct.pack("<f", 1.5)[2:]),
        (int64((1, 2, 3)), struct.pack("<3q", 1, 2, 3)),
        (int32((1, 2, 3)), struct.pack("<3i", 1, 2, 3)),
    ],
    ids=str,
)
def test_cuda_parameter(argument, expected):
    assert passed(CUDA, argument) == [expected]


def test_numba_array_is_a_run_of_fields():
    fields = [0, 0, 30, 2, Slot("input", 1), 2, 3, 5, 30, 10, 2]
    expected = [f if isinstance(f, Slot) else struct.pack("<q", f) for f in fields]
    assert passed(NUMBA, X) == expected


@pytest.mark.parametrize(
    ("shape", "fields"),
    [((), [1, 4]), ((7,), [7, 4, 7, 4]), ((0, 3), [0, 4, 0, 3, 12, 4])],
)
def test_numba_array_of_odd_shapes(shape, fields):
    listed = passed(NUMBA, TensorDesc("y", shape, float32, Slot("output")))
    assert listed.pop(4) == Slot("output")
    assert [int.from_bytes(part, "little") for part in listed] == [0, 0, *fields]


def test_numba_tuple_is_one_parameter_for_each_element():
    assert passed(NUMBA, int32((1, 2)), 3) == [
        struct.pack("<i", 1),
        struct.pack("<i", 2),
        struct.pack("<q", 3),
    ]


def test_numba_workspace_is_an_array_of_bytes():
    assert list(map(str, argument_types("f", [Workspace(40)]))) == ["uint8[:]"]
    assert passed(NUMBA, Workspace(40).at(8))[2:6] == [
        struct.pack("<q", 32),
        struct.pack("<q", 1),
        Slot("workspace", 0, 8),
        struct.pack("<q", 32),
    ]


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("text", "'text' of type str"),
        (int32(2**31), r"int32\(2147483648,\)"),
        (int64(2**63), "int64"),
        (int32(1.5), "int32"),  # type: ignore[arg-type]
        (int32(()), "an empty int32 sequence"),
    ],
    ids=["text", "int32", "int64", "float as int32", "empty"],
)
def test_impossible_argument(argument, message):
    with pytest.raises(KernelError, match=f"PK303 kernel 'f': argument is {message}"):
        passed(CUDA, argument)


def test_a_list_of_numbers_wants_its_type():
    with pytest.raises(KernelError, match=r"tuple; .*\n.*a list of numbers as float32\(values\)"):
        passed(CUDA, (0.5, 1.0))


@pytest.mark.parametrize("argument", [None, bfloat16(1.0)], ids=["None", "bfloat16"])
def test_argument_that_numba_has_no_form_for(argument):
    with pytest.raises(KernelError, match="PK303 kernel 'f'"):
        argument_types("f", [argument])


def test_bfloat16_array_is_words_to_numba():
    x = TensorDesc("x", (2, 3), bfloat16, Slot("input"))
    assert list(map(str, argument_types("f", [x]))) == ["uint16[:, :]"]


def test_parameters_are_compared_by_size():
    listed = [Slot("input"), b"1234"]
    check_parameters("P", "f", listed, (8, 4))
    for expected in ((8, 8), (8,), (8, 4, 4)):
        with pytest.raises(KernelError, match=r"PK306 P: the arguments of 'f' have \[8, 4\]"):
            check_parameters("P", "f", listed, expected)
