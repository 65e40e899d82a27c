"""The plugin's tolerance is for finite values: infinities and NaN equal themselves alone."""

from types import SimpleNamespace

import ml_dtypes
import numpy as np
import pytest

from pluginkit import bfloat16, float16, float32
from pluginkit.checking.debug_taps import differing

DTYPES = {float32: np.float32, float16: np.float16, bfloat16: ml_dtypes.bfloat16}
INF, NAN = np.inf, np.nan


def differs(got, expected, dtype=float32, tolerance=0.1):
    plugin = SimpleNamespace(tolerance={dtype: tolerance})
    arrays = [np.array([value], DTYPES[dtype]) for value in (got, expected)]
    return bool(differing(plugin, *arrays)[0])


@pytest.mark.parametrize("dtype", DTYPES, ids=lambda dtype: dtype.name)
@pytest.mark.parametrize("tolerance", [0.0, 1e-3, 0.1, 10.0])
@pytest.mark.parametrize("expected", [INF, -INF, NAN, 0.0, 1.0, 60000.0])
@pytest.mark.parametrize("got", [INF, -INF, NAN, 0.0, 1.0, 60000.0])
def test_what_is_not_finite_equals_itself_alone(got, expected, tolerance, dtype):
    if np.isfinite(got) and np.isfinite(expected):
        wrong = abs(got - expected) > tolerance * max(1, abs(expected))
    else:
        wrong = not np.array_equal([got], [expected], equal_nan=True)
    assert differs(got, expected, dtype, tolerance) == wrong


@pytest.mark.parametrize("dtype", DTYPES, ids=lambda dtype: dtype.name)
def test_the_largest_number_is_not_infinity(dtype):
    largest = float(ml_dtypes.finfo(DTYPES[dtype]).max)
    assert differs(largest, INF, dtype)
    assert differs(INF, largest, dtype)
    assert differs(-largest, -INF, dtype)
    assert not differs(largest, largest, dtype)


def test_other_shapes_differ():
    plugin = SimpleNamespace(tolerance={float32: 1.0})
    assert differing(plugin, np.zeros(2, np.float32), np.zeros(3, np.float32)).any()
