"""The launches of Unique, and the layout of its workspace; kernel.cu says what each does."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from pluginkit import (
    CudaKernel,
    Fill,
    KernelArgument,
    Launch,
    Scalar,
    Step,
    TensorDesc,
    Workspace,
    int32,
    known,
    may_hold,
    product,
    where,
)
from pluginkit.plugins._cuda.radix_sort import (
    DIGIT_BITS,
    DIGITS,
    SWEEP_ITEMS,
    SWEEP_THREADS,
    sweep_blocks,
)

if TYPE_CHECKING:
    from pluginkit.plugins.unique import Unique

_THREADS = 256
#: How many keys a thread makes at once, and how many it checks for runs.
_LOADS, _ROUNDS = 4, 16
_KEY_TILE, _RUN_TILE = _LOADS * _THREADS, _ROUNDS * _THREADS
#: The type of a key, by its bytes.
KEYS = {4: "unsigned int", 8: "unsigned long long"}

#: The constants that the kernels share with Python.
DEFINES = {
    "THREADS": _THREADS,
    "DIGIT_BITS": DIGIT_BITS,
    "LOADS": _LOADS,
    "ROUNDS": _ROUNDS,
}

#: With this many blocks a large GPU is busy. Fewer blocks count digits, since each adds its counts
#: to the common ones with atomics at the end.
_BLOCKS, _COUNTING_BLOCKS = 2112, 1056
_ALIGNMENT = 256
#: More than any call has keys: check refuses those with as many elements. It bounds how many sorts
#: an export to C++ writes.
_MOST_KEYS = 2**30


@dataclass(frozen=True)
class Level:
    """One sort.

    Attributes:
        items: the number of keys.
        words: the keys of a slice.
        itemsize: the bytes of a key.
        bits: how many low bits of keys may differ.

    An export to C++ traces as many levels as any shape takes; a level that a shape does not take
    has no keys and no bits, and so no blocks.
    """

    items: int
    words: int
    itemsize: int
    bits: int

    @property
    def sweeps(self) -> int:
        """The launches that sort, one for each digit."""
        return -(-self.bits // DIGIT_BITS)

    def blocks_of(self, sweep: int) -> int:
        """The blocks of one of them, which are none after the last."""
        return where(sweep < self.sweeps, self.sweep_blocks, 0)

    @property
    def sweep_blocks(self) -> int:
        """The blocks of each sweep."""
        return sweep_blocks(self.items, SWEEP_ITEMS[self.itemsize])

    @property
    def run_blocks(self) -> int:
        """The blocks that look for runs."""
        return -(-self.items // _RUN_TILE)

    @property
    def constants(self) -> dict[str, str]:
        """The kernels' constants: the type of a key."""
        return {"KEY": KEYS[self.itemsize]}

    @property
    def shared(self) -> dict[str, int]:
        """The sizes of the memory that blocks share, by use; it is zeroed before the sort."""
        return {
            "runs": 4 * (1 + self.run_blocks),
            "order": 4 * (1 + self.run_blocks),
            "digits": 4 * DIGITS * self.sweeps,
            "tickets": 4 * self.sweeps,
            "swept": 4 * DIGITS * self.sweep_blocks * self.sweeps,
        }


