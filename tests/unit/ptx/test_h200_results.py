"""The machine gives the same results as an H200 for the whole conformance set.

The expected values come from the GPU alone: ``tests/gpu/ptx_conformance.py --record`` wrote them.
"""

import numpy as np
import pytest

from tests.unit.ptx.conformance_set import CASES, CUDA_CASES
from tests.unit.ptx.recorded import checksum, load
from tests.unit.ptx.run_case import machine_results, machine_words

#: 855 tests that take 14 seconds together; test_conformance holds the same set to its definitions.
pytestmark = pytest.mark.slow

ABOUT, RECORDED = load()
EXACT = [case for case in CASES if case.error is None]
APPROXIMATE = [case for case in CASES if case.error is not None]

#: The greatest difference between machine and GPU in units of the last place, over these rows.
#: The documentation of pluginkit.ptx.operations.floating repeats these figures.
MEASURED_UNITS = {
    "ex2": 2, "lg2": 18, "sin": 30, "cos": 39, "tanh": 114, "rsqrt": 1, "sqrt": 1, "rcp": 1,
}  # fmt: skip


def recorded(case, title):
    """Return the GPU's results of a case, which must have had the same inputs."""
    results = RECORDED[title]
    assert results.checksum == checksum(case), "the inputs changed: record on a GPU again"
    return results.bits


def test_every_case_is_recorded():
    titles = [*(case.title for case in CASES), *(case.name for case in CUDA_CASES)]
    assert len(titles) == len(set(titles))
    assert set(RECORDED) == set(titles)


def test_the_file_records_its_gpu():
    assert ABOUT["gpu"] == "NVIDIA H200"
    assert {"driver", "cuda", "date"} <= set(ABOUT)


@pytest.mark.parametrize("case", EXACT, ids=lambda case: case.title)
def test_an_instruction_gives_the_bits_of_the_gpu(case):
    gpu = recorded(case, case.title)
    for row, got, expected in zip(case.rows, machine_results(case), gpu, strict=True):
        assert got == expected, f"{[hex(bits) for bits in row]}: {got:#x}, not {expected:#x}"


def as_floats(bits):
    return np.array(bits, np.uint32).view(np.float32).astype(np.float64)


@pytest.mark.parametrize("case", APPROXIMATE, ids=lambda case: case.title)
def test_an_approximation_is_within_its_documented_error_of_the_gpu(case):
    gpu, machine = as_floats(recorded(case, case.title)), as_floats(machine_results(case))
    operands = as_floats([row[0] for row in case.rows])
    for x, got, expected in zip(operands, machine, gpu, strict=True):
        rounding = float(np.spacing(np.float32(abs(got)))) / 2  # the machine rounds the true value
        assert abs(got - expected) <= case.error(x, got) + rounding, f"{x}: {got}, not {expected}"


@pytest.mark.parametrize("case", APPROXIMATE, ids=lambda case: case.title)
def test_the_error_of_an_approximation_is_documented(case):
    gpu = np.array(recorded(case, case.title), np.int64)
    distance = np.abs(np.array(machine_results(case), np.int64) - gpu)
    assert distance.max() == MEASURED_UNITS[case.text.partition(".")[0]]


@pytest.mark.parametrize("case", CUDA_CASES, ids=lambda case: case.name)
def test_a_kernel_writes_the_same_as_on_the_gpu(case):
    assert machine_words(case).tolist() == recorded(case, case.name)
