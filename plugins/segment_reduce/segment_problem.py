"""The sizes of a call of SegmentReduce, which decide how it is launched."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pluginkit import (
    Dim,
    InputError,
    TensorDesc,
    dim_min,
    float32,
    known,
    may_hold,
    product,
    where,
)
from pluginkit.plugins._cuda.radix_sort import (
    DIGIT_BITS,
    SWEEP_ITEMS,
    WIDE_BITS,
    sweep_blocks,
)

if TYPE_CHECKING:
    from pluginkit.plugins.segment_reduce import SegmentReduce

THREADS, WARP = 256, 32
#: The sweeps of a sort by 31 bits.
MOST_SWEEPS = 4
#: The keys that a thread sorts, where there are few, some, and many.
SWEPT_ITEMS = (6, 12, SWEEP_ITEMS[4])
#: The same where a value has a weight, too.
WEIGHTED_ITEMS = (6, SWEEP_ITEMS[8])
_FEW_KEYS, _SOME_KEYS = 2**18, 2**20
#: The bits of a digit: more unless keys are few, if that saves a sweep.
BITS = (DIGIT_BITS, WIDE_BITS)
#: Of the bytes of a vector load, those that a row may be a multiple of.
VECTORS = (16, 8, 4, 1)
#: In place of them where rows have no vectors: each lane has some elements that are WARP apart.
SPREAD, SPREAD_ELEMENTS = 0, 2
#: Up to so many edges, and rows, one launch whose blocks all look at all edges is faster than a
#: sort; their list takes 2 bytes of shared memory for each. Of more than the fewer edges it is
#: slower than sorted chunks, many times so where some rows have many.
_FEW_EDGES, _FEWER_EDGES, _FEW_ROWS = 11_264, 2048, 2**13
#: With this many blocks that look at all edges a large GPU is busy.
SCAN_BLOCKS = 132
#: The rows of y of such a block, at most.
MOST_SCANNED_ROWS = -(-_FEW_ROWS // SCAN_BLOCKS)
#: Up to so many elements of messages, atomics are.
FEW_ELEMENTS = 2**25
#: Up to so many edges, of which a row has few on average, the chunks of edges that blocks sort are
#: not sorted together; more rows, or more elements of messages, would take much memory.
CHUNK, MOST_CHUNKS = 512, 512
_FEW_TO_A_ROW, _CHUNKED_ROWS = 8, 2**18
#: With so many rows for each edge most of y is zeros, which are written before; so many rows may
#: then be sorted in chunks.
_SPARSE, SPARSE_ROWS = 4, 2**20
#: Longer runs of edges in a chunk are reduced with it, and so many fit into it; the first runs of
#: a row that are kept.
SHORT_RUN = 8
MOST_LONG, SLOTS = CHUNK // (SHORT_RUN + 1), 16
#: More than any call has edges or rows: check refuses those with as many.
MOST = 2**30
#: The blocks of a grid that take parts of a row, each a load for every lane of a warp.
MOST_BLOCKS = 65535
#: The floats of an item before the elements of a row, and of a vector.
HEADER, VECTOR_FLOATS = 4, 4
FLOAT_BYTES = 4
ALIGNMENT = 256


@dataclass(frozen=True)
class SegmentProblem:
    """The sizes of a call with static shapes.

    Attributes:
        edges: the number of edges.
        rows: the rows of y.
        nodes: the rows of x.
        inner: the elements of a row.
        heads: the columns of weights; 1 without weights.
        itemsize: the bytes of an element.
        is_weighted: whether edges have weights.
        may_add: whether it is a sum of float32 whose bits may differ from run to run.
    """

    edges: int
    rows: int
    nodes: int
    inner: int
    heads: int
    itemsize: int
    is_weighted: bool
    may_add: bool

    @property
    def adds(self) -> bool:
        """Whether sums by atomics are faster than a sort."""
        is_small = self.edges * self.inner <= FEW_ELEMENTS and self.rows < 2**26
        return self.may_add and is_small

    def shares(self, lanes: int) -> int:
        """Return the warps that share the edges of one where they are added up by so many lanes."""
        most = ((2**13, 16), (2**14, 8), (2**17, 4), (2**19, 2))
        return min(next((shares for edges, shares in most if self.edges <= edges), 1), lanes)

    @property
    def scans(self) -> bool:
        """Whether edges and rows are few enough for blocks that look at all edges."""
        looks = self.edges * -(-self.vectors // WARP)
        most = _FEWER_EDGES if self.is_chunked else _FEW_EDGES
        return looks <= most and self.rows <= _FEW_ROWS

    @property
    def always_scans(self) -> bool:
        """Whether smaller calls scan, too: their rows may have no vectors."""
        looks = self.edges * -(-self.inner // WARP)
        return looks <= _FEWER_EDGES and self.rows <= _FEW_ROWS

    @property
    def is_chunked(self) -> bool:
        """Whether rows have so few of few edges that each takes them from sorted chunks."""
        most = known(dim_min(CHUNK * MOST_CHUNKS, _FEW_TO_A_ROW * self.rows))
        rows = SPARSE_ROWS if self.is_sparse else _CHUNKED_ROWS
        is_small = self.edges * self.inner <= FEW_ELEMENTS and self.rows <= rows
        return self.edges <= most and is_small and not self.is_spread

    @property
    def chunks(self) -> int:
        """The chunks of edges that blocks sort."""
        return -(-self.edges // CHUNK)

    @property
    def scanned_rows(self) -> int:
        """The rows of y of such a block."""
        return max(1, -(-self.rows // SCAN_BLOCKS))

    @property
    def head_size(self) -> int:
        """The elements of a row that one column of weights multiplies."""
        return self.inner // self.heads

    @property
    def vector_bytes(self) -> int:
        """The bytes of a load: as many as divide what one weight multiplies."""
        return next(each for each in VECTORS if self.head_size * self.itemsize % each == 0)

    @property
    def is_spread(self) -> bool:
        """Whether the lanes that reduce sorted edges read single elements of wide rows."""
        return self.vector_bytes <= self.itemsize and self.inner > WARP and self.heads == 1

    @property
    def vectors(self) -> int:
        """The loads of a row."""
        return -(-self.inner // max(self.vector_bytes // self.itemsize, 1))

    @property
    def digit_bits(self) -> int:
        """The bits of a digit of the keys 0 to ``rows``."""
        bits = min(self.rows, MOST).bit_length()
        saves_a_sweep = -(-bits // WIDE_BITS) < -(-bits // DIGIT_BITS)
        return WIDE_BITS if self.swept_items > SWEPT_ITEMS[0] and saves_a_sweep else DIGIT_BITS

    @property
    def sweeps(self) -> int:
        """The launches that sort, one for each digit."""
        return -(-min(self.rows, MOST).bit_length() // self.digit_bits)

    @property
    def sweep_blocks(self) -> int:
        """The blocks of each of them."""
        return sweep_blocks(self.edges, self.swept_items)

    @property
    def swept_items(self) -> int:
        """The keys that a thread sorts: fewer where there are too few to keep a GPU busy."""
        if self.is_weighted:
            few, many = WEIGHTED_ITEMS
            return few if self.edges <= _SOME_KEYS else many
        few, some, many = SWEPT_ITEMS
        return few if self.edges <= _FEW_KEYS else some if self.edges <= _SOME_KEYS else many

    @property
    def stride(self) -> int:
        """The floats of an item that stands for a part of a long run."""
        return HEADER - (-self.inner // VECTOR_FLOATS) * VECTOR_FLOATS

    def levels(self) -> Iterator[int]:
        """Yield the number of items that each launch after reduce_edges takes."""
        items = min(self.edges, MOST)
        while may_hold(items > WARP):
            items = where(items > WARP, -2 * (-items // WARP), 0)  # two for each warp
            yield items

    def lanes(self, vectors: int) -> tuple[int, int]:
        """Return the logarithm of the lanes of a run, and into how many parts rows are split."""
        lanes_log2 = min((max(vectors, 1) - 1).bit_length(), 5)
        return lanes_log2, -(-vectors // WARP)

    def sizes(self) -> list[int]:
        """Return the bytes of the workspace's parts; the first is zeroed by every call."""
        keys = self.edges * 4
        values = keys * 2 if self.is_weighted else keys
        items = sum(self.levels())
        parts = (
            sum(self.zeroed()),
            *(keys, keys, values, values),
            items * 4,
            items * self.stride * FLOAT_BYTES,
        )
        return [_aligned(part) for part in parts]

    @property
    def is_sparse(self) -> bool:
        """Whether so few rows have edges that y is zeros before these rows are written."""
        return self.edges * _SPARSE <= self.rows

    def chunk_sizes(self) -> list[int]:
        """Return the bytes of counts and touched rows, runs, keys, values, and partial rows."""
        items = self.chunks * CHUNK
        parts = (
            4 * (self.rows + 1 + self.edges),
            4 * SLOTS * self.rows,
            4 * items,
            (8 if self.is_weighted else 4) * items,
            FLOAT_BYTES * self.chunks * MOST_LONG * self.stride,
        )
        return [_aligned(part) for part in parts]

    def zeroed(self) -> tuple[int, ...]:
        """Return the bytes of the state, digits, tickets, looked-back counts and touched rows."""
        levels = len(list(self.levels()))
        sweeps, digits = self.sweeps, 2**self.digit_bits
        return (
            _aligned(4 * (1 + levels)),
            4 * digits * sweeps,
            _aligned(4 * sweeps),
            4 * digits * self.sweep_blocks * sweeps,
            _aligned(self.rows),
        )


