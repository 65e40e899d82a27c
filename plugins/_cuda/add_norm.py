"""The host side of add_norm.cu and add_norm_parts.cu: how rows are distributed to threads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pluginkit import (
    CudaKernel,
    Launch,
    TensorDesc,
    Workspace,
    bfloat16,
    ceil_div,
    float16,
    float32,
    int32,
    int64,
    known,
    product,
    where,
)
from pluginkit.plugins._cuda.add_norm_lanes import (
    VECTOR_BYTES,
    have_lanes,
    lane_kernel_of,
    lane_launch_of,
    vector_bytes_of,
)

#: Vectors have at least so many elements, except where all rows have fewer bytes, or so many times
#: as few where a row has a warp's pairs, which take half the instructions of single elements.
_LEAST_ELEMENTS, _FEW_BYTES, _PAIR_TIMES = 4, 2**21, 3
#: How many vectors of a row a thread keeps in registers; it reads the others again. So many as the
#: second it keeps only of vectors that are smaller than the largest.
KEPT = (1, 2, 3, 4, 8)
_SMALL_KEPT = 3
#: The kernel counts the elements of a row in 32 bits.
MAX_ROW = 2**30
_VECTOR_BYTES = VECTOR_BYTES[0]
_MAX_THREADS = 1024
_WARP_SIZE = 32
#: The threads of a block with one row, of which each keeps as many vectors, for the usual lengths
#: of rows; 0: any number of them.
_FULL = (0, 96, 128, 192, 256, 512, 1024)
#: A thread loads its weights before it waits for the others of its row, if they have so many bytes.
_EARLY_BYTES = 64
#: Where blocks share a row: the threads of a block, and the vectors that each takes at once.
_PART_THREADS, _PART_VECTORS = 256, 2
#: A row with at least this many vectors is loaded by vectors even if it is not aligned: it has more
#: threads than there are elements before and after the aligned vectors.
_MANY_VECTORS = 16
#: The threads of a block with rows that have fewer and are not aligned, each of which takes one.
_SHORT_THREADS = 256
#: The elements of rows of which a thread has whole ones then.
_WHOLE = (1, 2, 4)
#: The constants that the kernels share with Python.
_DEFINES = {
    "EARLY_BYTES": _EARLY_BYTES,
    "MAX_THREADS": _MAX_THREADS,
    "MOST_KEPT": KEPT[-1],
    "PART_THREADS": _PART_THREADS,
    "PART_VECTORS": _PART_VECTORS,
    "SHORT_THREADS": _SHORT_THREADS,
    "VECTOR_BYTES": _VECTOR_BYTES,
    "WARP": _WARP_SIZE,
}

#: How far results may be off, relative to max(1, y): one rounding of y, or of what the weight
#: multiplies, may differ.
TOLERANCE = {float32: 2e-6, float16: 2e-3, bfloat16: 1.6e-2}

#: The threads of a block that takes several rows.
_BLOCK = 128
#: Up to so many vectors of a row have a thread each if there are many rows, unless a plugin says
#: otherwise; of more a thread has some, so that as many loads of each input are in flight.
_MOST_ALONE, _VECTORS = 512, 2
#: Of vectors that are smaller than the largest a thread has some, unless there are fewer of them
#: than the first number, about the threads of a GPU, and a row has more than a warp takes: then it
#: gets up to as many threads as the second. In a warp a thread has two, with which it has registers
#: for as many threads as a multiprocessor takes.
_SMALL_VECTORS = 4
_LONE, _LONE_THREADS = 2**18, 256
#: With fewer rows than the first number a GPU has threads to spare. A row gets at least as many as
#: the second if it has vectors for them, and up to twice as many if it has four vectors for each.
_FEW_ROWS, _FEW_THREADS, _FEW_VECTORS = 128, 256, 4
#: Blocks share a row of at least so many vectors, the second number if they are not aligned, if
#: there are at most so many rows, and no more than the quotient; so many blocks are busy.
_SHARED_VECTORS, _SHIFTED_VECTORS = 3072, 1024
_SHARED_ROWS, _VECTORS_PER_ROW, _BUSY_BLOCKS = 64, 128, 1056
#: The bytes of what is gathered of a part of a row, at most.
_PART_BYTES = 12


@dataclass(frozen=True)
class RowLayout:
    """The threads of one launch.

    Attributes:
        threads: the threads of a row: a power of two up to a warp, or whole warps.
        rows: the rows of a block.
        kept: the vectors that a thread keeps in registers, one of ``KEPT``.
        is_alone: whether a block has one row, and these are all its vectors.
        aligned: the bytes of a vector, of which rows are whole ones; 0: of ``_VECTOR_BYTES``, to
            which rows may not be aligned.
        is_full: whether a block has one row, and each thread ``kept`` vectors of it.
    """

    threads: int
    rows: int
    kept: int
    is_alone: bool
    aligned: int
    is_full: bool

    @property
    def full_threads(self) -> int:
        """One of ``_FULL``, compared in turn so that the choice can be written in C++."""
        if self.is_full:
            for threads in _FULL[1:]:
                if self.threads == threads:
                    return threads
        return 0

    @property
    def constants(self) -> dict[str, int | bool]:
        """The kernel's constants."""
        return {
            "KEPT": self.kept,
            "ALONE": self.is_alone,
            "ALIGNED": self.aligned,
            "FULL": self.full_threads,
        }


