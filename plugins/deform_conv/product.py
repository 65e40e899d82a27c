"""DeformConv as a matrix product, in 16 bits on tensor cores; see product.cu."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pluginkit import (
    Dim,
    Launch,
    TensorDesc,
    Workspace,
    ceil_div,
    dim_max,
    dim_min,
    float32,
    int32,
    known,
    where,
)
from pluginkit.plugins.deform_conv.arranged import (
    CHUNK_BYTES,
    COLUMNS,
    LEAST_CHANNELS,
    THREADS,
    Arranged,
    arrange,
    arranged_for,
    segment_for,
    segment_of,
)

if TYPE_CHECKING:
    from pluginkit.plugins.deform_conv import DeformConv

#: The rows of a tile, which are output channels.
PRODUCT_ROWS = (256, 192, 128, 64)
#: The rows of a tile that has all output channels of a group; see narrow.cu.
NARROW_ROWS = (1, 4, 16, 32)
#: What sampling a tile costs, in rows.
_SAMPLING_ROWS = 32
#: The fewest chunks that a block takes, and one of the narrow tiles that are left when all
#: multiprocessors have had as many.
_LEAST_CHUNKS, _LEAST_NARROW = 4, 12
#: With this many blocks of more than 128 rows a GPU is busy, with twice as many others, and with
#: this many times as many of few rows.
_BUSY, _NARROW_BUSY = 132, 4


@dataclass(frozen=True)
class Tiles:
    """How a product is shared out to blocks of threads.

    Attributes:
        rows: the rows of a tile.
        down: the tiles of a group that lie below each other.
        across: those beside each other.
        whole: the tiles that have a block each, which are the first ones.
        slices: the blocks that share the chunks of another tile.
        sum_bytes: the size of the sums of the slices.
    """

    rows: int
    down: int
    across: int
    whole: int
    slices: int
    sum_bytes: int


def tiles_of(arranged: Arranged) -> Tiles:
    """Return the tiles of a product."""
    across = -(-arranged.columns // COLUMNS)
    chunks = arranged.of_group * arranged.taps
    most_slices = known(dim_max(chunks // _LEAST_CHUNKS, 1))
    rows = _rows_of(arranged, across, most_slices)
    down = -(-arranged.maps // rows)
    tiles = known(dim_max(down * across * arranged.groups, 1))
    at_once = _NARROW_BUSY if rows in NARROW_ROWS else 1 if rows > 128 else 2
    left = tiles % (at_once * _BUSY)
    if rows in NARROW_ROWS:
        most_slices = where(left < tiles, chunks // _LEAST_NARROW, most_slices)
    slices = known(dim_max(dim_min(most_slices, at_once * _BUSY // known(dim_max(left, 1))), 1))
    slices = where(left > 0, slices, 1)
    sum_bytes = where(slices > 1, slices * left * rows * COLUMNS * float32.itemsize, 0)
    return Tiles(rows, down, across, where(slices > 1, tiles - left, tiles), slices, sum_bytes)


def _rows_of(arranged: Arranged, across: int, most_slices: int) -> int:
    for rows in NARROW_ROWS:
        if arranged.maps <= rows:
            return rows
    best, *others = PRODUCT_ROWS[::-1]
    for rows in others:
        down, best_down = -(-arranged.maps // rows), -(-arranged.maps // best)
        is_cheap = down * (rows + _SAMPLING_ROWS) <= best_down * (best + _SAMPLING_ROWS)
        if is_cheap and down * across * arranged.groups * most_slices >= _BUSY:
            best = rows
    return best


def product_bytes(plugin: DeformConv, x: TensorDesc, w: TensorDesc, offset: TensorDesc) -> int:
    """Return the workspace for static shapes."""
    columns = known(x.shape[0]) * known(offset.shape[2]) * known(offset.shape[3])
    segment = segment_for(plugin, x, w, columns)
    if segment == 0:
        return 0
    arranged = arranged_for(plugin, x, w, columns, segment)
    nbytes = arranged.pixel_bytes + arranged.weight_bytes
    return nbytes if arranged.is_depthwise else nbytes + tiles_of(arranged).sum_bytes


def product_bound(plugin: DeformConv, x: TensorDesc, w: TensorDesc) -> Dim:
    """Return at least the workspace, from shapes that may be symbolic."""
    images, channels, height, width = x.shape
    maps, depth, taps_y, taps_x = w.shape
    itemsize = x.dtype.itemsize
    waste = max(2, -(-CHUNK_BYTES // (LEAST_CHANNELS[itemsize] * itemsize)))
    pixel_bytes = channels * itemsize * waste
    if all(isinstance(each, int) for each in (channels, maps, depth)):
        segment = segment_of(plugin, x, w)
        if segment == 0:
            return 0
        pixel_bytes = channels // segment * ceil_div(segment * itemsize, CHUNK_BYTES) * CHUNK_BYTES
    weight_bytes = maps * taps_y * taps_x * dim_max(CHUNK_BYTES, depth * itemsize * waste)
    sum_bytes = 2 * _BUSY * PRODUCT_ROWS[1] * COLUMNS * float32.itemsize
    return (images * height * width + 1) * pixel_bytes + weight_bytes + sum_bytes


def product_launches(
    plugin: DeformConv,
    tensors: tuple[TensorDesc, TensorDesc, TensorDesc, TensorDesc | None, TensorDesc | None],
    sizes: tuple[int, ...],
    y: TensorDesc,
    workspace: Workspace,
    segment: int,
) -> tuple[Launch, ...]:
    """Return the launches that arrange X and W and multiply, and add the sums of slices."""
    x, w, offset, bias, mask = tensors
    outputs = known(y.shape[2]) * known(y.shape[3])
    arranged = arranged_for(plugin, x, w, known(x.shape[0]) * outputs, segment)
    if arranged.is_depthwise:
        tiles = Tiles(COLUMNS, arranged.maps, -(-arranged.columns // COLUMNS), 0, 1, 0)
    else:
        tiles = tiles_of(arranged)
    pixels, weights, sums = workspace.split(
        (arranged.pixel_bytes, arranged.weight_bytes, tiles.sum_bytes)
    )
    chunks = int32(
        (
            *(arranged.segment, arranged.of_segment, arranged.of_group, arranged.run),
            *(tiles.whole, tiles.slices, tiles.down, tiles.across, arranged.columns),
        )
    )
    merged = (
        *sizes[:8],
        where(arranged.is_depthwise, plugin.group, arranged.groups),
        *sizes[9:],
    )
    arguments = (pixels, weights, offset, bias, mask, int32(merged), chunks)
    copies = arrange(plugin, arranged, x, w, (pixels, weights, x, w, int32(sizes), chunks), y)
    if arranged.is_depthwise:
        grid = where(y.size > 0, tiles.across * arranged.blocks * arranged.maps, 0)
        return copies, Launch(plugin.depthwise, grid, THREADS, (y, *arguments))
    left = tiles.down * tiles.across * arranged.groups - tiles.whole
    multiply = Launch(
        plugin.narrow if tiles.rows in NARROW_ROWS else plugin.product,
        tiles.whole + left * tiles.slices,
        THREADS,
        (y, sums, *arguments),
        constants={"ROWS": tiles.rows},
    )
    add = Launch(
        plugin.add_slices,
        where(tiles.slices > 1, known(ceil_div(left * tiles.rows * COLUMNS, THREADS)), 0),
        THREADS,
        (y, sums, bias, int32(merged), chunks, int32(tiles.rows)),
    )
    return copies, multiply, add
