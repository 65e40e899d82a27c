"""Integer and bit instructions, by Python's integers."""

from tests.unit.ptx.instruction_case import InstructionCase, rows, signed, width, wrapped

_EDGES = {
    16: (0, 1, 2, 3, 7, 0x7F, 0x80, 0xFF, 0x100, 0x1234, 0x7FFF, 0x8000, 0x8001, 0xFFFE, 0xFFFF),
    32: (0, 1, 2, 3, 7, 31, 32, 0xFF, 0xFFFF, 0x10000, 0x12345678, 0x7FFFFFFF, 0x80000000,
         0x80000001, 0xDEADBEEF, 0xFFFFFFFE, 0xFFFFFFFF),
    64: (0, 1, 2, 3, 10, 63, 64, 0xFFFFFFFF, 0x100000000, 0x123456789ABCDEF0,
         0x7FFFFFFFFFFFFFFF, 0x8000000000000000, 0x8000000000000001, 0xFFFFFFFFFFFFFFFE,
         0xFFFFFFFFFFFFFFFF),
}  # fmt: skip
_SHIFTS = (0, 1, 7, 15, 16, 17, 31, 32, 33, 63, 64, 65, 255, 0x100, 0x80000000, 0xFFFFFFFF)


def number(bits, kind):
    """Return the number of an operand's bits in a type."""
    return signed(bits, width(kind)) if kind[0] == "s" else bits


def case(text, kinds, result, function, *columns, about=""):
    """Return a case whose function takes and returns numbers."""
    size = width(result) if result != "pred" else 1
    edges = columns or tuple(_EDGES[max(width(kind), 16)] for kind in kinds)

    def expected(*operands):
        values = (
            number(wrapped(bits, width(k)), k) for bits, k in zip(operands, kinds, strict=True)
        )
        return wrapped(int(function(*values)), size)

    return InstructionCase(text, kinds, result, rows(*edges), expected, about=about)


def nth_one(mask, base, offset):
    """Return the position of the n-th bit that is set, from ``base`` on, up or down."""
    if not offset:
        return base if mask >> base & 1 else -1
    step = 1 if offset > 0 else -1
    ones = [i for i in range(base, 32 if step > 0 else -1, step) if mask >> i & 1]
    return ones[abs(offset) - 1] if len(ones) >= abs(offset) else -1


def quotient(a, b):
    """Return the quotient, rounded towards zero."""
    size = abs(a) // abs(b)
    return -size if (a < 0) != (b < 0) else size


def arithmetic():
    few = {size: (*edges[:3], *edges[-5:]) for size, edges in _EDGES.items()}
    for kind in ("u16", "s16", "u32", "s32", "u64", "s64"):
        bits, two = width(kind), (kind, kind)
        nonzero = tuple(e for e in _EDGES[bits] if e)
        yield case(f"add.{kind} {{d}}, {{a}}, {{b}};", two, kind, lambda a, b: a + b)
        yield case(f"sub.{kind} {{d}}, {{a}}, {{b}};", two, kind, lambda a, b: a - b)
        yield case(f"mul.lo.{kind} {{d}}, {{a}}, {{b}};", two, kind, lambda a, b: a * b)
        yield case(
            f"mul.hi.{kind} {{d}}, {{a}}, {{b}};", two, kind, lambda a, b, n=bits: a * b >> n
        )
        yield case(f"min.{kind} {{d}}, {{a}}, {{b}};", two, kind, min)
        yield case(f"max.{kind} {{d}}, {{a}}, {{b}};", two, kind, max)
        yield case(f"div.{kind} {{d}}, {{a}}, {{b}};", two, kind, quotient, _EDGES[bits], nonzero)
        yield case(
            f"rem.{kind} {{d}}, {{a}}, {{b}};", two, kind, lambda a, b: a - quotient(a, b) * b,
            _EDGES[bits], nonzero,
        )  # fmt: skip
        three = (few[bits],) * 3
        yield case(
            f"mad.lo.{kind} {{d}}, {{a}}, {{b}}, {{c}};", (kind,) * 3, kind,
            lambda a, b, c: a * b + c, *three,
        )  # fmt: skip
        yield case(
            f"mad.hi.{kind} {{d}}, {{a}}, {{b}}, {{c}};", (kind,) * 3, kind,
            lambda a, b, c, n=bits: (a * b >> n) + c, *three,
        )  # fmt: skip
        yield case(
            f"sad.{kind} {{d}}, {{a}}, {{b}}, {{c}};", (kind,) * 3, kind,
            lambda a, b, c: c + abs(a - b), *three,
        )  # fmt: skip
    for kind in ("s16", "s32", "s64"):
        yield case(f"abs.{kind} {{d}}, {{a}};", (kind,), kind, abs)
        yield case(f"neg.{kind} {{d}}, {{a}};", (kind,), kind, lambda a: -a)


