"""MultiScaleDeformableAttention on a real GPU: widths of every kind, locations anywhere."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest

from pluginkit.checking.trt_double.driver import drive
from pluginkit.contract import calls
from pluginkit.contract.dtypes import dtype_from_numpy
from pluginkit.plugins.multi_scale_deformable_attention import MultiScaleDeformableAttention

pytestmark = [pytest.mark.gpu, pytest.mark.trt]

LEVELS = ((40, 51), (20, 26), (10, 13), (1, 1))


def inputs_of(items, queries, heads, channels, points, dtype, index):
    rng = np.random.default_rng(0)
    sizes = np.array(LEVELS, index)
    counts = sizes.prod(axis=1)
    at = (items, queries, heads, len(sizes), points)
    # Some are outside, and each is a number of every type.
    location = rng.integers(-32, 160, (*at, 2)) / 128
    value = rng.normal(size=(items, counts.sum(), heads, channels))
    weight = rng.random(at) / (len(sizes) * points)
    starts = np.cumsum([0, *counts[:-1]]).astype(index)
    return [value.astype(dtype), sizes, starts, location.astype(dtype), weight.astype(dtype)]


@pytest.mark.parametrize("dtype", [np.float32, np.float16, ml_dtypes.bfloat16])
@pytest.mark.parametrize(
    ("items", "queries", "heads", "channels", "points", "index"),
    [
        (2, 300, 8, 32, 4, np.int64),
        (2, 301, 8, 32, 4, np.int32),
        (3, 1001, 8, 32, 4, np.int64),
        (2, 1500, 3, 33, 3, np.int32),
        (1, 65, 3, 33, 3, np.int64),
        (1, 33, 2, 256, 8, np.int64),
        (3, 4001, 8, 32, 1, np.int64),
        (5, 7, 1, 4, 1, np.int32),
        (1, 1, 1, 1, 1, np.int64),
    ],
)
def test_every_width(lean, items, queries, heads, channels, points, index, dtype):
    plugin = MultiScaleDeformableAttention()
    arrays = inputs_of(items, queries, heads, channels, points, dtype, index)
    (got,) = drive(plugin, arrays, interface="v3", flavour=lean)
    (expected,) = calls.run_reference(plugin, arrays)
    wide, wanted = got.astype(np.float64), expected.astype(np.float64)
    tolerance = plugin.tolerance[dtype_from_numpy(dtype)]
    np.testing.assert_array_less(abs(wide - wanted), tolerance * np.maximum(1, abs(wanted)) + 1e-9)


def test_levels_that_do_not_lie_in_value_count_as_nothing(lean):
    arrays = inputs_of(1, 50, 2, 8, 4, np.float32, np.int64)
    arrays[1][0] = 2**31 - 1, 2**31 - 1
    arrays[2][1:] = -5, 2**62, 5
    (got,) = drive(MultiScaleDeformableAttention(), arrays, interface="v3", flavour=lean)
    (expected,) = calls.run_reference(MultiScaleDeformableAttention(), arrays)
    np.testing.assert_allclose(got, expected, atol=2e-5)
