"""The launch of SelectiveScan."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pluginkit import Launch, TensorDesc, int32, int64, known

if TYPE_CHECKING:
    from pluginkit.plugins.selective_scan import SelectiveScan

#: How many lanes of a warp take one channel, and how many steps in time they load at once.
_LANES = 16
#: How many states a lane holds.
STATES = (1, 4, 8)
#: The most states of a channel.
MOST_STATES = STATES[-1] * _LANES
#: The most warps of a block.
_MOST_WARPS = 8
#: The warps of a block that does not share a channel's time out.
_WARPS = 2
#: With this many warps a large GPU is busy; with fewer, several share a channel's time.
_BUSY_WARPS = 512
#: The fewest steps that are worth a warp of their own.
_FEWEST_STEPS = 64

#: The constants that the kernel shares with Python.
DEFINES = {"LANES": _LANES, "MOST_WARPS": _MOST_WARPS}


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
    """Return the launch: a warp takes two channels, or a part of their time."""
    items, channels, length = map(known, u.shape)
    heads, (_, _, groups, states) = known(delta.shape[1]), map(known, b.shape)
    decays, rows = known(a.shape[1]), items * channels
    pairs = -(-rows * _LANES // 32)
    parts = _parts(pairs, length)
    warps = parts if parts > 1 else _WARPS
    return Launch(
        plugin.kernel,
        -(-pairs * parts // warps),
        32 * warps,
        (
            *(out, last_state, u, delta, a, b, c, d, z, delta_bias, initial_state),
            int64(rows),
            int32((channels, length, heads, groups, states, decays)),
            int32(parts),
            plugin.delta_softplus,
        ),
        constants={
            "STATES": next(count for count in STATES if states <= count * _LANES),
            "IS_SCALAR": decays == 1,
        },
    )


def _parts(pairs: int, length: int) -> int:
    """Return how many warps share a channel's time."""
    if pairs >= _BUSY_WARPS or length < _MOST_WARPS * _FEWEST_STEPS:
        return 1
    return _MOST_WARPS
