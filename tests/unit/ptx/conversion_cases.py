"""Conversions from and to floating-point numbers, by fractions."""

from bisect import bisect
from fractions import Fraction
from itertools import pairwise

from tests.unit.ptx import exact_floats as exact
from tests.unit.ptx.exact_floats import FORMATS, NAN, nan_of, with_flushing
from tests.unit.ptx.float_cases import MODES, edges
from tests.unit.ptx.instruction_case import InstructionCase, rows, signed, width, wrapped


def between_floats():
    kinds = ("f16", "bf16", "f32", "f64")
    narrowing = [
        (to, source, mode)
        for source in ("f32", "f64") for to in kinds
        for mode in (MODES if (to, source) == ("f32", "f64") else ("rn", "rz"))
        if width(to) < width(source) and (to, source) not in (("bf16", "f64"),)
    ]  # fmt: skip
    for to, source, mode in narrowing:
        if source == "f64" and to == "f16" and mode == "rz":
            continue
        yield _converted(f"cvt.{mode}.{to}.{source}", to, source, mode)
    for to, source in (("f32", "f16"), ("f32", "bf16"), ("f64", "f16"), ("f64", "f32")):
        yield _converted(f"cvt.{to}.{source}", to, source, "rn")
    yield _converted("cvt.rn.ftz.f32.f64", "f32", "f64", "rn", flushes_to=True)
    yield _converted("cvt.ftz.f64.f32", "f64", "f32", "rn", flushes_from=True)
    for direction in ("rni", "rzi", "rmi", "rpi"):
        for kind in ("f32", "f64"):
            yield _made_integral(direction, kind)
    for kind in ("f16", "bf16"):
        yield _packed_from_two(kind)
    for kind in EIGHT_BITS:
        yield from _pairs(kind)


def _converted(name, to, source, mode, *, flushes_to=False, flushes_from=False):
    into, form = FORMATS[to], FORMATS[source]
    into = with_flushing(into) if flushes_to else into
    one = form.bias << form.mantissa_bits
    half_unit = 1 << max(form.mantissa_bits - into.mantissa_bits - 1, 0)
    ties = tuple(
        sign | one + (2 * n + 1) * half_unit + d
        for n in (0, 1, 2, 5) for d in (-1, 0, 1) for sign in (0, form.sign)
    )  # fmt: skip
    least = Fraction(2) ** (1 - into.bias - into.mantissa_bits)
    small = tuple(form.rounded(Fraction(n, 4) * least) for n in range(-12, 13))

    def expected(a):
        if form.is_nan(a):
            return _converted_nan(to, source, NAN["f32"] if flushes_from else a)
        a = form.flushed(a) if flushes_from else a
        sign = into.sign if form.is_negative(a) else 0
        if form.is_infinite(a):
            return into.infinity | sign
        bits = into.rounded(form.value(a), mode, form.is_negative(a))
        return into.flushed(bits) if flushes_to else bits

    values = (*edges(form), *ties, *small)
    return InstructionCase(f"{name} {{d}}, {{a}};", (source,), to, rows(values), expected)


