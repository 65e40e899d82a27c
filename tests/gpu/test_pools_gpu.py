"""MaxPool, MaxUnpool and MaxRoiPool on a real GPU: every kernel, every type, NaN."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest

from pluginkit.checking.trt_double.driver import drive
from pluginkit.contract import calls
from pluginkit.plugins.max_pool import MaxPool
from pluginkit.plugins.max_roi_pool import MaxRoiPool
from pluginkit.plugins.max_unpool import MaxUnpool

pytestmark = [pytest.mark.gpu, pytest.mark.trt]

FLOATS = [np.float32, np.float16, ml_dtypes.bfloat16]


def assert_same(lean, plugin, arrays):
    got = drive(plugin, arrays, interface="v3", flavour=lean)
    for array, expected in zip(got, calls.run_reference(plugin, arrays), strict=True):
        wide, wanted = (each.astype(np.float64) for each in (array, expected))
        np.testing.assert_array_equal(wide, wanted)


@pytest.mark.parametrize("dtype", [*FLOATS, np.int8])
@pytest.mark.parametrize(
    ("shape", "attributes"),
    [
        ((2, 33, 64, 64), {"kernel_shape": (2, 2), "strides": (2, 2)}),
        ((2, 33, 63, 65), {"kernel_shape": (2, 2), "strides": (2, 2)}),
        ((2, 5, 56, 56), {"kernel_shape": (3, 3), "strides": (2, 2), "pads": (1, 1, 1, 1)}),
        ((2, 5, 31, 40), {"kernel_shape": (5, 5), "pads": (2, 2, 2, 2)}),
        ((2, 5, 31, 40), {"kernel_shape": (3, 3)}),
        ((1, 3, 50, 50), {"kernel_shape": (9, 9), "pads": (4, 4, 4, 4), "storage_order": 1}),
        ((3, 2, 29, 40), {"kernel_shape": (7, 9), "strides": (2, 3), "pads": (3, 0, 0, 4)}),
        ((1, 4, 9, 20, 26), {"kernel_shape": (3, 4, 5), "strides": (2, 3, 4), "storage_order": 1}),
        ((2, 7, 20, 30), {"kernel_shape": (2, 3), "dilations": (3, 2), "strides": (1, 2)}),
        ((3, 17, 1000), {"kernel_shape": (4,), "strides": (4,)}),
        ((2, 5, 12, 20, 32), {"kernel_shape": (2, 2, 2), "strides": (2, 2, 2)}),
        ((2, 9, 40, 52), {"kernel_shape": (13, 13), "pads": (6, 6, 6, 6)}),
        ((1, 4, 9, 40, 52), {"kernel_shape": (3, 7, 9), "pads": (1, 3, 4) * 2}),
        ((2, 9, 57, 57), {"kernel_shape": (57, 57)}),
        ((2, 9, 60, 70), {"kernel_shape": (60, 70), "storage_order": 1}),
        ((2, 9, 32, 48), {"kernel_shape": (32, 48)}),
        ((2, 9, 4096), {"kernel_shape": (4096,)}),
    ],
    ids=str,
)
def test_greatest_elements_and_their_indices(lean, shape, attributes, dtype):
    rng = np.random.default_rng(0)
    x = (rng.normal(size=shape) * 3).astype(dtype)
    if dtype is not np.int8:
        x[rng.random(shape) < 0.001] = np.nan
        x[:, -1] = -np.inf
    assert_same(lean, MaxPool(**attributes), [x])


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("outside", [0.0, 0.001, 1.0], ids=["own", "few strays", "anywhere"])
@pytest.mark.parametrize(
    ("shape", "window"),
    [
        ((2, 33, 32, 32), (2, 2)),
        ((2, 9, 37, 41), (3, 3)),
        ((1, 3, 200, 130), (2, 2)),
        ((1, 2, 40000), (3,)),
        ((1, 4, 16, 32, 32), (2, 2, 2)),
        ((1, 1, 4, 100, 100), (2, 2, 2)),
        ((1, 5, 8, 8), (2, 2)),
    ],
    ids=str,
)
def test_elements_that_are_put_back(lean, shape, window, outside, dtype):
    rng = np.random.default_rng(1)
    index = np.arange(shape[0] * shape[1]).reshape(*shape[:2], *[1] * len(window))
    for axis, length in enumerate(window):
        count = shape[axis + 2]
        at = np.arange(count).reshape(-1, *[1] * (len(window) - axis - 1)) * length
        index = index * count * length + at
    # The first corner of each window; those that go elsewhere change places among themselves.
    indices = np.broadcast_to(index, shape).reshape(-1).copy()
    chosen = np.flatnonzero(rng.random(indices.size) < outside)
    indices[chosen] = indices[rng.permutation(chosen)]
    x = rng.normal(size=shape).astype(dtype)
    assert_same(lean, MaxUnpool(kernel_shape=window, strides=window), [x, indices.reshape(shape)])


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize(
    ("shape", "regions", "bins", "largest"),
    [
        ((2, 256, 50, 68), 20, (7, 7), 30),
        ((2, 19, 50, 68), 2000, (3, 5), 9),
        ((1, 5, 100, 900), 9, (7, 40), 900),
        ((2, 9, 60, 80), 9, (1, 1), 80),
        ((1, 2, 9, 9), 30, (30, 2), 9),
    ],
    ids=str,
)
def test_largest_pixels_of_regions(lean, shape, regions, bins, largest, dtype):
    rng = np.random.default_rng(2)
    x = rng.normal(size=shape).astype(dtype)
    x[rng.random(shape) < 0.01] = np.nan
    low = rng.uniform(-0.1, 1, (regions, 2)) * (shape[3], shape[2])
    corners = np.concatenate([low, low + rng.uniform(-0.1, 1, low.shape) * largest], axis=1)
    images = rng.integers(0, shape[0] + 1, (regions, 1))  # one is not there
    rois = np.concatenate([images, corners], axis=1).astype(dtype)
    assert_same(lean, MaxRoiPool(pooled_shape=bins), [x, rois])
