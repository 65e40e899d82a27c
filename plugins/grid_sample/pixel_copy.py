"""GridSample by way of a copy of x in which the channels of a pixel lie together; see pixels.cu.

To make it, x is read and written once. That is done only where the grid turns out to be scattered:
where the 32 neighbouring locations of a warp read from more than MOST_LINES lines of 128 bytes, on
average of some warps. Looking costs two launches that do nothing else, so that it is done for large
outputs with enough channels alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING

from pluginkit import Launch, TensorDesc, Workspace, int32, int64, offset_type
from pluginkit.plugins.grid_sample.layout import THREADS

if TYPE_CHECKING:
    from pluginkit.plugins.grid_sample import GridSample

#: Bytes that a load brings at least.
SECTOR_BYTES = 32
#: Elements of the output, and bytes of a pixel's channels, from which looking at the grid pays.
ENOUGH_ELEMENTS = 2**24
ENOUGH_CHANNEL_BYTES = SECTOR_BYTES
#: The largest copy, over the output.
MOST_COPIED = 2
#: Lines beyond which the locations of a warp are scattered; about there both ways take as long.
MOST_LINES = 8
#: Threads that read the sectors of a location side by side.
LANES = (1, 2, 4)
#: Blocks, each of which takes its share.
_BLOCKS = 1024
#: What the flag takes of the workspace, so that the copy begins with a sector.
_FLAG_BYTES = SECTOR_BYTES


@dataclass(frozen=True)
class PixelCopy:
    """The copy for one concrete call.

    Attributes:
        items: the batch size.
        channels: of each item.
        sizes: of x, spatial.
        locations: of each item.
        itemsize: bytes of an element.
    """

    items: int
    channels: int
    sizes: tuple[int, ...]
    locations: int
    itemsize: int

    @property
    def sectors(self) -> int:
        """Sectors of a pixel."""
        return -(-self.channels * self.itemsize // SECTOR_BYTES)

    @property
    def nbytes(self) -> int:
        """Bytes of the copy."""
        return self.items * prod(self.sizes) * self.sectors * SECTOR_BYTES

    @property
    def _limit(self) -> int:
        return MOST_COPIED * self.items * self.channels * self.locations * self.itemsize

    @property
    def may_pay(self) -> bool:
        """Whether the copy may be worth its cost for this shape or a smaller one."""
        has_kernels = len(self.sizes) in (2, 3)
        is_large = self.items * self.channels * self.locations >= ENOUGH_ELEMENTS
        fills_sectors = self.channels * self.itemsize >= ENOUGH_CHANNEL_BYTES
        return has_kernels and is_large and fills_sectors and self.nbytes > 0

    @property
    def may_be_made(self) -> bool:
        """Whether the grid is looked at, and the copy made if that is scattered."""
        return self.may_pay and self.nbytes <= self._limit

    @property
    def workspace_bytes(self) -> int:
        """The flag and the copy, for this shape or a smaller one."""
        return _FLAG_BYTES + min(self.nbytes, self._limit) if self.may_pay else 0


def copy_for(x: TensorDesc, grid: TensorDesc) -> PixelCopy:
    """The copy for a concrete x and grid."""
    items, channels, *sizes = map(int, x.shape)
    locations = prod(map(int, grid.shape[1:-1]))
    return PixelCopy(items, channels, tuple(sizes), locations, x.dtype.itemsize)


def in_pixels(
    plugin: GridSample,
    tensors: tuple[TensorDesc, TensorDesc, TensorDesc],
    copy: PixelCopy,
    workspace: Workspace,
) -> tuple[Launch, Launch]:
    """The launches that look at the grid and make the copy, and that sample it.

    Args:
        plugin: the plugin.
        tensors: x, grid and y.
        copy: one that may be made.
        workspace: the flag, which says whether it was made, and the copy.
    """
    x, grid, y = tensors
    flag, pixels = workspace.split((_FLAG_BYTES, copy.nbytes))
    axes = len(copy.sizes)
    sizes = int32([1] * (3 - axes) + list(copy.sizes))
    step = copy.sectors * SECTOR_BYTES // copy.itemsize
    offset = offset_type(prod(copy.sizes) * step, copy.locations)
    lanes = next((lanes for lanes in LANES if copy.sectors <= lanes), LANES[-1])
    counts = copy.items, copy.channels, step
    parts = -(-copy.sectors // lanes)
    tiles, items, rounds = _shared_out(-(-prod(copy.sizes) * lanes // THREADS), copy.items, parts)
    collect = Launch(
        plugin.collect_pixels,
        grid=(tiles, rounds, items),
        block=THREADS,
        args=(
            *(flag, pixels, x, grid, sizes, int64(copy.locations)),
            *map(int32, (*counts, MOST_LINES)),
        ),
        constants={"AXES": axes, "LANES": lanes},
    )
    sample = Launch(
        plugin.sample_pixels,
        # One item after the other, so that the L2 cache holds what is read several times.
        grid=_shared_out(-(-copy.locations * lanes // THREADS), parts, copy.items),
        block=THREADS,
        args=(y, flag, pixels, grid, sizes, offset(copy.locations), *map(int32, counts)),
        constants={"AXES": axes, "LANES": lanes, "OFFSET": offset.cpp},
    )
    return collect, sample


def _shared_out(*counts: int) -> tuple[int, ...]:
    """Blocks for each count, _BLOCKS at the most, for the first as many as there is work for."""
    blocks: list[int] = []
    left = _BLOCKS
    for count in counts:
        blocks.append(max(min(count, left), 1))
        left //= blocks[-1]
    return tuple(blocks)
