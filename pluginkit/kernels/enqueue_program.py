"""Lay out a prepared enqueue for enqueue.ll."""

from __future__ import annotations

import ctypes
import struct
from array import array
from collections.abc import Callable, Sequence
from functools import cache
from itertools import accumulate

from pluginkit.contract.launches import Copy, Launch
from pluginkit.contract.tensors import Slot
from pluginkit.kernels.enqueue_steps import EnqueueSteps, nbytes_of, three
from pluginkit.kernels.load import LoadedKernel

_WORD, _WORD_TYPE = 8, "Q"
#: The arrays in which enqueue.ll finds what an enqueue is given.
_ARRAYS = {"input": 0, "output": 1, "workspace": 2}
#: The stream, which follows the workspace.
_STREAM = Slot("workspace", 1)
#: The words of a Program, and of a Call after those of a copy or a fill.
_PROGRAM_WORDS, _UNUSED = 6, (0,) * 8
#: The place of the stream in a launch, and in a copy or a fill.
_STREAM_OF_LAUNCH, _STREAM_OF_MEMORY = 9 * _WORD, 4 * _WORD


class EnqueueProgram:
    """What enqueue.ll runs for one set of shapes.

    Args:
        work: the steps.
        kernels: the kernel of each launch among them.

    Attributes:
        address: the address of its Program.
    """

    def __init__(self, work: EnqueueSteps, kernels: Sequence[LoadedKernel]) -> None:
        # The words that an enqueue writes: what goes there, and where in the memory, which holds
        # the values of all arguments and then the calls.
        pointers: list[tuple[Slot, int]] = []
        values, offsets = bytearray(), []
        for listed, kernel in zip(work.parameters, kernels, strict=True):
            pack, places = _layout(kernel.parameter_sizes, len(values))
            values += pack(*[b"" if isinstance(part, Slot) else part for part in listed])
            pointers += [
                (part, place)
                for part, place in zip(listed, places, strict=True)
                if isinstance(part, Slot)
            ]
            offsets += places
        self._params = array(_WORD_TYPE, bytes(len(offsets) * _WORD))
        params, _ = self._params.buffer_info()
        self._memory = array(_WORD_TYPE, bytes(values))
        self._memory.extend(_calls(work, kernels, params, len(values), pointers))
        base, _ = self._memory.buffer_info()
        self._params[:] = array(_WORD_TYPE, [base + offset for offset in offsets])
        words = [0, 0, len(pointers), 0, len(work.steps), base + len(values)]
        for slot, at in pointers:
            words += (_ARRAYS[slot.kind], slot.index, slot.offset, base + at)
        self._words = array(_WORD_TYPE, words)
        self.address, _ = self._words.buffer_info()
        self._words[3] = self.address + _PROGRAM_WORDS * _WORD

    @property
    def status(self) -> int:
        """The status with which the driver refused a step, or 0."""
        return self._words[0]

    def refused(self) -> tuple[int, int]:
        """Return that status and the number of the step, and forget it."""
        status, number = self._words[:2]
        self._words[0] = 0
        return status, number


@cache
def _layout(sizes: tuple[int, ...], first: int) -> tuple[Callable[..., bytes], list[int]]:
    """Return what packs parameters of these sizes, each to words of its own, and their offsets."""
    words = [-(-size // _WORD) * _WORD for size in sizes]
    pack = struct.Struct(
        "".join([f"{size}s{word - size}x" for size, word in zip(sizes, words, strict=True)])
    ).pack
    return pack, [first + place for place in accumulate(words, initial=0)][: len(sizes)]


def _calls(
    work: EnqueueSteps,
    kernels: Sequence[LoadedKernel],
    params: int,
    first: int,
    pointers: list[tuple[Slot, int]],
) -> array[int]:
    """Return the calls, which begin at ``first``, and add to the pointers what goes there."""
    launch_kernel, copy, fill = _driver_functions()
    launched = iter(kernels)
    words: list[int] = []
    for step in work.steps:
        at = first + len(words) * _WORD
        if isinstance(step, Launch):
            kernel = next(launched)
            shape = (*three(step.grid), *three(step.block), step.shared_bytes)
            words += (launch_kernel, kernel.address, *shape, 0, params, 0)
            params += len(kernel.parameter_sizes) * _WORD
            pointers.append((_STREAM, at + _STREAM_OF_LAUNCH))
            continue
        pointers += [(step.target.slot, at + _WORD), (_STREAM, at + _STREAM_OF_MEMORY)]
        if isinstance(step, Copy):
            words += (copy, 0, 0, nbytes_of(step.source), *_UNUSED)
            pointers.append((step.source.slot, at + 2 * _WORD))
        else:
            words += (fill, 0, step.byte, nbytes_of(step.target), *_UNUSED)
    return array(_WORD_TYPE, words)


@cache
def _driver_functions() -> tuple[int, int, int]:
    """Return the addresses of the driver's functions that launch, copy and fill."""
    library = ctypes.CDLL("libcuda.so.1")
    names = ("cuLaunchKernel", "cuMemcpyDtoDAsync_v2", "cuMemsetD8Async")
    launch_kernel, copy, fill = (
        ctypes.cast(getattr(library, name), ctypes.c_void_p).value or 0 for name in names
    )
    return launch_kernel, copy, fill