def widening():
    for kind, wide in (("u16", "u32"), ("s16", "s32"), ("u32", "u64"), ("s32", "s64")):
        yield case(f"mul.wide.{kind} {{d}}, {{a}}, {{b}};", (kind, kind), wide, lambda a, b: a * b)
        bits = width(kind)
        yield case(
            f"mad.wide.{kind} {{d}}, {{a}}, {{b}}, {{c}};", (kind, kind, wide), wide,
            lambda a, b, c: a * b + c, _EDGES[bits][-8:], _EDGES[bits][-8:], _EDGES[2 * bits][-6:],
        )  # fmt: skip
    clamp = lambda n: min(max(n, -(2**31)), 2**31 - 1)  # noqa: E731
    two = ("s32", "s32")
    yield case("add.sat.s32 {d}, {a}, {b};", two, "s32", lambda a, b: clamp(a + b))
    yield case("sub.sat.s32 {d}, {a}, {b};", two, "s32", lambda a, b: clamp(a - b))
    for kind in ("u32", "s32"):
        low = (lambda n: signed(n & 0xFFFFFF, 24)) if kind == "s32" else (lambda n: n & 0xFFFFFF)
        yield case(
            f"mul24.lo.{kind} {{d}}, {{a}}, {{b}};", (kind, kind), kind,
            lambda a, b, low=low: low(a) * low(b),
        )  # fmt: skip
        yield case(
            f"mul24.hi.{kind} {{d}}, {{a}}, {{b}};", (kind, kind), kind,
            lambda a, b, low=low: low(a) * low(b) >> 16,
        )  # fmt: skip


def logic():
    for bits in (16, 32, 64):
        kind = f"b{bits}"
        two = (kind, kind)
        yield case(f"and.{kind} {{d}}, {{a}}, {{b}};", two, kind, lambda a, b: a & b)
        yield case(f"or.{kind} {{d}}, {{a}}, {{b}};", two, kind, lambda a, b: a | b)
        yield case(f"xor.{kind} {{d}}, {{a}}, {{b}};", two, kind, lambda a, b: a ^ b)
        yield case(f"not.{kind} {{d}}, {{a}};", (kind,), kind, lambda a: ~a)
        yield case(f"cnot.{kind} {{d}}, {{a}};", (kind,), kind, lambda a: a == 0)
        left = lambda a, n, bits=bits: a << n if n < bits else 0  # noqa: E731
        yield case(
            f"shl.{kind} {{d}}, {{a}}, {{b}};", (kind, "u32"), kind, left, _EDGES[bits], _SHIFTS
        )
        for kind_of_shift in (f"u{bits}", f"s{bits}"):
            yield case(
                f"shr.{kind_of_shift} {{d}}, {{a}}, {{b}};", (kind_of_shift, "u32"), kind_of_shift,
                lambda a, n: a >> min(n, 64), _EDGES[bits], _SHIFTS,
            )  # fmt: skip
    yield case("and.pred {d}, {a}, {b};", ("pred", "pred"), "pred", lambda a, b: a & b, *_BITS2)
    yield case("or.pred {d}, {a}, {b};", ("pred", "pred"), "pred", lambda a, b: a | b, *_BITS2)
    yield case("xor.pred {d}, {a}, {b};", ("pred", "pred"), "pred", lambda a, b: a ^ b, *_BITS2)
    yield case("not.pred {d}, {a};", ("pred",), "pred", lambda a: 1 - a, (0, 1))
    for table in (0x00, 0x01, 0x1B, 0x80, 0x96, 0xCA, 0xE8, 0xFE, 0xFF):
        yield case(
            f"lop3.b32 {{d}}, {{a}}, {{b}}, {{c}}, {table:#x};", ("b32",) * 3, "b32",
            lambda a, b, c, table=table: _looked_up(a, b, c, table), *(_EDGES[32][-7:],) * 3,
        )  # fmt: skip


