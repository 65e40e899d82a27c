"""Lay out a prepared enqueue for enqueue.ll."""

from __future__ import annotations

import ctypes
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from struct import Struct
from typing import Any

from pluginkit.contract.launches import Copy, Launch
from pluginkit.contract.tensors import Slot
from pluginkit.kernels.arguments import TracedBytes
from pluginkit.kernels.enqueue_steps import EnqueueSteps, nbytes_of, three
from pluginkit.kernels.load import LoadedKernel

_WORD, _WORD_TYPE = 8, "Q"
#: The arrays in which enqueue.ll finds what an enqueue is given.
_ARRAYS = {"input": 0, "output": 1, "workspace": 2}
#: The stream, which follows the workspace.
_STREAM = Slot("workspace", 1)
#: The words of a Program, of a Call, and of a Call after those of a copy or a fill.
_PROGRAM_WORDS, _CALL_WORDS, _UNUSED = 6, 12, (0,) * 8
#: The place of the stream in a launch, and in a copy or a fill.
_STREAM_OF_LAUNCH, _STREAM_OF_MEMORY = 9 * _WORD, 4 * _WORD
#: The place of a CUlaunchConfig, which follows what cuLaunchKernelEx gets: the grid and the block
#: in halves of words, the bytes of shared memory, the stream, the attributes, and their number.
_PLACE_OF_CONFIG, _EXTENTS_OF_CONFIG = 5 * _WORD, Struct("<6I")
#: CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_STREAM_SERIALIZATION, which is allowed.
_MAY_OVERLAP = array(_WORD_TYPE, [6, 1, *[0] * 7])


class ProgramOffset(int):
    """A place in a program's memory: the bytes from its beginning."""


@dataclass(frozen=True)
class ProgramLayout:
    """What a program's memory holds: a Program, arguments, Calls, their addresses, and Pointers.

    Attributes:
        packing: packs the entries.
        entries: numbers, bytes and places.
    """

    packing: Struct
    entries: Sequence[Any]

    def empty(self) -> array[int]:
        """Return memory of the program's size."""
        return array(_WORD_TYPE, bytes(self.packing.size))

    def filled(self) -> array[int]:
        """Return the memory, if no entry is a traced number."""
        memory = self.empty()
        self.packing.pack_into(memory, 0, *self._entries_at(memory))
        return memory

    def is_in(self, memory: array[int]) -> bool:
        """Whether memory holds these entries."""
        return memory.tobytes() == self.packing.pack(*self._entries_at(memory))

    def _entries_at(self, memory: array[int]) -> list[Any]:
        base, _ = memory.buffer_info()
        return [base + one if type(one) is ProgramOffset else one for one in self.entries]


