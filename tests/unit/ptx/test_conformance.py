"""Every instruction gives what its definition says, on edges of its types."""

import pytest

from tests.unit.ptx.cuda_cases import CUDA_CASES
from tests.unit.ptx.float_cases import float_cases
from tests.unit.ptx.integer_cases import integer_cases
from tests.unit.ptx.run_case import machine_results, machine_words

CASES = [*integer_cases(), *float_cases()]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.text)
def test_an_instruction_gives_what_its_definition_says(case):
    assert len(case.rows) > 1
    for row, got in zip(case.rows, machine_results(case), strict=True):
        expected = case.expected(*row)
        if expected is None:
            expected = case.nan
        shown = f"{case.text} of {[hex(bits) for bits in row]}: {got:#x}, not {expected:#x}"
        assert abs(got - expected) <= case.tolerance, shown


@pytest.mark.parametrize("seed", [None, 1, 2])
@pytest.mark.parametrize("case", CUDA_CASES, ids=lambda case: case.name)
def test_a_kernel_gives_what_it_must_in_every_order(case, seed):
    assert machine_words(case, seed).tolist() == list(case.expected())


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
