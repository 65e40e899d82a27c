"""Floating-point arithmetic on bits by fractions, which gives exact results by definition.

It shares nothing with the machine: it uses neither numpy nor Python's float.
"""

from dataclasses import dataclass, replace
from fractions import Fraction
from math import isqrt


@dataclass(frozen=True)
class Format:
    """A binary format: the bits of the exponent and of the stored mantissa.

    ``flushes`` is .ftz: ``rounded`` returns zero for numbers that are below the least normal number
    after rounding to all bits of the mantissa.
    """

    exponent_bits: int
    mantissa_bits: int
    flushes: bool = False

    @property
    def bits(self):
        return 1 + self.exponent_bits + self.mantissa_bits

    @property
    def bias(self):
        return (1 << (self.exponent_bits - 1)) - 1

    @property
    def infinity(self):
        return ((1 << self.exponent_bits) - 1) << self.mantissa_bits

    @property
    def sign(self):
        return 1 << (self.bits - 1)

    @property
    def largest(self):
        return self.infinity - 1

    def is_nan(self, bits):
        return bits & ~self.sign > self.infinity

    def is_infinite(self, bits):
        return bits & ~self.sign == self.infinity

    def is_negative(self, bits):
        return bool(bits & self.sign)

    def is_denormal(self, bits):
        return 0 < bits & ~self.sign < 1 << self.mantissa_bits

    def value(self, bits):
        """Return the number of finite bits."""
        magnitude = bits & ~self.sign
        exponent, mantissa = magnitude >> self.mantissa_bits, magnitude % (1 << self.mantissa_bits)
        if exponent:
            mantissa += 1 << self.mantissa_bits
        power = max(exponent, 1) - self.bias - self.mantissa_bits
        number = Fraction(mantissa) * Fraction(2) ** power
        return -number if self.is_negative(bits) else number

    def rounded(self, number, mode="rn", negative_zero=False):
        """Return the bits of the rounded number: rn, rz, rm, rp, or rna (ties away from zero)."""
        if number == 0:
            return self.sign if negative_zero else 0
        is_negative = number < 0
        magnitude = -number if is_negative else number
        power = self._power(magnitude)
        units = magnitude / Fraction(2) ** power
        whole, rest = units.numerator // units.denominator, units % 1
        away = {
            "rz": False,
            "rm": is_negative and rest > 0,
            "rp": not is_negative and rest > 0,
            "rn": rest > Fraction(1, 2) or (rest == Fraction(1, 2) and whole % 2 == 1),
            "rna": rest >= Fraction(1, 2),
        }[mode]
        whole += away
        lowest = 1 - self.bias - self.mantissa_bits
        if power < lowest:  # flushing: only what was rounded up to the least normal number stays
            whole = whole // 2 if whole == 2 << self.mantissa_bits and power == lowest - 1 else 0
        bits = whole + max(power - lowest, 0) * (1 << self.mantissa_bits)
        if bits >= self.infinity:
            to_largest = mode == "rz" or mode == ("rp" if is_negative else "rm")
            bits = self.largest if to_largest else self.infinity
        return bits | (self.sign if is_negative else 0)

    def _power(self, magnitude):
        """Return the power of two of the last mantissa bit of a positive number."""
        exponent = magnitude.numerator.bit_length() - magnitude.denominator.bit_length()
        if Fraction(2) ** exponent > magnitude:
            exponent -= 1
        if not self.flushes:
            exponent = max(exponent, 1 - self.bias)
        return exponent - self.mantissa_bits

    def flushed(self, bits):
        return bits & self.sign if self.is_denormal(bits) else bits


F16, BF16, F32, F64 = Format(5, 10), Format(8, 7), Format(8, 23), Format(11, 52)
FORMATS = {"f16": F16, "bf16": BF16, "f32": F32, "f64": F64}
#: The NaN of the GPU's arithmetic; for f64 if no operand is NaN.
NAN = {"f16": 0x7FFF, "bf16": 0x7FFF, "f32": 0x7FFFFFFF, "f64": 0xFFF8000000000000}


def with_flushing(form):
    """Return the format with .ftz."""
    return replace(form, flushes=True)


def nan_of(kind, *operands):
    """Return the NaN result of an operation.

    PTX ISA, floating-point instructions: "NaN payloads are supported for double-precision
    instructions". The H200 returns the first of these operands that is NaN, made quiet. Single
    and half precision have one canonical NaN.
    """
    form = FORMATS[kind]
    for bits in operands if kind == "f64" else ():
        if form.is_nan(bits):
            return bits | 1 << (form.mantissa_bits - 1)
    return NAN[kind]