_BITS2 = ((0, 1), (0, 1))


def _looked_up(a, b, c, table):
    return sum(
        (table >> ((a >> i & 1) << 2 | (b >> i & 1) << 1 | c >> i & 1) & 1) << i for i in range(32)
    )


def fields():
    starts = (0, 1, 5, 16, 31, 32, 33, 63, 64, 100, 255, 256, 300)
    lengths = (0, 1, 3, 8, 31, 32, 33, 63, 64, 65, 255, 256, 258)
    for kind in ("u32", "s32", "u64", "s64"):
        bits = width(kind)
        yield case(
            f"bfe.{kind} {{d}}, {{a}}, {{b}}, {{c}};", (kind, "u32", "u32"), kind,
            lambda a, s, n, kind=kind: _extracted(a, s, n, kind),
            _EDGES[bits][-6:], starts, lengths,
        )  # fmt: skip
    for bits in (32, 64):
        text = f"bfi.b{bits} {{d}}, {{a}}, {{b}}, {{c}}, 7;"
        yield case(
            text, (f"b{bits}", f"b{bits}", "u32"), f"b{bits}",
            lambda f, b, s, bits=bits: _inserted(f, b, s, 7, bits), _EDGES[bits][-6:],
            _EDGES[bits][-6:], starts,
        )  # fmt: skip
        text = f"bfi.b{bits} {{d}}, {{a}}, {{b}}, 5, {{c}};"
        yield case(
            text, (f"b{bits}", f"b{bits}", "u32"), f"b{bits}",
            lambda f, b, n, bits=bits: _inserted(f, b, 5, n, bits), _EDGES[bits][-6:],
            _EDGES[bits][-6:], lengths,
        )  # fmt: skip
    yield case(
        "bmsk.clamp.b32 {d}, {a}, {b};", ("u32", "u32"), "b32",
        lambda s, n: ((1 << min(n, 64)) - 1) << min(s, 64), starts, lengths,
    )  # fmt: skip
    yield case(
        "bmsk.wrap.b32 {d}, {a}, {b};", ("u32", "u32"), "b32",
        lambda s, n: ((1 << n % 32) - 1) << s % 32, starts, lengths,
    )  # fmt: skip
    for kind in ("u32", "s32"):
        extend = (lambda a, n: signed(a % 2**n, n)) if kind == "s32" else (lambda a, n: a % 2**n)
        yield case(
            f"szext.clamp.{kind} {{d}}, {{a}}, {{b}};", (kind, "u32"), kind,
            lambda a, n, extend=extend: extend(a, min(n, 32)) if n else 0, _EDGES[32], lengths,
        )  # fmt: skip
        yield case(
            f"szext.wrap.{kind} {{d}}, {{a}}, {{b}};", (kind, "u32"), kind,
            lambda a, n, extend=extend: extend(a, n % 32) if n % 32 else 0, _EDGES[32], lengths,
        )  # fmt: skip


