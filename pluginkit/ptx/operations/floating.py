"""f32 and f64 arithmetic.

``.rn``, ``.rz``, ``.rm`` and ``.rp`` are exact. Instructions that the GPU approximates
(``.approx``, ``.full``, ``ex2``, ``lg2``, ``sin``, ``cos``, ``tanh``, ``rsqrt``) are computed in
float64 here and rounded once. The result is closer to the true value than the GPU's, and can differ
from the GPU's in the last bits.

The greatest difference from an H200, in units of the last place of f32 and relative to the result,
over multiples of 1/16 between -3 and 3:

    ex2.approx    2 units  2^-22.9        rsqrt.approx  1 unit  2^-23.2
    lg2.approx   18 units  2^-19.3        sqrt.approx   1 unit  2^-23.1
    sin.approx   30 units  2^-19.1        rcp.approx    1 unit  2^-23.8
    cos.approx   39 units  2^-18.6        tanh.approx 114 units 2^-16.8

``lg2``, ``sin`` and ``cos`` differ this much only where the result is small: the absolute
difference is at most 2^-21.6. ``div.approx``, ``div.full`` and the ``ex2`` and ``tanh`` of f16 and
bf16 were not measured.
"""

from __future__ import annotations

import numpy as np

from pluginkit.ptx import floats, nans
from pluginkit.ptx.operations.registry import Compute, describes, type_of
from pluginkit.ptx.text.syntax import Instruction
from pluginkit.ptx.types import DTYPES, F64, ComputeFunction, Value


def _mode(instruction: Instruction) -> str:
    return instruction.one_of(floats.ROUNDINGS, "rn")


def _is_plain(kind: str) -> bool:
    return kind in ("f32", "f64")


def finished(
    instruction: Instruction,
    kind: str,
    function: ComputeFunction,
    count: int,
    *,
    exact: ComputeFunction | None = None,
    first_nan_wins: bool = False,
) -> Compute:
    """Describe an instruction by its function, with the flushing, saturation and NaN it asks for.

    Args:
        instruction: the instruction.
        kind: its PTX type.
        function: returns the rounded result.
        count: how many sources there are.
        exact: returns a float32 result in float64, exact or rounded to odd; needed where rounding
            can make a denormal result normal.
        first_nan_wins: whether the first source's NaN goes before the others' in an f64 result;
            otherwise it comes after them.
    """
    flushes, saturates = instruction.has("ftz"), instruction.has("sat")
    mode = _mode(instruction)

    def flushed(result: Value, sources: tuple[Value, ...]) -> Value:
        if exact is None or kind == "f64":
            return floats.flush(result)
        return floats.flush_rounded(result, lambda: exact(*sources), mode)

    def whole(*sources: Value) -> Value:
        if flushes:
            sources = tuple(map(floats.flush, sources))
        result = function(*sources)
        if flushes:
            result = flushed(result, sources)
        if saturates:
            return floats.saturate(result)
        if kind == "f64":
            order = sources if first_nan_wins else (*sources[1:], sources[0])
            return nans.propagated(result, *order)
        return nans.canonical(result)

    return Compute(whole, (kind,) * count, kind)


def _sum32(mode: str) -> ComputeFunction:
    if mode == "rn":
        return np.add
    return lambda a, b: floats.round32(_with_zero(floats.add_odd, a, b, mode), mode)


def _with_zero(function: ComputeFunction, a: Value, b: Value, mode: str) -> Value:
    """Return a sum in float64; when rounding down, opposite numbers sum to -0."""
    total = function(a.astype(F64), b.astype(F64))
    if mode != "rm":
        return total
    is_opposite = (total == 0) & (np.signbit(a) != np.signbit(b))
    return np.where(is_opposite, -0.0, total)


def _sum64(mode: str) -> ComputeFunction:
    if mode == "rn":
        return np.add

    def add(a: Value, b: Value) -> Value:
        total, left = floats.sum_parts(a, b)
        is_opposite = (total == 0) & (np.signbit(a) != np.signbit(b)) & (mode == "rm")
        return np.where(is_opposite, -0.0, floats.round64(total, left, mode))

    return add


@describes("add", "sub")
def add_or_subtract(instruction: Instruction) -> Compute | None:
    """``add``, ``sub``."""
    kind = type_of(instruction)
    if not _is_plain(kind):
        return None
    add = (_sum32 if kind == "f32" else _sum64)(_mode(instruction))
    if instruction.opcode == "add":
        return finished(instruction, kind, add, 2)
    if add is np.add:
        return finished(instruction, kind, np.subtract, 2)
    return finished(instruction, kind, lambda a, b: add(a, -b), 2)


@describes("mul")
def multiply(instruction: Instruction) -> Compute | None:
    """``mul``."""
    kind, mode = type_of(instruction), _mode(instruction)
    if not _is_plain(kind):
        return None
    if kind == "f64":
        directed = lambda a, b: floats.product64_rounded(a, b, mode)  # noqa: E731
        return finished(instruction, kind, np.multiply if mode == "rn" else directed, 2)
    rounded = lambda a, b: floats.round32(_product32(a, b), mode)  # noqa: E731
    function = np.multiply if mode == "rn" else rounded
    return finished(instruction, kind, function, 2, exact=_product32)


def _product32(a: Value, b: Value) -> Value:
    """Return the product of float32 numbers, which is exact in float64."""
    return a.astype(F64) * b.astype(F64)


