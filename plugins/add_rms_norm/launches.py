"""How rows are given to threads."""

from __future__ import annotations

from dataclasses import dataclass

#: Elements that a thread loads at once: what a vector of 16 bytes holds, or one.
LANES = (1, 4, 8)
#: Vectors of a row that a thread keeps in registers; further ones are read again.
KEPT = (1, 2, 4, 8)
#: Elements of a row, whose positions the kernel counts in 32 bits.
MAX_ROW = 2**30
_VECTOR_BYTES = 16
#: Vectors of a row from which on its threads are more than the elements beside them.
_MANY_VECTORS = 64
_WARP = 32
_MAX_THREADS = 1024
#: Threads of a block where a row needs fewer.
_BLOCK = 128
#: Vectors of a thread, where there are threads enough: two loads under way of each input.
_VECTORS = 2
#: Rows below which a GPU has threads to spare, so that each takes one vector.
_FEW_ROWS = 128


@dataclass(frozen=True)
class Layout:
    """The threads of one launch.

    Attributes:
        threads: a row's, a power of two up to 32, or whole warps.
        rows: of a block.
        lanes: one of ``LANES``.
        kept: one of ``KEPT``.
        is_shifted: whether rows begin within a vector.
    """

    threads: int
    rows: int
    lanes: int
    kept: int
    is_shifted: bool

    @property
    def constants(self) -> dict[str, int | bool]:
        """For the kernel."""
        return {"LANES": self.lanes, "KEPT": self.kept, "SHIFTED": self.is_shifted}


def layout_of(rows: int, inner: int, itemsize: int) -> Layout:
    """The layout for rows of ``inner`` elements.

    Args:
        rows: how many there are.
        inner: elements of a row.
        itemsize: bytes of an element.
    """
    lanes = _VECTOR_BYTES // itemsize
    is_shifted = inner % lanes != 0 and inner // lanes >= _MANY_VECTORS
    if inner % lanes and not is_shifted:
        lanes = 1
    vectors = max(inner // lanes, 1)
    wanted = -(-vectors // (1 if rows < _FEW_ROWS else _VECTORS))
    if wanted <= _WARP:
        threads = 1 << (wanted - 1).bit_length()
    else:
        threads = min(-(-wanted // _WARP) * _WARP, _MAX_THREADS)
    kept = next((n for n in KEPT if n * threads >= vectors), KEPT[-1])
    return Layout(threads, max(_BLOCK // threads, 1), lanes, kept, is_shifted)