def huge_fields():
    """Return positions and lengths beyond 8 bits, whose sum also exceeds 32 bits."""
    huge = (0, 8, 257, 0x10000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFC0, 0xFFFFFFFF)
    values, about = _EDGES[64][-6:], "of huge positions and lengths"
    for kind in ("u64", "s64"):
        yield case(
            f"bfe.{kind} {{d}}, {{a}}, {{b}}, {{c}};", (kind, "u32", "u32"), kind,
            lambda a, s, n, kind=kind: _extracted(a, s, n, kind), values, huge, huge, about=about,
        )  # fmt: skip
    yield case(
        "bfi.b64 {d}, {a}, {b}, {c}, 7;", ("b64", "b64", "u32"), "b64",
        lambda f, b, s: _inserted(f, b, s, 7, 64), values, values, huge, about=about,
    )  # fmt: skip
    yield case(
        "bfi.b64 {d}, {a}, {b}, 5, {c};", ("b64", "b64", "u32"), "b64",
        lambda f, b, n: _inserted(f, b, 5, n, 64), values, values, huge, about=about,
    )  # fmt: skip


def _field(number, size):
    """Return a position or a length as an H200 reads it.

    PTX ISA, bfe and bfi: their lower 8 bits count. The H200 does so for 32-bit fields; for 64-bit
    fields it takes the whole number.
    """
    return number & 0xFF if size == 32 else min(number, size)


def _extracted(a, start, length, kind):
    """Extract by the PTX manual's definition, bit by bit, except for ``_field``."""
    size = width(kind)
    last, start, length = size - 1, _field(start, size), _field(length, size)
    bit = lambda i: wrapped(a, size) >> i & 1  # noqa: E731
    fill = 0 if kind[0] == "u" or length == 0 else bit(min(start + length - 1, last))
    result = 0
    for i in range(size):
        inside = i < length and start + i <= last
        result |= (bit(start + i) if inside else fill) << i
    return result


def _inserted(field, base, start, length, size):
    start, length = _field(start, size), _field(length, size)
    result = base
    for i in range(length):
        if start + i < size:
            result = result & ~(1 << (start + i)) | (field >> i & 1) << (start + i)
    return result


def counts():
    for bits in (32, 64):
        kind = f"b{bits}"
        if kind == "b32":
            yield case(
                "fns.b32 {d}, {a}, {b}, {c};", ("b32", "u32", "s32"), "b32", nth_one,
                (0, 1, 0x80000000, 0xFFFFFFFF, 0xDEADBEEF), (0, 3, 16, 31),
                (0, 1, 2, 5, 32, 0xFFFFFFFF, 0xFFFFFFFE, 0xFFFFFFF8),
            )  # fmt: skip
        yield case(f"popc.{kind} {{d}}, {{a}};", (kind,), "u32", lambda a: a.bit_count())
        yield case(
            f"clz.{kind} {{d}}, {{a}};", (kind,), "u32", lambda a, n=bits: n - a.bit_length()
        )
        yield case(
            f"brev.{kind} {{d}}, {{a}};", (kind,), kind,
            lambda a, n=bits: int(f"{a:0{n}b}"[::-1], 2),
        )  # fmt: skip
        for number_kind in (f"u{bits}", f"s{bits}"):
            find = lambda a: ((a if a >= 0 else ~a).bit_length() - 1) % 2**32  # noqa: E731
            yield case(f"bfind.{number_kind} {{d}}, {{a}};", (number_kind,), "u32", find)
            yield case(
                f"bfind.shiftamt.{number_kind} {{d}}, {{a}};", (number_kind,), "u32",
                lambda a, n=bits, find=find: n - 1 - find(a) if find(a) < 64 else 0xFFFFFFFF,
            )  # fmt: skip


