"""The launches of SelectiveScan."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from pluginkit import (
    Dim,
    KernelConstant,
    Launch,
    TensorDesc,
    Workspace,
    ceil_div,
    dim_max,
    dim_min,
    int32,
    int64,
    known,
    product,
    where,
)
from pluginkit.plugins._cuda.division import divisor_numbers

if TYPE_CHECKING:
    from pluginkit.plugins.selective_scan import SelectiveScan

#: How many lanes of a warp may take some steps of a channel, and how many states each then holds.
LANES_STATES = ((4, 1), (1, 1), (1, 4), (4, 4), (4, 8), (16, 4), (16, 8))
#: The most states of a channel, those of which 4 lanes may take one each, and for how many steps.
MOST_STATES, _FEW_STATES, _SHORT = 16 * 8, 4, 64
#: How many steps in time the lanes load at once; at least as many as they are.
_FEWEST_TIME = 8
#: The warps of a block that takes all of its channels' time, and of one that takes parts of it.
_WARPS, _PART_WARPS = 2, 8
#: With this many warps a large GPU is busy; with fewer, several share a channel's time.
_BUSY_WARPS = 1056
#: From how many steps on warps share a channel's time, and the fewest that are worth a warp.
_LONG, _FEWEST_STEPS = 512, 8
#: Up to so many steps, channels are taken without tiles of time, in blocks of so many threads; with
#: fewer lanes than that, blocks of fewer threads are on more multiprocessors.
_FEW_STEPS, _THREADS, _MANY_LANES, _FEW_THREADS = 6, 256, 2**16, 128
#: So are short ones of few states with so many channels for each step, several steps at once, in
#: blocks of so many threads; with fewer, too, whose time has up to so many bytes.
_CHANNELS_EACH, _FEWER_EACH, _FEW_BYTES, _WALK_THREADS = 512, 320, 48, 64
#: The steps whose rows are loaded at once, which a group takes where lanes take time; the most
#: warps of such a block, and of a channel at least, if it is long enough.
_QUAD, _LANE_WARPS, _FEWEST_WARPS = 4, 8, 2
#: Time is taken by lanes for so few channels, if those have one lane, and up to so many steps.
_FEW_CHANNELS, _VERY_LONG = 2**16, 2048


def _choices(kinds: Sequence[tuple[int, int]]) -> Mapping[str, Sequence[KernelConstant]]:
    return {
        "LANES_STATES": tuple(f"{lanes}, {states}" for lanes, states in kinds),
        **{"IS_SCALAR": (False, True), "IS_COMPACT": (False, True)},
    }


#: The constants that launches choose: where lanes may take time, and where they walk through it.
CHOICES, WALK_CHOICES = _choices(LANES_STATES), _choices(LANES_STATES[3:])
STEP_CHOICES = {**CHOICES, "STEPS": (1, _QUAD)}
#: The constants that the kernels share with Python.
DEFINES = {
    **{"FEWEST_TIME": _FEWEST_TIME, "PART_WARPS": _PART_WARPS},
    **{"THREADS": _THREADS, "LANE_WARPS": _LANE_WARPS, "QUAD": _QUAD},
}
#: The bytes of what a warp leaves in the workspace: the most states of its lanes, and their steps.
_END_BYTES = 32 * (8 + 1) * 4


def workspace_bytes(u: TensorDesc) -> Dim:
    """Return room for the ends of the parts that warps take where blocks share time."""
    tiles = ceil_div(u.shape[2], _FEWEST_TIME)
    warps: Dim = dim_min(_PART_WARPS * _BUSY_WARPS, product(u.shape[:2]) * tiles)
    return warps * _END_BYTES


def launches_of(
    plugin: SelectiveScan,
    u: TensorDesc,
    delta: TensorDesc,
    a: TensorDesc,
    b: TensorDesc,
    c: TensorDesc,
    d: TensorDesc | None,
    z: TensorDesc | None,
    delta_bias: TensorDesc | None,
    initial_state: TensorDesc | None,
    out: TensorDesc,
    last_state: TensorDesc,
    workspace: Workspace,
) -> Sequence[Launch]:
    """Return the launches: a warp takes some channels, or a part of their time."""
    items, channels, length = map(known, u.shape)
    heads, (_, _, groups, states) = known(delta.shape[1]), map(known, b.shape)
    decays, rows = known(a.shape[1]), items * channels
    is_short = states <= _FEW_STATES and _FEW_STEPS < length <= _SHORT
    is_narrow = length * u.dtype.itemsize <= _FEW_BYTES
    is_walk = is_short and rows >= where(is_narrow, _FEWER_EACH, _CHANNELS_EACH) * length
    lanes, held = LANES_STATES[0] if is_short and not is_walk else _lanes_states(states)
    tensors = (out, last_state, u, delta, a, b, c, d, z, delta_bias, initial_state)
    sizes = int32((channels, length, heads, groups, states, decays))
    constants: Mapping[str, KernelConstant] = {
        **{"LANES_STATES": f"{lanes}, {held}"},
        **{"IS_SCALAR": decays == 1, "IS_COMPACT": states == lanes * held},
    }
    of_head, of_group = channels // dim_max(heads, 1), channels // dim_max(groups, 1)
    widths = int64(
        sum((divisor_numbers(dim_max(1, each)) for each in (channels, of_head, of_group)), ())
    )
    if length <= _FEW_STEPS or is_walk:
        of_steps = (*tensors, int32(rows), sizes, widths, plugin.delta_softplus)
        threads = where(rows * lanes >= _MANY_LANES, _THREADS, _FEW_THREADS)
        threads = _WALK_THREADS if is_walk else threads
        blocks = -(-rows * lanes // threads)
        constants = {**constants, "STEPS": _QUAD if is_walk else 1}
        return (Launch(plugin.step_kernel, blocks, threads, of_steps, constants=constants),)
    if lanes == 1 or is_short or (rows * lanes * lanes < _FEW_CHANNELS and length < _VERY_LONG):
        warps = known(dim_min(_LANE_WARPS, 2 * _BUSY_WARPS // dim_max(rows, 1)))
        warps = known(dim_max(1 if is_short else _FEWEST_WARPS, warps))
        warps = known(dim_min(warps, -(-length * lanes // (32 * _QUAD))))
        of_block = where(rows * warps < _BUSY_WARPS, 1, _LANE_WARPS // warps)
        of_lanes = (*tensors, int64(rows), sizes, widths, plugin.delta_softplus)
        grid, block = -(-rows // of_block), (32 * warps, of_block)
        return (Launch(plugin.lane_kernel, grid, block, of_lanes, constants=constants),)
    used = -(-rows * lanes // 32)
    parts = _parts(used, length)
    is_split = parts > 1
    warps = where(is_split, _PART_WARPS, _WARPS)
    blocks, threads = -(-used * parts // warps), 32 * warps
    how = (int64(rows), sizes, int32(parts), plugin.delta_softplus)
    of_walk = (*tensors, workspace if is_split else None, *how)
    scan = Launch(plugin.kernel, blocks, threads, of_walk, constants=constants)
    if not is_split:
        return (scan,)
    of_ends = (workspace, u, delta, a, b, delta_bias, *how)
    return Launch(plugin.part_kernel, blocks, threads, of_ends, constants=constants), scan


def _lanes_states(states: int) -> tuple[int, int]:
    """Return how many lanes take a channel, and the states that each holds."""
    return next(each for each in LANES_STATES[1:] if states <= each[0] * each[1])


def _parts(warps: int, length: int) -> int:
    """Return how many warps share a channel's time, so that a large GPU is busy; 1 or some 8."""
    parts = dim_max(2 * _BUSY_WARPS // dim_max(warps, 1), _PART_WARPS)
    parts = known(dim_min(parts, length // _FEWEST_STEPS)) // _PART_WARPS * _PART_WARPS
    return where(warps >= _BUSY_WARPS, 1, where(length < _LONG, 1, parts))
