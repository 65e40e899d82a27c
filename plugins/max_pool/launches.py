"""The launch of MaxPool: a thread takes a strip of windows, or a warp or block large ones."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING

from pluginkit import (
    Launch,
    TensorDesc,
    ceil_div,
    dim_max,
    dim_min,
    int32,
    known,
    offset_type,
    product,
)
from pluginkit.plugins._cuda.division import divisor_of
from pluginkit.plugins.max_pool.windows import PooledAxis, windows_of

if TYPE_CHECKING:
    from pluginkit.plugins.max_pool import MaxPool

_THREADS = 128
#: The elements of a large window that a thread reads at once, and the windows below each other of
#: a strip: of so many that overlap much, in lines of at least so many or of whole sectors.
_AT_ONCE = 4
ROWS, _MANY_WINDOWS = (1, _AT_ONCE), 2**17
_NARROW, _SECTOR = 16, 8
#: The blocks of a multiprocessor whose threads have 128 registers each: a GPU has room for all
#: of few windows then, which wait for memory once.
_FEW_BLOCKS = 4
#: What the kernels share with Python.
DEFINES = {"THREADS": _THREADS, "AT_ONCE": _AT_ONCE, "FEW_BLOCKS": _FEW_BLOCKS}
#: The threads of a block that takes a tile of large windows; how many of these lie beside each
#: other, at least and at most, for tiles as high as a plane; the fewest of a plane that are tiles.
_TILE_THREADS, _TILE_COLUMNS, _FEWEST = 256, (4, 16), 32
TILE_DEFINES = {"TILE_THREADS": _TILE_THREADS}
#: The bytes of a line's greatest element and its place, and those of a tile at most.
_BEST_BYTES, _SHARED_BYTES = 8, 48 * 1024
#: Denormals are not equal to 0.
KEEP_DENORMALS = ("-ftz=false",)
#: With so many elements, or so many along x, a window is shared by a warp, or by a block.
_LARGE, _WIDE, _HUGE = 128, 16, 2048
#: The threads that share a large window.
TEAMS = (32, _THREADS)
#: The windows beside each other of a strip: one if so many of so many bytes, or so few, share no
#: elements.
COLUMNS = (2, 1)
_MANY, _MANY_BYTES, _FEW = 2**18, 4, 2**16
#: Two such windows are apart if they have at most so many elements each, there are so many, and
#: elements have fewer bytes or lines are narrow.
_SMALL, _MANY_SMALL = 9, 2**18
#: A warp shares a window of at least so many elements if there are fewer windows than so many for
#: each element, which a thread alone would take one after the other. Fewer and larger blocks begin
#: sooner.
_SHARED, _FEW_SHARED, _FEW_THREADS = 20, 2**7, 256
FEW_DEFINES = {"FEW_THREADS": _FEW_THREADS}
#: The most elements of a row, and the bytes of a plane, that one load reads.
_PACK = 16
#: The bytes of the packs of a large window that is a plane, 1 for single
#: elements, 0 if it is none.
PACK_BYTES = (0, 1, _PACK)
#: An axis that x lacks.
_ALONE = PooledAxis(1, 1, 1, 1, 1, 0)


def is_large(plugin: MaxPool) -> bool:
    """Return whether several threads share a window."""
    return prod(plugin.kernel_shape) >= _LARGE or plugin.kernel_shape[-1] > _WIDE


def geometry_of(plugin: MaxPool) -> tuple[int, ...]:
    """Return max_pool's template arguments from RANK on."""
    rank = len(plugin.kernel_shape)
    if is_large(plugin):
        return rank, *(1,) * 10, 0, 0
    steps = plugin.steps(plugin.strides), plugin.steps(plugin.dilations)
    sizes = [(*(1,) * (3 - rank), *each) for each in (plugin.kernel_shape, *steps)]
    stride = steps[0][-1]
    pads = plugin.pads if plugin.pads and plugin.auto_pad == "NOTSET" else (0,) * rank
    phase = pads[rank - 1] % _PACK
    is_padded = plugin.ceil_mode or plugin.auto_pad.startswith("SAME") or any(plugin.pads or ())
    pack = min(stride & -stride, _PACK)
    return rank, *(number for each in sizes for number in each), pack, phase, int(is_padded)


def columns_of(plugin: MaxPool, column: PooledAxis, y: TensorDesc) -> int:
    """Return the windows beside each other of a strip: two if loads of them are aligned."""
    count = known(y.size)
    is_many = y.dtype.itemsize >= _MANY_BYTES and count >= _MANY
    if column.stride >= column.kernel and (is_many or count < _FEW):
        return 1
    *_, pack, phase, _ = plugin.geometry
    pair = min(2 * pack, _PACK)
    is_aligned = (
        known(column.count) % 2 == 0
        and known(column.size) % pair == 0
        and (known(column.pad) - phase) % pair == 0
    )
    return 2 if column.dilation == 1 and column.stride <= column.kernel and is_aligned else 1


