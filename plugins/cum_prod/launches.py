"""The launches of CumProd: lanes for each of many short rows, or blocks for long ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pluginkit import (
    Launch,
    Step,
    TensorDesc,
    Workspace,
    ceil_div,
    dim_max,
    dim_min,
    int64,
    known,
    product,
)
from pluginkit.plugins._cuda.clear import clear_launch

if TYPE_CHECKING:
    from pluginkit.plugins.cum_prod import CumProd

#: The adjacent elements of a thread.
_ITEMS = 8
#: How many lanes take a contiguous row of no more than their elements. One lane takes a row of up
#: to _SHORT elements that are not contiguous.
LANES, _SHORT = (1, 2, 4, 8, 16, 32), 64
_THREADS = 256
#: The adjacent rows of a block whose elements are not contiguous.
_ROWS = 32
#: With this many blocks a large GPU is busy; fewer rows are shared.
_BUSY_BLOCKS = 792
#: So many blocks run at once on any GPU.
_FEW_BLOCKS = 48
#: The bytes of one product in the workspace.
_PRODUCT_BYTES = 8

#: The constants that the kernels share with Python.
DEFINES = {"ITEMS": _ITEMS, "THREADS": _THREADS}


def _sizes(plugin: CumProd, x: TensorDesc) -> tuple[int, int, int]:
    """Return the rows, their size, and how far apart their elements are."""
    axis = x.axis(plugin.axis)
    inner = known(product(x.shape[axis + 1 :]))
    return known(product(x.shape[:axis])) * inner, known(x.shape[axis]), inner


def _lanes(size: int, inner: int) -> int:
    """Return how many lanes take a row; 0 where blocks do."""
    if inner > 1:
        return 1 if size <= _SHORT else 0
    return next((lanes for lanes in LANES[1:] if size <= lanes * _ITEMS), 0)


def _grid(x: TensorDesc, rows: int, size: int, inner: int) -> tuple[int, int]:
    """Return how many blocks there are beside each other, and how many share a row."""
    if _is_few(x, rows, size, inner):
        return rows, known(ceil_div(size, _THREADS * _ITEMS))
    of_block = 1 if inner == 1 else _ROWS
    blocks, tile = known(ceil_div(rows, of_block)), _THREADS // of_block * _ITEMS
    return blocks, known(dim_max(1, dim_min(_BUSY_BLOCKS // dim_max(blocks, 1), size // tile)))


def _is_few(x: TensorDesc, rows: int, size: int, inner: int) -> bool:
    """Whether each block takes a tile and waits for earlier ones, whose product is one word."""
    tile = _THREADS * _ITEMS
    is_long = inner == 1 and size >= 2 * tile
    return is_long and x.dtype is not int64 and rows * ceil_div(size, tile) <= _FEW_BLOCKS


def workspace_bytes(plugin: CumProd, x: TensorDesc) -> int:
    """Return room for the product of each part where blocks share rows."""
    rows, size, inner = _sizes(plugin, x)
    parts = 1 if _lanes(size, inner) else _grid(x, rows, size, inner)[1]
    return rows * parts * _PRODUCT_BYTES if parts > 1 else 0


def steps_of(plugin: CumProd, x: TensorDesc, y: TensorDesc, workspace: Workspace) -> Sequence[Step]:
    """Return the launches."""
    rows, size, inner = _sizes(plugin, x)
    sizes = (int64(rows), int64(size), int64(inner))
    whole = (*sizes, plugin.exclusive, plugin.reverse)
    if lanes := _lanes(size, inner):
        blocks, of_lanes = ceil_div(rows * lanes, _THREADS), {"LANES": lanes}
        return (Launch(plugin.lane_kernel, blocks, _THREADS, (y, x, *whole), constants=of_lanes),)
    grid, down = _grid(x, rows, size, inner), {"DOWN": inner > 1}
    products = workspace.first(rows * grid[1] * _PRODUCT_BYTES) if grid[1] > 1 else None
    if products is not None and _is_few(x, rows, size, inner):
        clear = clear_launch(plugin.clear_kernel, products)
        return clear, Launch(plugin.tile_kernel, grid, _THREADS, (y, x, products, *whole))
    scan = Launch(plugin.scan_kernel, grid, _THREADS, (y, x, products, *whole), constants=down)
    if products is None:
        return (scan,)
    parts = (products, x, *sizes, plugin.reverse)
    return Launch(plugin.part_kernel, grid, _THREADS, parts, constants=down), scan
