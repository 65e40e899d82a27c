"""``atom`` and ``red``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from pluginkit.ptx import atomics, floats
from pluginkit.ptx.access import Part, Site
from pluginkit.ptx.operations import half
from pluginkit.ptx.operations.packed import high, join, low
from pluginkit.ptx.operations.registry import type_of
from pluginkit.ptx.syntax import Instruction, Register
from pluginkit.ptx.types import DTYPES, SIGNED, Array
from pluginkit.ptx.values import Frame, Operation

if TYPE_CHECKING:
    from pluginkit.ptx.program import Program

Update = Callable[..., Array]

_NAMES = ("add", "min", "max", "inc", "dec", "and", "or", "xor", "exch", "cas")
_UFUNCS = {
    "add": np.add, "min": np.minimum, "max": np.maximum,
    "and": np.bitwise_and, "or": np.bitwise_or, "xor": np.bitwise_xor,
}  # fmt: skip


def _update(instruction: Instruction, name: str, kind: str, space: str) -> Update | None:
    if name == "exch":
        return lambda old, new: new
    if name == "cas":
        return lambda old, expected, new: np.where(old == expected, new, old)
    if name == "inc":
        return lambda old, limit: np.where(old >= limit, old.dtype.type(0), old + old.dtype.type(1))
    if name == "dec":
        return lambda old, limit: np.where(
            (old == 0) | (old > limit), limit, old - old.dtype.type(1)
        )
    if kind in ("f16", "bf16", "f16x2", "bf16x2"):
        return _half_update(name, kind)
    if kind == "f32" and name == "add" and space != "shared":
        return lambda old, new: floats.flush(floats.flush(old) + floats.flush(new))
    if kind in ("f32", "f64"):
        return {"add": np.add}.get(name)
    return _UFUNCS.get(name)


def _half_update(name: str, kind: str) -> Update | None:
    single = kind.removesuffix("x2")
    function = half.function_of(Instruction(name, (), ()), single)
    if function is None or single == kind:
        return function
    return lambda old, new: join(function(low(old), low(new)), function(high(old), high(new)))


def _view_type(kind: str) -> np.dtype[Any]:
    dtype = DTYPES[kind]
    if dtype.kind == "i":
        return SIGNED[dtype.itemsize]
    return dtype


def atomic(program: Program, instruction: Instruction) -> Operation:
    """What an atomic operation does."""
    from pluginkit.ptx.effects import address_of, chosen, picked, site_of, space_of

    kind, name = type_of(instruction), instruction.one_of(_NAMES)
    space = space_of(instruction)
    update = _update(instruction, name, kind, space)
    if update is None or instruction.has("v2", "v4", "v8"):
        raise program.unsupported(instruction)
    operands = list(instruction.operands)
    has_result = instruction.opcode == "atom"
    target = operands.pop(0) if has_result else Register("_")
    slot, write = program.write(target, kind, instruction)
    needs_old = isinstance(target, Register) and target.name in program.used
    address = address_of(program, operands[0], instruction)
    values = [program.read(each, kind, instruction) for each in operands[1:]]
    choose = chosen(program, instruction)
    typed = _view_type(kind)
    site = replace(
        site_of(program, instruction, space), is_strong=True, may_pass_end=True,
        fences=instruction.has("acquire", "release", "acq_rel"),
    )  # fmt: skip
    is_sum = kind == "f32" and name == "add"
    ufunc = _UFUNCS.get(name) if update is _UFUNCS.get(name) or is_sum else None
    performs = _Atomic(site, typed, update, ufunc, needs_old)

    def run(frame: Frame) -> None:
        ids, places = choose(frame)
        if not len(ids):
            return
        given = [picked(value(frame), frame, places) for value in values]
        if site.fences:
            frame.machine.fence(ids, instruction, in_block=instruction.has("cta"))
        old = performs(frame, ids, picked(address(frame), frame, places), given)
        if not needs_old:
            return
        before = frame[slot]
        if places is not None:
            spread = np.zeros(frame.count, typed)
            spread[places] = old
            old = spread
        if write is None:
            frame[slot] = old
        else:
            write(frame, old)
        if places is not None:
            active = np.zeros(frame.count, bool)
            active[places] = True
            frame[slot] = np.where(active, frame[slot], before)

    return run


class _Atomic:
    """One atomic instruction, performed on memory."""

    def __init__(
        self,
        site: Site,
        typed: np.dtype[Any],
        update: Update,
        ufunc: Any | None,
        needs_old: bool,
    ) -> None:
        self._site, self._typed = site, typed
        self._update, self._ufunc, self._needs_old = update, ufunc, needs_old

    def __call__(self, frame: Frame, ids: Array, addresses: Array, given: list[Array]) -> Array:
        site, access = self._site, frame.machine.access
        old = np.zeros(len(ids), self._typed)
        for part in access.parts(site, ids, addresses, "updated"):
            if part.region.role == "input":
                access.report_part(site, ids, part, "input_written", "updates an input")
                continue
            found = self._perform(frame, ids, part, [part.of(each) for each in given])
            old[... if part.places is None else part.places] = found
        return old

    def _perform(self, frame: Frame, ids: Array, part: Part, given: list[Array]) -> Array:
        site, access, region = self._site, frame.machine.access, part.region
        if region.written is not None:
            access.check_written(site, ids, part, is_atomic=True)
        access.note_atomic(site, ids, part)
        view = region.view(self._typed)
        end = region.data[region.nbytes : region.nbytes + 4].copy() if not region.owned else None
        if not self._needs_old and self._ufunc is not None:
            self._ufunc.at(view, part.first, given[0])
            frame.machine.progress += 1
            found = view[part.first]
        else:
            found = atomics.apply(view, part.first, self._update, given, self._ufunc)
            frame.machine.progress += bool((found != view[part.first]).any())
        if region.written is not None:
            access.mark_written(site, part)
        if end is not None and (region.data[region.nbytes : region.nbytes + 4] != end).any():
            access.report_part(
                site, ids, part, "out_of_bounds", f"bytes past the end of {region.name} are updated"
            )
        return found
