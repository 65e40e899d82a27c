"""The launches of AntialiasResize: one for both axes, or one for each."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

from pluginkit import (
    Copy,
    Dim,
    Launch,
    Scalar,
    Step,
    TensorDesc,
    Workspace,
    ceil_div,
    dim_max,
    dim_min,
    float32,
    int32,
    int64,
    known,
    product,
    where,
)
from pluginkit.plugins._cuda.division import divisor_of
from pluginkit.plugins.antialias_resize.axes import Coordinates, Filter, region_along

if TYPE_CHECKING:
    from pluginkit.plugins.antialias_resize import AntialiasResize

#: The kernels' Coordinates; ``kept`` is an axis that keeps its elements.
_Coordinates = Literal[Coordinates, "kept"]
_CODES = {name: code for code, name in enumerate(get_args(_Coordinates))}

_THREADS = 256
#: The columns of a thread in a pass along an axis with elements beside it, and the columns of x
#: that a thread of a tile reads at once.
_COLUMNS, VECTORS = 4, (4, 1)
#: The elements, or rows, of x that a thread reads before it sums them.
_TAPS = 4
#: The columns of a tile if the axis grows, and its rows.
_TILE_COLUMNS, _TILE_ROWS = 256, 16
#: The rows that lie beside each other in shared memory.
_QUAD = 4
#: With this many tiles a large GPU is busy. So many blocks take tiles of several planes, if of so
#: many that the weights count, which a block computes once.
_TILES, _BLOCKS, _SEVERAL = 528, 1056, 3
#: What a tile costs beside its elements, and an element of y beside those of x that go into it, if
#: a thread takes it alone; both in such elements of x.
_TILE_COST, _ELEMENT_COST = 8192, 10
#: The most elements for one along an axis of tiles, and the fewest that the warps of a block share.
_NEAR, _FAR = 8, 32
#: What a pass reads and writes.
STAGES = (0, 1, 2)

#: What the kernels share with Python.
SMALL_DEFINES = {"THREADS": _THREADS, "Filter": Filter, "Coordinates": _Coordinates}
PLANE_DEFINES = {**SMALL_DEFINES, "TAPS": _TAPS, "TILE_ROWS": _TILE_ROWS, "QUAD": _QUAD}
LINE_DEFINES = {**SMALL_DEFINES, "TAPS": _TAPS, "COLUMNS": _COLUMNS}


@dataclass(frozen=True)
class Side:
    """One of the two axes: how long it is before and after, and what the kernels get of it.

    Attributes:
        size, resized: its elements in x and in y.
        is_kept: whether they are the same; a condition on dimensions.
        is_cropped: whether its coordinates may begin and end anywhere.
        axis, region: the kernels' Axis and Region.
    """

    size: int
    resized: int
    is_kept: bool
    is_cropped: bool
    axis: Scalar
    region: Scalar

    @property
    def is_near(self) -> bool:
        """Whether few elements go into one, which lie beside those of the next."""
        return self.size <= _NEAR * self.resized

    def elements(self, reach: int) -> int:
        """Return about how many elements of x go into one of y."""
        return where(self.is_kept, 1, 2 * reach * known(ceil_div(self.size, self.resized)))


def _bits(value: float) -> int:
    found: int = struct.unpack("<q", struct.pack("<d", value))[0]
    return found


def _side(plugin: AntialiasResize, number: int, x: TensorDesc, y: TensorDesc) -> Side:
    axis = x.axis(plugin.axes[number])
    size, resized = known(x.shape[axis]), known(y.shape[axis])
    scale = plugin.scales[number] if plugin.scales is not None else 0.0
    start, end = region_along(plugin, number)
    mode = plugin.coordinate_transformation_mode
    is_kept = scale in (0.0, 1.0) and (start, end) == (0.0, 1.0) and size == resized
    code = where(is_kept, _CODES["kept"], _CODES[mode])
    return Side(
        size,
        resized,
        is_kept,
        mode == "tf_crop_and_resize",
        int32((size, resized, code, int(plugin.exclude_outside))),
        int64((_bits(scale), _bits(start), _bits(end))),
    )


def _kept(rows: int) -> Side:
    """Return rows as the axis that is kept beside another."""
    axis = int32((rows, rows, _CODES["kept"], 0))
    return Side(rows, rows, True, False, axis, int64((0, 0, 0)))


def workspace_of(plugin: AntialiasResize, x: TensorDesc, sizes: TensorDesc) -> Dim:
    """Return the bytes of x in float32 with the one axis resized that makes it smaller."""
    first, second = (x.axis(axis) for axis in plugin.axes)
    others = product([size for axis, size in enumerate(x.shape) if axis not in (first, second)])
    kept_second = sizes.values[0] * x.shape[second]
    kept_first = x.shape[first] * sizes.values[1]
    return others * dim_min(kept_second, kept_first) * 4


def steps_of(
    plugin: AntialiasResize, x: TensorDesc, y: TensorDesc, workspace: Workspace
) -> Sequence[Step]:
    """Return a launch that resizes both axes if it can, else one for each axis."""
    first, second = (x.axis(axis) for axis in plugin.axes)
    a, b = _side(plugin, 0, x, y), _side(plugin, 1, x, y)
    outer, between, inner = (
        known(product(x.shape[start:end]))
        for start, end in ((0, first), (first + 1, second), (second + 1, x.ndim))
    )
    if x.size == 0 or y.size == 0:
        return []
    beside = between * b.size * inner
    if b.is_kept:
        return [Copy(y, x)] if a.is_kept else [_line(plugin, 0, y, x, a, outer, beside)]
    if a.is_kept:  # rows of several planes share a tile
        return [_line(plugin, 0, y, x, b, outer * a.size * between, inner)]
    if not a.is_cropped and second == first + 1 and inner == 1 and a.is_near and b.is_near:
        return [_plane(plugin, 0, y, x, a, b, outer)]
    if a.resized * b.size <= a.size * b.resized:
        return [
            _line(plugin, 1, workspace, x, a, outer, beside),
            _line(plugin, 2, y, workspace, b, outer * a.resized * between, inner),
        ]
    return [
        _line(plugin, 1, workspace, x, b, outer * a.size * between, inner),
        _line(plugin, 2, y, workspace, a, outer, between * b.resized * inner),
    ]


_Buffer = TensorDesc | Workspace


def _values(plugin: AntialiasResize) -> Scalar:
    return Scalar(float32, (plugin.cubic_coeff_a, plugin.extrapolation_value))


def _line(
    plugin: AntialiasResize,
    stage: int,
    y: _Buffer,
    x: _Buffer,
    side: Side,
    outer: int,
    inner: int,
) -> Launch:
    """Return the launch for one axis of (outer, size, inner)."""
    if inner == 1:
        if not side.is_cropped and side.is_near and outer < 2**30:
            return _plane(plugin, stage, y, x, _kept(outer), side, 1)
        items = outer * side.resized
        return Launch(
            plugin.row_kernel,
            ceil_div(items, _THREADS // 32),
            _THREADS,
            (y, x, side.axis, side.region, _values(plugin), int64(items)),
            constants={"STAGE": stage},
        )
    strips = known(ceil_div(inner, _COLUMNS))
    items = outer * side.resized * strips
    is_far = side.size >= _FAR * side.resized
    return Launch(
        plugin.column_kernel,
        ceil_div(items, 32 if is_far else _THREADS),
        _THREADS,
        (
            *(y, x, side.axis, side.region, _values(plugin)),
            *(int64(inner), int64(strips), int64(items)),
        ),
        constants={"STAGE": stage, "SHARED": bool(is_far), "ADJACENT": bool(inner % _COLUMNS == 0)},
    )


def _plane(
    plugin: AntialiasResize, stage: int, y: _Buffer, x: _Buffer, a: Side, b: Side, planes: int
) -> Launch:
    """Return the launch for both axes of (planes, a, b)."""
    axes = (a.axis, b.axis, a.region, b.region, _values(plugin))
    reach = 1 if plugin.mode == "linear" else 2
    alone = _ELEMENT_COST + a.elements(reach) * b.elements(reach)
    in_a_tile = known(dim_min(a.resized, _TILE_ROWS)) * known(dim_min(b.resized, _TILE_COLUMNS))
    if in_a_tile * alone <= _TILE_COST:
        items = planes * a.resized * b.resized
        return Launch(
            plugin.small_kernel,
            ceil_div(items, _THREADS),
            _THREADS,
            (y, x, *axes, divisor_of(a.resized), divisor_of(b.resized), int64(items)),
            constants={"STAGE": stage},
        )
    columns = _TILE_COLUMNS
    for fewer, elements in ((128, 1), (64, 2), (32, 4)):
        columns = where(b.resized <= fewer, fewer, columns)
        columns = where(b.size > elements * b.resized, fewer, columns)
    across = known(ceil_div(b.resized, columns))
    quads = _TILE_ROWS // _QUAD
    for fewer in (2, 1):
        tiles = planes * across * known(ceil_div(a.resized, quads * _QUAD))
        quads = where(tiles < _TILES, fewer, quads)
    down = known(ceil_div(a.resized, quads * _QUAD))
    quads = known(ceil_div(ceil_div(a.resized, down), _QUAD))  # as many in all tiles
    each = planes * across * down // _BLOCKS
    is_several = bool(each >= _SEVERAL)
    groups = known(ceil_div(planes, each)) if is_several else planes
    taps, beyond = (
        2 * known(dim_max(ceil_div(2 * reach * side.size, 2 * side.resized - 1), reach)) + 2
        for side in (a, b)
    )
    # From the first column of a tile to its last; align_corners makes the steps longer.
    steps = columns - 1
    width = known(
        dim_max(
            ceil_div(2 * steps * b.size, 2 * b.resized - 1),
            ceil_div(steps * (b.size - 1), dim_max(b.resized - 1, 1)),
        )
    )
    several, one = VECTORS
    room = known(dim_min(ceil_div(width + beyond + several, several) * several, b.size))
    taps = known(ceil_div(taps, _TAPS)) * _TAPS
    nbytes = (room * quads + room // 4) * 4 * _QUAD + quads * _QUAD * taps * 8
    return Launch(
        plugin.plane_kernel,
        groups * across * down,
        _THREADS,
        (
            *(y, x, *axes),
            int32((columns, quads, across, down, groups, room, taps)),
            int64(planes),
        ),
        shared_bytes=nbytes,
        constants={
            "STAGE": stage,
            "VECTOR": several if b.size % several == 0 else one,
            "SEVERAL": is_several,
        },
    )
