"""RoiAlign on a real GPU: regions of every size, both modes and pixel centres, every type."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest

from pluginkit.checking.trt_double.driver import drive
from pluginkit.contract import calls
from pluginkit.contract.dtypes import dtype_from_numpy
from pluginkit.plugins.roi_align import RoiAlign

pytestmark = [pytest.mark.gpu, pytest.mark.trt]

DTYPES = [np.float32, np.float16, ml_dtypes.bfloat16]


def inputs_of(shape, regions, largest, dtype):
    rng = np.random.default_rng(0)
    x = rng.normal(size=shape)
    low = rng.uniform(-0.1, 1, (regions, 2)) * (shape[3], shape[2])
    rois = np.concatenate([low, low + rng.uniform(-0.1, 1, low.shape) * largest], axis=1)
    return [x.astype(dtype), rois.astype(dtype), rng.integers(0, shape[0], regions)]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("mode", ["avg", "max"])
@pytest.mark.parametrize("pixels", ["half_pixel", "output_half_pixel"])
@pytest.mark.parametrize(
    ("shape", "regions", "bins", "samples", "largest"),
    [
        ((2, 256, 50, 84), 20, (7, 7), 2, 40),
        ((2, 33, 50, 84), 20, (7, 7), 0, 40),
        ((1, 19, 20, 24), 2400, (7, 7), 1, 9),
        ((1, 5, 13, 17), 9, (3, 4), 0, 500),
        ((3, 1, 1, 40), 9, (1, 30), 3, 20),
        ((1, 2, 9, 9), 3, (30, 2), 23, 9),
    ],
    ids=str,
)
def test_regions(lean, shape, regions, bins, samples, largest, pixels, mode, dtype):
    plugin = RoiAlign(
        coordinate_transformation_mode=pixels,
        mode=mode,
        output_height=bins[0],
        output_width=bins[1],
        sampling_ratio=samples,
        spatial_scale=0.5,
    )
    arrays = inputs_of(shape, regions, largest, dtype)
    (got,) = drive(plugin, arrays, interface="v3", flavour=lean)
    (expected,) = calls.run_reference(plugin, arrays)
    wide, wanted = got.astype(np.float64), expected.astype(np.float64)
    tolerance = RoiAlign.tolerance[dtype_from_numpy(dtype)]
    np.testing.assert_array_less(abs(wide - wanted), tolerance * np.maximum(1, abs(wanted)) + 1e-9)


@pytest.mark.parametrize("number", [np.nan, np.inf, 1e9, -3e38])
def test_coordinates_of_any_size_come_to_an_end(lean, number):
    rows = [[number, 1, 3, 3], [1, 1, number, 3], [1, -abs(number), 3, abs(number)], [number] * 4]
    arrays = [np.ones((1, 2, 7, 7), np.float32), np.float32(rows), np.zeros(4, np.int64)]
    (got,) = drive(RoiAlign(output_width=2), arrays, interface="v3", flavour=lean)
    assert np.isfinite(got).all()
