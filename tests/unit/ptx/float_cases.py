"""Floating-point instructions, by fractions."""

from fractions import Fraction
from math import cos, exp2, log2, sin, sqrt, tanh

from tests.unit.ptx import exact_floats as exact
from tests.unit.ptx.exact_floats import FORMATS, NAN
from tests.unit.ptx.instruction_case import InstructionCase, rows, signed, width, wrapped

MODES = ("rn", "rz", "rm", "rp")


def edges(form):
    """Zeros, denormals, ends of the range, ties, infinities and NaN."""
    one = form.bias << form.mantissa_bits
    least = 1 << form.mantissa_bits
    half = 1 << (form.mantissa_bits // 2)
    positive = (
        0, 1, 2, least - 1, least, least + 1, one - 1, one, one + 1, one + half, one + least // 2,
        one + least - 1, one + least, one + 3 * least + 5, form.largest - 1, form.largest,
        one - (form.mantissa_bits + 1) * least, one + (form.mantissa_bits + 1) * least,
    )  # fmt: skip
    nan = form.infinity | 1 << (form.mantissa_bits - 1)
    both = [sign | bits for bits in (*positive, form.infinity) for sign in (0, form.sign)]
    return (*both, nan, form.infinity + 1, nan | form.sign)


def few(form):
    """A third of them, for instructions of three operands."""
    return edges(form)[::3]


def float_case(text, kind, function, count, *, flushes=False, saturates=False, columns=None):
    """A case on one type; the function gives None for NaN."""
    form = FORMATS[kind]

    def expected(*operands):
        if flushes:
            operands = tuple(map(form.flushed, operands))
        bits = function(*operands)
        if flushes and bits is not None:
            bits = form.flushed(bits)
        return _saturated(form, bits) if saturates else bits

    columns = columns or (edges(form) if count < 3 else few(form),) * count
    return InstructionCase(text, (kind,) * count, kind, rows(*columns), expected, NAN[kind])


def _saturated(form, bits):
    one = form.bias << form.mantissa_bits
    if bits is None or form.is_negative(bits):
        return 0
    return min(bits, one)


def single_and_double():
    for kind in ("f32", "f64"):
        form = FORMATS[kind]
        for mode in MODES:
            for suffix in ("", ".ftz", ".ftz.sat", ".sat") if kind == "f32" else ("",):
                yield from _of_mode(kind, form, mode, suffix)


def _of_mode(kind, form, mode, suffix):
    facts = {"flushes": "ftz" in suffix, "saturates": "sat" in suffix}
    name = f"{mode}{suffix}.{kind}"
    negated = lambda b: b ^ form.sign  # noqa: E731
    yield float_case(
        f"add.{name} {{d}}, {{a}}, {{b}};", kind,
        lambda a, b: exact.add(form, a, b, mode), 2, **facts,
    )  # fmt: skip
    yield float_case(
        f"sub.{name} {{d}}, {{a}}, {{b}};", kind,
        lambda a, b: exact.add(form, a, negated(b), mode), 2, **facts,
    )  # fmt: skip
    yield float_case(
        f"mul.{name} {{d}}, {{a}}, {{b}};", kind,
        lambda a, b: exact.multiply(form, a, b, mode), 2, **facts,
    )  # fmt: skip
    yield float_case(
        f"fma.{name} {{d}}, {{a}}, {{b}}, {{c}};", kind,
        lambda a, b, c: exact.fma(form, a, b, c, mode), 3, **facts,
    )  # fmt: skip
    if "sat" in suffix:
        return
    yield float_case(
        f"div.{name} {{d}}, {{a}}, {{b}};", kind,
        lambda a, b: exact.divide(form, a, b, mode), 2, **facts,
    )  # fmt: skip
    one = form.bias << form.mantissa_bits
    yield float_case(
        f"rcp.{name} {{d}}, {{a}};", kind, lambda a: exact.divide(form, one, a, mode), 1, **facts
    )
    yield float_case(
        f"sqrt.{name} {{d}}, {{a}};", kind, lambda a: exact.square_root(form, a, mode), 1, **facts
    )


def ties_of_fma():
    """Products that lie next to the middle of two float32: rounding twice goes wrong there."""
    form = FORMATS["f32"]
    one = form.bias << form.mantissa_bits
    factors = tuple(one + 2**n + 1 for n in range(3, 23, 3))
    addends = tuple(
        sign | (one - n * (1 << 23))
        for n in (24, 25, 47, 48, 53, 54, 55, 60, 90)
        for sign in (0, form.sign)
    )
    yield float_case(
        "fma.rn.f32 {d}, {a}, {b}, {c};", "f32",
        lambda a, b, c, form=form: exact.fma(form, a, b, c), 3,
        columns=(factors, factors, addends),
    )  # fmt: skip
    form = FORMATS["f64"]
    one = form.bias << form.mantissa_bits
    factors = tuple(one + 2**n + 1 for n in range(3, 52, 7))
    addends = tuple(
        sign | (one - n * (1 << 52))
        for n in (52, 53, 54, 105, 106, 110, 1000)
        for sign in (0, form.sign)
    )
    yield float_case(
        "fma.rn.f64 {d}, {a}, {b}, {c};", "f64",
        lambda a, b, c, form=form: exact.fma(form, a, b, c), 3,
        columns=(factors, factors, addends),
    )  # fmt: skip


def halves():
    for kind in ("f16", "bf16"):
        form = FORMATS[kind]
        negated = lambda b, form=form: b ^ form.sign  # noqa: E731
        operations = {
            "add": lambda a, b, form=form: exact.add(form, a, b),
            "sub": lambda a, b, form=form, negated=negated: exact.add(form, a, negated(b)),
            "mul": lambda a, b, form=form: exact.multiply(form, a, b),
        }
        for name, function in operations.items():
            yield float_case(f"{name}.rn.{kind} {{d}}, {{a}}, {{b}};", kind, function, 2)
        fma = lambda a, b, c, form=form: exact.fma(form, a, b, c)  # noqa: E731
        yield float_case(f"fma.rn.{kind} {{d}}, {{a}}, {{b}}, {{c}};", kind, fma, 3)
        if kind == "f16":
            for name, function in operations.items():
                yield float_case(
                    f"{name}.rn.ftz.f16 {{d}}, {{a}}, {{b}};", kind, function, 2, flushes=True
                )
                yield float_case(
                    f"{name}.rn.sat.f16 {{d}}, {{a}}, {{b}};", kind, function, 2, saturates=True
                )
        yield from _packed(kind, {**operations, "fma": fma})


def _packed(kind, operations):
    form = FORMATS[kind]
    values = edges(form)
    words = tuple(
        low | high << 16 for low, high in zip(values, values[7:] + values[:7], strict=True)
    )
    for name, function in operations.items():
        count = 3 if name == "fma" else 2
        letters = ", ".join(f"{{{letter}}}" for letter in "abc"[:count])

        def expected(*operands, function=function):
            low = function(*(word & 0xFFFF for word in operands))
            high = function(*(word >> 16 for word in operands))
            low, high = (NAN[kind] if half is None else half for half in (low, high))
            return low | high << 16

        columns = (words,) * 2 if count == 2 else (words[::3],) * 3
        yield InstructionCase(
            f"{name}.rn.{kind}x2 {{d}}, {letters};", (f"{kind}x2",) * count, f"{kind}x2",
            rows(*columns), expected,
        )  # fmt: skip


def extremes():
    for kind in ("f16", "bf16", "f32", "f64"):
        form = FORMATS[kind]
        for name in ("min", "max"):
            for suffix in ("", ".NaN") if kind != "f64" else ("",):
                yield float_case(
                    f"{name}{suffix}.{kind} {{d}}, {{a}}, {{b}};", kind,
                    lambda a, b, form=form, name=name, suffix=suffix: exact.extremum(
                        form, a, b, name == "max", suffix == ".NaN"
                    ), 2,
                )  # fmt: skip
        if kind in ("f32", "f64"):
            yield InstructionCase(
                f"abs.{kind} {{d}}, {{a}};", (kind,), kind, rows(_without_nan(form)),
                lambda a, form=form: a & ~form.sign,
            )  # fmt: skip
        yield InstructionCase(
            f"neg.{kind} {{d}}, {{a}};", (kind,), kind, rows(_without_nan(form)),
            lambda a, form=form: a ^ form.sign,
        )  # fmt: skip
    form = FORMATS["f32"]
    yield float_case(
        "min.ftz.f32 {d}, {a}, {b};", "f32",
        lambda a, b, form=form: exact.extremum(form, a, b, False, False), 2, flushes=True,
    )  # fmt: skip
    for kind in ("f32", "f64"):
        form = FORMATS[kind]
        yield InstructionCase(
            f"copysign.{kind} {{d}}, {{a}}, {{b}};", (kind, kind), kind,
            rows(_without_nan(form), _without_nan(form)),
            lambda a, b, form=form: b & ~form.sign | a & form.sign,
        )  # fmt: skip


def _without_nan(form):
    return tuple(bits for bits in edges(form) if not form.is_nan(bits))


def comparisons():
    names = ("eq", "ne", "lt", "le", "gt", "ge", "equ", "neu", "ltu", "leu", "gtu", "geu", "num",
             "nan")  # fmt: skip
    for kind in ("f16", "bf16", "f32", "f64"):
        form = FORMATS[kind]
        for name in names:
            yield InstructionCase(
                f"setp.{name}.{kind} {{d}}, {{a}}, {{b}};", (kind, kind), "pred",
                rows(edges(form), edges(form)),
                lambda a, b, form=form, name=name: int(exact.compare(form, name, a, b)),
            )  # fmt: skip
    form = FORMATS["f32"]
    yield InstructionCase(
        "setp.eq.ftz.f32 {d}, {a}, {b};", ("f32", "f32"), "pred", rows(edges(form), edges(form)),
        lambda a, b: int(exact.compare(form, "eq", form.flushed(a), form.flushed(b))),
    )  # fmt: skip
    for name in ("finite", "infinite", "number", "notanumber", "normal", "subnormal"):
        yield InstructionCase(
            f"testp.{name}.f32 {{d}}, {{a}};", ("f32",), "pred", rows(edges(form)),
            lambda a, name=name: int(_has_property(form, name, a)),
        )  # fmt: skip


def _has_property(form, name, a):
    is_finite = not form.is_nan(a) and not form.is_infinite(a)
    return {
        "finite": is_finite,
        "infinite": form.is_infinite(a),
        "number": not form.is_nan(a),
        "notanumber": form.is_nan(a),
        "subnormal": form.is_denormal(a),
        "normal": is_finite and not form.is_denormal(a) and a & ~form.sign != 0,
    }[name]


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


def _converted(name, to, source, mode, *, flushes_to=False, flushes_from=False):
    into, form = FORMATS[to], FORMATS[source]
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
            return None
        a = form.flushed(a) if flushes_from else a
        sign = into.sign if form.is_negative(a) else 0
        if form.is_infinite(a):
            return into.infinity | sign
        bits = into.rounded(form.value(a), mode, form.is_negative(a))
        return into.flushed(bits) if flushes_to else bits

    values = (*edges(form), *ties, *small)
    return InstructionCase(f"{name} {{d}}, {{a}};", (source,), to, rows(values), expected, NAN[to])


def _made_integral(direction, kind):
    form = FORMATS[kind]
    values = (*edges(form), *(form.rounded(Fraction(n, 4)) for n in range(-14, 15)))

    def expected(a):
        if form.is_nan(a):
            return None
        if form.is_infinite(a):
            return a
        number = exact.integral(form.value(a), direction)
        return form.rounded(Fraction(number), "rn", form.is_negative(a))

    return InstructionCase(
        f"cvt.{direction}.{kind}.{kind} {{d}}, {{a}};", (kind,), kind, rows(values), expected,
        NAN[kind],
    )  # fmt: skip


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


def approximations():
    """What the GPU approximates: within some units in the last place of Python's results."""
    form = FORMATS["f32"]
    numbers = [Fraction(n, 16) for n in range(-48, 49)]
    positive = [number for number in numbers if number > 0]
    near_pi = [number for number in numbers if abs(number) < 3]
    for name, function, inputs, units in (
        ("ex2.approx.f32", exp2, numbers, 4),
        ("lg2.approx.f32", log2, positive, 64),
        ("sin.approx.f32", sin, near_pi, 64),
        ("cos.approx.f32", cos, near_pi, 64),
        ("tanh.approx.f32", tanh, numbers, 4096),
        ("rsqrt.approx.f32", lambda x: 1 / sqrt(x), positive, 4),
        ("sqrt.approx.f32", sqrt, positive, 4),
        ("rcp.approx.f32", lambda x: 1 / x, positive, 4),
    ):
        values = tuple(form.rounded(number) for number in inputs)
        yield InstructionCase(
            f"{name} {{d}}, {{a}};", ("f32",), "f32", rows(values),
            lambda a, function=function: form.rounded(Fraction(function(float(form.value(a))))),
            tolerance=units,
        )  # fmt: skip


def float_cases():
    """Every case of this file."""
    for group in (
        single_and_double, ties_of_fma, halves, extremes, comparisons, between_floats,
        to_integers, from_integers, approximations,
    ):  # fmt: skip
        yield from group()
