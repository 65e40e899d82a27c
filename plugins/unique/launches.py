"""The launches of Unique, and the layout of its workspace; kernel.cu says what each does."""

from __future__ import annotations

from collections.abc import Iterator
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
    float32,
    int32,
    int64,
    may_hold,
    where,
)
from pluginkit.plugins._cuda.radix_sort import DIGIT_BITS, DIGITS
from pluginkit.plugins.unique.sort_levels import (
    BLOCK_ITEMS,
    BLOCKS,
    COUNTING_BLOCKS,
    DENSE_RUN_BLOCKS,
    DENSE_SHARED,
    DENSE_SHARED_BYTES,
    DENSE_THREADS,
    KEY_TILE,
    LAST_SWEEP,
    MARKS,
    NEAR,
    SPREAD_THREADS,
    SWEEPS,
    THREADS,
    VALUES,
    WINDOW,
    Level,
    UniqueProblem,
)

if TYPE_CHECKING:
    from pluginkit.plugins.unique import Unique


class UniqueLaunches:
    """The launches of one call.

    Each sweep moves keys and positions from one half of their memory to the other; the device knows
    which is the current one. Between two sorts the other halves hold data of runs.
    """

    def __init__(self, plugin: Unique, x: TensorDesc, workspace: Workspace) -> None:
        self._plugin = plugin
        self._x = x
        self._problem = problem = UniqueProblem.of(x, plugin.axis)
        self._levels = list(problem.levels())
        self._cleared = workspace.first(sum(problem.sizes[:4]))
        self._state, self._dense, self._near, self._shared, *self._halves = workspace.split(
            problem.sizes
        )
        self._keys, self._positions = self._halves[:2], self._halves[2:]
        self._near_parts = self._near.split(problem.near.shared.values())

    def all(
        self,
        y: TensorDesc,
        indices: TensorDesc,
        inverse: TensorDesc,
        counts: TensorDesc,
        found: TensorDesc,
    ) -> Iterator[Step]:
        """Yield every launch: sort level by level, number the runs, then write the outputs.

        A block does all of it where slices are few.
        """
        plugin, problem = self._plugin, self._problem
        if items := problem.block_items:
            tensors = (y, indices, inverse, counts, found, self._x, self._slices(1))
            constants: dict[str, str | int] = {**self._levels[0].constants, "ITEMS": items}
            kernel = plugin.block_kernel if items in BLOCK_ITEMS else plugin.short_block_kernel
            threads = SWEEPS[4][0]
            yield Launch(kernel, 1, threads, (*tensors, plugin.sorted), constants=constants)
            return
        yield Fill(self._cleared)
        may_be_dense = plugin.sorted and self._x.dtype is not float32
        dense = problem.dense if may_be_dense else 0
        elements = problem.count * problem.elements
        ranged = elements if self._x.dtype in (int32, int64) else dense
        if may_hold(ranged > 0):
            yield _for_each(plugin.range_kernel, ranged, self._state, self._x, int32(ranged))
        if may_hold(dense > 0):
            yield from self._count_dense(indices, inverse, counts, found)
        yield self._slice_keys(self._levels[0])
        yield from self._sort(self._levels[0])
        for before, level in pairwise(self._levels):
            blocks = where(level.items > 0, before.run_blocks, 0)
            yield self._find_runs(before, blocks, None, None, None, None, modes=0)
            shared = where(level.items > 0, sum(level.shared.values()), 0)
            yield Fill(self._shared.first(shared))
            yield self._pair_ranks(level, before.words)
            yield from self._sort(level)
        last, near = problem.last, problem.near
        holds_values = plugin.sorted and problem.elements == 1
        modes = where(near.items > 0, NEAR, 0) + where(holds_values, VALUES, 0)
        modes += 0 if plugin.sorted else MARKS
        targets = (y, indices, inverse, found)
        yield self._find_runs(last, last.run_blocks, *targets, modes=modes)
        if may_hold(near.items > 0):
            yield from self._bring_near(near, inverse)
        total, runs = int32(problem.count), None
        if not plugin.sorted:
            runs, places = self._keys
            yield self._order_runs(last, runs, places, inverse)
            yield _for_each(plugin.rename_kernel, problem.count, inverse, places, total)
        arguments = (indices, counts, *self._positions, self._state, runs, found, total)
        yield _for_each(plugin.write_kernel, problem.count, *arguments)
        every = where(holds_values, dense, elements)
        only_dense = int32(where(holds_values, 1, 0))
        taken = (y, self._x, indices, found, self._state, only_dense, self._slices(1))
        yield _for_each(plugin.take_kernel, every, *taken)

    def _count_dense(
        self, indices: TensorDesc, inverse: TensorDesc, counts: TensorDesc, found: TensorDesc
    ) -> Iterator[Step]:
        """Write all but Y if keys are close."""
        plugin, problem = self._plugin, self._problem
        items, blocks = problem.dense, problem.dense_blocks
        dense, tiles = self._dense.split(DENSE_SHARED)
        sizes = (int32(items), int32(-(-items // max(1, blocks))))
        counted = (dense, self._state, self._x, *sizes)
        yield Launch(
            plugin.count_kernel, blocks, DENSE_THREADS, counted, shared_bytes=DENSE_SHARED_BYTES
        )
        numbered = (indices, counts, found, dense, tiles, self._state, int32(blocks))
        number_blocks = where(items > 0, DENSE_RUN_BLOCKS, 0)
        yield Launch(plugin.number_kernel, number_blocks, THREADS, numbered)
        ranked = (inverse, indices, dense, self._state, self._x, *sizes)
        yield Launch(plugin.rank_kernel, blocks, DENSE_THREADS, ranked)

    def _slices(self, words: int) -> Scalar:
        return int32((self._problem.count, self._problem.elements, self._problem.inner, words))

    def _sort(self, level: Level) -> Iterator[Step]:
        digits, tickets, swept = (self._of(level, name) for name in ("digits", "tickets", "swept"))
        near = self._problem.near
        near_digits = self._near_parts[2]
        counted = (digits, self._state, int32(level.sweeps), int32(level.items))
        placed = (near_digits, int32(near.items), int32(_near_bit(near)))
        blocks = where(level.items > 0, 1, 0)
        yield Launch(self._plugin.place_kernel, blocks, DIGITS, (*counted, *placed))
        kernel = (
            self._plugin.sweep_kernel if level.itemsize == 4 else self._plugin.long_sweep_kernel
        )
        threads, _ = SWEEPS[level.itemsize]
        sweep = 0
        while may_hold(sweep < level.sweeps):
            done = min(sweep, level.sweeps)
            shared = (
                digits.at(4 * DIGITS * done),
                swept.at(4 * DIGITS * level.sweep_blocks * done),
                tickets.at(4 * done),
            )
            sizes = (int32(level.items), int32(DIGIT_BITS * sweep), int32(sweep))
            yield Launch(
                kernel,
                level.blocks_of(sweep),
                threads,
                (*self._halves, self._state, *shared, *sizes),
                constants=level.constants,
            )
            sweep += 1

    def _bring_near(self, near: Level, inverse: TensorDesc) -> Iterator[Step]:
        """Sort positions and ranks, which are in ``inverse``, by the first bits of positions."""
        _, _, places, ticket, swept = self._near_parts
        halves = (inverse, self._keys[0], inverse, self._keys[1])
        sizes = map(int32, (near.items, _near_bit(near), LAST_SWEEP))
        yield Launch(
            self._plugin.sweep_kernel,
            near.sweep_blocks,
            SWEEPS[near.itemsize][0],
            (*halves, self._state, places, swept, ticket, *sizes),
            constants=near.constants,
        )
        yield Launch(
            self._plugin.spread_kernel,
            -(-near.items // WINDOW),
            SPREAD_THREADS,
            (inverse, *self._keys, self._state, int32(near.items), int32(_near_bit(near))),
            shared_bytes=4 * WINDOW,
        )

    def _slice_keys(self, level: Level) -> Launch:
        tensors = (self._keys[0], self._positions[0], self._of(level, "digits"), self._x)
        return Launch(
            self._plugin.key_kernel,
            min(-(-level.items // KEY_TILE), COUNTING_BLOCKS),
            THREADS,
            (*tensors, self._state, self._slices(level.words), int32(level.sweeps)),
            constants=level.constants,
        )

    def _pair_ranks(self, level: Level, words: int) -> Launch:
        tensors = (*self._halves, self._of(level, "digits"), self._state)
        sizes = (level.items, words, level.bits // 2, level.sweeps)
        return Launch(
            self._plugin.pair_kernel,
            min(-(-level.items // KEY_TILE), COUNTING_BLOCKS),
            THREADS,
            (*tensors, *map(int32, sizes)),
        )

    def _find_runs(
        self, level: Level, blocks: int, *targets: TensorDesc | None, modes: int
    ) -> Launch:
        """Number the runs; ``targets``: y, indices, inverse and the number of runs, or None."""
        tiles = self._of(level, "runs")
        return Launch(
            self._plugin.run_kernel,
            blocks,
            THREADS,
            (
                *targets,
                tiles,
                *self._halves,
                self._state,
                self._x,
                *map(int32, (level.items, modes)),
            ),
            constants=level.constants,
        )

    def _order_runs(
        self, level: Level, runs: Workspace, places: Workspace, inverse: TensorDesc
    ) -> Launch:
        arguments = (runs, places, self._of(level, "order"), inverse, int32(level.items))
        return Launch(self._plugin.order_kernel, level.run_blocks, THREADS, arguments)

    def _of(self, level: Level, name: str) -> Workspace:
        begin = 0
        for other, nbytes in level.shared.items():
            if other == name:
                return self._shared.at(begin).first(nbytes)
            begin += nbytes
        raise KeyError(name)


def _near_bit(near: Level) -> int:
    """Return the lowest of the first bits of positions."""
    return where(near.items > 0, (near.items - 1).bit_length() - DIGIT_BITS, 0)


def _blocks(items: int) -> int:
    return -(-items // THREADS)


def _for_each(kernel: CudaKernel, items: int, *arguments: KernelArgument) -> Launch:
    return Launch(kernel, min(_blocks(items), BLOCKS), THREADS, arguments)
