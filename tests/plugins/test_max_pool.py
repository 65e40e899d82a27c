import numpy as np
import pytest

from pluginkit import float32
from pluginkit.contract import calls
from pluginkit.errors import AttributeValueError, PluginkitError
from pluginkit.plugins.max_pool import MaxPool
from pluginkit.testing import run_kernels
from tests.plugins.compilation import architectures, assert_all_compile, specialisations_of


def on_machine(x, **attributes):
    run = run_kernels(MaxPool(**attributes), [x])
    assert not run.findings
    return run.outputs


@pytest.mark.parametrize("dtype", [np.float32, np.float16, np.int8])
@pytest.mark.parametrize("window", [1, 2, 3, 4, 70], ids=str)
def test_the_greatest_and_its_index_are_those_of_each_window(window, dtype):
    x = (np.random.default_rng(1).normal(size=(2, 2, 70, 73)) * 40).astype(dtype)
    values, indices = on_machine(x, kernel_shape=(window, window), strides=(window, window))
    for n, c, i, j in np.ndindex(values.shape):
        rows, columns = (slice(at * window, (at + 1) * window) for at in (i, j))
        part = np.full((70, 73), -np.inf)
        part[rows, columns] = x[n, c, rows, columns]
        assert values[n, c, i, j] == part.max()
        assert indices[n, c, i, j] == (n * 2 + c) * 70 * 73 + part.argmax()


def test_nan_is_the_greatest_and_the_first_of_equals_is_taken():
    x = np.float32([[[[1, 1, np.nan, 5], [1, 1, 7, np.nan]]]])
    values, indices = on_machine(x, kernel_shape=(2, 2), strides=(2, 2))
    np.testing.assert_array_equal(values, [[[[1, np.nan]]]])
    np.testing.assert_array_equal(indices, [[[[0, 2]]]])


def test_nan_is_the_greatest_of_a_large_window():
    x = np.zeros((1, 1, 60, 60), np.float32)
    x[0, 0, 41, 7] = x[0, 0, 59, 1] = np.nan
    values, indices = on_machine(x, kernel_shape=(60, 60))
    assert np.isnan(values).all()
    assert indices.item() == 41 * 60 + 7


def test_a_window_of_the_least_number_has_a_place_inside_of_it():
    x = np.full((1, 1, 4, 4), -np.inf, np.float32)
    _, places = on_machine(x, kernel_shape=(2, 2), strides=(2, 2), pads=(1, 1, 1, 1))
    np.testing.assert_array_equal(places[0, 0], [[0, 1, 3], [4, 5, 7], [12, 13, 15]])


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ({"kernel_shape": (2,)}, "kernel_shape has 1 numbers; expected 2"),
        ({"kernel_shape": (2, 2), "pads": (0, 0)}, "pads has 2 numbers; expected 4"),
        ({"kernel_shape": (9, 2)}, "no window fits"),
    ],
    ids=str,
)
def test_attributes_that_do_not_fit_are_refused(attributes, message):
    plugin = MaxPool(**attributes)
    with pytest.raises(PluginkitError, match=message):
        calls.check(plugin, calls.describe_inputs(plugin, [(1, 1, 4, 4)], [float32]))


def test_an_empty_axis_is_refused():
    plugin = MaxPool(kernel_shape=(2, 2), pads=(1, 1, 1, 1))
    with pytest.raises(PluginkitError, match="expected 1 to 2\\^29 elements"):
        calls.check(plugin, calls.describe_inputs(plugin, [(1, 1, 0, 4)], [float32]))


@pytest.mark.parametrize("attributes", [{"strides": (0, 1)}, {"pads": (0, 0, -1, 0)}], ids=str)
def test_attributes_out_of_range_are_refused(attributes):
    with pytest.raises(AttributeValueError, match="numbers from"):
        MaxPool(kernel_shape=(2, 2), **attributes)


@architectures
def test_every_kernel_compiles(arch):
    assert_all_compile(specialisations_of([MaxPool(kernel_shape=(2, 2))]), arch)
