"""Every instruction computes what its definition says, on edges of its types."""

import pytest

from tests.unit.ptx.conformance_set import CASES, CUDA_CASES
from tests.unit.ptx.instruction_case import InstructionCase
from tests.unit.ptx.run_case import machine_results, machine_words


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.title)
def test_an_instruction_computes_its_definition(case):
    assert len(case.rows) > 1
    for row, got in zip(case.rows, machine_results(case), strict=True):
        expected = case.expected(*row)
        assert got == expected, f"{[hex(bits) for bits in row]}: {got:#x}, not {expected:#x}"


@pytest.mark.parametrize("seed", [None, 1, 2])
@pytest.mark.parametrize("case", CUDA_CASES, ids=lambda case: case.name)
def test_a_kernel_gives_its_results_in_every_order(case, seed):
    assert machine_words(case, seed).tolist() == list(case.expected())


def test_ftz_of_f64_flushes_denormals_of_f64():
    case = InstructionCase(
        "rcp.approx.ftz.f64 {d}, {a};", ("f64",), "f64",
        ((0x3370000000000000,), (0x8008000000000000,)), int,
    )  # fmt: skip
    assert machine_results(case) == [0x4C70000000000000, 0xFFF0000000000000]


def test_ex2_of_bf16_flushes_its_operand():
    case = InstructionCase(
        "ex2.approx.ftz.bf16 {d}, {a};", ("bf16",), "bf16", ((0xC2FE,), (0x0001,)), int
    )
    assert machine_results(case) == [0x0000, 0x3F80]  # 2^-127 is denormal


def test_the_set_covers_what_kernels_use():
    opcodes = {case.text.split(".")[0] for case in CASES}
    assert opcodes >= {
        "abs", "add", "and", "bfe", "bfi", "bfind", "bmsk", "brev", "clz", "cnot", "copysign",
        "cos", "cvt", "div", "dp2a", "dp4a", "ex2", "fma", "lg2", "lop3", "mad", "max", "min",
        "mul", "mul24", "neg", "not", "or", "popc", "prmt", "rcp", "rem", "rsqrt", "sad", "selp",
        "set", "setp", "shf", "shl", "shr", "sin", "slct", "sqrt", "sub", "szext", "tanh", "testp",
        "xor",
    }  # fmt: skip
    assert len(CASES) > 700
    assert len(CUDA_CASES) > 10