def payloads():
    """Return NaN with payloads whose lowest, highest and alternate bits are set."""
    for to, source in (("f16", "f64"), ("f32", "f64"), ("f64", "f16"), ("f64", "f32"),
                       ("f32", "bf16")):  # fmt: skip
        form = FORMATS[source]
        last = (1 << form.mantissa_bits) - 1
        values = tuple(
            sign | form.infinity | bits
            for bits in (1, last, last // 2, last // 3, last // 5 * 4)
            for sign in (0, form.sign)
        )
        rounding = ".rn" if width(to) < width(source) else ""
        yield InstructionCase(
            f"cvt{rounding}.{to}.{source} {{d}}, {{a}};", (source,), to, rows(values),
            lambda a, to=to, source=source: _converted_nan(to, source, a), about="of NaN payloads",
        )  # fmt: skip


def _converted_nan(to, source, bits):
    """Return the NaN that an H200 gives; PTX does not define it.

    To and from f64 a NaN keeps its sign and the upper bits of its payload and becomes quiet. From
    bf16 to f32 its bits are kept. All others become the canonical NaN of their type.
    """
    into, form = FORMATS[to], FORMATS[source]
    if (to, source) == ("f32", "bf16"):
        return bits << 16
    if "f64" not in (to, source):
        return NAN[to]
    payload = Fraction(bits % (1 << form.mantissa_bits), 1 << form.mantissa_bits)
    kept = int(payload * (1 << into.mantissa_bits)) | 1 << (into.mantissa_bits - 1)
    return into.infinity | kept | (into.sign if form.is_negative(bits) else 0)


def _made_integral(direction, kind):
    form = FORMATS[kind]
    values = (*edges(form), *(form.rounded(Fraction(n, 4)) for n in range(-14, 15)))

    def expected(a):
        if form.is_nan(a):
            return nan_of(kind, a)
        if form.is_infinite(a):
            return a
        number = exact.integral(form.value(a), direction)
        return form.rounded(Fraction(number), "rn", form.is_negative(a))

    return InstructionCase(
        f"cvt.{direction}.{kind}.{kind} {{d}}, {{a}};", (kind,), kind, rows(values), expected
    )


def _packed_from_two(kind):
    into, form = FORMATS[kind], FORMATS["f32"]

    def half(a):
        if form.is_nan(a):
            return NAN[kind]
        if form.is_infinite(a):
            return into.infinity | (into.sign if form.is_negative(a) else 0)
        return into.rounded(form.value(a), "rn", form.is_negative(a))

    return InstructionCase(
        f"cvt.rn.{kind}x2.f32 {{d}}, {{a}}, {{b}};", ("f32", "f32"), f"{kind}x2",
        rows(edges(form), edges(form)), lambda a, b: half(a) << 16 | half(b),
    )  # fmt: skip


#: Of formats of 8 bits the exponent, the mantissa, the bias, and the largest number.
EIGHT_BITS = {"e4m3": (4, 3, 7, Fraction(448)), "e5m2": (5, 2, 15, Fraction(57344))}


def _pairs(kind):
    _, mantissa_bits, bias, largest = EIGHT_BITS[kind]

    def value(byte):
        exponent, mantissa = divmod(byte & 0x7F, 1 << mantissa_bits)
        mantissa += (1 << mantissa_bits) * (exponent > 0)
        number = mantissa * Fraction(2) ** (max(exponent, 1) - bias - mantissa_bits)
        return -number if byte & 0x80 else number

    numbers = [(value(byte), byte) for byte in range(128) if value(byte) <= largest]

    def narrowed(form, a, relu=False):
        """The byte of the nearest number; of two that are as near the even one."""
        if form.is_nan(a):
            return 0x7F
        is_negative = form.is_negative(a)
        if is_negative and relu:
            return 0
        wanted = largest if form.is_infinite(a) else abs(form.value(a))
        at = bisect(numbers, (wanted, 256))
        near = numbers[at - 1 : at + 1]
        _, _, byte = min((abs(wanted - number), byte % 2, byte) for number, byte in near)
        return byte | 0x80 * is_negative

    def widened(byte, relu=False):
        into, magnitude = FORMATS["f16"], byte & 0x7F
        is_negative = bool(byte & 0x80)
        if abs(value(byte)) > largest:
            is_infinite = kind == "e5m2" and magnitude == 0x7C
            if not is_infinite:
                return NAN["f16"]
            return 0 if relu and is_negative else into.infinity | into.sign * is_negative
        return 0 if relu and is_negative else into.rounded(value(byte), "rn", is_negative)

    def near(form):
        """Numbers of the format, those halfway between, and their neighbours."""
        middles = [(a + b) / 2 for (a, _), (b, _) in pairwise(numbers)]
        chosen = [*(number for number, _ in numbers[:20]), *middles[:20], *middles[-3:], largest]
        bits = {form.rounded(number) + step for number in chosen for step in (-1, 0, 1)}
        return sorted({max(each, 0) for each in bits} | {form.sign | form.rounded(chosen[3])})

    single, half = FORMATS["f32"], FORMATS["f16"]
    given = (*near(single), *edges(single))
    both = tuple(zip(given, reversed(given), strict=True))
    for relu in ("", ".relu"):
        is_relu = bool(relu)
        yield InstructionCase(
            f"cvt.rn.satfinite{relu}.{kind}x2.f32 {{d}}, {{a}}, {{b}};", ("f32", "f32"),
            f"{kind}x2", both,
            lambda a, b, relu=is_relu: narrowed(single, a, relu) << 8 | narrowed(single, b, relu),
        )  # fmt: skip
        halves = (*near(half), *edges(half))
        words = tuple((a << 16 | b,) for a, b in zip(halves, reversed(halves), strict=True))
        yield InstructionCase(
            f"cvt.rn.satfinite{relu}.{kind}x2.f16x2 {{d}}, {{a}};", ("f16x2",), f"{kind}x2", words,
            lambda a, relu=is_relu: narrowed(half, a >> 16, relu) << 8
            | narrowed(half, a & 0xFFFF, relu),
        )  # fmt: skip
        yield InstructionCase(
            f"cvt.rn{relu}.f16x2.{kind}x2 {{d}}, {{a}};", (f"{kind}x2",), "f16x2",
            tuple((byte << 8 | 255 - byte,) for byte in range(256)),
            lambda a, relu=is_relu: widened(a >> 8, relu) << 16 | widened(a & 0xFF, relu),
        )  # fmt: skip


def to_integers():
    for source in ("f16", "f32", "f64"):
        form = FORMATS[source]
        numbers = (*(Fraction(n, 4) for n in range(-14, 15)), Fraction(2**31), Fraction(-(2**31)),
                   Fraction(2**31 - 1), Fraction(2**32), Fraction(2**63), Fraction(-(2**63)),
                   Fraction(2**64), Fraction(255), Fraction(-129), Fraction(40000))  # fmt: skip
        values = (*edges(form), *(form.rounded(number, "rz") for number in numbers))
        for to in ("u8", "s8", "u16", "s16", "u32", "s32", "u64", "s64"):
            for direction in ("rni", "rzi", "rmi", "rpi"):
                bits = width(to)
                long = bits == 64 or source == "f64"
                of_nan = 1 << (bits - 1) if long else 0

                def expected(a, form=form, direction=direction, bits=bits, to=to, of_nan=of_nan):
                    if form.is_nan(a):
                        return of_nan
                    return wrapped(exact.to_integer(form, a, direction, bits, to[0] == "s"), bits)

                yield InstructionCase(
                    f"cvt.{direction}.{to}.{source} {{d}}, {{a}};", (source,), to, rows(values),
                    expected,
                )  # fmt: skip


def from_integers():
    numbers = {
        8: (0, 1, 5, 0x7F, 0x80, 0xFF),
        16: (0, 1, 0x7FF, 0x801, 0x803, 0x7FFF, 0x8000, 0xFFFF),
        32: (0, 1, 0x1000001, 0x1000003, 0x7FFFFFFF, 0x7FFFFFC0, 0x80000000, 0xFFFFFFFF, 65519,
             65520),
        64: (0, 1, 2**53 + 1, 2**53 + 3, 2**63 - 1, 2**63, 2**64 - 1, 2**40 + 2**16,
             2**40 + 2**16 + 1, 2**60 + 2**36 + 1, 2**63 + 2**39, 2**63 + 2**39 + 1, 2**63 + 2**10,
             2**63 + 2**10 + 1),
    }  # fmt: skip
    for source in ("u8", "s8", "u16", "s16", "u32", "s32", "u64", "s64"):
        for to in ("f16", "f32", "f64"):
            for mode in MODES if to != "f16" else ("rn",):
                form, bits = FORMATS[to], width(source)

                def expected(a, form=form, mode=mode, bits=bits, source=source):
                    number = signed(a, bits) if source[0] == "s" else a
                    return form.rounded(Fraction(number), mode)

                yield InstructionCase(
                    f"cvt.{mode}.{to}.{source} {{d}}, {{a}};", (source,), to, rows(numbers[bits]),
                    expected,
                )  # fmt: skip


def conversion_cases():
    """Return every case of this file."""
    for group in (between_floats, payloads, to_integers, from_integers):
        yield from group()
