"""CumProd on a real GPU: rows of lanes and of blocks, every axis and direction, every type."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest

from pluginkit.checking.trt_double.driver import drive
from pluginkit.contract import calls
from pluginkit.contract.dtypes import dtype_from_numpy
from pluginkit.plugins.cum_prod import CumProd

pytestmark = [pytest.mark.gpu, pytest.mark.trt]

DTYPES = [np.float32, np.float16, ml_dtypes.bfloat16, np.int64, np.int32]
SHAPES = [
    (100_003,),
    (65_536,),
    (3, 5001),
    (3, 70_000),
    (700, 4096),
    (9000, 1),
    (5000, 7),
    (5000, 64),
    (333, 250),
]


def assert_right(lean, x, **attributes):
    plugin = CumProd(**attributes)
    (got,) = drive(plugin, [x], interface="v3", flavour=lean)
    (expected,) = calls.run_reference(plugin, [x])
    tolerance = CumProd.tolerance[dtype_from_numpy(x.dtype)]
    wide, wanted = got.astype(np.float64), expected.astype(np.float64)
    finite = np.isfinite(wanted)
    np.testing.assert_array_equal(wide[~finite], wanted[~finite])
    error = abs(wide[finite] - wanted[finite]) / np.maximum(1, abs(wanted[finite]))
    assert error.max(initial=0) <= tolerance


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("exclusive", [False, True])
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("axis", [0, -1])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_signs(lean, shape, axis, reverse, exclusive, dtype):
    x = np.random.default_rng(1).choice([-1, 1], shape).astype(dtype)
    assert_right(lean, x, axis=axis, reverse=reverse, exclusive=exclusive)


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("dtype", [np.float32, np.float16, np.int32, np.int64])
@pytest.mark.parametrize(
    "shape",
    [(2**22 + 77,), (300, 5001), (7, 2048 * 6), (31, 100_003), (5, 2**20 + 1)],
    ids=str,
)
def test_blocks_that_share_rows(lean, shape, dtype, reverse):
    x = np.random.default_rng(1).choice([-1, 1], shape).astype(dtype)
    forwards = np.flip(x, -1) if reverse else x
    expected = np.cumprod(forwards, -1, dtype=dtype)
    for _ in range(3):
        (got,) = drive(CumProd(reverse=reverse), [x], interface="v3", flavour=lean)
        np.testing.assert_array_equal(np.flip(got, -1) if reverse else got, expected)


@pytest.mark.parametrize("rows", [1, 9])
def test_the_order_of_products_is_the_same_every_time(lean, rows):
    x = np.random.default_rng(1).uniform(0.999, 1.001, (rows, 2**20)).astype(np.float32)
    first, *others = (drive(CumProd(), [x], interface="v3", flavour=lean)[0] for _ in range(4))
    assert all(np.array_equal(first, other) for other in others)


@pytest.mark.parametrize("rows", [4, 40])
@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("kind", ["vanishing", "growing", "zero", "infinite", "NaN", "extreme"])
def test_products_out_of_range(lean, kind, axis, rows):
    rng = np.random.default_rng(2)
    x = rng.choice([-1.0, 1.0], (rows, 9001))
    if kind == "vanishing":
        x *= 2.0 ** rng.integers(-2, 1, x.shape)
    elif kind == "growing":
        x *= 2.0 ** rng.integers(0, 3, x.shape)
    elif kind == "extreme":  # back from far beyond the range of floats
        x *= np.where(np.arange(9001) < 4500, 2.0**100, 2.0**-100)
    else:
        x[::3, 4000] = {"zero": 0, "infinite": np.inf, "NaN": np.nan}[kind]
    x = x.astype(np.float32)
    assert_right(lean, x if axis else x.T.copy(), axis=axis)
