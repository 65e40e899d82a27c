"""The launch of MultiScaleDeformableAttention."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pluginkit import Launch, TensorDesc, dim_max, dim_min, int32, int64, known, where

if TYPE_CHECKING:
    from pluginkit.plugins.multi_scale_deformable_attention import MultiScaleDeformableAttention

_THREADS, _WARP = 256, 32
#: How many samples of each row are in shared memory at a time.
_SAMPLES = 8
#: How many lanes take a row, which is one head of one query. More channels are several parts.
LANES = (4, 8)
#: With fewer threads a warp takes one row, and its lanes share the samples.
_FEW_THREADS = 2**16
#: With this many threads a GPU is busy: a warp takes more rows instead, if these have few
#: samples and lanes read many bytes at once.
_MANY_THREADS = 2**17
#: How many samples such a lane reads at once.
_AT_ONCE = 4
#: The bytes that a lane reads at once where channels are a multiple of them.
_WIDE_BYTES = 16

#: The most heads times parts of a launch, which are blocks along y.
MOST_PARTS = 65535

#: The most levels, whose sizes a block keeps in shared memory.
MOST_LEVELS = 64

#: The constants that the kernel shares with Python.
DEFINES = {
    "AT_ONCE": _AT_ONCE,
    "MOST_LEVELS": MOST_LEVELS,
    "SAMPLES": _SAMPLES,
    "THREADS": _THREADS,
}


def parts_of(value: TensorDesc) -> int:
    """Return into how many parts the channels of a head are split."""
    return -(-_packs(value)[1] // _lanes(value))


def _packs(value: TensorDesc) -> tuple[bool, int]:
    """Return whether packs are wide, and how many packs the channels are."""
    channels, itemsize = known(value.shape[3]), value.dtype.itemsize
    if channels * itemsize % _WIDE_BYTES:
        return False, channels
    return True, channels * itemsize // _WIDE_BYTES


def _lanes(value: TensorDesc) -> int:
    few, many = LANES
    return few if _packs(value)[1] <= few else many


def launch_of(
    plugin: MultiScaleDeformableAttention,
    value: TensorDesc,
    spatial_shapes: TensorDesc,
    level_start_index: TensorDesc,
    sampling_loc: TensorDesc,
    attn_weight: TensorDesc,
    output: TensorDesc,
) -> Launch:
    """Return the launch: a block takes one head of adjacent queries."""
    _, pixels, heads, channels = map(known, value.shape)
    items, queries, _, levels, points = map(known, attn_weight.shape)
    lanes, parts = _lanes(value), parts_of(value)
    rows = items * queries
    is_shared = bool(rows * heads * parts * lanes < _FEW_THREADS)
    row_lanes = _WARP if is_shared else lanes
    samples = levels * points
    few = dim_min(
        -(-rows * heads * parts * lanes // _MANY_THREADS), _SAMPLES // known(dim_max(samples, 1))
    )
    turns = where(samples > 0, known(dim_max(few, 1)), 1) if _packs(value)[0] else 1
    return Launch(
        plugin.kernel,
        (-(-rows * row_lanes // (_THREADS * turns)) if output.size else 0, heads * parts),
        _THREADS,
        (
            *(output, value, spatial_shapes, level_start_index, sampling_loc, attn_weight),
            int64(rows),
            int32((queries, pixels, heads, channels, levels, points)),
            *(int32(parts), int32(turns)),
        ),
        constants={"IS_WIDE": _packs(value)[0], "LANES": lanes, "IS_SHARED": is_shared},
    )
