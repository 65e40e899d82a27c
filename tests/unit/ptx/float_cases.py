"""Floating-point arithmetic and comparisons, by fractions."""

from itertools import pairwise

from tests.unit.ptx import exact_floats as exact
from tests.unit.ptx.exact_floats import FORMATS, NAN, nan_of, with_flushing
from tests.unit.ptx.instruction_case import InstructionCase, rows

MODES = ("rn", "rz", "rm", "rp")


def edges(form):
    """Return zeros, denormals, ends of the range, ties, infinities and NaN."""
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
    """Return a third of the edges, for instructions with three operands."""
    return edges(form)[::3]


def float_case(
    text, kind, function, count, *, flushes=False, saturates=False, columns=None, about=""
):
    """Return a case on one type; the function returns None for NaN.

    An f64 result has the NaN of the last operand, or for a division that of the first.
    """
    form = FORMATS[kind]
    first_wins = text.startswith("div")

    def expected(*operands):
        if flushes:
            operands = tuple(map(form.flushed, operands))
        bits = function(*operands)
        if flushes and bits is not None:
            bits = form.flushed(bits)
        if saturates:
            return _saturated(form, bits)
        if bits is None:
            # Measured on the H200: b's NaN, then that of c, then that of a.
            order = operands if first_wins else (*operands[1:], operands[0])
            return nan_of(kind, *order)
        return bits

    columns = columns or (edges(form) if count < 3 else few(form),) * count
    return InstructionCase(text, (kind,) * count, kind, rows(*columns), expected, about=about)


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
    if facts["flushes"]:
        form = with_flushing(form)
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
    """Return products next to the middle between two float32, where rounding twice goes wrong."""
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
        columns=(factors, factors, addends), about="next to a tie",
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
        columns=(factors, factors, addends), about="next to a tie",
    )  # fmt: skip


def halves():
    for kind in ("f16", "bf16"):
        form = FORMATS[kind]
        operations = _operations(form)
        for name, function in operations.items():
            yield float_case(f"{name}.rn.{kind} {{d}}, {{a}}, {{b}};", kind, function, 2)
        fma = lambda a, b, c, form=form: exact.fma(form, a, b, c)  # noqa: E731
        yield float_case(f"fma.rn.{kind} {{d}}, {{a}}, {{b}}, {{c}};", kind, fma, 3)
        if kind == "f16":
            for name, function in _operations(with_flushing(form)).items():
                yield float_case(
                    f"{name}.rn.ftz.f16 {{d}}, {{a}}, {{b}};", kind, function, 2, flushes=True
                )
            for name, function in operations.items():
                yield float_case(
                    f"{name}.rn.sat.f16 {{d}}, {{a}}, {{b}};", kind, function, 2, saturates=True
                )
        yield from _packed(kind, {**operations, "fma": fma})


def _operations(form):
    return {
        "add": lambda a, b: exact.add(form, a, b),
        "sub": lambda a, b: exact.add(form, a, b ^ form.sign),
        "mul": lambda a, b: exact.multiply(form, a, b),
    }


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
    yield from _sets()
    for name in ("finite", "infinite", "number", "notanumber", "normal", "subnormal"):
        yield InstructionCase(
            f"testp.{name}.f32 {{d}}, {{a}};", ("f32",), "pred", rows(edges(form)),
            lambda a, name=name: int(_has_property(form, name, a)),
        )  # fmt: skip


def _sets():
    """``set`` of 16-bit numbers: 1.0 or all bits, of two in a word for each."""
    for kind, one in (("f16", 0x3C00), ("bf16", 0x3F80)):
        form = FORMATS[kind]
        words = tuple(a << 16 | b for a, b in pairwise(few(form)))
        for result, true in ((kind, one), ("u16", 0xFFFF), ("s32", 0xFFFFFFFF), ("u32", 2**32 - 1)):
            name = "ltu" if result == "u32" else "eq" if result == "s32" else "nan"

            def expected(a, b, form=form, name=name, true=true):
                return true if exact.compare(form, name, a, b) else 0

            both = rows(few(form), few(form))
            yield InstructionCase(
                f"set.{name}.{result}.{kind} {{d}}, {{a}}, {{b}};", (kind,) * 2, result, both,
                expected,
            )  # fmt: skip
        for result, true in ((f"{kind}x2", one), ("u32", 0xFFFF)):

            def expected_of_two(a, b, form=form, true=true):
                return sum(
                    true << place
                    for place in (0, 16)
                    if exact.compare(form, "ge", a >> place & 0xFFFF, b >> place & 0xFFFF)
                )

            yield InstructionCase(
                f"set.ge.{result}.{kind}x2 {{d}}, {{a}}, {{b}};", (f"{kind}x2",) * 2, result,
                rows(words, words), expected_of_two,
            )  # fmt: skip


def _has_property(form, name, a):
    is_finite = not form.is_nan(a) and not form.is_infinite(a)
    return {
        "finite": is_finite,
        "infinite": form.is_infinite(a),
        "number": not form.is_nan(a),
        "notanumber": form.is_nan(a),
        "subnormal": form.is_denormal(a),
        # PTX ISA, testp: zeros of both signs count as normal.
        "normal": is_finite and not form.is_denormal(a),
    }[name]


def several_nans():
    """Return cases of an f64 fma with a different NaN in each operand."""
    form = FORMATS["f64"]
    one = form.bias << form.mantissa_bits
    nans = lambda n: (one, form.infinity + n, form.sign | form.infinity + n)  # noqa: E731
    for mode in MODES:
        yield float_case(
            f"fma.{mode}.f64 {{d}}, {{a}}, {{b}}, {{c}};", "f64",
            lambda a, b, c, mode=mode: exact.fma(form, a, b, c, mode), 3,
            columns=(nans(1), nans(2), nans(3)), about="of several NaN",
        )  # fmt: skip


def float_cases():
    """Return every case of this file."""
    for group in (single_and_double, ties_of_fma, halves, extremes, comparisons, several_nans):
        yield from group()
