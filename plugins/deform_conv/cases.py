"""Sample calls of DeformConv."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from pluginkit import Case

_GROUPED: dict[str, Any] = {"group": 2, "offset_group": 3, "pads": (1, 1, 1, 1)}
#: Each case's name, the shape of X, output channels, taps, which of B and mask it has, attributes.
_CASES: tuple[tuple[str, tuple[int, ...], int, tuple[int, int], str, dict[str, Any]], ...] = (
    ("same", (2, 3, 5, 6), 4, (3, 3), "B mask", {"pads": (1, 1, 1, 1), "kernel_shape": (3, 3)}),
    ("no_mask", (1, 17, 4, 5), 5, (2, 2), "B", {}),
    ("no_bias", (1, 4, 6, 5), 18, (2, 3), "mask", {"offset_group": 2}),
    ("neither", (1, 3, 9, 8), 3, (3, 2), "", {"strides": (2, 3), "pads": (0, 2, 3, 1)}),
    ("dilated", (1, 2, 9, 7), 2, (3, 2), "mask", {"dilations": (2, 3), "pads": (2, 0, 0, 1)}),
    ("groups_of_both_kinds", (1, 6, 5, 4), 6, (3, 3), "B mask", _GROUPED),
    ("few_in_groups", (1, 6, 5, 4), 4, (3, 3), "B mask", _GROUPED),
    ("depthwise", (1, 12, 5, 5), 12, (3, 3), "B mask", {"group": 12, "offset_group": 3}),
    ("depthwise_in_words", (1, 20, 4, 5), 40, (2, 3), "B mask", {"group": 20}),
    ("merged_groups", (1, 32, 4, 3), 24, (2, 2), "B mask", {"group": 8, "offset_group": 2}),
    ("many_chunks", (1, 64, 3, 4), 6, (3, 3), "B mask", {"pads": (1, 1, 1, 1)}),
    ("many_rows", (2, 24, 3, 4), 130, (1, 2), "B mask", {"strides": (1, 2)}),
    ("one_tap", (3, 2, 9, 9), 70, (1, 1), "B", {}),
    ("one_pixel", (1, 1, 1, 1), 1, (1, 1), "B mask", {}),
    ("no_images", (0, 3, 5, 5), 4, (3, 3), "B", {}),
    ("no_channels", (1, 0, 3, 3), 2, (1, 1), "B", {}),
    ("no_outputs", (1, 2, 2, 2), 2, (3, 3), "", {}),
)


def deform_conv_cases() -> Iterator[Case]:
    """Yield strides, pads, dilations, groups of both kinds, and absent and empty inputs."""
    for name, shape, maps, taps, given, attributes in _CASES:
        rng = np.random.default_rng(22)
        groups, parts = attributes.get("group", 1), attributes.get("offset_group", 1)
        pads, strides = attributes.get("pads", (0,) * 4), attributes.get("strides", (1, 1))
        dilations = attributes.get("dilations", (1, 1))
        out = tuple(
            max(
                0,
                (shape[2 + i] + pads[i] + pads[2 + i] - dilations[i] * (taps[i] - 1) - 1)
                // strides[i]
                + 1,
            )
            for i in (0, 1)
        )
        count = taps[0] * taps[1] * parts
        # Multiples of 1/8, which every type represents; some are far outside.
        offset = rng.integers(-20, 21, (shape[0], 2 * count, *out)) / 8
        offset = np.where(rng.random(offset.shape) < 0.05, 40.0, offset)
        arrays: list[np.ndarray | None] = [
            rng.uniform(-1, 1, shape),
            rng.uniform(-1, 1, (maps, shape[1] // groups, *taps)),
            offset,
            rng.uniform(-1, 1, maps) if "B" in given else None,
            rng.uniform(0, 1, (shape[0], count, *out)) if "mask" in given else None,
        ]
        yield Case(name, [None if a is None else a.astype(np.float32) for a in arrays], attributes)