def add(form, a, b, mode="rn"):
    """Return a + b; None for NaN."""
    if form.is_nan(a) or form.is_nan(b):
        return None
    if form.is_infinite(a) and form.is_infinite(b):
        return a if a == b else None
    if form.is_infinite(a) or form.is_infinite(b):
        return a if form.is_infinite(a) else b
    total = form.value(a) + form.value(b)
    return form.rounded(total, mode, _zero_is_negative(form, a, b, mode))


def _zero_is_negative(form, a, b, mode):
    if form.is_negative(a) == form.is_negative(b):
        return form.is_negative(a)
    return mode == "rm"


def multiply(form, a, b, mode="rn"):
    """Return a * b; None for NaN."""
    if form.is_nan(a) or form.is_nan(b):
        return None
    sign = (a ^ b) & form.sign
    zero = form.sign in (a | form.sign, b | form.sign)
    if form.is_infinite(a) or form.is_infinite(b):
        return None if zero else form.infinity | sign
    return form.rounded(form.value(a) * form.value(b), mode, bool(sign))


def fma(form, a, b, c, mode="rn"):
    """Return a * b + c with one rounding; None for NaN."""
    if any(map(form.is_nan, (a, b, c))):
        return None
    sign = (a ^ b) & form.sign
    if form.is_infinite(a) or form.is_infinite(b):
        if form.sign in (a | form.sign, b | form.sign):
            return None
        product = form.infinity | sign
        return None if form.is_infinite(c) and c != product else product
    if form.is_infinite(c):
        return c
    exact = form.value(a) * form.value(b)
    return form.rounded(exact + form.value(c), mode, _zero_is_negative(form, sign, c, mode))


def divide(form, a, b, mode="rn"):
    """Return a / b; None for NaN."""
    if form.is_nan(a) or form.is_nan(b):
        return None
    sign = (a ^ b) & form.sign
    if form.is_infinite(a):
        return None if form.is_infinite(b) else form.infinity | sign
    if form.is_infinite(b):
        return sign
    if form.value(b) == 0:
        return None if form.value(a) == 0 else form.infinity | sign
    return form.rounded(form.value(a) / form.value(b), mode, bool(sign))


def square_root(form, a, mode="rn"):
    """Return the square root of a; None for NaN."""
    if form.is_nan(a):
        return None
    if a & ~form.sign == 0:
        return a
    if form.is_negative(a):
        return None
    if form.is_infinite(a):
        return a
    number = form.value(a)
    scale = 200  # enough bits below the last one; an odd unit stands for what is left
    scaled = number * Fraction(4) ** (scale + 1074)
    assert scaled.denominator == 1
    root = isqrt(scaled.numerator)
    is_exact = root * root == scaled.numerator
    near = Fraction(2 * root + (not is_exact), 2) / Fraction(2) ** (scale + 1074)
    return form.rounded(near, mode)


def compare(form, name, a, b):
    """Return the result of a comparison, by its PTX name."""
    unordered = form.is_nan(a) or form.is_nan(b)
    if name == "num":
        return not unordered
    if name == "nan":
        return unordered
    if unordered:
        return name.endswith("u")
    x, y = _ordered(form, a), _ordered(form, b)
    return {
        "eq": x == y, "ne": x != y, "lt": x < y, "le": x <= y, "gt": x > y, "ge": x >= y,
    }[name.removesuffix("u")]  # fmt: skip


def _ordered(form, bits):
    magnitude = bits & ~form.sign
    return -magnitude if form.is_negative(bits) else magnitude


def extremum(form, a, b, largest, nan_wins):
    """Return min or max, of NaN and a number the number or NaN; -0 is below +0. None for NaN."""
    if form.is_nan(a) and form.is_nan(b):
        return None
    if form.is_nan(a) or form.is_nan(b):
        return None if nan_wins else (b if form.is_nan(a) else a)
    first = (_ordered(form, a), not form.is_negative(a))
    second = (_ordered(form, b), not form.is_negative(b))
    return a if (first > second) == largest else b


def to_integer(form, a, direction, bits, signed):
    """Return cvt to an integer: rni, rzi, rmi or rpi; values out of range are clamped."""
    low = -(1 << (bits - 1)) if signed else 0
    high = (1 << (bits - 1)) - 1 if signed else (1 << bits) - 1
    if form.is_infinite(a):
        return low if form.is_negative(a) else high
    number = integral(form.value(a), direction)
    return min(max(number, low), high)


def integral(number, direction):
    """Round a fraction to an integer: rni, rzi, rmi or rpi."""
    floor = number.numerator // number.denominator
    rest = number - floor
    if direction == "rmi" or rest == 0:
        return floor
    if direction == "rpi":
        return floor + 1
    if direction == "rzi":
        return floor if number > 0 else floor + 1
    up = rest > Fraction(1, 2) or (rest == Fraction(1, 2) and floor % 2 == 1)
    return floor + up