class EnqueueProgram:
    """What enqueue.ll runs for one set of shapes.

    Attributes:
        memory: the words that a ProgramLayout describes.
        address: the address of its Program.
    """

    def __init__(self, memory: array[int]) -> None:
        self.memory = memory
        self.address, _ = memory.buffer_info()

    @property
    def status(self) -> int:
        """The status with which the driver refused a step, or 0."""
        return self.memory[0]

    def refused(self) -> tuple[int, int]:
        """Return that status and the number of the step, and forget it."""
        status, number = self.memory[:2]
        self.memory[0] = 0
        return status, number

    def extents(self, number: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Return the grid and the block of a launch, the step of that number."""
        begin = (self.memory[5] - self.address) // _WORD + number * _CALL_WORDS
        words = tuple(self.memory[begin + 2 : begin + 8])
        if self.memory[begin] == _driver_functions()[1]:
            words = _EXTENTS_OF_CONFIG.unpack(self.memory[begin + 5 : begin + 8].tobytes())
        return words[:3], words[3:]


def program_layout(work: EnqueueSteps, kernels: Sequence[LoadedKernel]) -> ProgramLayout:
    """Return the layout of the steps' program.

    Args:
        work: the steps.
        kernels: the kernel of each launch among them.
    """
    # The words that an enqueue writes: what goes there, and where.
    pointers: list[tuple[Slot, int]] = []
    formats, offsets = [f"<{_PROGRAM_WORDS}Q"], []
    entries: list[Any] = []
    at = _PROGRAM_WORDS * _WORD
    for listed, kernel in zip(work.parameters, kernels, strict=True):
        for part, size in zip(listed, kernel.parameter_sizes, strict=True):
            offsets.append(ProgramOffset(at))
            padding = -size % _WORD
            if isinstance(part, Slot):
                pointers.append((part, at))
                formats.append("8x")
            elif isinstance(part, TracedBytes):
                formats.append(f"{part.packing}{padding}x")
                entries += part.scalar.values
            else:
                formats.append(f"{size}s{padding}x")
                entries.append(part)
            at += size + padding
    params = at + len(work.steps) * _CALL_WORDS * _WORD
    calls = _calls(work, kernels, at, params, pointers)
    rows = params + len(offsets) * _WORD
    program = (0, 0, len(pointers), ProgramOffset(rows), len(work.steps), ProgramOffset(at))
    words = [*calls, *offsets]
    for slot, place in pointers:
        words += (_ARRAYS[slot.kind], slot.index, slot.offset, ProgramOffset(place))
    formats.append(f"{len(words)}Q")
    return ProgramLayout(_struct("".join(formats)), (*program, *entries, *words))


_struct = cache(Struct)


def _calls(
    work: EnqueueSteps,
    kernels: Sequence[LoadedKernel],
    at: int,
    params: int,
    pointers: list[tuple[Slot, int]],
) -> list[Any]:
    """Return the calls, which begin at ``at``, and add to the pointers what goes there."""
    launch_kernel, launch_overlapping, copy, fill = _driver_functions()
    launched = iter(kernels)
    words: list[Any] = []
    for before, step in zip((None, *work.steps), work.steps, strict=False):
        if isinstance(step, Launch):
            kernel = next(launched)
            extents = (*three(step.grid), *three(step.block))
            if kernel.overlaps and isinstance(before, Launch):
                config = ProgramOffset(at + _PLACE_OF_CONFIG)
                words += (launch_overlapping, config, kernel.address, ProgramOffset(params), 0)
                pairs = zip(extents[::2], extents[1::2], strict=True)
                words += [low + high * 2**32 for low, high in pairs]
                words += (step.shared_bytes, 0, _MAY_OVERLAP.buffer_info()[0], 1)
            else:
                words += (launch_kernel, kernel.address, *extents, step.shared_bytes, 0)
                words += (ProgramOffset(params), 0)
            params += len(kernel.parameter_sizes) * _WORD
            pointers.append((_STREAM, at + _STREAM_OF_LAUNCH))
        else:
            pointers += [(step.target.slot, at + _WORD), (_STREAM, at + _STREAM_OF_MEMORY)]
            if isinstance(step, Copy):
                words += (copy, 0, 0, nbytes_of(step.source), *_UNUSED)
                pointers.append((step.source.slot, at + 2 * _WORD))
            else:
                words += (fill, 0, step.byte, nbytes_of(step.target), *_UNUSED)
        at += _CALL_WORDS * _WORD
    return words


@cache
def _driver_functions() -> tuple[int, int, int, int]:
    """Return the addresses of the driver's functions that launch, launch early, copy and fill."""
    library = ctypes.CDLL("libcuda.so.1")
    names = ("cuLaunchKernel", "cuLaunchKernelEx", "cuMemcpyDtoDAsync_v2", "cuMemsetD8Async")
    launch_kernel, launch_overlapping, copy, fill = (
        ctypes.cast(getattr(library, name), ctypes.c_void_p).value or 0 for name in names
    )
    return launch_kernel, launch_overlapping, copy, fill
