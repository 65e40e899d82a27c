"""Into how many parts maps are divided, which blocks take: several where there are few maps."""

from __future__ import annotations

from pluginkit import TensorDesc, ceil_div, dim_max, dim_min, known, product, where

#: With this many blocks a GPU is busy.
_ENOUGH = 512
#: The fewest parts that are worth a second launch, the most of a map, and the pixels for each.
_FEWEST, _MOST, _PIXELS = 3, 132, 24
#: The most pixels of a map that is not divided, because the second launch takes longer than most of
#: these maps, to most sizes, do.
_SMALL = 2048
#: What is found in all parts: a value and its place, 8 bytes each.
PARTS_BYTES = _ENOUGH * 8


def parts_of(maps: TensorDesc) -> int:
    """Return the parts of each map; the resized sizes are on the device."""
    wanted = known(_ENOUGH // dim_max(product(maps.shape[:2]), 1))
    pixels = known(maps.shape[2]) * known(maps.shape[3])
    parts = known(dim_min(wanted, _MOST, ceil_div(pixels, _PIXELS)))
    return where(pixels <= _SMALL, 1, where(parts < _FEWEST, 1, parts))
