import numpy as np
import pytest

from pluginkit import Copy, float32, int64
from pluginkit.contract import calls
from pluginkit.errors import PluginkitError
from pluginkit.plugins.kth_value import KthValue
from pluginkit.testing import run_kernels
from tests.plugins.compilation import (
    QUICK,
    assert_few_compile,
    specialisations_of,
)


def on_machine(x, positions, **attributes):
    run = run_kernels(KthValue(**attributes), [x, np.array(positions, np.int64)])
    assert not run.findings
    return run.outputs[0]


def drawn(*shape):
    return np.random.default_rng(sum(shape)).normal(size=shape).astype(np.float32)


@pytest.mark.parametrize("size", [1, 16, 40, 200, 1000])
def test_short_rows_have_the_values_that_numpy_sorts_there(size):
    x, positions = drawn(3, size), [0, size // 2, size - 1]
    np.testing.assert_array_equal(on_machine(x, positions), np.sort(x)[:, positions])
    descending = on_machine(x, positions, largest=True)
    np.testing.assert_array_equal(descending, np.sort(x)[:, ::-1][:, positions])


def test_rows_of_one_element_are_copied():
    inputs = calls.describe_inputs(KthValue(axis=1), [(5, 1, 3), (1,)], [float32, int64])
    steps = calls.steps(KthValue(axis=1), inputs, calls.describe_outputs(KthValue(axis=1), inputs))
    assert [type(step) for step in steps] == [Copy]
    x = drawn(5, 1, 3)
    np.testing.assert_array_equal(on_machine(x, [7], axis=1), x)


@pytest.mark.parametrize("shape", [(133, 1050), (1, 16500)], ids=["a block each", "split"])
def test_long_rows_have_the_values_that_numpy_sorts_there(shape):
    x, positions = drawn(*shape), [3, shape[1] // 2]
    np.testing.assert_array_equal(on_machine(x, positions), np.sort(x)[:, positions])


def test_each_row_may_have_positions_of_its_own_along_any_axis():
    x = drawn(2, 70, 3)
    positions = np.random.default_rng(0).integers(0, 70, (2, 4, 3))
    expected = np.take_along_axis(np.sort(x, 1), positions, 1)
    np.testing.assert_array_equal(on_machine(x, positions, axis=1), expected)


@pytest.mark.parametrize("size", [9, 17, 5000])
def test_nan_comes_last_and_positions_beyond_a_row_are_its_ends(size):
    x = np.arange(size, dtype=np.float32)
    x[[1, 2]] = np.nan
    got = on_machine(x[None], [0, -1, size, -size - 5, size - 3])
    np.testing.assert_array_equal(got, [[0, np.nan, np.nan, 0, size - 1]])


def test_integers_of_64_bits_are_compared_as_they_are():
    x = np.array([[2**53 + 1, -(2**60), 2**53, 7]])
    assert on_machine(x, [0, 1, 2, 3]).tolist() == [sorted(x[0].tolist())]


@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        (((2, 5), (3, 1)), "expected one dimension, or the shape of x but for axis -1"),
        (((2, 0), (1,)), "expected 1 to 2\\^31 - 1 elements along axis -1"),
    ],
    ids=["positions", "size"],
)
def test_inputs_that_do_not_fit_are_refused(shapes, message):
    inputs = calls.describe_inputs(KthValue(), shapes, [float32, int64])
    with pytest.raises(PluginkitError, match=message):
        calls.check(KthValue(), inputs)


def test_kernels_compile():
    assert_few_compile(specialisations_of([KthValue()]), QUICK, 2)
