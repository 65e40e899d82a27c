"""Sample calls of SelectiveScan."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from pluginkit import Case

_ALL = "D z delta_bias initial_state"
#: Each case's name, items, channels, heads, groups, states, length, whether A is one number for
#: each head, which optional inputs it has, and the attributes.
_CASES: tuple[tuple[str, tuple[int, int, int, int, int, int], bool, str, dict[str, Any]], ...] = (
    ("mamba", (2, 6, 6, 1, 16, 40), False, "D z delta_bias", {"delta_softplus": True}),
    ("odd", (1, 5, 5, 1, 3, 19), False, _ALL, {"delta_softplus": True}),
    ("heads", (1, 8, 2, 2, 20, 17), True, _ALL, {"delta_softplus": True}),
    ("many_states", (1, 3, 3, 1, 70, 9), False, "", {}),
    ("long", (1, 3, 3, 1, 4, 520), False, "D initial_state", {"delta_softplus": True}),
    ("one_step", (3, 2, 2, 1, 16, 1), False, "initial_state", {}),
    ("few_steps", (2, 6, 3, 3, 5, 4), True, "D z", {"delta_softplus": True}),
    ("size_one", (1, 1, 1, 1, 1, 1), False, _ALL, {}),
    ("no_steps", (2, 3, 3, 1, 4, 0), False, "initial_state", {}),
    ("no_items", (0, 3, 3, 1, 4, 5), False, "", {}),
)


def selective_scan_cases() -> Iterator[Case]:
    """Yield both forms, every optional input, odd sizes, long and empty ones."""
    for name, (items, channels, heads, groups, states, length), is_scalar, given, values in _CASES:
        rng = np.random.default_rng(22)
        low = -1.0 if values else 0.01
        arrays = {
            "u": rng.uniform(-1, 1, (items, channels, length)),
            "delta": rng.uniform(low, 1, (items, heads, length)),
            "A": -rng.uniform(0.1, 1, (heads, 1 if is_scalar else states)),
            "B": rng.uniform(-1, 1, (items, length, groups, states)),
            "C": rng.uniform(-1, 1, (items, length, groups, states)) / states,
            "D": rng.uniform(-1, 1, heads),
            "z": rng.uniform(-2, 2, (items, channels, length)),
            "delta_bias": rng.uniform(-1, 1, heads),
            "initial_state": rng.uniform(-1, 1, (items, channels, states)),
        }
        optional = ("D", "z", "delta_bias", "initial_state")
        yield Case(
            name,
            [
                None if key in optional and key not in given.split() else array.astype(np.float32)
                for key, array in arrays.items()
            ],
            values,
        )
