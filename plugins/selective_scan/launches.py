"""The launch of SelectiveScan."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING

from pluginkit import Launch, TensorDesc, int32, int64, known

if TYPE_CHECKING:
    from pluginkit.plugins.selective_scan import SelectiveScan

#: How many lanes of a warp may take one channel, and how many states each may hold.
LANES, STATES = (4, 16), (4, 8)
#: The most states of a channel.
MOST_STATES = LANES[-1] * STATES[-1]
#: How many steps in time the lanes load at once.
_TIME = 16
#: The most warps of a block.
_MOST_WARPS = 8
#: The warps of a block that does not share a channel's time out.
_WARPS = 2
#: With this many warps a large GPU is busy; with fewer, several share a channel's time.
_BUSY_WARPS = 512
#: The fewest steps that are worth a warp of their own.
_FEWEST_STEPS = 64

#: The constants that the kernel shares with Python.
DEFINES = {"TIME": _TIME, "MOST_WARPS": _MOST_WARPS}


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
    used = -(-rows * lanes // 32)
    parts = _parts(used, length)
    warps = parts if parts > 1 else _WARPS
    return Launch(
        plugin.kernel,
        -(-used * parts // warps),
        32 * warps,
        (
            *(out, last_state, u, delta, a, b, c, d, z, delta_bias, initial_state),
            int64(rows),
            int32((channels, length, heads, groups, states, decays)),
            int32(parts),
            plugin.delta_softplus,
        ),
        constants={
            "LANES": lanes,
            "STATES": held,
            "IS_SCALAR": decays == 1,
        },
    )


def _parts(warps: int, length: int) -> int:
    """Return how many warps share a channel's time."""
    if warps >= _BUSY_WARPS or length < _MOST_WARPS * _FEWEST_STEPS:
        return 1
    return _MOST_WARPS
