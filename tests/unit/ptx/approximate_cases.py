"""Instructions that a GPU approximates, with the error that the PTX manual allows."""

from fractions import Fraction
from math import cos, exp2, log2, sin, sqrt, tanh

import numpy as np

from tests.unit.ptx.exact_floats import FORMATS
from tests.unit.ptx.instruction_case import InstructionCase, rows


def _relative(bound):
    return lambda x, y: bound * abs(y)


def _absolute(bound):
    return lambda x, y: bound


def _units(count):
    return lambda x, y: count * float(np.spacing(np.float32(abs(y))))


def _error_of_logarithm(x, y):
    return 2**-22 if 0.5 < x < 2 else 2**-22 * abs(y)


def approximate_cases():
    """Return the approximated instructions, with the greatest error that the PTX ISA (8.5) allows.

    The machine rounds the true value, so that Python's float64 must round to the same bits.
    """
    form = FORMATS["f32"]
    numbers = [Fraction(n, 16) for n in range(-48, 49)]
    positive = [number for number in numbers if number > 0]
    near_pi = [number for number in numbers if abs(number) < 3]
    for name, function, inputs, error in (
        ("ex2.approx.f32", exp2, numbers, _units(2)),
        ("lg2.approx.f32", log2, positive, _error_of_logarithm),
        ("sin.approx.f32", sin, near_pi, _absolute(2**-20.5)),  # from -pi to pi
        ("cos.approx.f32", cos, near_pi, _absolute(2**-20.5)),
        ("tanh.approx.f32", tanh, numbers, _relative(2**-11)),
        ("rsqrt.approx.f32", lambda x: 1 / sqrt(x), positive, _relative(2**-22.9)),
        ("sqrt.approx.f32", sqrt, positive, _relative(2**-23)),
        ("rcp.approx.f32", lambda x: 1 / x, positive, _units(1)),
    ):
        values = tuple(form.rounded(number) for number in inputs)
        yield InstructionCase(
            f"{name} {{d}}, {{a}};", ("f32",), "f32", rows(values),
            lambda a, function=function: form.rounded(Fraction(function(float(form.value(a))))),
            error=error,
        )  # fmt: skip
