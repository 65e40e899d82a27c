"""Results next to the least normal number, which .ftz flushes or not, by fractions."""

from fractions import Fraction

from tests.unit.ptx import exact_floats as exact
from tests.unit.ptx.exact_floats import FORMATS, with_flushing
from tests.unit.ptx.float_cases import MODES, float_case
from tests.unit.ptx.instruction_case import InstructionCase, rows


def flushing_cases():
    """Return cases around the least normal number, where .ftz depends on the rounding."""
    form = with_flushing(FORMATS["f32"])
    one, least = form.bias << form.mantissa_bits, 1 << form.mantissa_bits
    signed_ = lambda *bits: (*bits, *(form.sign | each for each in bits))  # noqa: E731
    small = signed_(least, least + 1, least + 2, 2 * least - 1)
    near_one = signed_(*(one + n for n in range(-4, 5)))
    about = "next to the least normal number"
    facts = {"flushes": True, "about": about}
    for mode in MODES:
        yield float_case(
            f"mul.{mode}.ftz.f32 {{d}}, {{a}}, {{b}};", "f32",
            lambda a, b, mode=mode: exact.multiply(form, a, b, mode), 2,
            columns=(small, near_one), **facts,
        )  # fmt: skip
        yield float_case(
            f"div.{mode}.ftz.f32 {{d}}, {{a}}, {{b}};", "f32",
            lambda a, b, mode=mode: exact.divide(form, a, b, mode), 2,
            columns=(small, near_one), **facts,
        )  # fmt: skip
        yield float_case(
            f"rcp.{mode}.ftz.f32 {{d}}, {{a}};", "f32",
            lambda a, mode=mode: exact.divide(form, one, a, mode), 1,
            columns=(signed_(*((2 * form.bias - 1 << form.mantissa_bits) + n
                               for n in range(-4, 5))),), **facts,
        )  # fmt: skip
        yield float_case(
            f"fma.{mode}.ftz.f32 {{d}}, {{a}}, {{b}}, {{c}};", "f32",
            lambda a, b, c, mode=mode: exact.fma(form, a, b, c, mode), 3,
            columns=(small, near_one, signed_(0, least)), **facts,
        )  # fmt: skip
        yield _converted_next_to_least_normal(mode, about)
    half = with_flushing(FORMATS["f16"])
    yield float_case(
        "fma.rn.ftz.f16 {d}, {a}, {b}, {c};", "f16", lambda a, b, c: exact.fma(half, a, b, c), 3,
        columns=((0x400, 0x401, 0x8400), tuple(range(0x3BFC, 0x3C04)), (0, 0x400, 0x8400)),
        **facts,
    )  # fmt: skip


def _converted_next_to_least_normal(mode, about):
    into, form = with_flushing(FORMATS["f32"]), FORMATS["f64"]
    values = tuple(
        form.rounded(sign * Fraction(2) ** -126 * (1 + Fraction(n, 2**27)))
        for n in range(-20, 5) for sign in (1, -1)
    )  # fmt: skip
    return InstructionCase(
        f"cvt.{mode}.ftz.f32.f64 {{d}}, {{a}};", ("f64",), "f32", rows(values),
        lambda a: into.rounded(form.value(a), mode, form.is_negative(a)), about=about,
    )  # fmt: skip
