"""The launches of DeformConv: one of kernel.cu, or those of product.py."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pluginkit import Launch, TensorDesc, Workspace, int32, known
from pluginkit.plugins.deform_conv.arranged import segment_for
from pluginkit.plugins.deform_conv.product import product_launches

if TYPE_CHECKING:
    from pluginkit.plugins.deform_conv import DeformConv

#: The threads of a block: 16 along the rows of a tile and 16 along its columns.
_SIDE = 16
#: The columns of a tile, which are output pixels; each thread takes four.
_COLUMNS = 64
#: The rows of a tile, which are output channels; fewer if a group has few channels.
ROWS = (64, 16)
#: How many terms of each sum are in shared memory at a time.
_DEPTH = 16
#: The most channels and outputs of a group that no product is made for; the outputs of a thread.
_FEW_CHANNELS, _FEW_MAPS, _MAPS = 4, 2, 8
#: The most blocks of a launch; with more tiles each block takes several.
_MOST_BLOCKS = 2**31 - 1

#: The constants that the kernel shares with Python.
DEFINES = {"SIDE": _SIDE, "COLUMNS": _COLUMNS, "DEPTH": _DEPTH, "MAPS": _MAPS}


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
    many, few = ROWS
    sizes = (
        *(channels, height, width, maps, taps_y, taps_x, out_height, out_width),
        *(plugin.group, plugin.offset_group, *plugin.strides, *plugin.pads[:2], *plugin.dilations),
    )
    segment = segment_for(plugin, x, w, images * out_height * out_width)
    if segment > 0:
        return product_launches(plugin, (x, w, offset, bias, mask), sizes, y, workspace, segment)
    of_group = maps // plugin.group
    constants: dict[str, int] = {}
    if depth <= _FEW_CHANNELS and of_group <= _FEW_MAPS:
        kernel, columns = plugin.few, _SIDE * _SIDE
        row_tiles, groups = -(-maps // _MAPS), 1
    else:
        kernel, columns = plugin.kernel, _COLUMNS
        constants["ROWS"] = many if of_group > few else few
        row_tiles, groups = -(-of_group // constants["ROWS"]), plugin.group
    tiles = row_tiles * groups * images * -(-out_height * out_width // columns)
    launch = Launch(
        kernel,
        min(tiles, _MOST_BLOCKS) if y.size else 0,
        _SIDE * _SIDE,
        (y, x, w, offset, bias, mask, int32(sizes), int32(row_tiles), tiles),
        constants=constants,
    )
    return (launch,)
