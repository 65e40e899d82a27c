"""One instruction on many inputs: its PTX, and its expected results."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import product

_WIDTHS = {
    "b8": 8, "u8": 8, "s8": 8, "b16": 16, "u16": 16, "s16": 16, "f16": 16, "bf16": 16,
    "e4m3x2": 16, "e5m2x2": 16,
    "b32": 32, "u32": 32, "s32": 32, "f32": 32, "f16x2": 32, "bf16x2": 32,
    "b64": 64, "u64": 64, "s64": 64, "f64": 64, "pred": 1,
}  # fmt: skip


def width(kind):
    """Return the width of a PTX type in bits."""
    return _WIDTHS[kind]


@dataclass(frozen=True)
class InstructionCase:
    """An instruction.

    Attributes:
        text: the instruction, with ``{d}`` for the result and ``{a}``, ``{b}``, ``{c}``.
        sources: the types of the operands.
        result: the type of the result; ``pred`` becomes 0 or 1.
        rows: the operands' bits, one tuple for each thread.
        expected: returns the result's bits for the operands' bits.
        error: for an instruction that a GPU approximates, the error that the PTX manual allows,
            given the operand and the true result as numbers.
        about: a description of the rows, if the same instruction has several cases.
    """

    text: str
    sources: tuple[str, ...]
    result: str
    rows: tuple[tuple[int, ...], ...]
    expected: Callable[..., int]
    error: Callable[[float, float], float] | None = None
    about: str = ""

    @property
    def title(self):
        """A title that is different for every case."""
        return f"{self.text} {self.about}".rstrip()

    def ptx(self):
        """The PTX of a kernel that runs the instruction for each row: ``run(out, a, b, c, n)``."""
        letters = "abc"[: len(self.sources)]
        lines = [f".reg .{_register(self.result)} %d;"]
        for letter, kind in zip(letters, self.sources, strict=True):
            lines.append(f".reg .{_register(kind)} %{letter};")
            lines += _load(letter, kind)
        names = {"d": "%d", **{letter: f"%{letter}" for letter in letters}}
        lines.append(self.text.format(**names))
        lines += _store(self.result)
        body = "\n    ".join(lines)
        return _KERNEL.format(body=body)


_KERNEL = """.version 8.5
.target sm_90
.address_size 64

.visible .entry run(.param .u64 p_out, .param .u64 p_a, .param .u64 p_b, .param .u64 p_c,
    .param .u32 p_n)
{{
    .reg .pred %outside;
    .reg .b32 %i, %n, %t, %block, %one;
    .reg .b16 %byte;
    .reg .b64 %address, %index;
    mov.u32 %i, %tid.x;
    mov.u32 %block, %ctaid.x;
    mov.u32 %t, %ntid.x;
    mad.lo.u32 %i, %block, %t, %i;
    ld.param.u32 %n, [p_n];
    setp.ge.u32 %outside, %i, %n;
    @%outside bra done;
    cvt.u64.u32 %index, %i;
    shl.b64 %index, %index, 3;
    {body}
done:
    ret;
}}
"""


def _register(kind):
    if kind in ("pred", "f32", "f64"):
        return kind
    return f"b{max(width(kind), 16)}"


def _load(letter, kind):
    """Load an operand, which has eight bytes in memory."""
    address = [f"ld.param.u64 %address, [p_{letter}];", "add.u64 %address, %address, %index;"]
    if kind == "pred":
        return [
            *address, "ld.global.u32 %one, [%address];", f"setp.ne.u32 %{letter}, %one, 0;",
        ]  # fmt: skip
    return [*address, f"ld.global.b{width(kind)} %{letter}, [%address];"]


def _store(kind):
    address = ["ld.param.u64 %address, [p_out];", "add.u64 %address, %address, %index;"]
    if kind == "pred":
        return [*address, "selp.u32 %one, 1, 0, %d;", "st.global.u32 [%address], %one;"]
    return [*address, f"st.global.b{max(width(kind), 8)} [%address], %d;"]


def rows(*columns):
    """Return every combination of operands."""
    return tuple(product(*columns))


def signed(bits, size):
    """Return the signed number of bits."""
    return bits - (1 << size) if bits >> (size - 1) else bits


def wrapped(number, size):
    """Return the bits of a number."""
    return number & ((1 << size) - 1)
