from math import prod

import numpy as np
import pytest

from pluginkit import float32
from pluginkit.contract import calls
from pluginkit.errors import AttributeValueError, PluginkitError
from pluginkit.plugins.dft import Dft
from pluginkit.plugins.dft.plan import (
    LONGEST,
    MOST_RADICES,
    SHORT,
    convolution_of,
    passes_of,
    radices_of,
)
from pluginkit.testing import run_kernels
from tests.plugins.compilation import (
    QUICK,
    assert_all_compile,
    every_architecture,
    few_of_each,
    specialisations_of,
)


def on_machine(x, **attributes):
    run = run_kernels(Dft(length=x.shape[-2], **attributes), [x])
    assert not run.findings
    return run.outputs[0]


def complex_of(x):
    return x[..., 0].astype(np.float64) + 1j * x[..., 1]


@pytest.mark.parametrize(
    "length",
    [
        *(1, 2, 3, 4, 5, 7, 8, 9, 60, 343, 1458, 2048),  # in one pass
        *(2050, 4096, 2401),  # in two, except 2050 = 2 * 5 * 5 * 41
        *(11, 97, 1023),  # by a convolution in one pass
        *(1031, 2053),  # and in two
    ],
)
@pytest.mark.parametrize("inverse", [False, True])
def test_transforms_of_every_length_are_numpys(length, inverse):
    x = np.random.default_rng(length).normal(size=(2, length, 2)).astype(np.float32)
    expected = (np.fft.ifft if inverse else np.fft.fft)(complex_of(x))
    error = np.abs(complex_of(on_machine(x, inverse=inverse)) - expected).max()
    assert error <= 5e-7 * np.abs(expected).max()


def test_definition_by_hand():
    x = np.float32([[[1, 0], [2, 0], [4, 0]]])
    w = np.exp(-2j * np.pi / 3)
    expected = [7, 1 + 2 * w + 4 * w**2, 1 + 2 * w**2 + 4 * w]
    np.testing.assert_allclose(complex_of(on_machine(x))[0], expected, atol=1e-6)


def test_a_batch_along_other_axes():
    x = np.random.default_rng(1).normal(size=(3, 24, 5, 2)).astype(np.float32)
    run = run_kernels(Dft(length=24, axis=1), [x])
    assert not run.findings
    expected = np.fft.fft(complex_of(x), axis=1)
    np.testing.assert_allclose(complex_of(run.outputs[0]), expected, atol=1e-5)


@pytest.mark.parametrize("length", [8, 9])
def test_half_a_spectrum_gives_the_signal_back(length):
    x = np.random.default_rng(1).normal(size=(2, length, 1)).astype(np.float32)
    half = on_machine(x, onesided=True)
    assert half.shape == (2, length // 2 + 1, 2)
    run = run_kernels(Dft(length=length, onesided=True, inverse=True), [half])
    np.testing.assert_allclose(run.outputs[0], x, atol=1e-6)


@pytest.mark.parametrize("length", [12, 13, 2052])
@pytest.mark.parametrize("lost", [np.nan, np.inf])
def test_a_number_that_is_not_finite_takes_its_transform_along(length, lost):
    x = np.ones((2, length, 2), np.float32)
    x[1, length // 3, 0] = lost
    y = on_machine(x)
    assert np.isfinite(y[0]).all()
    assert np.isnan(y[1]).all()
    np.testing.assert_array_equal(
        np.isnan(calls.run_reference(Dft(length=length), [x])[0]), np.isnan(y)
    )


def test_every_length_has_passes_of_short_transforms():
    lengths = [*range(1, 5000), 2**20, 2**20 - 1, LONGEST - 1, LONGEST, 3**13, 7**7]
    for length in lengths:
        for each in passes_of(length, False):
            radices = radices_of(each.points)
            assert radices is not None, length
            assert len(radices) <= MOST_RADICES, length
            assert prod(radices) == each.points <= SHORT, length
            assert each.points * each.subs == each.whole, length
        convolution = convolution_of(length)
        assert convolution is None or convolution >= 2 * length - 1, length


@pytest.mark.parametrize("length", [0, -4, LONGEST + 1])
def test_a_length_out_of_range_is_refused(length):
    with pytest.raises(AttributeValueError, match="expected 1 to 2097152"):
        Dft(length=length)


@pytest.mark.parametrize(
    ("axis", "shape", "message"),
    [
        (-1, (3, 4, 2), "before the last one"),
        (3, (3, 4, 2), "axis 3 of 'x' is out of range"),
        (1, (3, 4, 3), "1 or 2"),
    ],
)
def test_what_is_no_axis_of_complex_numbers_is_refused(axis, shape, message):
    plugin = Dft(length=4, axis=axis)
    with pytest.raises(PluginkitError, match=message):
        calls.check(plugin, calls.describe_inputs(plugin, [shape], [float32]))


def test_some_of_each_kernel_compile():
    assert_all_compile(few_of_each(specialisations_of([Dft(length=4)]), 1), QUICK)


@every_architecture
def test_every_kernel_compiles(arch):
    assert_all_compile(specialisations_of([Dft(length=4)]), arch)
