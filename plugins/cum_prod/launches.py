"""The launches of CumProd: a thread for each of many rows, or blocks for few long ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pluginkit import Launch, Step, TensorDesc, Workspace, ceil_div, int64, known, product

if TYPE_CHECKING:
    from pluginkit.plugins.cum_prod import CumProd

#: Where threads take rows: those of a block, and the elements of a row in a tile.
_ROW_THREADS, _WIDTH = 128, 32
#: Where blocks take rows: their threads, and the adjacent elements of a thread.
_SCAN_THREADS, _ITEMS = 256, 8
_TILE = _SCAN_THREADS * _ITEMS
#: Longer rows are taken by blocks, unless with so many threads a large GPU is busy with threads
#: that read adjacent elements.
_SHORT, _MANY = 256, 16384
#: With this many blocks a large GPU is busy; fewer rows are shared.
_BUSY_BLOCKS = 528
#: The bytes of one product in the workspace.
_PRODUCT_BYTES = 8

#: The constants that the kernels share with Python.
ROW_DEFINES = {"THREADS": _ROW_THREADS, "WIDTH": _WIDTH}
SCAN_DEFINES = {"THREADS": _SCAN_THREADS, "ITEMS": _ITEMS}


def _sizes(plugin: CumProd, x: TensorDesc) -> tuple[int, int, int]:
    """Return the rows, their size, and how far apart their elements are."""
    axis = x.axis(plugin.axis)
    inner = known(product(x.shape[axis + 1 :]))
    return known(product(x.shape[:axis])) * inner, known(x.shape[axis]), inner


def _parts(rows: int, size: int, inner: int) -> int:
    """Return how many blocks take a row; 0 where a thread does."""
    if rows == 0 or size <= _SHORT or (inner > 1 and rows >= _MANY):
        return 0
    return max(1, min(_BUSY_BLOCKS // rows, size // _TILE))


def workspace_bytes(plugin: CumProd, x: TensorDesc) -> int:
    """Return room for the product of each part where blocks share rows."""
    rows, *sizes = _sizes(plugin, x)
    parts = _parts(rows, *sizes)
    return rows * parts * _PRODUCT_BYTES if parts > 1 else 0


def steps_of(plugin: CumProd, x: TensorDesc, y: TensorDesc, workspace: Workspace) -> Sequence[Step]:
    """Return the launches."""
    rows, size, inner = _sizes(plugin, x)
    parts, flags = _parts(rows, size, inner), (plugin.exclusive, plugin.reverse)
    if parts == 0:
        grid = ceil_div(rows, _ROW_THREADS)
        sizes = (int64(rows), int64(size))
        if inner > 1:
            of_inner = (y, x, *sizes, int64(inner), *flags)
            return (Launch(plugin.inner_kernel, grid, _ROW_THREADS, of_inner),)
        return (Launch(plugin.row_kernel, grid, _ROW_THREADS, (y, x, *sizes, *flags)),)
    products = workspace.first(rows * parts * _PRODUCT_BYTES) if parts > 1 else None
    lengths, grid_of_parts = (int64(size), int64(inner)), (rows, parts)
    scan = Launch(
        plugin.scan_kernel, grid_of_parts, _SCAN_THREADS, (y, x, products, *lengths, *flags)
    )
    if products is None:
        return (scan,)
    arguments = (products, x, *lengths, plugin.reverse)
    return Launch(plugin.part_kernel, grid_of_parts, _SCAN_THREADS, arguments), scan
