"""Philox 4x32-10 in numpy, and the numbers that are made of its words."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Distribution = Literal["uniform", "normal"]

_MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
_WEYL = (0x9E3779B9, 0xBB67AE85)
_LOW = np.uint64(0xFFFFFFFF)
_HALF = np.uint64(32)


def philox(counters: Array, key: tuple[int, int]) -> Array:
    """Return the words of counters, (N, 4) uint32, for one key of two words."""
    x, y, z, w = np.asarray(counters, np.uint64).T
    for round_number in range(10):
        low, high = (
            np.uint64((word + round_number * step) % 2**32)
            for word, step in zip(key, _WEYL, strict=True)
        )
        a, b = x * np.uint64(_MULTIPLIERS[0]), z * np.uint64(_MULTIPLIERS[1])
        x, y, z, w = (b >> _HALF) ^ y ^ low, b & _LOW, (a >> _HALF) ^ w ^ high, a & _LOW
    return np.stack([x, y, z, w], 1).astype(np.uint32)


def random_numbers(count: int, seed: int, distribution: Distribution) -> Array:
    """Return ``count`` numbers, float32, before they are scaled."""
    vectors = np.arange(-(-count // 4), dtype=np.uint64)
    counters = np.stack([vectors & _LOW, vectors >> _HALF, *[np.zeros_like(vectors)] * 2], 1)
    words = philox(counters, (seed % 2**32, (seed >> 32) % 2**32))
    uniform = (words >> 8).astype(np.float32) * np.float32(2**-24)
    if distribution == "uniform":
        return uniform.reshape(-1)[:count]
    first = (words[:, ::2].astype(np.float32) + np.float32(0.5)) * np.float32(2**-32)
    radius = np.sqrt(-2 * np.log(first, dtype=np.float64))
    angle = 2 * np.pi * (uniform[:, 1::2].astype(np.float64) - 0.5)
    pairs = np.stack([radius * np.cos(angle), radius * np.sin(angle)], 2)
    return pairs.astype(np.float32).reshape(-1)[:count]