def rows_of(row: PooledAxis, column: PooledAxis, y: TensorDesc) -> int:
    """Return the windows below each other of a strip."""
    beside = known(column.count)
    is_sliding = row.kernel > 2 * row.stride and row.dilation == 1
    is_dense = beside >= _NARROW or beside % _SECTOR == 0
    return ROWS[is_sliding and is_dense and known(y.size) >= _MANY_WINDOWS]


def is_whole(axis: PooledAxis) -> bool:
    """Return whether the only window along an axis has all of its elements."""
    has_all = axis.dilation == 1 and axis.kernel - known(axis.pad) >= known(axis.size)
    return has_all and known(axis.count) == 1


def _tiles(row: PooledAxis, column: PooledAxis) -> tuple[int, int, int, int] | None:
    """Return the kernel's Tile; None where windows have too few lines in common, or too many."""
    counts = known(row.count), known(column.count)
    if row.kernel < 2 * row.stride or counts[0] * counts[1] < _FEWEST:
        return None
    most = dim_max(dim_min(_TILE_THREADS // counts[0], _TILE_COLUMNS[1]), _TILE_COLUMNS[0])
    across = known(ceil_div(counts[1], most))
    width = known(ceil_div(counts[1], across))
    height = known(dim_min(_TILE_THREADS // width, counts[0]))
    rows = known((height - 1) * row.stride + (row.kernel - 1) * row.dilation + 1)
    if width * rows * _BEST_BYTES > _SHARED_BYTES:
        return None
    return width, rows, across, known(ceil_div(counts[0], _TILE_THREADS // width))


def launch_of(plugin: MaxPool, x: TensorDesc, y: TensorDesc, indices: TensorDesc) -> Launch:
    """Return one launch with a thread for each strip, or a warp or a block for each window."""
    windows = windows_of(plugin, x)
    layer, row, column = axes = [*[_ALONE] * (3 - len(windows)), *windows]
    numbers = int32([number for each in axes for number in each.numbers()])
    offset = offset_type(x.size, y.size)
    constants: dict[str, str | int] = {"OFFSET": offset.cpp}
    if is_large(plugin):
        tiles = _tiles(row, column)
        if tiles is not None:
            slabs = known(x.shape[0] * x.shape[1] * layer.count)
            windows_across, rows, across, down = tiles
            return Launch(
                plugin.tile_kernel,
                slabs * across * down,
                _TILE_THREADS,
                (y, indices, x, numbers, int32(tiles), divisor_of(windows_across)),
                shared_bytes=windows_across * rows * _BEST_BYTES,
                constants=constants,
            )
        team = TEAMS[prod(plugin.kernel_shape) >= _HUGE]
        divisors = [divisor_of(each.count) for each in (column, row, layer)]
        plane_bytes = known(product(x.shape[2:])) * x.dtype.itemsize
        pack = 0
        if all(map(is_whole, windows)):
            pack = _PACK if plane_bytes % _PACK == 0 else 1
        return Launch(
            plugin.large_kernel,
            ceil_div(y.size, _THREADS // team),
            _THREADS,
            (y, indices, x, numbers, *divisors, offset(y.size)),
            constants={**constants, "TEAM": team, "PACK_BYTES": pack},
        )
    elements, count = prod(plugin.kernel_shape), known(y.size)
    if count < _FEW_SHARED * elements and elements >= _SHARED:
        divisors = [divisor_of(each.count) for each in (column, row, layer)]
        return Launch(
            plugin.few_kernel,
            ceil_div(count, _FEW_THREADS // 32),
            _FEW_THREADS,
            (y, indices, x, numbers, *divisors, offset(count)),
            constants=constants,
        )
    columns, rows, is_apart = columns_of(plugin, column, y), rows_of(row, column, y), False
    if columns == rows == 1 and count >= _MANY_SMALL and elements <= _SMALL:
        is_wide = y.dtype.itemsize >= _MANY_BYTES and known(column.count) >= _NARROW
        is_apart = layer.kernel == 1 and not plugin.geometry[-1] and not is_wide
    counts = column.count // columns, ceil_div(row.count, rows), layer.count
    strips = known(x.shape[0] * x.shape[1] * product(counts))
    items = ceil_div(strips, 1 + is_apart)
    return Launch(
        plugin.kernel,
        ceil_div(items, _THREADS),
        _THREADS,
        (y, indices, x, numbers, *map(divisor_of, counts), offset(items), offset(strips)),
        constants={
            **constants,
            "ROWS": rows,
            "COLUMNS": columns + is_apart,
            "APART": is_apart,
            "FEW": count < _FEW,
        },
    )
