"""The conformance set: every instruction and every kernel."""

from tests.unit.ptx.approximate_cases import approximate_cases
from tests.unit.ptx.asynchronous_cases import ASYNCHRONOUS_CASES
from tests.unit.ptx.conversion_cases import conversion_cases
from tests.unit.ptx.cuda_cases import CUDA_CASES as _THREAD_CASES
from tests.unit.ptx.float_cases import float_cases
from tests.unit.ptx.flushing_cases import flushing_cases
from tests.unit.ptx.integer_cases import integer_cases
from tests.unit.ptx.matrix_cases import MATRIX_CASES
from tests.unit.ptx.quad_cases import QUAD_CASES
from tests.unit.ptx.tensor_core_cases import TENSOR_CORE_CASES

CASES = [
    *integer_cases(), *float_cases(), *conversion_cases(), *approximate_cases(), *flushing_cases(),
]  # fmt: skip
CUDA_CASES = [
    *_THREAD_CASES, *MATRIX_CASES, *TENSOR_CORE_CASES, *QUAD_CASES, *ASYNCHRONOUS_CASES,
]  # fmt: skip

__all__ = ["CASES", "CUDA_CASES"]
