"""Warp operations: shuffles, votes, matches, reductions; those on matrices are in a module."""

from __future__ import annotations

from typing import Any

import numpy as np

from pluginkit.ptx.code.frame import Frame, broadcast
from pluginkit.ptx.effects.matrix_operations import MatrixAccess, MatrixProduct, QuadProducts
from pluginkit.ptx.effects.warp_operation import WarpOperation
from pluginkit.ptx.machine.matrices import load_matrix, load_rows, multiply, store_matrix
from pluginkit.ptx.machine.quad_products import multiply_quads
from pluginkit.ptx.machine.threads import Threads
from pluginkit.ptx.text.syntax import Instruction
from pluginkit.ptx.types import U32, Array


class Lanes:
    """The lanes of some threads that run a warp operation together.

    Args:
        threads: the threads of the wave.
        ids: the numbers of those that run the operation, ascending.

    Attributes:
        lane: for each thread its lane.
        bit: for each thread ``1 << lane``.
        present: for each thread the mask of the lanes of its warp that run the operation.
        shuffles: a cache of the source lanes of uniform shuffles.
    """

    def __init__(self, threads: Threads, ids: Array) -> None:
        self._threads, self._ids = threads, ids
        self.lane = threads.lane[ids]
        warps = threads.warp[ids]
        is_first = np.empty(len(ids), bool)
        is_first[0] = True
        np.not_equal(warps[1:], warps[:-1], out=is_first[1:])
        self._starts = np.flatnonzero(is_first)
        self._index = np.cumsum(is_first) - 1
        self._is_run = int(ids[-1]) - int(ids[0]) + 1 == len(ids)
        self.bit = np.left_shift(np.uint32(1), self.lane.astype(U32))
        self.shuffles: dict[tuple[object, int, int], tuple[Array, Array]] = {}
        self.present = self.reduced(self.bit, np.bitwise_or)

    def of(self, places: Array) -> Lanes:
        """Return the lanes at some positions."""
        return Lanes(self._threads, self._ids[places])

    def reduced(self, values: Array, ufunc: Any) -> Array:
        """Reduce a value over the lanes of each warp; every thread gets its warp's result."""
        of_warps = ufunc.reduceat(values, self._starts, dtype=values.dtype)
        of_threads: Array = of_warps[self._index]
        return of_threads

    def places(self, lanes: Array) -> Array:
        """Return the position of a lane of each thread's warp; -1 if that lane does not run."""
        wanted = self._ids - self.lane + lanes
        last = len(self._ids) - 1
        place = wanted - self._ids[0] if self._is_run else np.searchsorted(self._ids, wanted)
        place = np.minimum(np.maximum(place, 0), last)
        is_there = (self._ids[place] == wanted) & (self._index[place] == self._index)
        return place if is_there.all() else np.where(is_there, place, -1)


def run_uniform_shuffle(operation: WarpOperation, frame: Frame, lanes: Lanes) -> bool:
    """Run a shuffle of all lanes whose lane operands are the same in all threads.

    Most shuffles are like that, and their source lanes can be cached.

    Returns:
        Whether it is such a shuffle; otherwise nothing has been done.
    """
    instruction = operation.instruction
    if instruction.opcode != "shfl":
        return False
    value, distance, clamp = (read(frame) for read in operation.sources)
    if any(isinstance(each, np.ndarray) for each in (distance, clamp)):
        return False
    key = (instruction.modifiers, int(distance), int(clamp))
    if key not in lanes.shuffles:
        source, is_inside = _source_lanes(instruction, lanes.lane, distance, clamp)
        lanes.shuffles[key] = lanes.places(source), is_inside
    places, is_inside = lanes.shuffles[key]
    if int(places.min()) < 0:
        return False
    results = broadcast(value, frame.size)[places], is_inside
    for put, result in zip(operation.puts, results, strict=False):
        put(frame, result)
    return True


def run_warp_operation(operation: WarpOperation, frame: Frame, lanes: Lanes, masks: Array) -> None:
    """Run a warp operation for the lanes of a frame.

    Args:
        operation: the operation.
        frame: the threads that run it together.
        lanes: the lanes of these threads.
        masks: for each thread the mask of the lanes that take part.
    """
    values = [broadcast(read(frame), frame.size) for read in operation.sources]
    found = _OPERATIONS[operation.instruction.opcode](operation, frame, lanes, values, masks)
    for put, value in zip(operation.puts, found, strict=False):
        put(frame, value)


def _shuffle(
    operation: WarpOperation, frame: Frame, lanes: Lanes, values: list[Array], masks: Array
) -> tuple[Array, Array]:
    value, distance, clamp = values
    source, is_inside = _source_lanes(operation.instruction, lanes.lane, distance, clamp)
    places = lanes.places(source)
    takes_part = masks >> source.astype(U32) & np.uint32(1) != 0
    is_absent = (places < 0) | ~takes_part
    if is_absent.any():
        frame.machine.report(
            "warp", operation.instruction, frame.ids[is_absent],
            f"a shuffle reads from lane {int(source[np.argmax(is_absent)])}, which takes no part "
            "in it",
        )  # fmt: skip
        places = np.where(places < 0, np.arange(frame.size), places)
    return value[places], is_inside


