"""f16 and bf16 arithmetic.

A sum or a product of two such numbers is computed in float32 and rounded again. That equals a
single rounding, since 24 bits are more than twice 11. ``fma`` is computed in float64, rounded to
odd.
"""

from __future__ import annotations

import numpy as np

from pluginkit.ptx import floats
from pluginkit.ptx.operations.floating import extremum
from pluginkit.ptx.operations.registry import Compute, describes, type_of
from pluginkit.ptx.text.syntax import Instruction
from pluginkit.ptx.types import F32, F64, U16, ComputeFunction, Value

_WIDEN = {"f16": floats.float32_from_half, "bf16": floats.float32_from_bf16}
_NARROW: dict[str, ComputeFunction] = {
    "f16": floats.half_from_float,
    "bf16": floats.bf16_from_float,
}
_EXPONENT = {"f16": U16.type(0x7C00), "bf16": U16.type(0x7F80)}
_LEAST_NORMAL = U16.type(0x0400)  # of float16


def _flush(bits: Value, kind: str) -> Value:
    """Replace denormal numbers by zeros of the same sign."""
    is_small = bits & _EXPONENT[kind] == 0
    return np.where(is_small, bits & U16.type(0x8000), bits)


def _flush_rounded(bits: Value, exact: Value, kind: str) -> Value:
    """Flush results; like float32, float16 is judged by its value after rounding to 11 bits."""
    bits = _flush(bits, kind)
    is_edge = bits & U16.type(0x7FFF) == _LEAST_NORMAL
    if kind != "f16" or not is_edge.any():
        return bits
    scaled = floats.half_from_float(exact * exact.dtype.type(2.0**8)) & U16.type(0x7FFF)
    is_tiny = scaled < _LEAST_NORMAL + U16.type(8 << 10)
    return np.where(is_edge & is_tiny, bits & U16.type(0x8000), bits)


def function_of(instruction: Instruction, kind: str) -> ComputeFunction | None:
    """Return what an instruction computes on the bits of f16 or bf16, or None."""
    exact = _exact(instruction)
    if exact is None:
        return None
    widen, narrow = _WIDEN[kind], _NARROW[kind]
    flushes = instruction.has("ftz")

    def whole(*sources: Value) -> Value:
        if flushes:
            sources = tuple(_flush(bits, kind) for bits in sources)
        result = exact(*map(widen, sources))
        if instruction.has("sat"):
            result = floats.saturate(result)
        if instruction.has("relu"):
            result = floats.relu(result)
        bits = narrow(result)
        return _flush_rounded(bits, result, kind) if flushes else bits

    return whole


def _exact(instruction: Instruction) -> ComputeFunction | None:
    opcode = instruction.opcode
    simple: dict[str, ComputeFunction] = {"add": np.add, "sub": np.subtract, "mul": np.multiply}
    if opcode in simple:
        return simple[opcode]
    if opcode == "fma":
        return floats.fma_odd
    if opcode in ("min", "max"):
        return extremum(instruction)
    if opcode in ("ex2", "tanh"):
        function = np.exp2 if opcode == "ex2" else np.tanh
        return lambda a: function(a.astype(F64)).astype(F32)
    return None


@describes("add", "sub", "mul", "fma", "min", "max", "ex2", "tanh")
def arithmetic(instruction: Instruction) -> Compute | None:
    """Arithmetic on f16 and bf16."""
    kind = type_of(instruction)
    if kind not in _WIDEN:
        return None
    function = function_of(instruction, kind)
    if function is None:
        return None
    return Compute(function, (kind,) * (len(instruction.operands) - 1), kind)


@describes("abs", "neg")
def change_sign(instruction: Instruction) -> Compute | None:
    """``abs``, ``neg`` of f16 and bf16."""
    kind = type_of(instruction)
    if kind not in _WIDEN:
        return None
    if instruction.opcode == "abs":
        return Compute(lambda a: a & U16.type(0x7FFF), (kind,), kind)
    return Compute(lambda a: a ^ U16.type(0x8000), (kind,), kind)
