"""The launches of TopK, and the workspace that they need."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from pluginkit import (
    CudaKernel,
    Dim,
    Fill,
    KernelArgument,
    Launch,
    Step,
    TensorDesc,
    Workspace,
    ceil_div,
    dim_max,
    dim_min,
    int32,
    int64,
    known,
    product,
    where,
)

if TYPE_CHECKING:
    from pluginkit.plugins.top_k import TopK

_THREADS = 512
_WARPS = _THREADS // 32
#: How many loads of a thread are in flight at once.
_LOADS = 8
#: The bits of a digit, which one histogram counts.
_DIGIT_BITS = 11
_BINS = 2**_DIGIT_BITS
#: How many keys a block can sort in shared memory if it takes a whole row.
CAPACITY = 4096
#: The shared memory for two counters, a histogram and a walk in bytes, a multiple of 8.
_COUNTER_BYTES = -(-4 * (2 + (_BINS + _WARPS + 3) + (_LOADS * _WARPS + 1)) // 8) * 8
#: How many candidates a block sorts if a row is split, and how many sorted runs are merged at once.
_TILE, _FAN = 2048, 8
#: Up to so many comparisons candidates are ranked, by blocks of so many threads, several for each.
_COMPARISONS, _RANK_THREADS, _PARTS = 2**25, 256, 8
#: So many more candidates than results are sorted, rather than that another digit is counted.
_SPARE = 1024
#: The bytes of what is known of a digit, of a row's candidates, and of the counts of a segment.
_DIGIT_BYTES, _CANDIDATES_BYTES, _MET_BYTES = 16, 8, 8
#: A warp takes a row of up to so many elements, or a longer one where there are many rows, for up
#: to 32 results; it has room for so many elements that may be among them.
_SHORT, _LONGER, _MANY, _FEW, _SHORT_ROOM, _SHORT_THREADS = 1024, 4096, 2048, 32, 128, 128
#: Other short rows are sorted by a warp, with so many elements of each lane; also where results are
#: more than such a share of a row, of up to two bytes and of more.
EACH, _SHARES = (1, 2, 4, 8, 16), (16, 5)
#: Longer rows of many results are sorted by a block: its threads, and the elements of each. An odd
#: number of these, in shared memory, lie in all its banks. There are so many bytes of keys at most.
#: Results are many if they are more than such a share of a row, of up to two bytes and of more, and
#: more than so many, for which a fresh process need not wait until CUB is compiled.
SORTERS, _SORTED_BYTES = ((128, 9), (256, 9), (256, 17), (512, 17), (1024, 17)), 17 * 2**11
_SORTED_SHARES, _FEW_SORTED = (8, 4), 256
#: Other rows of up to so many bytes are in the registers of a block, of so many elements of each
#: thread and so many warps: longer ones are read by digits in less time than bit by bit. So are
#: short rows of up to 32 bits, so few that each has a multiprocessor.
_HELD_BYTES, _SELECT_ITEMS, _SELECT_WARPS, _ALONE = 2**13, 16, 8, 132

#: The constants that the kernels share with Python.
DEFINES = {
    "THREADS": _THREADS,
    "LOADS": _LOADS,
    "DIGIT_BITS": _DIGIT_BITS,
    "CAPACITY": CAPACITY,
    "COUNTER_BYTES": _COUNTER_BYTES,
    "TILE": _TILE,
    "RANK_THREADS": _RANK_THREADS,
    "PARTS": _PARTS,
    "FAN": _FAN,
    "SPARE": _SPARE,
    "DIGIT_BYTES": _DIGIT_BYTES,
    "CANDIDATES_BYTES": _CANDIDATES_BYTES,
    "SELECT_ITEMS": _SELECT_ITEMS,
    "SELECT_WARPS": _SELECT_WARPS,
    "SHORT_ROOM": _SHORT_ROOM,
    "SHORT_THREADS": _SHORT_THREADS,
}

#: With this many blocks a large GPU is busy; rows are split into as many parts as give no more.
_BLOCKS = 264
#: A block that takes a whole row for up to so many results is faster than fewer parts, and than
#: those of shorter rows: so large is the product of the parts and the elements of a row at least.
_FEW_OF_BLOCK, _LEAST_PARTS, _LEAST_PRODUCT = 512, 9, 2**21
#: The fewest elements for which a block is worth it.
_SEGMENT = 4096
_ALIGNMENT = 256


class TopKProblem:
    """The sizes of a call with static shapes.

    Attributes:
        rows: the number of rows.
        size: the elements of a row.
        k: the results of each row.
        itemsize: the bytes of an element.
        inner: the distance between consecutive elements of a row, in elements.
    """

    def __init__(self, plugin: TopK, x: TensorDesc, k: TensorDesc) -> None:
        axis = x.axis(plugin.axis)
        self._plugin = plugin
        self._may_split = plugin.tactic == "split"
        self.itemsize = x.dtype.itemsize
        self.inner = known(product(x.shape[axis + 1 :]))
        self.rows = known(product(x.shape[:axis])) * self.inner
        self.size = known(x.shape[axis])
        self.k = known(k.values[0])

    @property
    def segments(self) -> int:
        """The parts of a row; all but the last are equally long."""
        parts = known(dim_min(dim_max(1, _BLOCKS // self.rows), ceil_div(self.size, _SEGMENT)))
        pays = where(parts >= _LEAST_PARTS, where(parts * self.size >= _LEAST_PRODUCT, 1, 0), 0)
        return where(self.k > _FEW_OF_BLOCK, parts, where(pays > 0, parts, 1))

    def workspace_bytes(self) -> int:
        """Return the bytes of the workspace, enough for smaller shapes: TensorRT asks only once.

        A call with fewer rows or a smaller k may be split even if this one is not.
        """
        nbytes = sum(self._sizes(self.rows, self.k)) if self.k > CAPACITY else 0
        if self._may_split:
            nbytes = max(nbytes, sum(self._sizes(min(self.rows, _BLOCKS), min(self.k, CAPACITY))))
        return nbytes

    @property
    def _sorter(self) -> tuple[int, int] | None:
        """The threads, and the elements of each, of a block that sorts a row; None if none does."""
        least = dim_max(self.size // _SORTED_SHARES[self.itemsize > 2], _FEW_SORTED)
        if self.segments > 1 or self.k <= least:
            return None
        most = _SORTED_BYTES // self.itemsize
        fitting = (each for each in SORTERS if each[0] * each[1] <= most)
        return next((each for each in fitting if self.size <= each[0] * each[1]), None)

    @property
    def _selector(self) -> int | None:
        """The elements of a lane that sorts what the registers of a block hold; None elsewhere."""
        if self.size > min(_HELD_BYTES // self.itemsize, 32 * _SELECT_WARPS * _SELECT_ITEMS):
            return None
        return next((each for each in EACH if self.k * 3 <= each * 64), None)

    @property
    def _digits(self) -> int:
        return -(-8 * self.itemsize // _DIGIT_BITS)

    def _room(self, k: int) -> int:
        """Return how many candidates of a row there may be."""
        return min(k + _SPARE, self.size)

    def _sizes(self, rows: int, k: int) -> list[int]:
        """Return the bytes of what blocks share, then of keys and places, twice."""
        digits, room = rows * self._digits, rows * self._room(k)
        shared = [rows * _CANDIDATES_BYTES, digits * _BINS * 4, digits * _DIGIT_BYTES]
        shared += [(rows + _BLOCKS) * _MET_BYTES, 4]
        sizes = [*shared, *[room * self.itemsize, room * 4] * 2]
        return [-(-size // _ALIGNMENT) * _ALIGNMENT for size in sizes]

    def steps(
        self, x: TensorDesc, values: TensorDesc, indices: TensorDesc, workspace: Workspace
    ) -> Sequence[Step]:
        """Return the launches; none if k is 0 or there are no rows."""
        if not self.k or not self.rows:
            return ()
        arguments = (values, indices, x, self._layout(1))
        few = min(_FEW, self.size // _SHARES[self.itemsize > 2])
        is_alone = self.rows <= _ALONE and self.size > 32 * EACH[-1] and self.itemsize <= 4
        longest = _SHORT if self.rows < _MANY else _LONGER
        if self.k <= few and self.size <= longest and not is_alone:
            constants: dict[str, int] = {"CONTIGUOUS": self.inner == 1}
            return [self._warps(self._plugin.short_kernel, arguments, constants)]
        for each in EACH:
            if self.size <= 32 * each:
                return [self._warps(self._plugin.sort_kernel, arguments, {"EACH": each})]
        if sorter := self._sorter:
            threads, items = sorter
            kernel, constants = self._plugin.long_kernel, {"THREADS": threads, "ITEMS": items}
            return [Launch(kernel, self.rows, threads, arguments, constants=constants)]
        if sorted_each := self._selector:
            threads, constants = 32 * -(-self.size // (32 * _SELECT_ITEMS)), {"EACH": sorted_each}
            kernel = self._plugin.register_kernel
            return [Launch(kernel, self.rows, threads, arguments, constants=constants)]
        if self.k > CAPACITY or (self._may_split and self.segments > 1):
            return list(self._split_steps(x, values, indices, workspace))
        shared_bytes = self._shared_bytes
        return [self._launch(self._plugin.kernel, self.rows, *arguments, shared_bytes=shared_bytes)]

    def _warps(
        self, kernel: CudaKernel, arguments: tuple[KernelArgument, ...], constants: dict[str, int]
    ) -> Launch:
        """Return a launch with a warp for each row."""
        blocks, arguments = -(-self.rows // (_SHORT_THREADS // 32)), (*arguments, int64(self.rows))
        return Launch(kernel, blocks, _SHORT_THREADS, arguments, constants=constants)

    @property
    def _shared_bytes(self) -> int:
        """The shared memory of a block that collects keys."""
        nbytes: int = CAPACITY * (self.itemsize + 4) + _COUNTER_BYTES
        return nbytes

    def _split_steps(
        self, x: TensorDesc, values: TensorDesc, indices: TensorDesc, workspace: Workspace
    ) -> Iterator[Step]:
        plugin, sizes = self._plugin, self._sizes(self.rows, self.k)
        yield Fill(workspace.first(sum(sizes[:5])))
        *shared, keys, places, other_keys, other_places = workspace.split(sizes)
        runs, others = (keys, places), (other_keys, other_places)
        layout, blocks = self._layout(self.segments), self.rows * self.segments
        select = (*runs, *shared, x, layout, int32(blocks))
        yield self._launch(plugin.select_kernel, blocks * (self._digits + 1), *select)
        room, known = self._room(self.k), (shared[0], x, layout)
        if self.rows * room <= _COMPARISONS // room:
            blocks = -(-room // (_RANK_THREADS // _PARTS))
            rank = (values, indices, *runs, *known, int32(blocks))
            constants = {"CONTIGUOUS": self.inner == 1}
            blocks *= self.rows
            yield Launch(plugin.rank_kernel, blocks, _RANK_THREADS, rank, constants=constants)
            return
        tiles = -(-room // _TILE)
        sort = (values, indices, *runs, *known, int32(tiles))
        yield self._launch(plugin.tile_kernel, self.rows * tiles, *sort)
        blocks, width = -(-room // _THREADS), _TILE
        while width < room:
            merge = (values, indices, *others, *runs, *known, int32(blocks), int64(width))
            yield self._launch(plugin.merge_kernel, self.rows * blocks, *merge)
            width, runs, others = width * _FAN, others, runs

    def _layout(self, segments: int) -> KernelArgument:
        """Return the argument that the kernels call Rows."""
        steps = (self.inner, self.inner * self.size, self.inner * self.k)
        return int64((*steps, self.size, self.k, ceil_div(self.size, segments), segments))

    def _launch(
        self, kernel: CudaKernel, blocks: int, *arguments: KernelArgument, shared_bytes: int = 0
    ) -> Launch:
        constants = {"CONTIGUOUS": self.inner == 1}
        return Launch(kernel, blocks, _THREADS, arguments, shared_bytes, constants)


def workspace_bound(plugin: TopK, x: TensorDesc, k: TensorDesc) -> Dim:
    """Return at least ``workspace_bytes``, from shapes that may be symbolic."""
    axis, count = x.axis(plugin.axis), k.values[0]
    rows = product(x.shape[:axis]) * product(x.shape[axis + 1 :])

    def sizes(rows: Dim, count: Dim) -> Dim:
        digits = rows * (-(-8 * x.dtype.itemsize // _DIGIT_BITS))
        counters = digits * (_BINS * 4 + _DIGIT_BYTES) + rows * _CANDIDATES_BYTES
        counters = counters + (rows + _BLOCKS) * _MET_BYTES
        results = 2 * rows * (count + _SPARE) * (x.dtype.itemsize + 4)
        total: Dim = counters + results + 9 * _ALIGNMENT
        return total

    beyond = dim_min(1, count // (CAPACITY + 1))  # 1 where rows are split with both tactics
    return dim_max(
        beyond * sizes(rows, count), sizes(dim_min(rows, _BLOCKS), dim_min(count, CAPACITY))
    )