@dataclass(frozen=True)
class UniqueProblem:
    """The sizes of a call with static shapes.

    Attributes:
        count: the slices that are compared; without an axis, the elements.
        elements: the elements of a slice.
        inner: how many of them are contiguous in memory.
        itemsize: the bytes of an element.
    """

    count: int
    elements: int
    inner: int
    itemsize: int

    @classmethod
    def of(cls, x: TensorDesc, axis: int | None) -> UniqueProblem:
        """Return the sizes for an input and an axis.

        Errors:
            PK126: axis is out of range.
        """
        if axis is None:
            return cls(known(x.size), 1, 1, x.dtype.itemsize)
        axis = x.axis(axis)
        inner = known(product(x.shape[axis + 1 :]))
        outer = known(product(x.shape[:axis]))
        return cls(known(x.shape[axis]), outer * inner, inner, x.dtype.itemsize)

    def levels(self) -> Iterator[Level]:
        """Yield the sorts, each with fewer keys than the one before; the last has one per slice."""
        itemsize = 4 if max(self.elements, 1) * self.itemsize <= 4 else 8
        per_key = itemsize // self.itemsize
        words = max(1, -(-self.elements // per_key))
        bits = 8 * self.itemsize * min(self.elements, per_key)
        items = self.count * words
        yield Level(items, words, itemsize, bits)
        words, items = min(words, _MOST_KEYS), min(items, _MOST_KEYS)
        while may_hold(words > 1):
            bits = where(words > 1, 2 * (items - 1).bit_length(), 0)  # two ranks
            items = where(words > 1, self.count * ((words + 1) // 2), 0)
            words = (words + 1) // 2
            yield Level(items, words, 8, bits)
            items = min(items, _MOST_KEYS)

    def last(self) -> Level:
        """Return the last level as far as what follows the sorts asks: a key for each slice."""
        return Level(self.count, 1, next(self.levels()).itemsize, 0)

    def sizes(self) -> list[int]:
        """Return the bytes of the workspace's parts: shared counts, keys and positions (twice)."""
        first = next(self.levels())  # the first level needs most
        keys, positions = first.items * first.itemsize, first.items * 4
        sizes = [sum(first.shared.values()), keys, keys, positions, positions]
        return [-(-size // _ALIGNMENT) * _ALIGNMENT for size in sizes] if self.count > 0 else []


class UniqueLaunches:
    """The launches of one call.

    Each sweep moves keys and positions from one half of their memory to the other. ``_half``, 0 or
    1, says which is the current one; between two sorts the other halves hold data of runs.
    """

    def __init__(self, plugin: Unique, x: TensorDesc, workspace: Workspace) -> None:
        self._plugin = plugin
        self._x = x
        self._problem = problem = UniqueProblem.of(x, plugin.axis)
        self._levels = list(problem.levels())
        shared, keys, _, positions, _ = problem.sizes()
        self._shared, self._sizes, self._half = workspace.first(shared), (keys, positions), 0
        self._pairs = workspace.at(shared), workspace.at(shared + 2 * keys)

    def all(
        self,
        y: TensorDesc,
        indices: TensorDesc,
        inverse: TensorDesc,
        counts: TensorDesc,
        found: TensorDesc,
    ) -> Iterator[Step]:
        """Yield every launch: sort level by level, number the runs, then write the outputs."""
        plugin, problem = self._plugin, self._problem
        yield from self._sort(self._levels[0], self._slice_keys(self._levels[0]))
        for before, level in pairwise(self._levels):
            blocks = where(level.items > 0, before.run_blocks, 0)
            yield self._find_runs(before, blocks, self._positions(1), None, None, None)
            yield from self._sort(level, self._pair_ranks(level, before.words))
        last = problem.last()
        starts, runs, total = self._positions(1), None, int32(problem.count)
        yield self._find_runs(last, last.run_blocks, None, inverse, starts, found)
        if not plugin.sorted:
            runs, places = self._keys(0), self._keys(1)
            yield self._order_runs(last, runs, places, inverse)
            yield _for_each(plugin.rename_kernel, problem.count, inverse, places, total)
        arguments = (indices, counts, starts, self._positions(0), runs, found, total)
        yield _for_each(plugin.write_kernel, problem.count, *arguments)
        every = problem.count * problem.elements
        taken = (y, self._x, indices, found, self._slices(1))
        yield _for_each(plugin.take_kernel, every, *taken)

    def _keys(self, sweep: int) -> Workspace:
        """Return the half that holds the keys after so many further sweeps."""
        return self._halves(0, sweep)

    def _positions(self, sweep: int) -> Workspace:
        return self._halves(1, sweep)

    def _halves(self, which: int, sweep: int) -> Workspace:
        size = self._sizes[which]
        return self._pairs[which].at((self._half + sweep) % 2 * size).first(size)

    def _slices(self, words: int) -> Scalar:
        return int32((self._problem.count, self._problem.elements, self._problem.inner, words))

    def _sort(self, level: Level, make_keys: Launch) -> Iterator[Step]:
        yield Fill(self._shared.first(where(level.items > 0, sum(level.shared.values()), 0)))
        yield make_keys
        digits, tickets, swept = (self._of(level, name) for name in ("digits", "tickets", "swept"))
        yield Launch(self._plugin.place_kernel, level.sweeps, DIGITS, (digits,))
        sweep = 0
        while may_hold(sweep < level.sweeps):
            done = min(sweep, level.sweeps)
            arguments = (
                *(self._keys(sweep + 1), self._positions(sweep + 1)),
                *(self._keys(sweep), self._positions(sweep)),
                digits.at(4 * DIGITS * done),
                swept.at(4 * DIGITS * level.sweep_blocks * done),
                tickets.at(4 * done),
                *(int32(level.items), int32(DIGIT_BITS * sweep), None),
            )
            yield Launch(
                self._plugin.sweep_kernel,
                level.blocks_of(sweep),
                SWEEP_THREADS,
                arguments,
                constants=level.constants,
            )
            sweep += 1
        self._half = (self._half + level.sweeps) % 2

    def _slice_keys(self, level: Level) -> Launch:
        tensors = (self._keys(0), self._positions(0), self._of(level, "digits"), self._x)
        return Launch(
            self._plugin.key_kernel,
            min(-(-level.items // _KEY_TILE), _COUNTING_BLOCKS),
            _THREADS,
            (*tensors, self._slices(level.words), int32(level.sweeps)),
            constants=level.constants,
        )

    def _pair_ranks(self, level: Level, words: int) -> Launch:
        ranks = self._positions(1)
        tensors = (self._keys(0), self._positions(0), self._of(level, "digits"), ranks)
        sizes = (level.items, words, level.bits // 2, level.sweeps)
        return Launch(
            self._plugin.pair_kernel,
            min(-(-level.items // _KEY_TILE), _COUNTING_BLOCKS),
            _THREADS,
            (*tensors, *map(int32, sizes)),
        )

    def _find_runs(
        self, level: Level, blocks: int, *targets: TensorDesc | Workspace | None
    ) -> Launch:
        """Number the runs; ``targets``: ranks, inverse, starts and the number of runs, or None."""
        tiles, keys, positions = self._of(level, "runs"), self._keys(0), self._positions(0)
        return Launch(
            self._plugin.run_kernel,
            blocks,
            _THREADS,
            (*targets, tiles, keys, positions, int32(level.items), not self._plugin.sorted),
            constants=level.constants,
        )

    def _order_runs(
        self, level: Level, runs: Workspace, places: Workspace, inverse: TensorDesc
    ) -> Launch:
        arguments = (runs, places, self._of(level, "order"), inverse, int32(level.items))
        return Launch(self._plugin.order_kernel, level.run_blocks, _THREADS, arguments)

    def _of(self, level: Level, name: str) -> Workspace:
        parts = self._shared.split(level.shared.values())
        return parts[list(level.shared).index(name)]


def _blocks(items: int) -> int:
    return -(-items // _THREADS)


def _for_each(kernel: CudaKernel, items: int, *arguments: KernelArgument) -> Launch:
    return Launch(kernel, min(_blocks(items), _BLOCKS), _THREADS, arguments)
