"""Draw inputs for plugins that order values, and compare their results exactly."""

from __future__ import annotations

import ml_dtypes
import numpy as np

DTYPES = [np.float32, np.float16, ml_dtypes.bfloat16, np.int64, np.int32, np.int8]


def drawn(shape, dtype, distinct):
    """Draw about ``distinct`` different values, including the special ones of the dtype."""
    rng = np.random.default_rng(distinct)
    if np.dtype(dtype).kind == "i":
        limits = np.iinfo(dtype)
        values = rng.integers(limits.min, limits.max, distinct, dtype, endpoint=True)
        values[:2] = limits.min, limits.max
    else:
        values = (rng.normal(size=max(distinct, 7)) * 100).astype(dtype)
        values[:7] = [np.nan, -np.nan, 0.0, -0.0, np.inf, -np.inf, 1e-7]
    return rng.choice(values, shape)


def patterns(size):
    """Return difficult rows of ``size`` elements for sorts and selections, by name."""
    ascending = np.arange(size, dtype=np.int32)
    return {
        "equal": np.zeros(size, np.float32),
        "ascending": ascending,
        "descending": ascending[::-1].copy(),
        "high bits": np.arange(size, dtype=np.int64) << 40,
        "long runs": ascending // 4096,
        "short runs": ascending % 4096,
    }


def assert_same_bits(plugin, got, expected):
    for port, one, wanted in zip(plugin.spec.outputs, got, expected, strict=True):
        assert one.shape == wanted.shape, port.name
        assert one.tobytes() == wanted.tobytes(), port.name
