"""The host side of add_norm.cu: how it distributes the rows of a tensor to threads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pluginkit import (
    CudaKernel,
    Launch,
    TensorDesc,
    bfloat16,
    ceil_div,
    float16,
    float32,
    int32,
    int64,
    known,
    product,
)

#: The elements of one load: a vector, or a single element.
LANES = (1, 4, 8)
#: How many vectors of a row a thread keeps in registers; it reads the others again.
KEPT = (1, 2, 4, 8)
#: The kernel counts the elements of a row in 32 bits.
MAX_ROW = 2**30
_VECTOR_BYTES = 16
_MAX_THREADS = 1024
_WARP_SIZE = 32
#: A thread loads its weights before it waits for the others of its row, if they have so many bytes.
_EARLY_BYTES = 64
#: The constants that the kernel shares with Python.
_DEFINES = {
    "EARLY_BYTES": _EARLY_BYTES,
    "MAX_THREADS": _MAX_THREADS,
    "VECTOR_BYTES": _VECTOR_BYTES,
    "WARP": _WARP_SIZE,
}

#: How far results may be off, relative to max(1, y): one rounding of y, or of what the weight
#: multiplies, may differ.
TOLERANCE = {float32: 2e-6, float16: 2e-3, bfloat16: 1.6e-2}

#: A row with at least this many vectors is loaded by vectors even if it is not aligned: it has more
#: threads than there are elements before and after the aligned vectors.
_MANY_VECTORS = 64
#: The threads of a block that takes several rows.
_BLOCK = 128
#: The vectors of a thread if there are many rows, so that two loads of each input are in flight.
_VECTORS = 2
#: With fewer rows a GPU has threads to spare, and each takes one vector; but with more threads than
#: the second number a block takes longer to begin and to add up.
_FEW_ROWS, _FEW_THREADS = 128, 512


@dataclass(frozen=True)
class RowLayout:
    """The threads of one launch.

    Attributes:
        threads: the threads of a row: a power of two up to a warp, or whole warps.
        rows: the rows of a block.
        lanes: the elements of a load, one of ``LANES``.
        kept: the vectors that a thread keeps in registers, one of ``KEPT``.
        is_alone: whether a block has one row, and these are all its vectors.
        is_shifted: whether rows may not be aligned to vectors.
    """

    threads: int
    rows: int
    lanes: int
    kept: int
    is_alone: bool
    is_shifted: bool

    @property
    def constants(self) -> dict[str, int | bool]:
        """The kernel's constants."""
        return {
            "LANES": self.lanes,
            "KEPT": self.kept,
            "ALONE": self.is_alone,
            "SHIFTED": self.is_shifted,
        }


def layout_of(rows: int, inner: int, itemsize: int, warp_vectors: int = _VECTORS) -> RowLayout:
    """Return the layout for a number of rows of ``inner`` elements of ``itemsize`` bytes.

    Args:
        rows: how many there are.
        inner: the elements of a row.
        itemsize: the bytes of an element.
        warp_vectors: how many vectors a thread may take of a row that a warp then has by itself.
    """
    lanes = _VECTOR_BYTES // itemsize
    is_shifted = inner % lanes != 0 and inner // lanes >= _MANY_VECTORS
    if inner % lanes and not is_shifted:
        lanes = 1
    vectors = max(inner // lanes, 1)
    wanted = -(-vectors // _VECTORS)
    if rows < _FEW_ROWS:
        wanted = max(wanted, min(vectors, _FEW_THREADS))
    elif vectors <= _WARP_SIZE * warp_vectors:
        wanted = min(wanted, _WARP_SIZE)
    if wanted <= _WARP_SIZE:
        threads = 1 << (wanted - 1).bit_length()
    else:
        threads = min(-(-wanted // _WARP_SIZE) * _WARP_SIZE, _MAX_THREADS)
    kept = next((n for n in KEPT if n * threads >= vectors), KEPT[-1])
    block_rows = max(_BLOCK // threads, 1)
    is_alone = block_rows == 1 and kept * threads >= vectors
    return RowLayout(threads, block_rows, lanes, kept, is_alone, is_shifted)


def kernel_of(*, is_centred: bool) -> CudaKernel:
    """Return the kernel for rows less their mean, or for rows as they are."""
    return CudaKernel(
        "../_cuda/add_norm.cu",
        f"add_norm<{str(is_centred).lower()}, {{T}}, {{W}}, {{LANES}}, {{KEPT}}, {{ALONE}}, "
        "{SHIFTED}>",
        {"LANES": LANES, "KEPT": KEPT, "ALONE": (False, True), "SHIFTED": (False, True)},
        defines=_DEFINES,
    )


def launch_of(
    plugin: Any,
    outputs: tuple[TensorDesc, TensorDesc],
    *inputs: Any,
    warp_vectors: int = _VECTORS,
) -> Launch:
    """Return the launch for y and total, from x, residual, weight and a bias, which may be None."""
    x, _, weight = inputs[:3]
    inner = known(weight.size)
    rows = known(product(x.shape[: x.axis(plugin.axis)])) if inner else 0
    layout = layout_of(rows, inner, x.dtype.itemsize, warp_vectors)
    return Launch(
        plugin.kernel,
        grid=ceil_div(rows, layout.rows),
        block=(layout.threads, layout.rows),
        args=(*outputs, *inputs, int64(rows), int32(inner), plugin.epsilon),
        constants=layout.constants,
    )
