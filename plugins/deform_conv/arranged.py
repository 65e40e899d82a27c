"""The copies of X and W that DeformConv samples and multiplies; see arrange.cu."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pluginkit import Launch, TensorDesc, ceil_div, dim_max, dim_min, float32, int32, known, where

if TYPE_CHECKING:
    from pluginkit.plugins.deform_conv import DeformConv

#: The columns of a tile, which are output pixels.
COLUMNS = 64
#: The bytes of a chunk's channels, which share a tap.
CHUNK_BYTES = 64
#: The threads of a block.
THREADS = 256
#: With fewer channels that share their offsets, by their bytes, a chunk has too many zeros.
LEAST_CHANNELS = {4: 12, 2: 5}
#: With fewer, by their bytes, in a depthwise convolution, or fewer samples in all, copies of X cost
#: more than they save.
_LEAST_SEPARATE, _LEAST_SAMPLES = {4: 12, 2: 16}, 3 * 2**20
#: How many blocks of channels may take turns at a tap; the last that divides them do.
_RUNS = (2, 3, 5, 7, 4)
#: How many groups may become one.
_MERGED = (2, 4, 8, 16, 32)
#: The most output channels of a channel for which a depthwise convolution samples it again.
_MOST_MAPS = 4
#: The bytes of a word, which threads load at once.
_WORD_BYTES = 16
#: The pixels of a tile that is turned.
_TURNED = 128
#: The most pixels, and columns.
_MOST = 2**31 - 1

#: The constants that the kernels share with Python.
CHUNK_DEFINES = {
    "CHUNK_BYTES": CHUNK_BYTES,
    "PRODUCT_COLUMNS": COLUMNS,
    "PRODUCT_THREADS": THREADS,
    "TURNED": _TURNED,
}


def merged_groups(plugin: DeformConv, x: TensorDesc, w: TensorDesc) -> int:
    """Return how many groups of few channels become one, whose weights between them are 0."""
    if x.dtype is float32:
        return 1
    depth, part_depth = known(w.shape[1]), known(x.shape[1]) // plugin.offset_group
    merged = 1
    for each in _MERGED:
        is_whole = where(plugin.group % each > 0, 1, part_depth % known(dim_max(each * depth, 1)))
        is_short = each * depth * x.dtype.itemsize <= CHUNK_BYTES
        merged = where(is_whole > 0, merged, where(is_short, each, merged))
    return merged


def segment_of(plugin: DeformConv, x: TensorDesc, w: TensorDesc) -> int:
    """Return how many channels share a group and offsets, or 0 if kernel.cu is better.

    In a depthwise convolution they share offsets alone.
    """
    depth, part_depth = known(w.shape[1]), known(x.shape[1]) // plugin.offset_group
    depth = where(is_depthwise(plugin, w), part_depth, depth * merged_groups(plugin, x, w))
    longer, segment = known(dim_max(depth, part_depth)), known(dim_min(depth, part_depth))
    segment = where(longer % known(dim_max(segment, 1)) > 0, 0, segment)
    return where(segment < LEAST_CHANNELS[x.dtype.itemsize], 0, segment)


def segment_for(plugin: DeformConv, x: TensorDesc, w: TensorDesc, columns: int) -> int:
    """Return the same, and 0 if there are too many pixels, or too few in a depthwise one."""
    images, channels, height, width = map(known, x.shape)
    is_large = known(dim_max(images * height * width, columns)) > _MOST
    segment = where(is_large, 0, segment_of(plugin, x, w))
    is_short = segment < _LEAST_SEPARATE[x.dtype.itemsize]
    samples = where(is_short, -1, columns * channels * known(w.shape[2]) * known(w.shape[3]))
    few = where(is_depthwise(plugin, w), samples, _LEAST_SAMPLES) < _LEAST_SAMPLES
    return where(few, 0, segment)


def is_depthwise(plugin: DeformConv, w: TensorDesc) -> bool:
    """Whether channels are groups, of so few output channels that each samples them again."""
    is_wide = known(w.shape[0]) > _MOST_MAPS * plugin.group
    return where(is_wide, 2, known(w.shape[1])) == 1


@dataclass(frozen=True)
class Arranged:
    """The copies of X and W for static shapes.

    Attributes:
        is_depthwise: whether channels are groups; see :func:`is_depthwise`.
        segment: the channels that share a group and offsets.
        of_segment: the blocks of channels of a segment; a block has the channels of a chunk.
        of_group: those of a group.
        run: the blocks that take turns at a tap.
        groups: the groups, after some have become one.
        blocks: all blocks of channels.
        maps: the output channels of a group.
        taps: the taps.
        pixels: the pixels of all images.
        columns: the output pixels of all images.
    """

    is_depthwise: bool
    segment: int
    of_segment: int
    of_group: int
    run: int
    groups: int
    blocks: int
    maps: int
    taps: int
    pixels: int
    columns: int

    @property
    def pixel_bytes(self) -> int:
        """The size of the copy of X, with a pixel of zeros."""
        return (self.pixels + 1) * self.blocks * CHUNK_BYTES

    @property
    def weight_bytes(self) -> int:
        """The size of the copy of W."""
        return self.taps * self.maps * self.blocks * CHUNK_BYTES


def arranged_for(
    plugin: DeformConv, x: TensorDesc, w: TensorDesc, columns: int, segment: int
) -> Arranged:
    """Return the copies for static shapes."""
    images, channels, height, width = map(known, x.shape)
    maps, _, taps_y, taps_x = map(known, w.shape)
    depthwise = is_depthwise(plugin, w)
    of_segment = -(-segment * x.dtype.itemsize // CHUNK_BYTES)
    blocks = channels // segment * of_segment
    run = 1
    for longer in _RUNS:
        run = where(of_segment % longer == 0, longer, run)
    run = where(depthwise, 1, run)
    groups = where(depthwise, 1, plugin.group // merged_groups(plugin, x, w))
    return Arranged(
        depthwise,
        segment,
        of_segment,
        blocks // groups,
        run,
        groups,
        blocks,
        where(depthwise, maps // plugin.group, maps // groups),
        taps_y * taps_x,
        images * height * width,
        columns,
    )


def arrange(
    plugin: DeformConv,
    arranged: Arranged,
    x: TensorDesc,
    w: TensorDesc,
    arguments: tuple[Any, ...],
    y: TensorDesc,
) -> Launch:
    """Return the launch that makes the copies."""
    images, channels, height, width = map(known, x.shape)
    maps, depth = known(w.shape[0]), known(w.shape[1])
    pixel_tiles = known(ceil_div(height * width, _TURNED))
    words = arranged.weight_bytes // _WORD_BYTES
    tiles = arranged.blocks * images * pixel_tiles + known(ceil_div(words, THREADS))
    layout = (
        *(arranged.blocks, images, pixel_tiles, arranged.maps, maps // plugin.group),
        *(where(arranged.is_depthwise, channels, depth), depth * arranged.taps),
        where(arranged.is_depthwise, arranged.maps, 1) * arranged.taps,
    )
    return Launch(plugin.arrange, where(y.size > 0, tiles, 0), THREADS, (*arguments, int32(layout)))
