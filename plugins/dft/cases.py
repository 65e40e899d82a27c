"""Sample calls of Dft."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from pluginkit import Case

#: Each case's name, the shape of x, and the attributes.
_CASES: tuple[tuple[str, tuple[int, ...], dict[str, Any]], ...] = (
    ("powers_of_two", (3, 16, 2), {"length": 16}),
    ("every_radix", (2, 420, 2), {"length": 420}),
    ("real", (5, 30, 1), {"length": 30, "onesided": True}),
    ("odd_and_onesided", (2, 21, 1), {"length": 21, "onesided": True}),
    ("an_axis_before_the_last", (2, 16, 5, 2), {"length": 16, "axis": 1}),
    ("cut_off", (2, 19, 2), {"length": 16}),
    ("padded", (2, 13, 2), {"length": 16}),
    ("inverse", (2, 16, 2), {"length": 16, "inverse": True}),
    ("real_again", (2, 16, 2), {"length": 30, "inverse": True, "onesided": True}),
    ("real_again_and_odd", (2, 4, 2), {"length": 9, "inverse": True, "onesided": True}),
    ("a_prime", (3, 23, 2), {"length": 23}),
    ("a_prime_by_a_convolution", (3, 37, 2), {"length": 37}),
    ("a_prime_inverse", (1, 41, 1), {"length": 41, "inverse": True}),
    ("many", (4100, 2, 2), {"length": 2}),
    ("many_real", (4100, 8, 1), {"length": 8, "onesided": True}),
    ("in_two_passes", (1, 8232, 2), {"length": 8232}),
    ("a_long_prime", (1, 4099, 2), {"length": 4099}),
    ("rows_by_convolutions", (1, 4484, 2), {"length": 4484}),  # 76 columns of 59
    ("one_point", (4, 1, 2), {"length": 1}),
    ("no_batch", (0, 16, 2), {"length": 16}),
    ("nothing_but_padding", (2, 0, 1), {"length": 30}),
)


def dft_cases() -> Iterator[Case]:
    """Yield each direction and side, lengths of every kind, cut off and padded, and empty."""
    for name, shape, attributes in _CASES:
        rng = np.random.default_rng(20)
        scale = attributes["length"] ** (0.5 if attributes.get("inverse") else -0.5)
        yield Case(name, [(rng.normal(size=shape) * scale).astype(np.float32)], attributes)
