"""The launch of MultiScaleDeformableAttention."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pluginkit import Launch, TensorDesc, ceil_div, dim_max, dim_min, int32, int64, known, where
from pluginkit.plugins._cuda.division import divisor_numbers

if TYPE_CHECKING:
    from pluginkit.plugins.multi_scale_deformable_attention import MultiScaleDeformableAttention

_THREADS, _WARP = 256, 32
#: How many samples of a row are in shared memory for each lane that shares them.
_SAMPLES = 8
#: How many packs a row may have that the kernel is compiled for, and 0 for any other number.
LANES = (0, 4, 8)
#: How many lanes share the samples of a pack.
SHARES = (8, 4, 2, 1)
#: With fewer threads lanes share the samples, if there is one for each.
_FEW_THREADS = 2**16
#: With this many threads a GPU is busy: a warp takes more rows instead, if these have few
#: samples and lanes read many bytes at once.
_MANY_THREADS = 2**17
#: The bytes that a lane reads at once where channels are a multiple of them.
_WIDE_BYTES = 16

#: Where a row has so few packs that are not wide, times samples, or one wide pack, its lanes find
#: the samples themselves; where more lanes than so many would share them, that is faster.
_FEW_READS, _FEW_SHARES = 144, 2

#: So do the lanes of rows of one sample in up to so many wide packs, or where a warp would take no
#: further rows.
_LONE_PACKS = 8

#: Whether packs are wide, and how many of them such a thread takes at once: two, if they are of one
#: sample and threads are many.
KINDS = _NARROW, _SINGLE, _PAIRS = "false, 1", "true, 1", "true, 2"

#: The most heads of a launch, which are blocks along y.
MOST_HEADS = 65535

#: The most levels, whose sizes a block keeps in shared memory.
MOST_LEVELS = 64

#: The constants that the kernel shares with Python.
DEFINES = {
    "MOST_LEVELS": MOST_LEVELS,
    "SAMPLES": _SAMPLES,
    "THREADS": _THREADS,
}


def _packs(value: TensorDesc) -> tuple[bool, int]:
    """Return whether packs are wide, and how many packs the channels are."""
    channels, itemsize = known(value.shape[3]), value.dtype.itemsize
    if channels * itemsize % _WIDE_BYTES:
        return False, channels
    return True, channels * itemsize // _WIDE_BYTES


def _lanes(packs: int) -> int:
    return 4 if packs == 4 else 8 if packs == 8 else 0


def _shares(threads: int, samples: int, lanes: int) -> int:
    for shares in SHARES:
        is_needed = threads * shares < 2 * _FEW_THREADS and shares <= samples
        if is_needed and lanes * shares <= _WARP:
            return shares
    return 1


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
    is_wide, packs = _packs(value)
    lanes = _lanes(packs)
    rows, samples = items * queries, levels * points
    threads = rows * heads * packs
    shares = _shares(threads, samples, lanes)
    arguments = (output, value, spatial_shapes, level_start_index, sampling_loc, attn_weight)
    numbers = int32((pixels, heads, channels, levels, points))
    turns = 1
    if is_wide and shares == 1:
        few = dim_min(-(-threads // _MANY_THREADS), _SAMPLES // known(dim_max(samples, 1)))
        more = known(dim_max(few, 1))  # if rows end where a warp does
        turns = where(lanes > 0, more, where(packs == 16, more, 1))
    reads = packs * samples
    if is_wide:
        is_lone = where(packs <= _LONE_PACKS, 1, turns) == 1
        reads = where(where(is_lone, samples, 0) == 1, 0, where(packs == 1, 0, _FEW_READS + 1))
    if shares <= _FEW_SHARES and where(threads < 2**31, reads, _FEW_READS + 1) <= _FEW_READS:
        divisors = [n for count in (packs, heads, queries) for n in divisor_numbers(count)]
        kind, each = _SINGLE if is_wide else _NARROW, 1
        if is_wide and where(samples == 1, threads, 0) >= _MANY_THREADS:
            kind, each = _PAIRS, 2
        return Launch(
            plugin.few,
            ceil_div(threads, each * _THREADS) if output.size else 0,
            _THREADS,
            (*arguments, int32(threads), numbers, int64(divisors)),
            constants={"KIND": kind},
        )
    return Launch(
        plugin.kernel,
        (-(-rows * packs * shares // (_THREADS * turns)) if output.size else 0, heads),
        _THREADS,
        (
            *(*arguments, int64(rows), numbers),
            int64([each for count in (queries, packs, points) for each in divisor_numbers(count)]),
            int32(turns),
        ),
        constants={"IS_WIDE": is_wide, "LANES": lanes, "SHARES": shares},
    )