def _source_lanes(
    instruction: Instruction, lane: Array, distance: Array, clamp: Array
) -> tuple[Array, Array]:
    """Return the lane that each lane reads from, and whether it lies in the lane's segment."""
    step = (distance & np.uint32(31)).astype(np.int64)
    limit = (clamp & np.uint32(31)).astype(np.int64)
    segment = (clamp >> np.uint32(8) & np.uint32(31)).astype(np.int64)
    first = lane & segment
    last = first | limit & ~segment
    if instruction.has("up"):
        source = lane - step
        is_inside = source >= last
    elif instruction.has("down"):
        source = lane + step
        is_inside = source <= last
    elif instruction.has("bfly"):
        source = lane ^ step
        is_inside = source <= last
    else:
        source = first | step & ~segment
        is_inside = source <= last
    return np.where(is_inside, source, lane), is_inside


def _vote(
    operation: WarpOperation, frame: Frame, lanes: Lanes, values: list[Array], masks: Array
) -> tuple[Array]:
    instruction = operation.instruction
    own = np.where(values[0], lanes.bit, np.uint32(0))
    ballot = lanes.reduced(own, np.bitwise_or) & masks
    everyone = lanes.present & masks
    if instruction.has("ballot"):
        return (ballot,)
    if instruction.has("all"):
        return (ballot == everyone,)
    if instruction.has("any"):
        return (ballot != 0,)
    return ((ballot == everyone) | (ballot == 0),)


def _match(
    operation: WarpOperation, frame: Frame, lanes: Lanes, values: list[Array], masks: Array
) -> tuple[Array, ...]:
    (value,) = values
    same = np.zeros(frame.size, U32)
    for lane in range(32):
        places = lanes.places(np.full(frame.size, lane))
        is_equal = (places >= 0) & (value[places] == value)
        same |= np.where(is_equal, np.uint32(1 << lane), np.uint32(0))
    same &= masks
    if operation.instruction.has("any"):
        return (same,)
    is_all = same == lanes.present & masks
    return np.where(is_all, same, np.uint32(0)), is_all


_REDUCTIONS = {
    "add": np.add, "min": np.minimum, "max": np.maximum,
    "and": np.bitwise_and, "or": np.bitwise_or, "xor": np.bitwise_xor,
}  # fmt: skip


def _reduce(
    operation: WarpOperation, frame: Frame, lanes: Lanes, values: list[Array], masks: Array
) -> tuple[Array]:
    ufunc = _REDUCTIONS[operation.instruction.one_of(tuple(_REDUCTIONS))]
    value = np.ascontiguousarray(values[0])
    result = np.empty_like(value)
    for mask in np.unique(masks):  # each mask is a group of its own
        places = np.flatnonzero(masks == mask)
        group = lanes if len(places) == frame.size else lanes.of(places)
        result[places] = group.reduced(value[places], ufunc)
    return (result,)


def _active_mask(
    operation: WarpOperation, frame: Frame, lanes: Lanes, values: list[Array], masks: Array
) -> tuple[Array]:
    return (lanes.present,)


def _elect(
    operation: WarpOperation, frame: Frame, lanes: Lanes, values: list[Array], masks: Array
) -> tuple[Array, Array]:
    taking = lanes.present & masks
    lowest = np.bitwise_count((taking & -taking.astype(np.int64)).astype(U32) - np.uint32(1))
    return lowest.astype(U32), lowest == lanes.lane


def _on_matrices(
    operation: WarpOperation, frame: Frame, lanes: Lanes, values: list[Array], masks: Array
) -> list[Array]:
    is_cut = lanes.present != np.uint32(0xFFFFFFFF)
    if is_cut.any():
        frame.machine.report(
            "warp", operation.instruction, frame.ids[is_cut],
            "an operation on matrices needs all 32 lanes of a warp",
        )  # fmt: skip
        return [np.zeros(frame.size, U32) for _ in operation.puts]
    if isinstance(operation, MatrixProduct):
        return multiply(operation, values)
    if isinstance(operation, QuadProducts):
        return multiply_quads(operation, values)
    if isinstance(operation, MatrixAccess):
        return (load_matrix if operation.puts else store_matrix)(operation, frame, values)
    return load_rows(operation, frame, values)


_OPERATIONS: dict[str, Any] = {
    "shfl": _shuffle,
    "vote": _vote,
    "match": _match,
    "redux": _reduce,
    "activemask": _active_mask,
    "elect": _elect,
    "mma": _on_matrices,
    "wmma": _on_matrices,
    "ldmatrix": _on_matrices,
}
