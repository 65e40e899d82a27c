"""Dft on a real GPU: real and complex numbers, whole and half spectra, along either axis."""

from __future__ import annotations

import numpy as np
import pytest

from pluginkit.checking.trt_double.driver import drive
from pluginkit.plugins.dft import Dft

pytestmark = [pytest.mark.gpu, pytest.mark.trt]


def transform(lean, x, length, **attributes):
    return drive(Dft(length=length, **attributes), [x], interface="v3", flavour=lean)[0]


def complex_of(x):
    return x[..., 0].astype(np.float64) + 1j * x[..., 1]


@pytest.mark.parametrize("length", [2, 6, 30, 38, 64, 400, 512, 1000, 1024, 2046, 8192])
@pytest.mark.parametrize("axis", [1, 2])
@pytest.mark.parametrize("onesided", [False, True])
def test_real_numbers(lean, length, axis, onesided):
    shape = (37, length, 3, 1) if axis == 1 else (5, 3, length, 1)
    x = np.random.default_rng(length).normal(size=shape).astype(np.float32)
    function = np.fft.rfft if onesided else np.fft.fft
    expected = function(x[..., 0].astype(np.float64), axis=axis)
    got = complex_of(transform(lean, x, length, axis=axis, onesided=onesided))
    assert np.abs(got - expected).max() <= 5e-7 * np.abs(expected).max()


@pytest.mark.parametrize("length", [64, 441, 512, 1500, 2048, 4116, 2**20])
@pytest.mark.parametrize("inverse", [False, True])
def test_complex_numbers(lean, length, inverse):
    batch = 3 if length > 4096 else 50
    x = np.random.default_rng(length).normal(size=(batch, length, 2)).astype(np.float32)
    expected = (np.fft.ifft if inverse else np.fft.fft)(complex_of(x))
    got = complex_of(transform(lean, x, length, inverse=inverse))
    assert np.abs(got - expected).max() <= 5e-7 * np.abs(expected).max()


@pytest.mark.parametrize("length", [7, 11, 13, 17, 19, 23, 29, 31])
@pytest.mark.parametrize("parts", [1, 2])
def test_many_rows_of_a_prime(lean, length, parts):
    x = np.random.default_rng(length).normal(size=(5003, length, parts)).astype(np.float32)
    numbers = complex_of(x) if parts == 2 else x[..., 0].astype(np.float64)
    for inverse, function in ((False, np.fft.fft), (True, np.fft.ifft)):
        expected = function(numbers)
        got = complex_of(transform(lean, x, length, inverse=inverse))
        assert np.abs(got - expected).max() <= 5e-7 * np.abs(expected).max()
    if parts == 1:
        half = transform(lean, x, length, onesided=True)
        expected = np.fft.rfft(numbers)
        assert np.abs(complex_of(half) - expected).max() <= 5e-7 * np.abs(expected).max()
        again = transform(lean, half, length, onesided=True, inverse=True)
        assert np.abs(again - x).max() <= 1e-6 * np.abs(x).max()
