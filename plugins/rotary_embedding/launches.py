"""The launch of RotaryEmbedding."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pluginkit import Launch, TensorDesc, ceil_div, int32, known, offset_type
from pluginkit.plugins._cuda.division import divisor_of

if TYPE_CHECKING:
    from pluginkit.plugins.rotary_embedding import RotaryEmbedding

#: The threads of a block, of one whose threads take one head, and those of a multiprocessor that
#: the registers must suffice for.
_THREADS, _FEW_THREADS, _RESIDENT = 128, 256, 896
#: The bytes of a vector: the most that divide what it is of; 1 for single elements.
BYTES = (16, 8, 4, 1)
#: If x has fewer bytes than the first number, a GPU has threads to spare: vectors have at most as
#: many elements as the second number, and a thread takes one head.
_FEW, _FEW_ELEMENTS = 2**20, 2
#: The most blocks in the second and third dimension of a grid.
_MOST_BLOCKS = 65535
#: The constants that the kernel shares with Python.
DEFINES = {"THREADS": _THREADS, "FEW_THREADS": _FEW_THREADS, "RESIDENT": _RESIDENT}


def launch_of(
    plugin: RotaryEmbedding, x: TensorDesc, cos: TensorDesc, sin: TensorDesc, y: TensorDesc
) -> Launch:
    """Return one launch; a thread takes a part of several heads."""
    items, heads, length, size = map(known, x.shape)
    rotated = known(cos.shape[-1]) * (1 if plugin.whole else 2)
    itemsize, is_few = x.dtype.itemsize, known(x.nbytes) < _FEW

    def widest(vectors: int, *parts: int) -> int:
        """Return the bytes of the widest vectors that divide all parts, the first in so many."""
        for nbytes in BYTES:
            count = nbytes // itemsize
            if count <= 1 or (is_few and count > _FEW_ELEMENTS):
                continue
            if parts[0] % (vectors * count) == 0 and not any(part % count for part in parts):
                return nbytes
        return 1

    nbytes = widest(1 if plugin.interleaved else 2, rotated, size)
    rest_bytes = widest(1, rotated, size) if rotated < size else 0
    vectors = 1 if plugin.interleaved and nbytes > 1 else 2
    each = 1 if is_few else vectors * BYTES[0] // max(nbytes, 2 * itemsize)
    while each > 2 and each // 2 >= heads:
        each //= 2
    if plugin.whole and not plugin.interleaved and (nbytes, rest_bytes) == (BYTES[0], 0):
        vectors = 1  # the other one is another thread's
    turned = rotated // (vectors * max(nbytes // itemsize, 1))
    units = turned + (size - rotated) // max(rest_bytes // itemsize, 1)
    groups = ceil_div(heads, each)
    block = _FEW_THREADS if each == 1 else _THREADS
    # Most have a dimension of the grid for groups and one for items, and divide less.
    alone = ceil_div(length * units, block)
    threads = items * groups * length * units
    flat = ceil_div(threads, block)
    is_flat = max(groups, items) > _MOST_BLOCKS or alone * groups * items > 17 * flat // 16
    return Launch(
        plugin.kernel,
        grid=(flat, 1, 1) if is_flat else (alone, groups, items),
        block=block,
        args=(
            *(y, x, cos, sin),
            offset_type(x.size)(threads if is_flat else length * units),
            *map(int32, (heads, size, rotated, turned)),
            *map(divisor_of, (units, length, groups)),
        ),
        constants={
            "OFFSET": offset_type(x.size).cpp,
            "BYTES": nbytes,
            "REST": rest_bytes,
            "HEADS": each,
            "FLAT": is_flat,
        },
    )
