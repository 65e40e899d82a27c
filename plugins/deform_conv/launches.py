"""The launches of DeformConv: one of kernel.cu, or those of product.py."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pluginkit import Launch, TensorDesc, Workspace, int32, known
from pluginkit.plugins.deform_conv.arranged import segment_for
from pluginkit.plugins.deform_conv.product import product_launches

if TYPE_CHECKING:
    from pluginkit.plugins.deform_conv import DeformConv

#: The threads of a block, which take an output pixel each.
_THREADS = 128
#: The output channels of a thread; fewer if a group has few channels.
MAPS = (32, 16, 8)
#: How many weights of each output channel are in shared memory at a time.
_TERMS = 64
#: The most channels and outputs of a group that are not worth a thread; those of a thread then.
_FEW_CHANNELS, _FEW_OF_GROUP, _FEW_MAPS = 4, 2, 8
#: The most blocks of a launch; with more tiles each block takes several.
_MOST_BLOCKS = 2**31 - 1

#: The constants that the kernel shares with Python.
DEFINES = {"FEW_MAPS": _FEW_MAPS, "TERMS": _TERMS, "THREADS": _THREADS}


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
    segment = segment_for(plugin, x, w, images * out_height * out_width)
    if segment > 0:
        return product_launches(plugin, (x, w, offset, bias, mask), sizes, y, workspace, segment)
    of_group = maps // plugin.group
    constants: dict[str, int] = {}
    if depth <= _FEW_CHANNELS and of_group <= _FEW_OF_GROUP:
        kernel, groups, map_tiles = plugin.few, 1, -(-maps // _FEW_MAPS)
    else:
        kernel, groups = plugin.kernel, plugin.group
        constants["MAPS"] = next((each for each in MAPS if 2 * of_group > each), MAPS[-1])
        map_tiles = -(-of_group // constants["MAPS"])
    tiles = map_tiles * groups * images * -(-out_height * out_width // _THREADS)
    launch = Launch(
        kernel,
        min(tiles, _MOST_BLOCKS) if y.size else 0,
        _THREADS,
        (y, x, w, offset, bias, mask, int32(sizes), int32(map_tiles), tiles),
        constants=constants,
    )
    return (launch,)
