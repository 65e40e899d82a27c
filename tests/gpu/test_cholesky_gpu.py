"""Cholesky on a real GPU: matrices of lanes, of a block and of many, both triangles, bad pivots."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest

from pluginkit.checking.trt_double.driver import drive
from pluginkit.contract.dtypes import dtype_from_numpy
from pluginkit.plugins.cholesky import Cholesky

pytestmark = [pytest.mark.gpu, pytest.mark.trt]

DTYPES = [np.float32, np.float16, ml_dtypes.bfloat16]


def positive_definite(count, size):
    root = np.random.default_rng(size).normal(size=(count, size, size)) / size**0.5
    return root @ root.mT + np.eye(size)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("upper", [False, True])
@pytest.mark.parametrize("size", [1, 7, 31, 40, 96, 97, 128, 161, 255, 300, 1025])
def test_factors(lean, size, upper, dtype):
    x = positive_definite(3, size).astype(dtype)
    other = np.tril_indices(size, -1) if upper else np.triu_indices(size, 1)
    given = x.copy()
    given[:, *other] = np.nan  # the triangle that is not read
    factor, info = drive(Cholesky(upper=upper), [given], interface="v3", flavour=lean)
    got = factor.astype(np.float64)
    expected = np.linalg.cholesky(np.tril(x).astype(np.float64) + np.tril(x, -1).mT)
    expected = expected.mT if upper else expected
    tolerance = Cholesky.tolerance[dtype_from_numpy(dtype)]
    assert not info.any()
    np.testing.assert_array_less(abs(got - expected), tolerance * np.maximum(1, abs(expected)))


@pytest.mark.parametrize("size", [40, 100, 300])
@pytest.mark.parametrize("bad", [-1, 0, np.nan])
def test_the_first_bad_pivot_is_named(lean, size, bad):
    x = positive_definite(2, size).astype(np.float32)
    x[0, size - 2, size - 2], x[1, 33, 33] = bad, bad
    x[1, 35, 35] = -1
    factor, info = drive(Cholesky(), [x], interface="v3", flavour=lean)
    pivots = [size - 1, 34]
    assert info.tolist() == pivots
    for matrix, pivot in zip(factor, pivots, strict=True):
        assert np.isfinite(matrix[:, : pivot - 1]).all()
        assert np.isnan(matrix[pivot - 1 :, pivot - 1]).all()
