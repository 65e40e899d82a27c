"""The launches of DeformConv: one of kernel.cu, or those of product.py."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pluginkit import Launch, TensorDesc, Workspace, dim_min, int32, int64, known, where
from pluginkit.plugins._cuda.division import divisor_numbers
from pluginkit.plugins.deform_conv.arranged import segment_for
from pluginkit.plugins.deform_conv.few import TERMS_AT_ONCE, THREADS, few_launch
from pluginkit.plugins.deform_conv.product import product_launches

if TYPE_CHECKING:
    from pluginkit.plugins.deform_conv import DeformConv

#: The output channels of a thread; fewer if a group has few channels, and up to _FEW_MAPS if a
#: GPU would have fewer blocks than it runs at once.
MAPS = (32, 16, 8, 4, 2, 1)
_FEW_MAPS, _FEW_BLOCKS = 4, 128
#: How many weights of each output channel are in shared memory at a time.
_TERMS = 64
#: The channels of a thread, where each is a group with an output channel of its own, and for how
#: many blocks of one channel each.
CHANNELS = (4, 2, 1)
_CHANNEL_BLOCKS = {4: 2048, 2: 512}
#: The most blocks of a launch; with more tiles each block takes several.
_MOST_BLOCKS = 2**31 - 1

#: The constants that the kernels share with Python.
DEFINES = {"TERMS": _TERMS, "TERMS_AT_ONCE": TERMS_AT_ONCE, "THREADS": THREADS}


def launches_of(
    plugin: DeformConv,
    x: TensorDesc,
    w: TensorDesc,
    offset: TensorDesc,
    bias: TensorDesc | None,
    mask: TensorDesc | None,
    y: TensorDesc,
    workspace: Workspace,
) -> Sequence[Launch]:
    """Return the launches: a block takes tiles of output channels by output pixels."""
    images, channels, height, width = map(known, x.shape)
    maps, depth, taps_y, taps_x = map(known, w.shape)
    out_height, out_width = map(known, y.shape[2:])
    sizes = (
        *(channels, height, width, maps, taps_y, taps_x, out_height, out_width),
        *(plugin.group, plugin.offset_group, *plugin.strides, *plugin.pads[:2], *plugin.dilations),
    )
    few = few_launch(plugin, (x, w, offset, bias, mask), sizes, y)
    if few is not None:
        return (few,)
    segment = segment_for(plugin, x, w, images * out_height * out_width)
    if segment > 0:
        return product_launches(plugin, (x, w, offset, bias, mask), sizes, y, workspace, segment)
    of_group = maps // plugin.group
    pixel_tiles = images * -(-out_height * out_width // THREADS)
    if where(depth == 1, of_group, 0) == 1:
        part_depth = channels // plugin.offset_group
        kernel, name = plugin.separate, "CHANNELS"
        fitting = (
            each
            for each, blocks in _CHANNEL_BLOCKS.items()
            if where(part_depth < each, 0, pixel_tiles * channels) >= blocks
        )
        count = next(fitting, 1)
        of_each = -(-part_depth // count)
        tiles = of_each * plugin.offset_group * pixel_tiles
        pixels = -(-out_height * out_width // THREADS)
        by = (pixels, of_each, plugin.offset_group, out_width, taps_x)
        tiling = int64([number for each in by for number in divisor_numbers(each)])
    else:
        kernel, name = plugin.kernel, "MAPS"
        count = next((each for each in MAPS if _suits(each, of_group, pixel_tiles, plugin)), 1)
        of_each = -(-of_group // count)
        tiles = of_each * plugin.group * pixel_tiles
        tiling = int32(of_each)
    launch = Launch(
        kernel,
        where(y.size > 0, known(dim_min(tiles, _MOST_BLOCKS)), 0),
        THREADS,
        (y, x, w, offset, bias, mask, int32(sizes), tiling, tiles),
        constants={name: count},
    )
    return (launch,)


def _suits(maps: int, of_group: int, pixel_tiles: int, plugin: DeformConv) -> bool:
    """Whether a thread takes so many output channels, of which a group has ``of_group``."""
    tiles = -(-of_group // maps) * plugin.group * pixel_tiles
    enough = _FEW_BLOCKS if maps > _FEW_MAPS else 0
    return where(2 * of_group > maps, tiles, -1) >= enough