def words():
    selectors = (0x3210, 0x7654, 0x0000, 0x89AB, 0xFEDC, 0x1111, 0x8888, 0x4567, 0x10FF3210)
    values = (0x11223344, 0x80FF7F01, 0xFFFFFFFF, 0)
    yield case(
        "prmt.b32 {d}, {a}, {b}, {c};", ("b32",) * 3, "b32", _permuted, values, values, selectors
    )
    for mode in ("f4e", "b4e", "rc8", "ecl", "ecr", "rc16"):
        yield case(
            f"prmt.b32.{mode} {{d}}, {{a}}, {{b}}, {{c}};", ("b32",) * 3, "b32",
            lambda a, b, n, mode=mode: _permuted_by_mode(a, b, n, mode), values[:2], values[:2],
            (0, 1, 2, 3, 4, 7),
        )  # fmt: skip
    for mode in ("clamp", "wrap"):
        amount = (lambda n: min(n, 32)) if mode == "clamp" else (lambda n: n % 32)
        edges = (_EDGES[32][-6:], _EDGES[32][-6:], _SHIFTS)
        yield case(
            f"shf.l.{mode}.b32 {{d}}, {{a}}, {{b}}, {{c}};", ("b32", "b32", "u32"), "b32",
            lambda a, b, n, amount=amount: ((b << 32 | a) << amount(n)) >> 32, *edges,
        )  # fmt: skip
        yield case(
            f"shf.r.{mode}.b32 {{d}}, {{a}}, {{b}}, {{c}};", ("b32", "b32", "u32"), "b32",
            lambda a, b, n, amount=amount: (b << 32 | a) >> amount(n), *edges,
        )  # fmt: skip
    for first in ("u32", "s32"):
        for second in ("u32", "s32"):
            yield case(
                f"dp4a.{first}.{second} {{d}}, {{a}}, {{b}}, {{c}};", ("b32",) * 3, "b32",
                lambda a, b, c, f=first, s=second: _dot(a, b, c, f, s), *(_EDGES[32][-7:],) * 3,
            )  # fmt: skip
            for half, shift in (("lo", 0), ("hi", 16)):
                yield case(
                    f"dp2a.{half}.{first}.{second} {{d}}, {{a}}, {{b}}, {{c}};", ("b32",) * 3,
                    "b32",
                    lambda a, b, c, f=first, s=second, n=shift: c
                    + sum(_part(a, i, 16, f) * _part(b >> n, i, 8, s) for i in range(2)),
                    *(_EDGES[32][-7:],) * 3,
                )  # fmt: skip


def packed():
    words = tuple(a << 16 | b for a, b in zip(_EDGES[16], reversed(_EDGES[16]), strict=True))
    functions = {"add": lambda a, b: a + b, "min": min, "max": max}
    for kind in ("u16", "s16"):
        for opcode, function in functions.items():
            for relu in (False, True) if kind == "s16" and opcode != "add" else (False,):

                def both(a, b, kind=kind, function=function, relu=relu):
                    parts = [function(_part(a, n, 16, kind), _part(b, n, 16, kind)) for n in (0, 1)]
                    return sum(
                        (max(x, 0) if relu else x) % 2**16 << 16 * n for n, x in enumerate(parts)
                    )

                suffix = ".relu" if relu else ""
                yield case(
                    f"{opcode}.{kind}x2{suffix} {{d}}, {{a}}, {{b}};", ("b32",) * 2, "b32", both,
                    words, words,
                )  # fmt: skip
    for add in (False, True):

        def differences(a, b, c, add=add):
            parts = [abs(_part(a, n, 8, "u8") - _part(b, n, 8, "u8")) for n in range(4)]
            return c + sum(parts) if add else sum(x << 8 * n for n, x in enumerate(parts))

        suffix = ".add" if add else ""
        yield case(
            f"vabsdiff4.u32.u32.u32{suffix} {{d}}, {{a}}, {{b}}, {{c}};", ("u32",) * 3, "u32",
            differences, _EDGES[32], _EDGES[32], (0, 7, 0xFFFFFFFF),
        )  # fmt: skip


def _part(word, index, size, kind):
    part = word >> (size * index) & ((1 << size) - 1)
    return signed(part, size) if kind[0] == "s" else part


def _dot(a, b, c, first, second):
    return c + sum(_part(a, i, 8, first) * _part(b, i, 8, second) for i in range(4))


def _permuted(a, b, selector):
    pool = (b << 32 | a).to_bytes(8, "little")
    result = 0
    for place in range(4):
        choice = selector >> (4 * place) & 15
        byte = pool[choice & 7]
        if choice & 8:
            byte = 0xFF if byte & 0x80 else 0
        result |= byte << (8 * place)
    return result


