"""SelectiveScan on a real GPU: both forms, long and short, with channels few and many."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest

from pluginkit.checking.trt_double.driver import drive
from pluginkit.contract import calls
from pluginkit.contract.dtypes import dtype_from_numpy
from pluginkit.plugins.selective_scan import SelectiveScan

pytestmark = [pytest.mark.gpu, pytest.mark.trt]


def inputs_of(items, channels, heads, groups, states, length, columns, dtype):
    rng = np.random.default_rng(0)
    matrix = (items, length, groups, states)
    wide = [
        -rng.uniform(0.1, 2, (heads, columns)),
        rng.uniform(-1, 1, heads),
        rng.uniform(-4, -1, heads),
        rng.uniform(-1, 1, (items, channels, states)),
    ]
    a, d, bias, state = (each.astype(np.float32) for each in wide)
    narrow = [
        rng.uniform(-1, 1, (items, channels, length)),
        rng.uniform(-1, 1, (items, heads, length)),
        rng.uniform(-1, 1, matrix),
        rng.uniform(-1, 1, matrix) / states,
        rng.uniform(-2, 2, (items, channels, length)),
    ]
    u, delta, b, c, z = (each.astype(dtype) for each in narrow)
    return [u, delta, a, b, c, d, z, bias, state]


@pytest.mark.parametrize("dtype", [np.float32, np.float16, ml_dtypes.bfloat16])
@pytest.mark.parametrize(
    "sizes",
    [
        (2, 600, 600, 1, 16, 300, 16),
        (1, 33, 33, 1, 16, 2048, 16),
        (1, 33, 33, 3, 7, 1999, 7),
        (1, 64, 4, 2, 128, 520, 1),
        (2, 64, 2, 1, 64, 33, 1),
        (3, 5, 5, 1, 40, 70, 40),
        (4, 9, 9, 1, 16, 1, 16),
        (2, 50, 50, 1, 1, 1100, 1),
        (2, 50, 10, 1, 4, 39, 1),
        (1, 300, 300, 1, 64, 601, 64),
        (20, 300, 300, 1, 16, 30, 16),
    ],
    ids=str,
)
def test_both_forms(lean, sizes, dtype):
    plugin = SelectiveScan(delta_softplus=True)
    arrays = inputs_of(*sizes, dtype)
    got = drive(plugin, arrays, interface="v3", flavour=lean)
    expected = calls.run_reference(plugin, arrays)
    tolerances = [plugin.tolerance[dtype_from_numpy(dtype)], 1e-4]
    for mine, wanted, tolerance in zip(got, expected, tolerances, strict=True):
        wide, right = mine.astype(np.float64), wanted.astype(np.float64)
        np.testing.assert_array_less(
            abs(wide - right), tolerance * np.maximum(1, abs(right)) + 1e-9
        )