def aligned_of(rows: int, inner: int, itemsize: int) -> int:
    """Return the bytes of the vectors in which rows are loaded; see ``RowLayout``.

    Rows that are whole ones of smaller vectors than the largest need no elements before and after
    them. Vectors of one or two elements take more instructions, for which a GPU has time where
    there are few.
    """
    row_bytes, aligned = inner * itemsize, vector_bytes_of(inner, itemsize)
    elements = aligned // itemsize
    has_pairs = elements == 2 and inner >= 2 * _WARP_SIZE
    few = _PAIR_TIMES * _FEW_BYTES if has_pairs else _FEW_BYTES
    return aligned if elements >= _LEAST_ELEMENTS or rows * row_bytes < few else 0


def layout_of(
    rows: int,
    inner: int,
    itemsize: int,
    aligned: int,
    most_alone: int = _MOST_ALONE,
) -> RowLayout:
    """Return the layout for a number of rows of ``inner`` elements of ``itemsize`` bytes.

    Args:
        rows: how many there are.
        inner: the elements of a row.
        itemsize: the bytes of an element.
        aligned: see ``RowLayout``.
        most_alone: up to how many vectors of a row have a thread each.
    """
    vectors = max(inner * itemsize // (aligned or _VECTOR_BYTES), 1)
    each = _VECTORS
    is_small = 0 < aligned < _VECTOR_BYTES
    if is_small:
        is_lone = vectors > _WARP_SIZE * _SMALL_VECTORS and rows * vectors < _LONE
        each = -(-vectors // _LONE_THREADS) if is_lone else _SMALL_VECTORS
        most_alone = 0
    wanted = where(vectors <= most_alone, vectors, -(-vectors // each))
    if rows < _FEW_ROWS:
        wanted = min(max(-(-vectors // _FEW_VECTORS), _FEW_THREADS), 2 * _FEW_THREADS)
        wanted = max(min(vectors, wanted), -(-vectors // KEPT[-1]))
    elif vectors <= _WARP_SIZE * each:
        wanted = min(where(is_small, -(-vectors // _VECTORS), wanted), _WARP_SIZE)
    if wanted <= _WARP_SIZE:
        threads = 1 << (wanted - 1).bit_length()
    else:
        threads = min(-(-wanted // _WARP_SIZE) * _WARP_SIZE, _MAX_THREADS)
    choices = (n for n in KEPT if n * threads >= vectors and (is_small or n != _SMALL_KEPT))
    kept = next(choices, KEPT[-1])
    if vectors % (kept * _WARP_SIZE) == 0:
        threads = min(threads, vectors // kept)
    block_rows = max(_BLOCK // threads, 1)
    is_alone = block_rows == 1 and kept * threads >= vectors
    is_full = is_alone and kept * threads == vectors and aligned == _VECTOR_BYTES
    return RowLayout(threads, block_rows, kept, is_alone, aligned, is_full)


def kernels_of(*, is_centred: bool) -> tuple[CudaKernel, ...]:
    """Return the kernels for rows less their mean, or as they are.

    They are those of rows, of lanes, of short rows, and of parts, twice.
    """
    flag, shifted = str(is_centred).lower(), {"SHIFTED": (False, True)}
    of_rows = CudaKernel(
        "../_cuda/add_norm.cu",
        f"add_norm<{flag}, {{T}}, {{W}}, {{KEPT}}, {{ALONE}}, {{ALIGNED}}, {{FULL}}>",
        {"KEPT": KEPT, "ALONE": (False, True), "ALIGNED": (*VECTOR_BYTES, 2, 0), "FULL": _FULL},
        defines=_DEFINES,
    )

    of_short = CudaKernel(
        "../_cuda/add_norm_short.cu",
        f"add_norm_short<{flag}, {{T}}, {{W}}, {{WHOLE}}>",
        {"WHOLE": (0, *_WHOLE)},
        defines=_DEFINES,
    )

    def of_parts(name: str, *, overlaps: bool) -> CudaKernel:
        file, defines = "../_cuda/add_norm_parts.cu", _DEFINES
        return CudaKernel(file, name, shifted, defines=defines, overlaps=overlaps)

    add = of_parts(f"add_parts<{flag}, {{T}}, {{SHIFTED}}>", overlaps=False)
    scale = of_parts(f"scale_parts<{flag}, {{T}}, {{W}}, {{SHIFTED}}>", overlaps=True)
    return of_rows, lane_kernel_of(flag, _DEFINES), of_short, add, scale


def workspace_bytes(x: TensorDesc, residual: TensorDesc, weight: TensorDesc, *bias: Any) -> int:
    """Return room for what is gathered of parts, if blocks may share rows of this length."""
    vectors = known(weight.size) * x.dtype.itemsize // _VECTOR_BYTES
    return _BUSY_BLOCKS * _PART_BYTES if vectors >= _SHIFTED_VECTORS else 0


def launches_of(
    plugin: Any,
    x: TensorDesc,
    residual: TensorDesc,
    weight: TensorDesc,
    bias: TensorDesc | None,
    y: TensorDesc,
    total: TensorDesc,
    workspace: Workspace,
    *,
    most_alone: int = _MOST_ALONE,
) -> Sequence[Launch]:
    """Return one launch, or two where blocks share rows."""
    inner = known(weight.size)
    rows = known(product(x.shape[: x.axis(plugin.axis)])) if inner else 0
    lanes = _VECTOR_BYTES // x.dtype.itemsize
    vectors = inner // lanes
    arguments = (y, total, x, residual, weight, bias, int64(rows), int32(inner))
    whole = next((size for size in _WHOLE if inner == size), 0)
    aligned = aligned_of(rows, inner, x.dtype.itemsize)
    vector_bytes = vector_bytes_of(inner, x.dtype.itemsize)
    has_vectors = not whole and (aligned > 0 or vector_bytes > x.dtype.itemsize)
    if has_vectors and have_lanes(rows, inner, x.dtype.itemsize):
        return [lane_launch_of(plugin, (x, residual, weight, bias), y, total, inner)]
    if whole or (aligned == 0 and vectors < _MANY_VECTORS):
        in_block = _SHORT_THREADS * lanes // inner // lanes * lanes
        args = (*arguments, int32(in_block), plugin.epsilon)
        blocks, short = ceil_div(rows, in_block), {"WHOLE": whole}
        return [Launch(plugin.short_kernel, blocks, _SHORT_THREADS, args, constants=short)]
    layout = layout_of(rows, inner, x.dtype.itemsize, aligned, most_alone)
    most_rows = min(vectors // _VECTORS_PER_ROW, _SHARED_ROWS)
    is_shifted = inner % lanes != 0
    if 0 < rows <= most_rows and vectors >= where(is_shifted, _SHIFTED_VECTORS, _SHARED_VECTORS):
        most = min(_BUSY_BLOCKS // rows, ceil_div(vectors, _PART_THREADS))
        part = ceil_div(vectors, most)
        parts, sizes = workspace.first(_BUSY_BLOCKS * _PART_BYTES), (int32(inner), int32(part))
        steps = (
            (plugin.add_kernel, (total, x, residual, parts, *sizes)),
            (plugin.scale_kernel, (y, total, weight, bias, parts, *sizes, plugin.epsilon)),
        )
        grid, constants = (ceil_div(vectors, part), rows), {"SHIFTED": is_shifted}
        return [
            Launch(kernel, grid, _PART_THREADS, args, constants=constants) for kernel, args in steps
        ]
    launch = Launch(
        plugin.kernel,
        grid=ceil_div(rows, layout.rows),
        block=(layout.threads, layout.rows),
        args=(*arguments, plugin.epsilon),
        constants=layout.constants,
    )
    return [launch]
