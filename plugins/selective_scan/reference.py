"""SelectiveScan in numpy, step by step."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


def selective_scan(inputs: tuple[Any, ...], delta_softplus: bool) -> tuple[Array, Array]:
    """Return the outputs and the last state for the inputs of a SelectiveScan, in order."""
    u, delta, a, b, c, d, z, delta_bias, initial_state = inputs
    items, channels, length = u.shape
    heads, (_, _, groups, states) = delta.shape[1], b.shape
    x, step, b, c = (each.astype(np.float64) for each in (u, delta, b, c))
    with np.errstate(all="ignore"):
        if delta_bias is not None:
            step = step + delta_bias[:, None]
        if delta_softplus:
            step = np.where(step > 20, step, np.log1p(np.exp(step)))
        step = np.repeat(step, channels // heads, axis=1)
        decay = np.repeat(a.astype(np.float64), channels // heads, axis=0)
        b, c = (np.repeat(each, channels // groups, axis=2) for each in (b, c))
        state = np.zeros((items, channels, states))
        if initial_state is not None:
            state = state + initial_state
        y = np.zeros(u.shape)
        for time in range(length):
            now = step[:, :, time, None]
            state = np.exp(now * decay) * state + now * x[:, :, time, None] * b[:, time]
            y[:, :, time] = (state * c[:, time]).sum(axis=2)
        if d is not None:
            y = y + np.repeat(d, channels // heads)[:, None] * x
        if z is not None:
            gate = z.astype(np.float64)
            y = y * (gate / (1 + np.exp(-gate)))
        return y.astype(u.dtype), state.astype(np.float32)