def _aligned(nbytes: int) -> int:
    return -(-nbytes // ALIGNMENT) * ALIGNMENT


def problem_of(
    plugin: SegmentReduce,
    x: TensorDesc,
    destinations: TensorDesc,
    rows: Dim,
    weights: TensorDesc | None,
) -> SegmentProblem:
    """Return the sizes of a call with static shapes."""
    heads = weights.shape[1] if weights is not None and weights.ndim == 2 else 1
    return SegmentProblem(
        edges=known(destinations.shape[0]),
        rows=known(rows),
        nodes=known(x.shape[0]),
        inner=known(product(x.shape[1:])),
        heads=known(heads),
        itemsize=x.dtype.itemsize,
        is_weighted=weights is not None,
        may_add=x.dtype is float32 and plugin.aggregate == "add" and not plugin.deterministic,
    )


def check_shapes(
    plugin: SegmentReduce,
    x: TensorDesc,
    destinations: TensorDesc,
    rows: TensorDesc,
    sources: TensorDesc | None,
    weights: TensorDesc | None,
) -> None:
    """Raise an InputError if inputs do not fit each other, or are too large for 32 bits."""
    if weights is not None and weights.ndim > 2:
        raise InputError(f"{weights}; expected rank 1 or 2.", code="shapes")
    if sources is None and x.shape[0] != destinations.shape[0]:
        raise InputError(
            f"{x} and {destinations}; expected a row for each edge, since sources are absent.",
            code="shapes",
        )
    problem = problem_of(plugin, x, destinations, rows.values[0], weights)
    if weights is not None and (problem.heads == 0 or problem.inner % problem.heads):
        raise InputError(
            f"{weights} and {x}; expected columns of weights that divide a row of x.",
            code="shapes",
        )
    if max(problem.edges, problem.rows, problem.nodes, problem.inner) >= MOST:
        raise InputError(f"{x}, {destinations} or {problem.rows} rows: 2^30 or more.", code="size")
    if problem.vectors > MOST_BLOCKS * WARP:
        raise InputError(
            f"{x} has {problem.inner} elements in a row, in {problem.vectors} loads; expected at "
            f"most {MOST_BLOCKS * WARP}.",
            code="size",
        )