def _permuted_by_mode(a, b, n, mode):
    """Permute by the tables in the PTX manual."""
    n %= 4
    chosen = {
        "f4e": [n, n + 1, n + 2, n + 3],
        "b4e": [n, (n + 7) % 8, (n + 6) % 8, (n + 5) % 8],
        "rc8": [n] * 4,
        "ecl": [n, max(n, 1), max(n, 2), 3],
        "ecr": [0, min(n, 1), min(n, 2), n],
        "rc16": [n % 2 * 2, n % 2 * 2 + 1] * 2,
    }[mode]
    pool = (b << 32 | a).to_bytes(8, "little")
    return int.from_bytes(bytes(pool[i] for i in chosen), "little")


def comparisons():
    signs = {"eq": "==", "ne": "!=", "lt": "<", "le": "<=", "gt": ">", "ge": ">="}
    operators = {
        "==": lambda a, b: a == b, "!=": lambda a, b: a != b, "<": lambda a, b: a < b,
        "<=": lambda a, b: a <= b, ">": lambda a, b: a > b, ">=": lambda a, b: a >= b,
    }  # fmt: skip
    for kind in ("u16", "s16", "u32", "s32", "u64", "s64"):
        for name, sign in signs.items():
            yield case(
                f"setp.{name}.{kind} {{d}}, {{a}}, {{b}};", (kind, kind), "pred", operators[sign]
            )
    for name, sign in (("lo", "<"), ("ls", "<="), ("hi", ">"), ("hs", ">=")):
        yield case(f"setp.{name}.u32 {{d}}, {{a}}, {{b}};", ("u32", "u32"), "pred", operators[sign])
    for name, combine in (("and", min), ("or", max), ("xor", lambda a, b: a != b)):
        yield case(
            f"setp.lt.{name}.s32 {{d}}, {{a}}, {{b}}, {{c}};", ("s32", "s32", "pred"), "pred",
            lambda a, b, p, combine=combine: combine(int(a < b), p),
            _EDGES[32][-6:], _EDGES[32][-6:], (0, 1),
        )  # fmt: skip
    yield case(
        "selp.b64 {d}, {a}, {b}, {c};", ("b64", "b64", "pred"), "b64",
        lambda a, b, p: a if p else b, _EDGES[64][-3:], _EDGES[64][-3:], (0, 1),
    )  # fmt: skip
    yield case(
        "slct.s32.s32 {d}, {a}, {b}, {c};", ("s32",) * 3, "s32",
        lambda a, b, c: a if c >= 0 else b, *(_EDGES[32][-6:],) * 3,
    )  # fmt: skip
    yield case(
        "set.gt.u32.s32 {d}, {a}, {b};", ("s32", "s32"), "u32",
        lambda a, b: 0xFFFFFFFF if a > b else 0,
    )  # fmt: skip


def conversions():
    kinds = ("u8", "s8", "u16", "s16", "u32", "s32", "u64", "s64")
    edges = {8: (0, 1, 0x7F, 0x80, 0xFE, 0xFF), **_EDGES}
    for source in kinds:
        for to in kinds:
            yield case(f"cvt.{to}.{source} {{d}}, {{a}};", (source,), to, lambda a: a,
                       edges[width(source)])  # fmt: skip
            bits = width(to)
            low, high = (
                (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if to[0] == "s" else (0, 2**bits - 1)
            )
            if to != source and _narrows(to, source):
                yield case(
                    f"cvt.sat.{to}.{source} {{d}}, {{a}};", (source,), to,
                    lambda a, low=low, high=high: min(max(a, low), high), edges[width(source)],
                )  # fmt: skip


def _narrows(to, source):
    """Whether some number of one type is outside of the other; only then .sat is allowed."""
    if to[0] == source[0]:
        return width(to) < width(source)
    return to[0] == "u" or width(to) <= width(source)


def integer_cases():
    """Return every case of this file."""
    for group in (
        arithmetic, widening, logic, fields, huge_fields, counts, words, packed, comparisons,
        conversions,
    ):  # fmt: skip
        yield from group()
