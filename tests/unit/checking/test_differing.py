"""The plugin's tolerance is for finite values: infinities and NaN equal themselves alone."""

from types import SimpleNamespace

import ml_dtypes
import numpy as np
import pytest

from pluginkit import bfloat16, float16, float32
from pluginkit.checking.debug_taps import differing
from pluginkit.checking.executions import expect
from pluginkit.checking.outcomes import Failure

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


def cause_of(got, expected, dtype=np.float32):
    got, expected = np.array(got, dtype), np.array(expected, dtype)
    plugin = SimpleNamespace(
        tolerance={float32: 1e-3}, spec=SimpleNamespace(outputs=[SimpleNamespace(name="y")])
    )
    call = SimpleNamespace(plugin=plugin, reference=lambda: [expected], label="a case", case=None)
    with pytest.raises(Failure) as caught:
        expect(call, [got])
    return caught.value.cause


def test_a_failure_says_how_far_it_is_from_the_tolerance():
    cause = cause_of([1.0, 10.5, 2.0, 3.0], [1.0, 10.0, 2.5, 3.0005])
    assert cause == (
        "2 of 4 elements differ, by up to 2.0e-01 of max(1, expected); "
        "tolerance allows 0.001 for float32."
    )


@pytest.mark.parametrize(
    ("got", "expected", "dtype"),
    [
        ([1.0, NAN], [1.0, 2.0], np.float32),
        ([1.0, 2.0], [INF, 2.0], np.float32),
        ([1, 2], [1, 3], np.int32),
        ([True, True], [True, False], np.bool_),
    ],
    ids=["NaN", "inf", "int32", "bool"],
)
def test_no_distance_is_said_of_what_has_none(got, expected, dtype):
    assert cause_of(got, expected, dtype) == "1 of 2 elements differ."
