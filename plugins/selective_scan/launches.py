"""The launch of SelectiveScan."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product
from typing import TYPE_CHECKING

from pluginkit import Launch, TensorDesc, int32, int64, known

if TYPE_CHECKING:
    from pluginkit.plugins.selective_scan import SelectiveScan

#: How many lanes of a warp may take one channel, and how many states each may hold.
LANES, STATES = (4, 16), (4, 8)
#: The most states of a channel.
MOST_STATES = LANES[-1] * STATES[-1]
#: How many steps in time the lanes load at once; at least as many as they are.
_FEWEST_TIME = 8
#: The most warps of a block; half of them where lanes hold many states.
_MOST_WARPS = 16
#: The warps of a block that does not share a channel's time out.
_WARPS = 2
#: With this many warps a large GPU is busy; with fewer, several share a channel's time.
_BUSY_WARPS = 1056
#: The fewest steps that are worth a warp of their own.
_FEWEST_STEPS = 64
#: Up to so many steps, channels are taken without tiles of time, in blocks of so many threads.
_FEW_STEPS, _THREADS = 4, 256

#: The constants that launches choose.
CHOICES: Mapping[str, tuple[int | bool, ...]] = {
    **{"LANES": LANES, "STATES": STATES},
    **{"IS_SCALAR": (False, True), "IS_COMPACT": (False, True)},
}
#: The constants that the kernels share with Python.
DEFINES = {"FEWEST_TIME": _FEWEST_TIME, "MOST_WARPS": _MOST_WARPS, "THREADS": _THREADS}


def launch_of(
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
) -> Launch:
    """Return the launch: a warp takes some channels, or a part of their time."""
    items, channels, length = map(known, u.shape)
    heads, (_, _, groups, states) = known(delta.shape[1]), map(known, b.shape)
    decays, rows = known(a.shape[1]), items * channels
    lanes, held = next(each for each in product(LANES, STATES) if states <= each[0] * each[1])
    tensors = (out, last_state, u, delta, a, b, c, d, z, delta_bias, initial_state)
    sizes = int32((channels, length, heads, groups, states, decays))
    constants = {
        **{"LANES": lanes, "STATES": held},
        **{"IS_SCALAR": decays == 1, "IS_COMPACT": states == lanes * held},
    }
    if length <= _FEW_STEPS:
        arguments = (*tensors, int32(rows), sizes, plugin.delta_softplus)
        grid = -(-rows * lanes // _THREADS)
        return Launch(plugin.step_kernel, grid, _THREADS, arguments, constants=constants)
    used = -(-rows * lanes // 32)
    parts = _parts(used, length, _MOST_WARPS if held == STATES[0] else _MOST_WARPS // 2)
    warps = parts if parts > 1 else _WARPS
    return Launch(
        plugin.kernel,
        -(-used * parts // warps),
        32 * warps,
        (*tensors, int64(rows), sizes, int32(parts), plugin.delta_softplus),
        constants=constants,
    )


def _parts(warps: int, length: int, most: int) -> int:
    """Return how many warps share a channel's time, so that a large GPU is busy."""
    if warps >= _BUSY_WARPS or length < most // 2 * _FEWEST_STEPS:
        return 1
    are_few = warps * most <= 2 * _BUSY_WARPS and length >= most * _FEWEST_STEPS
    return most if are_few else most // 2
