"""The launches of CumProd: lanes for each of many short rows, or blocks for long ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pluginkit import (
    Copy,
    Dim,
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
from pluginkit.plugins._cuda.clear import clear_launch

if TYPE_CHECKING:
    from pluginkit.plugins.cum_prod import CumProd

#: The adjacent elements of a thread.
_ITEMS = 8
#: How many lanes take a contiguous row of no more than their elements.
LANES = (2, 4, 8, 16, 32)
#: A thread takes rows of up to so many elements that are not contiguous, of no more where they are
#: fewer than so many: as many adjacent ones as a vector of so many bytes has elements, if there are
#: at least so many rows, or one.
_SHORT, _MANY_SHORT, _VECTOR_BYTES, _MANY_ROWS = 64, 2**15, 16, 2**19
_THREADS = 256
#: How many of them it loads and multiplies at once: as few as do it in no more turns.
AT_ONCE = (2, 4, 6, _ITEMS)
#: With fewer lanes than this, blocks of fewer threads are on more multiprocessors.
_MANY_LANES, _FEW_THREADS = 2**17, 64
#: The adjacent rows of a block whose elements are not contiguous, and how many it takes of each.
_ROWS = 32
_PART = _THREADS // _ROWS * _ITEMS
#: With this many blocks a large GPU is busy; fewer rows are shared.
_BUSY_BLOCKS = 792
#: So many blocks run at once on any GPU, and so few tiles multiply what those before them publish.
_FEW = 48
#: With more than so many small tiles, tiles are large.
_MANY = 1056
#: The bytes of a thread's elements of a large tile; those of 16 bits are multiplied as float32, and
#: count as such.
_LARGE_BYTES = 128
#: The bytes of one product in the workspace.
_PRODUCT_BYTES = 8

#: The constants that the kernels share with Python.
DEFINES = {"ITEMS": _ITEMS, "THREADS": _THREADS, "FEW_TILES": _FEW, "LARGE_BYTES": _LARGE_BYTES}


def _sizes(plugin: CumProd, x: TensorDesc) -> tuple[int, int, int]:
    """Return the rows, their size, and how far apart their elements are."""
    axis = x.axis(plugin.axis)
    inner = known(product(x.shape[axis + 1 :]))
    return known(product(x.shape[:axis])) * inner, known(x.shape[axis]), inner


def _lanes(rows: int, size: int, inner: int) -> int:
    """Return how many lanes take a row; 0 where blocks do."""
    if inner > 1:
        return 1 if size <= (_SHORT if rows >= _MANY_SHORT else _ITEMS) else 0
    return next((lanes for lanes in LANES if size <= lanes * _ITEMS), 0)


def _grid(rows: int, size: int, inner: int) -> tuple[int, int]:
    """Return how many blocks there are beside each other, and how many share rows."""
    if inner == 1:
        return rows, 1
    blocks = known(ceil_div(rows, _ROWS))
    return blocks, known(dim_max(1, dim_min(_BUSY_BLOCKS // dim_max(blocks, 1), size // _PART)))


def _tiles(x: TensorDesc, rows: int, size: int, inner: int) -> tuple[bool, int]:
    """Return whether tiles are large, and how many a row has; 0 where blocks do not share it."""
    tile = _THREADS * _ITEMS
    if inner > 1 or rows > _BUSY_BLOCKS // 2 or size < 2 * tile:
        return False, 0
    is_large = rows * ceil_div(size, tile) > _MANY
    of_tile = _THREADS * _LARGE_BYTES // max(x.dtype.itemsize, 4) if is_large else tile
    # Tiles begin at whole vectors; a row that does not may need one more.
    return is_large, known(ceil_div(size if size % _ITEMS == 0 else size + _ITEMS, of_tile))


def workspace_bytes(plugin: CumProd, x: TensorDesc) -> Dim:
    """Return room for the products of tiles or parts of these rows, and of any fewer or shorter."""
    axis = x.axis(plugin.axis)
    rows, size = product(x.shape[:axis]) * product(x.shape[axis + 1 :]), x.shape[axis]
    tiles = dim_min(rows, _BUSY_BLOCKS // 2) * ceil_div(size + _ITEMS, _THREADS * _ITEMS)
    parts = dim_min(rows * ceil_div(size, _PART), _BUSY_BLOCKS * _ROWS)
    products: Dim = dim_max(2 * tiles * (2 if x.dtype is int64 else 1), parts)
    return dim_min(1, size // (_SHORT + 1)) * _PRODUCT_BYTES * (1 + products)


def steps_of(plugin: CumProd, x: TensorDesc, y: TensorDesc, workspace: Workspace) -> Sequence[Step]:
    """Return the launches."""
    rows, size, inner = _sizes(plugin, x)
    sizes = (int64(rows), int64(size), int64(inner))
    directions = (plugin.exclusive, plugin.reverse)
    if size == 1 and not plugin.exclusive:
        return (Copy(y, x),)
    lanes = _lanes(rows, size, inner)
    if lanes and inner > 1:
        vector = _VECTOR_BYTES // x.dtype.itemsize
        is_vector = rows >= _MANY_ROWS and inner % vector == 0
        threads = _THREADS if rows >= _MANY_LANES else _FEW_THREADS
        blocks = ceil_div(rows, threads * (vector if is_vector else 1))
        at_once = next(each for each in AT_ONCE if size <= each * ceil_div(size, _ITEMS))
        return (
            Launch(
                plugin.column_kernel,
                blocks,
                threads,
                (y, x, *sizes, *directions),
                constants={"IS_VECTOR": is_vector, "AT_ONCE": at_once},
            ),
        )
    if lanes:
        threads = _THREADS if rows * lanes >= _MANY_LANES else _FEW_THREADS
        blocks, whole = ceil_div(rows * lanes, threads), (y, x, *sizes[:2], *directions)
        return (Launch(plugin.lane_kernel, blocks, threads, whole, constants={"LANES": lanes}),)
    is_large, tiles = _tiles(x, rows, size, inner)
    if tiles:
        words = rows * tiles * (2 if tiles > _FEW else 1) * (2 if x.dtype is int64 else 1)
        cleared = workspace.first((1 + words) * _PRODUCT_BYTES)
        blocks = rows * (tiles + 1 if tiles > _FEW else tiles)
        scan = Launch(
            plugin.tile_kernel,
            grid=blocks,
            block=_THREADS,
            args=(
                *(y, x, cleared.at(_PRODUCT_BYTES), cleared if blocks > _FEW else None),
                *(int64(size), int32(tiles), *directions),
            ),
            constants={"LARGE": is_large},
        )
        return clear_launch(plugin.clear_kernel, cleared), scan
    grid, down = _grid(rows, size, inner), {"DOWN": inner > 1}
    products = workspace.first(rows * grid[1] * _PRODUCT_BYTES) if grid[1] > 1 else None
    args = (y, x, products, *sizes, *directions)
    scan = Launch(plugin.scan_kernel, grid, _THREADS, args, constants=down)
    if products is None:
        return (scan,)
    return Launch(plugin.part_kernel, grid, _THREADS, (products, x, *sizes, plugin.reverse)), scan
