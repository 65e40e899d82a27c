"""Sample from a copy of x in which the channels of a pixel are contiguous; see pixel_copy.cu.

Making the copy reads and writes x once. It is made only if the grid is scattered: if the 32
adjacent locations of a warp read from more than MOST_LINES lines of 128 bytes, on average over some
warps. Finding that out costs two launches, which overlap with others where the GPU can, and is done
only for large outputs with enough channels.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING

from pluginkit import (
    Dim,
    Launch,
    TensorDesc,
    Workspace,
    ceil_div,
    dim_min,
    int32,
    int64,
    known,
    offset_type,
    product,
)

if TYPE_CHECKING:
    from pluginkit.plugins.grid_sample import GridSample

#: The threads of a block, in every kernel.
THREADS = 256
#: The least that a load fetches from memory, and a line of the cache, in bytes.
SECTOR_BYTES, LINE_BYTES = 32, 128
#: From this many output elements, and bytes of a pixel's channels, on sampling the grid pays off;
#: where items have few locations, whose pixels mostly are in the L1 cache, from the second number.
ENOUGH_ELEMENTS, ENOUGH_OF_FEW, FEW_LOCATIONS = 2**21, 2**24, 1024
ENOUGH_CHANNEL_BYTES = 3 * SECTOR_BYTES // 4
#: The size of the largest copy, as a multiple of the output's.
MOST_COPIED = 2
#: Locations of a warp that read from more lines than this are scattered. At this number both
#: methods are about equally fast.
MOST_LINES = 8
#: The threads that read the sectors of a location, one each.
LANES = (1, 2, 4)
#: The number of blocks that share the work.
_BLOCKS = 1024
#: The size of the flag in the workspace: a sector, so that the copy is aligned to sectors.
_FLAG_BYTES = SECTOR_BYTES


@dataclass(frozen=True)
class PixelCopy:
    """The copy for a call with static shapes.

    Attributes:
        items: the batch size.
        channels: the channels of an item.
        sizes: the spatial sizes of x.
        locations: the locations of an item.
        itemsize: the bytes of an element.
    """

    items: int
    channels: int
    sizes: tuple[int, ...]
    locations: int
    itemsize: int

    @property
    def sectors(self) -> int:
        """The sectors of a pixel."""
        return -(-self.channels * self.itemsize // SECTOR_BYTES)

    @property
    def nbytes(self) -> int:
        """The size of the copy in bytes."""
        return self.items * prod(self.sizes) * self.sectors * SECTOR_BYTES

    @property
    def _limit(self) -> int:
        return MOST_COPIED * self.items * self.channels * self.locations * self.itemsize

    @property
    def may_pay(self) -> bool:
        """Whether the copy may be worth its cost for this shape or a smaller one."""
        has_kernels = len(self.sizes) in (2, 3)
        enough = ENOUGH_ELEMENTS if self.locations > FEW_LOCATIONS else ENOUGH_OF_FEW
        is_large = self.items * self.channels * self.locations >= enough
        fills_sectors = self.channels * self.itemsize >= ENOUGH_CHANNEL_BYTES
        return has_kernels and is_large and fills_sectors and self.nbytes > 0

    @property
    def may_be_made(self) -> bool:
        """Whether to sample the grid, and to make the copy if the grid is scattered."""
        return self.may_pay and self.nbytes <= self._limit

    @property
    def workspace_bytes(self) -> int:
        """The bytes of the flag and the copy, for this shape and smaller ones."""
        return _FLAG_BYTES + min(self.nbytes, self._limit) if self.may_pay else 0


def copy_for(x: TensorDesc, grid: TensorDesc) -> PixelCopy:
    """Return the copy for static shapes of x and grid."""
    items, channels, *sizes = map(known, x.shape)
    locations = prod(map(known, grid.shape[1:-1]))
    return PixelCopy(items, channels, tuple(sizes), locations, x.dtype.itemsize)


def copy_bound(x: TensorDesc, grid: TensorDesc) -> Dim:
    """Return at least the bytes of the flag and the copy, from shapes that may be symbolic."""
    items, channels, *sizes = x.shape
    itemsize = x.dtype.itemsize
    sectors = ceil_div(channels * itemsize, SECTOR_BYTES)
    nbytes = items * product(sizes) * sectors * SECTOR_BYTES
    limit = MOST_COPIED * items * channels * product(grid.shape[1:-1]) * itemsize
    return _FLAG_BYTES + dim_min(nbytes, limit)


def in_pixels(
    plugin: GridSample,
    tensors: tuple[TensorDesc, TensorDesc, TensorDesc],
    copy: PixelCopy,
    workspace: Workspace,
) -> tuple[Launch, Launch]:
    """Return the launch that samples the grid and makes the copy, and the one that reads the copy.

    Args:
        plugin: the plugin.
        tensors: x, grid and y.
        copy: the copy, which may be made.
        workspace: memory for the flag, which says whether the copy was made, and for the copy.
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
        # One item after the other, so that data that is read several times stays in the L2 cache.
        grid=_shared_out(-(-copy.locations * lanes // THREADS), parts, copy.items),
        block=THREADS,
        args=(y, flag, pixels, grid, sizes, offset(copy.locations), *map(int32, counts)),
        constants={"AXES": axes, "LANES": lanes, "OFFSET": offset.cpp},
    )
    return collect, sample


def _shared_out(*counts: int) -> tuple[int, ...]:
    """Distribute at most _BLOCKS blocks to several counts of tasks, in this order."""
    blocks: list[int] = []
    left = _BLOCKS
    for count in counts:
        blocks.append(max(min(count, left), 1))
        left //= blocks[-1]
    return tuple(blocks)
