"""The launches of GridSample.

Two and three spatial axes have kernels in CUDA C++: kernel.cu, and those of pixel_copy.cu if a
copy of x may be worth its cost. Any other number of axes has a kernel in numba.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING

from pluginkit import (
    Launch,
    TensorDesc,
    Workspace,
    bfloat16,
    ceil_div,
    dim_max,
    int32,
    int64,
    known,
    offset_type,
    product,
    where,
)
from pluginkit.plugins._cuda.division import divisor_of
from pluginkit.plugins.grid_sample.pixel_copy import (
    FEW_LOCATIONS,
    LINE_BYTES,
    SECTOR_BYTES,
    THREADS,
    PixelCopy,
    copy_for,
    in_pixels,
)
from pluginkit.plugins.grid_sample.reference import FAR, PADDINGS, TAPS, Mode, Padding

if TYPE_CHECKING:
    from pluginkit.plugins.grid_sample import GridSample

#: The constants that the kernels in CUDA C++ share with Python.
DEFINES = {
    "Mode": Mode,
    "Padding": Padding,
    "FAR_PIXELS": FAR,
    "THREADS": THREADS,
    "SECTOR_BYTES": SECTOR_BYTES,
    "LINE_BYTES": LINE_BYTES,
}

#: The threads of a tile, along and across rows.
TILE = (32, 8)
#: The most channels of a thread: enough to pay for the computation of its coordinates, and few
#: enough that the channels in progress stay in the L2 cache.
LONGEST_RUN = 16
#: The fewest, if there are so many: two channels find their coordinates once, and load together.
SHORTEST_RUN = 2
#: With this many blocks a GPU is busy.
ENOUGH_BLOCKS = 512
#: With at most so many output elements every instruction counts, and with at most so many channels,
#: all of which a thread takes.
FEW_ELEMENTS, FEW_CHANNELS = 2**21, 4
#: At most so many locations of an item do not fill tiles where there may be a copy.
_FEWEST_LOCATIONS = 128
#: The channels of a thread then, if there remain so many threads, and if runs have at most a
#: quarter more channels than there are: the last run begins earlier, and finds some again.
FEW_RUNS, _FEW_THREADS = (4, 3, 2, 1), 2**16
#: So many threads more than there is work for take longer than to divide by sizes.
_SPARE = 2**18
#: Lanes of a warp that are for several channels read lines of the cache that lie apart, which a
#: multiprocessor looks up one after the other. At most so many threads of that kind are in smaller
#: blocks, for more multiprocessors.
_LANES, _MOST_APART, _THREADS_APART = 32, 2**13, 64
#: CUDA's limit of blocks along the second and third dimension of a grid.
MAX_BLOCKS = 65535


def launches_of(
    plugin: GridSample, x: TensorDesc, grid: TensorDesc, y: TensorDesc, workspace: Workspace
) -> Sequence[Launch]:
    """Return kernels in CUDA C++ for two and three spatial axes, and in numba for other numbers."""
    if x.ndim not in (4, 5):
        return (in_numba(plugin, x, grid, y),)
    copy = copy_for(x, grid)
    if _are_few(plugin, x, y, copy):
        return (_few(plugin, x, grid, y),)
    if not copy.may_be_made:
        return (_in_planes(plugin, x, grid, y, None),)
    collect, sample = in_pixels(plugin, (x, grid, y), copy, workspace)
    return collect, _in_planes(plugin, x, grid, y, workspace), sample


def _in_planes(
    plugin: GridSample, x: TensorDesc, grid: TensorDesc, y: TensorDesc, flag: Workspace | None
) -> Launch:
    """Return the launch of kernel.cu, which does nothing if ``flag`` is set on the device."""
    items, channels, *sizes = map(known, x.shape)
    out_sizes = [known(size) for size in y.shape[2:]]
    is_light = len(sizes) == 2 and plugin.mode != "cubic"
    layout = layout_of(items, channels, out_sizes, x.dtype.itemsize, is_light)
    offset = offset_type(product(sizes), product(out_sizes))
    return Launch(
        plugin.kernel,
        grid=layout.grid,
        block=layout.block,
        args=(
            *(y, x, grid),
            int32([1] * (3 - len(sizes)) + sizes),
            *map(offset, (layout.width, layout.rows, layout.tiles)),
            *map(int32, (items, channels, layout.run)),
            flag,
        ),
        constants={
            "AXES": len(sizes),
            "PACK": layout.pack,
            "OFFSET": offset.cpp,
        },
    )


def _are_few(plugin: GridSample, x: TensorDesc, y: TensorDesc, copy: PixelCopy) -> bool:
    """Whether ``sample_few`` of kernel.cu suits a call: two axes, up to four taps, little to do.

    Or there are few locations: its blocks take many channels of these.
    """
    if x.ndim != 4 or plugin.mode == "cubic":
        return False
    are_few_channels = known(x.shape[1]) <= FEW_CHANNELS and not copy.may_be_made
    few = _FEWEST_LOCATIONS if copy.may_be_made else FEW_LOCATIONS
    are_few_locations = known(product(y.shape[2:])) <= few
    return known(y.size) <= FEW_ELEMENTS or are_few_channels or are_few_locations


def _few(plugin: GridSample, x: TensorDesc, grid: TensorDesc, y: TensorDesc) -> Launch:
    items, channels, height, width = map(known, x.shape)
    locations = known(product(y.shape[2:]))
    wanted = (run for run in FEW_RUNS if 4 * run * -(-channels // run) <= 5 * channels)
    run = next((run for run in wanted if known(y.size) >= _FEW_THREADS * run), 1)
    offset, runs = offset_type(x.size, y.size), -(-channels // run)
    adjacent = where(height * width * x.dtype.itemsize < LINE_BYTES, _LANES, locations)
    apart = where(adjacent < _LANES, locations * runs * items, _MOST_APART + 1)
    threads = where(apart <= _MOST_APART, _THREADS_APART, THREADS)
    columns = threads  # threads for locations, a power of two
    for power in range(THREADS.bit_length() - 2, -1, -1):
        columns = where(locations <= 2**power, 2**power, columns)
    across, down = ceil_div(locations, columns), ceil_div(runs, threads // columns)
    spare = known((across * down * threads - locations * runs) * items)
    is_flat = bool(known(dim_max(spare - _SPARE, items - MAX_BLOCKS, down - MAX_BLOCKS)) > 0)
    return Launch(
        plugin.sample_few,
        grid=ceil_div(locations * runs * items, THREADS) if is_flat else (across, down, items),
        block=THREADS if is_flat else (columns, threads // columns),
        args=(
            *(y, x, grid),
            *map(int32, (channels, height, width)),
            *map(divisor_of, (locations, runs)),
            int64(items),
        ),
        constants={"RUN": run, "FLAT": is_flat, "OFFSET": offset.cpp},
    )


def in_numba(plugin: GridSample, x: TensorDesc, grid: TensorDesc, y: TensorDesc) -> Launch:
    """Return the launch of a numba kernel, with a thread for each element of y."""
    items, channels, *sizes = x.shape
    locations, axes = product(y.shape[2:]), len(sizes)
    name = "nearest" if plugin.mode == "nearest" else "interpolate"
    name += "_bfloat16" * (name == "interpolate" and x.dtype is bfloat16)
    name += "_at_bfloat16" * (grid.dtype is bfloat16)
    return Launch(
        getattr(plugin, name),
        grid=ceil_div(y.size, THREADS),
        block=THREADS,
        args=(
            y.reshape(items * channels, locations),
            x.reshape(items * channels, product(sizes)),
            grid.reshape(items, locations, axes),
            int64((channels, *sizes)),
            TAPS[plugin.mode],
            PADDINGS.index(plugin.padding_mode),
            plugin.align_corners,
        ),
    )


@dataclass(frozen=True)
class TileLayout:
    """How the kernel of two and three spatial axes is launched.

    Attributes:
        width: the locations of a row; rows are along the last axis, or there is a single one.
        rows: the rows of a batch item.
        pack: how many adjacent locations a thread takes.
        block: the threads along and across rows.
        run: the channels of a thread.
        grid: the blocks for locations, runs and batch items.
    """

    width: int
    rows: int
    pack: int
    block: tuple[int, int]
    run: int
    grid: tuple[int, int, int]

    @property
    def tiles(self) -> int:
        """The tiles along a row."""
        return -(-self.width // (self.block[0] * self.pack))


def layout_of(
    items: int, channels: int, out_sizes: Sequence[int], itemsize: int, is_light: bool
) -> TileLayout:
    """Return the layout of a call with static shapes.

    A block is a tile of 32 x 8 threads, or a row of 256 if tiles would have over a quarter more
    locations than the output. Threads take pairs of two-byte elements. Channels are split into runs
    of at most LONGEST_RUN, and shorter ones if there would be too few blocks, down to SHORTEST_RUN.

    Args:
        items: the batch size.
        channels: the channels of an item.
        out_sizes: the output's spatial sizes.
        itemsize: the bytes of an element.
        is_light: whether a location needs few registers, as it does for up to four taps.
    """
    width, rows = out_sizes[-1], prod(out_sizes[:-1])
    pack = 2 if itemsize == 2 and is_light and width * rows % 2 == 0 else 1
    block = TILE
    blocks = _blocks(width, rows, pack, block)
    if width % pack or 4 * blocks * THREADS * pack > 5 * width * rows:
        width, rows, block = width * rows, 1, (THREADS, 1)
        blocks = _blocks(width, rows, pack, block)
    wanted = -(-ENOUGH_BLOCKS // max(blocks * items, 1))
    splits = max(-(-channels // LONGEST_RUN), min(channels, wanted), 1)
    run = max(-(-channels // splits), -(-channels // MAX_BLOCKS), min(channels, SHORTEST_RUN), 1)
    grid = blocks, -(-channels // run), min(items, MAX_BLOCKS)
    return TileLayout(width, rows, pack, block, run, grid)


def _blocks(width: int, rows: int, pack: int, block: tuple[int, int]) -> int:
    return -(-width // (block[0] * pack)) * -(-rows // block[1])
