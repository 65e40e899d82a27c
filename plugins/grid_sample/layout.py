"""How a call of GridSample is spread over a GPU.

With two and three spatial axes, the kernel in CUDA C++; with any other number, the one in numba,
which takes each of them alike and a thread for every element.

A block is a tile of 32 x 8 threads, or a row of 256 where tiles would cover over a quarter more
than the output has. Two-byte elements go in pairs. Channels are split into runs of at most 16, and
into shorter ones where there would be too few blocks to keep a GPU busy.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

#: Threads of a block.
THREADS = 256
#: Threads of a tile, along its rows and across.
TILE = (32, 8)
#: Channels of a thread: enough to make up for working out its coordinates, few enough that the
#: channels that are worked on at a time stay in the L2 cache.
LONGEST_RUN = 16
#: Blocks that keep a GPU busy.
ENOUGH_BLOCKS = 1024
#: Blocks along the second and third dimension of a grid, by CUDA's limit.
MAX_BLOCKS = 65535


@dataclass(frozen=True)
class Layout:
    """The launch of the kernel in CUDA C++.

    Attributes:
        width, rows: how the locations of a batch item are seen: their last axis and all others, or
            one row of all.
        pack: neighbouring locations of a thread.
        block: threads along and across rows.
        run: channels of a thread.
        grid: blocks for locations, runs and batch items.
    """

    width: int
    rows: int
    pack: int
    block: tuple[int, int]
    run: int
    grid: tuple[int, int, int]


def layout_of(
    items: int, channels: int, out_sizes: Sequence[int], itemsize: int, is_light: bool
) -> Layout:
    """The layout of one concrete call.

    Args:
        items: the batch size.
        channels: of each item.
        out_sizes: the output's spatial sizes.
        itemsize: bytes of an element.
        is_light: whether a location needs few registers: at most four taps.
    """
    width, rows = out_sizes[-1], prod(out_sizes[:-1])
    pack = 2 if itemsize == 2 and is_light and width * rows % 2 == 0 else 1
    block = TILE
    blocks = _blocks(width, rows, pack, block)
    if width % pack or blocks * THREADS * pack > 1.25 * width * rows:
        width, rows, block = width * rows, 1, (THREADS, 1)
        blocks = _blocks(width, rows, pack, block)
    wanted = -(-ENOUGH_BLOCKS // max(blocks * items, 1))
    splits = max(-(-channels // LONGEST_RUN), min(channels, wanted), 1)
    run = max(-(-channels // splits), -(-channels // MAX_BLOCKS), 1)
    grid = blocks, -(-channels // run), min(items, MAX_BLOCKS)
    return Layout(width, rows, pack, block, run, grid)


def _blocks(width: int, rows: int, pack: int, block: tuple[int, int]) -> int:
    return -(-width // (block[0] * pack)) * -(-rows // block[1])
