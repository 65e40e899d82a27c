"""The launches of MaxUnpool, and the sizes along each axis."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pluginkit import (
    Dim,
    Fill,
    Launch,
    Step,
    TensorDesc,
    Workspace,
    ceil_div,
    dim_max,
    dim_min,
    int32,
    int64,
    known,
    product,
)

if TYPE_CHECKING:
    from pluginkit.plugins.max_unpool import MaxUnpool

_THREADS = 256
#: The bytes of y that a block gathers: wanted, and at most; and those of two packs.
_BAND, _LARGEST = 2**15, 2**16
_PACKS = 32
_PACK_BYTES = 16
#: As many blocks are wanted before one takes several planes, and at most look for strays.
_BLOCKS = 264
#: In so few elements of y those of x are stored one by one.
_FEW = 2**21
#: What the kernels share with Python: a block's threads, and elements that a thread reads at once.
DEFINES = {"THREADS": _THREADS, "AT_ONCE": 8}


def unpooled(plugin: MaxUnpool, sizes: Sequence[Dim]) -> list[Dim]:
    """Return the spatial sizes in which the indices count, from those of x."""
    rank = len(plugin.kernel_shape)
    return [
        (size - 1) * plugin.steps()[axis]
        + plugin.kernel_shape[axis]
        - plugin.padding()[axis]
        - plugin.padding()[rank + axis]
        for axis, size in enumerate(sizes)
    ]


@dataclass(frozen=True)
class Bands:
    """How x and y are cut into what a block takes: some planes, or a part of one.

    Attributes:
        count: the bands.
        most_bytes: those of y of the largest band, from one aligned pack to another.
        numbers: the kernel's Bands.
    """

    count: Dim
    most_bytes: Dim
    numbers: tuple[Dim, ...]


def bands_of(plugin: MaxUnpool, x: TensorDesc) -> Bands:
    """Return the bands of whole rows of windows along the first axis."""
    stride, kernel, pad = plugin.steps()[0], plugin.kernel_shape[0], plugin.padding()[0]
    planes, rows, row = known(x.shape[0] * x.shape[1]), known(x.shape[2]), product(x.shape[3:])
    sizes = unpooled(plugin, x.shape[2:])
    line = product(sizes[1:])
    pixels, elements, nbytes = sizes[0] * line, rows * row, line * x.dtype.itemsize
    totals = planes * elements, planes * pixels
    plane_bytes = known(sizes[0] * nbytes)
    room = _PACKS if plane_bytes % 16 else 0
    if plane_bytes + room <= _LARGEST:
        fitting = dim_max(_BAND // plane_bytes, 1)
        group = dim_min(fitting, ceil_div(planes, _BLOCKS))
        group_sizes = group * elements, group * pixels
        numbers = (*totals, *group_sizes, 1, *group_sizes, 0)
        return Bands(ceil_div(planes, group), group * plane_bytes + room, numbers)
    each = dim_max(_BAND // (stride * nbytes), 1)
    parts = ceil_div(rows, each)
    band_sizes = each * row, each * stride * line
    most_lines = each * stride + max(kernel - stride, 0)
    return Bands(
        planes * parts,
        most_lines * nbytes + _PACKS,
        (*totals, elements, pixels, parts, *band_sizes, pad * line),
    )


def note_bytes(plugin: MaxUnpool, x: TensorDesc) -> int:
    """Return room for an int of each band; larger shapes never need less."""
    line = product(unpooled(plugin, x.shape[2:])[1:]) * x.dtype.itemsize
    parts = 1 + x.shape[2] * plugin.steps()[0] * line // (_BAND // 2)
    return known(4 * x.shape[0] * x.shape[1] * parts)


def steps_of(
    plugin: MaxUnpool, x: TensorDesc, indices: TensorDesc, y: TensorDesc, workspace: Workspace
) -> Sequence[Step]:
    """Return steps that write y band by band, and what belongs outside; or zeros, then all."""
    if x.size == 0:
        return [Fill(y)]
    sizes = unpooled(plugin, x.shape[2:])
    bands = bands_of(plugin, x)
    is_padded = known(product(sizes)) < known(product(y.shape[2:]))
    if is_padded or known(y.size) <= _FEW or known(bands.most_bytes) > _LARGEST:
        alone = [1] * (3 - len(sizes))
        numbers = int32([*alone, *sizes, *alone, *y.shape[2:], int(is_padded)])
        pixels = x.shape[0] * x.shape[1] * product(sizes)
        storing = Launch(
            plugin.whole_kernel,
            ceil_div(x.size, _THREADS),
            _THREADS,
            (y, x, indices, numbers, int64(x.size), int64(pixels)),
        )
        packs = ceil_div(y.size, _PACK_BYTES // y.dtype.itemsize)
        clearing = Launch(
            plugin.clear_kernel, ceil_div(packs, _THREADS), _THREADS, (y, int64(y.size))
        )
        return [clearing, storing]
    writing = Launch(
        plugin.kernel,
        bands.count,
        _THREADS,
        (y, workspace, x, indices, int64(bands.numbers)),
        shared_bytes=known(bands.most_bytes),
    )
    storing = Launch(
        plugin.stray_kernel,
        dim_min(bands.count, _BLOCKS),
        _THREADS,
        (y, workspace, x, indices, int64(bands.numbers), int64(bands.count)),
    )
    return [writing, storing]
