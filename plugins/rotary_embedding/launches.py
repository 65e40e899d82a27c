"""The launch of RotaryEmbedding."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pluginkit import Launch, TensorDesc, ceil_div, int32, int64, known

if TYPE_CHECKING:
    from pluginkit.plugins.rotary_embedding import RotaryEmbedding

#: The threads of a block, and how many blocks of them the registers must suffice for.
_THREADS, _BLOCKS = 128, 7
#: The bytes of a vector: the most that divide the parts of a row. If x has fewer bytes than the
#: last number, a GPU has threads to spare: vectors have at most as many elements as the second
#: number, and a thread takes one head.
BYTES, _FEW_ELEMENTS, _FEW = (16, 8, 4), 2, 2**20
#: The most blocks in the second and third dimension of a grid, and threads in the third of a block.
_MOST_BLOCKS, _MOST_LAYERS = 65535, 64
#: The types in which elements are counted; the second one from so many on.
OFFSETS, _FAR = (int32.cpp, int64.cpp), 2**31
#: The constants that the kernel shares with Python.
DEFINES = {"THREADS": _THREADS, "BLOCKS": _BLOCKS}


def launch_of(
    plugin: RotaryEmbedding, x: TensorDesc, cos: TensorDesc, sin: TensorDesc, y: TensorDesc
) -> Launch:
    """Return one launch; a thread takes a part of several heads."""
    items, heads, length, size = map(known, x.shape)
    width = known(cos.shape[-1])
    rotated = width if plugin.whole else 2 * width
    is_few, vectors = known(x.nbytes) < _FEW, 1 if plugin.interleaved else 2
    itemsize = x.dtype.itemsize

    def divides(nbytes: int) -> bool:
        count = nbytes // itemsize
        is_offered = count > 1 and not (is_few and count > _FEW_ELEMENTS)
        return is_offered and rotated % (vectors * count) == 0 and size % count == 0

    width_bytes = next(filter(divides, BYTES), 0)
    elements, each = width_bytes // itemsize, vectors * BYTES[0] // max(width_bytes, 1)
    if width_bytes == 0:
        elements, vectors, each = 1, 2, BYTES[0] // itemsize
    turned = rotated // (vectors * elements)
    units = turned + (size - rotated) // elements
    if is_few:
        each = 1
    lanes = max(min(units, _THREADS), 1)
    places = max(min(_THREADS // lanes, length), 1)
    layers = min(_THREADS // (lanes * places), ceil_div(heads, each), _MOST_LAYERS)
    layers = max(layers, 1)
    blocks = ceil_div(heads, each * layers)
    once = units <= lanes and max(blocks, items) <= _MOST_BLOCKS
    return Launch(
        plugin.kernel,
        grid=(ceil_div(length, places), *(min(n, _MOST_BLOCKS) for n in (blocks, items))),
        block=(lanes, places, layers),
        args=(y, x, cos, sin, *map(int32, (*x.shape, rotated, turned, units))),
        constants={
            "OFFSET": OFFSETS[known(x.size) >= _FAR],
            "BYTES": width_bytes,
            "HEADS": each,
            "ONCE": once,
            "REST": rotated < size,
        },
    )