@describes("fma", "mad")
def fused_multiply_add(instruction: Instruction) -> Compute | None:
    """``fma``; ``mad`` of floats is the same."""
    kind, mode = type_of(instruction), _mode(instruction)
    if not _is_plain(kind):
        return None
    if kind == "f64":
        function: ComputeFunction = lambda a, b, c: floats.fma64_rounded(a, b, c, mode)  # noqa: E731
    elif mode == "rn":
        function = floats.fma32
    else:

        def function(a: Value, b: Value, c: Value) -> Value:
            total = _with_zero(floats.add_odd, _product32(a, b), c, mode)
            return floats.round32(total, mode)

    return finished(instruction, kind, function, 3, exact=floats.fma_odd)


def _divide(kind: str, mode: str) -> ComputeFunction:
    if mode == "rn":
        return np.divide
    if kind == "f64":
        return lambda a, b: floats.round64(*floats.divide_parts(a, b), mode)

    return lambda a, b: floats.round32(_quotient32(a, b), mode)


def _quotient32(a: Value, b: Value) -> Value:
    """Return the quotient of float32 numbers in float64, rounded to odd."""
    return floats.to_odd(*floats.divide_parts(a.astype(F64), b.astype(F64)))


@describes("div")
def divide(instruction: Instruction) -> Compute | None:
    """``div``."""
    kind = type_of(instruction)
    if not _is_plain(kind):
        return None
    return finished(
        instruction, kind, _divide(kind, _mode(instruction)), 2, exact=_quotient32,
        first_nan_wins=True,
    )  # fmt: skip


@describes("rcp")
def reciprocal(instruction: Instruction) -> Compute | None:
    """``rcp``."""
    kind = type_of(instruction)
    if not _is_plain(kind):
        return None
    quotient, one = _divide(kind, _mode(instruction)), DTYPES[kind].type(1)
    return finished(
        instruction, kind, lambda a: quotient(one, a), 1, exact=lambda a: _quotient32(one, a)
    )


@describes("sqrt")
def square_root(instruction: Instruction) -> Compute | None:
    """``sqrt``."""
    kind, mode = type_of(instruction), _mode(instruction)
    if not _is_plain(kind):
        return None
    if mode == "rn":
        return finished(instruction, kind, np.sqrt, 1)
    if kind == "f64":
        exact: ComputeFunction = lambda a: floats.round64(*floats.sqrt_parts(a), mode)  # noqa: E731
    else:

        def exact(a: Value) -> Value:
            root, left = floats.sqrt_parts(a.astype(F64))
            return floats.round32(floats.to_odd(root, left), mode)

    return finished(instruction, kind, exact, 1)


def _reciprocal_root(a: Value) -> Value:
    return 1.0 / np.sqrt(a)


_APPROXIMATE: dict[str, ComputeFunction] = {
    "rsqrt": _reciprocal_root,
    "sin": np.sin,
    "cos": np.cos,
    "lg2": np.log2,
    "ex2": np.exp2,
    "tanh": np.tanh,
}


@describes(*_APPROXIMATE)
def approximate(instruction: Instruction) -> Compute | None:
    """Instructions that the GPU approximates; here they are rounded correctly."""
    kind = type_of(instruction)
    if not _is_plain(kind):
        return None
    function, dtype = _APPROXIMATE[instruction.opcode], DTYPES[kind]
    return finished(instruction, kind, lambda a: function(a.astype(F64)).astype(dtype), 1)


@describes("min", "max")
def smaller_or_larger(instruction: Instruction) -> Compute | None:
    """``min``, ``max``, with ``.NaN``, ``.abs`` and ``.xorsign``."""
    kind = type_of(instruction)
    if not _is_plain(kind):
        return None
    return finished(instruction, kind, extremum(instruction), len(instruction.operands) - 1)


def extremum(instruction: Instruction) -> ComputeFunction:
    """Return the function of ``min`` or ``max`` of two or three floats."""
    pick = floats.minimum if instruction.opcode == "min" else floats.maximum

    def of_two(a: Value, b: Value) -> Value:
        x, y = (np.abs(a), np.abs(b)) if instruction.has("abs") else (a, b)
        result = pick(x, y)
        if instruction.has("xorsign"):
            sign = np.signbit(a) ^ np.signbit(b)
            result = np.where(sign, -np.abs(result), np.abs(result))
        if instruction.has("NaN"):
            nan = result.dtype.type(np.nan)
            result = np.where(np.isnan(a) | np.isnan(b), nan, result)
        return result

    def of_all(first: Value, *others: Value) -> Value:
        for other in others:
            first = of_two(first, other)
        return first

    return of_all


@describes("abs", "neg")
def change_sign(instruction: Instruction) -> Compute | None:
    """``abs``, ``neg``: NaN keeps its payload."""
    kind = type_of(instruction)
    if not _is_plain(kind):
        return None
    function = np.abs if instruction.opcode == "abs" else np.negative
    if instruction.has("ftz"):
        return Compute(lambda a: function(floats.flush(a)), (kind,), kind)
    return Compute(function, (kind,), kind)


@describes("copysign")
def copy_sign(instruction: Instruction) -> Compute:
    """``copysign``: the second source with the sign of the first."""
    kind = type_of(instruction)
    return Compute(lambda a, b: np.copysign(b, a), (kind, kind), kind)
