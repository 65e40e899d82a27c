import re
from itertools import product

import numpy as np
import pytest

from pluginkit import Workspace, float32
from pluginkit.contract import calls
from pluginkit.errors import AttributeValueError, PluginkitError
from pluginkit.kernels.compile import compile_launches
from pluginkit.plugins.dft import Dft, launches
from pluginkit.plugins.dft.plan import LONGEST, passes_of, plan_of
from pluginkit.plugins.dft.shapes import SHORT, shape_of
from pluginkit.testing import run_kernels
from tests.plugins.compilation import (
    QUICK,
    assert_all_compile,
    assert_few_compile,
    every_architecture,
    specialisations_of,
)


def on_machine(x, **attributes):
    run = run_kernels(Dft(length=x.shape[-2], **attributes), [x])
    assert not run.findings
    return run.outputs[0]


def complex_of(x):
    return x[..., 0].astype(np.float64) + 1j * x[..., 1]


@pytest.fixture
def many(monkeypatch):
    """Take the launches of batches that do not run at once."""
    monkeypatch.setattr(launches, "_FEW_THREADS", 0)


#: Lengths of each radix in both directions, and longer ones, which take the same steps in either,
#: in one of them.
FORWARD = (
    *(60, 1458),  # in one pass
    8400,  # in two
    *(97, 2053),  # by a convolution in one pass
    4099,  # and in two
)
INVERSE = (*(343, 2048, 4802), 9000, *(37, 1003))


@pytest.mark.parametrize(
    ("inverse", "length"),
    [
        *product([False, True], [1, 2, 3, 4, 5, 7, 8, 9, 11, 19, 39, 46, 360]),
        *((False, length) for length in FORWARD),
        *((True, length) for length in INVERSE),
    ],
)
def test_transforms_of_every_length_are_numpys(length, inverse, monkeypatch):
    if inverse:  # as of batches that do not run at once
        monkeypatch.setattr(launches, "_FEW_THREADS", 0)
    x = np.random.default_rng(length).normal(size=(2, length, 2)).astype(np.float32)
    expected = (np.fft.ifft if inverse else np.fft.fft)(complex_of(x))
    error = np.abs(complex_of(on_machine(x, inverse=inverse)) - expected).max()
    assert error <= 5e-7 * np.abs(expected).max()


def test_definition_by_hand():
    x = np.float32([[[1, 0], [2, 0], [4, 0]]])
    w = np.exp(-2j * np.pi / 3)
    expected = [7, 1 + 2 * w + 4 * w**2, 1 + 2 * w**2 + 4 * w]
    np.testing.assert_allclose(complex_of(on_machine(x))[0], expected, atol=1e-6)


@pytest.mark.parametrize("onesided", [False, True])
@pytest.mark.parametrize("parts", [1, 2])
@pytest.mark.parametrize("length", [7, 15, 18, 46])  # with vectors in shared memory, or not
@pytest.mark.parametrize("more", [-3, 0, 4])  # padded, as it is, and cut off
def test_short_rows_of_more_than_a_block(more, length, parts, onesided, many):
    x = np.random.default_rng(1).normal(size=(70, length + more, parts)).astype(np.float32)
    plugin = Dft(length=length, inverse=onesided and parts == 2, onesided=onesided)
    run = run_kernels(plugin, [x])
    assert not run.findings
    expected = calls.run_reference(plugin, [x])[0]
    np.testing.assert_allclose(run.outputs[0], expected, atol=1e-5)


@pytest.mark.parametrize("length", [24, 37, 512, 8400, 4099])  # of 512 the parts take turns
def test_a_batch_along_other_axes(length):
    x = np.random.default_rng(1).normal(size=(3, length, 5, 2)) * length**-0.5
    run = run_kernels(Dft(length=length, axis=1), [x.astype(np.float32)])
    assert not run.findings
    expected = np.fft.fft(complex_of(x), axis=1)
    np.testing.assert_allclose(complex_of(run.outputs[0]), expected, atol=1e-5)


@pytest.mark.parametrize("axis", [1, 2])
@pytest.mark.parametrize(
    ("length", "few_threads"), [(8, 0), (8, 2**16), (9, 2**16), (37, 2**16)]
)  # in pairs, or not, or by a convolution
def test_half_a_spectrum_gives_the_signal_back(length, axis, few_threads, monkeypatch):
    monkeypatch.setattr(launches, "_FEW_THREADS", few_threads)
    shape = (2, length, 3, 1) if axis == 1 else (2, 3, length, 1)
    x = np.random.default_rng(1).normal(size=shape).astype(np.float32)
    half = run_kernels(Dft(length=length, axis=axis, onesided=True), [x])
    assert not half.findings
    expected = np.fft.rfft(x[..., 0], axis=axis)
    np.testing.assert_allclose(complex_of(half.outputs[0]), expected, atol=1e-5)
    again = Dft(length=length, axis=axis, onesided=True, inverse=True)
    run = run_kernels(again, half.outputs)
    assert not run.findings
    np.testing.assert_allclose(run.outputs[0], x, atol=1e-6)


@pytest.mark.parametrize("axis", [1, 2])
@pytest.mark.parametrize(("inverse", "onesided"), [(False, True), (False, False), (True, False)])
@pytest.mark.parametrize("length", [4484, 8505])  # 76 columns of convolutions, and 81
def test_real_numbers_in_two_passes_have_half_of_the_second_one(length, inverse, onesided, axis):
    shape = (2, length - 7, 2, 1) if axis == 1 else (1, 2, length - 7, 1)
    x = np.random.default_rng(1).normal(size=shape).astype(np.float32)
    run = run_kernels(Dft(length=length, axis=axis, inverse=inverse, onesided=onesided), [x])
    assert not run.findings
    transform = np.fft.ifft if inverse else np.fft.rfft if onesided else np.fft.fft
    expected = transform(x[..., 0].astype(np.float64), length, axis)
    error = np.abs(complex_of(run.outputs[0]) - expected).max()
    assert error <= 5e-7 * np.abs(expected).max()
    assert passes_of(length, "REAL", "COMPLEX")[1].subs == {4484: 39, 8505: 41}[length]


@pytest.mark.parametrize("size", [12, 17, 18, 21])
@pytest.mark.parametrize("onesided", [False, True])
def test_real_numbers_in_pairs_are_cut_off_or_padded(size, onesided, many):
    x = np.random.default_rng(1).normal(size=(3, size, 1)).astype(np.float32)
    run = run_kernels(Dft(length=18, onesided=onesided), [x])
    assert not run.findings
    expected = (np.fft.rfft if onesided else np.fft.fft)(x[..., 0], 18)
    np.testing.assert_allclose(complex_of(run.outputs[0]), expected, atol=1e-5)


def test_the_ends_of_half_a_spectrum_have_no_imaginary_parts(many):
    half = np.random.default_rng(1).normal(size=(2, 9, 2)).astype(np.float32)
    run = run_kernels(Dft(length=16, onesided=True, inverse=True), [half])
    np.testing.assert_allclose(run.outputs[0][..., 0], np.fft.irfft(complex_of(half)), atol=1e-6)


@pytest.mark.parametrize("place", [0, 8])
def test_an_infinite_imaginary_part_of_the_ends_counts(place, many):
    half = np.ones((2, 9, 2), np.float32)
    half[1, place, 1] = np.inf
    run = run_kernels(Dft(length=16, onesided=True, inverse=True), [half])
    assert np.isfinite(run.outputs[0][0]).all()
    assert np.isnan(run.outputs[0][1]).all()


@pytest.mark.parametrize("length", [12, 37, 8232])
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


def launched(plugin, shape):
    inputs = calls.describe_inputs(plugin, [shape], [float32])
    outputs = calls.describe_outputs(plugin, inputs)
    return [each.kernel for each in plugin.launches(*inputs, *outputs, Workspace(0))]


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
@pytest.mark.parametrize("rows", [70, 64])  # of which some are a part of a block, or none
@pytest.mark.parametrize(
    ("parts", "inverse", "onesided"),
    [(2, False, False), (2, True, False), (1, False, False), (1, True, False), (1, False, True)],
)
@pytest.mark.parametrize("length", [7, 13, 23])
def test_primes_of_every_kind(length, parts, inverse, onesided, rows, dtype, many):
    x = np.random.default_rng(1).normal(size=(rows, length, parts)).astype(dtype)
    plugin = Dft(length=length, inverse=inverse, onesided=onesided)
    assert launched(plugin, x.shape) == [plugin.prime_kernel]
    run = run_kernels(plugin, [x])
    assert not run.findings
    expected = complex_of(calls.run_reference(plugin, [x.astype(np.float32)])[0])
    error = np.abs(complex_of(run.outputs[0]) - expected).max()
    assert error <= {np.float32: 5e-7, np.float16: 1e-3}[dtype] * np.abs(expected).max()


@pytest.mark.parametrize("length", [11, 31])
@pytest.mark.parametrize("rows", [70, 64])
def test_half_a_spectrum_of_a_prime(rows, length, many):
    x = np.random.default_rng(1).normal(size=(rows, length // 2 + 1, 2)).astype(np.float32)
    plugin = Dft(length=length, inverse=True, onesided=True)
    assert launched(plugin, x.shape) == [plugin.prime_kernel]
    run = run_kernels(plugin, [x])
    assert not run.findings
    np.testing.assert_allclose(
        run.outputs[0][..., 0], np.fft.irfft(complex_of(x), length), atol=1e-6
    )


@pytest.mark.parametrize(
    ("shape", "attributes"),
    [
        ((70, 22, 2), {}),  # padded
        ((70, 24, 1), {}),  # cut off
        ((70, 23, 2), {"onesided": True}),
        ((70, 12, 1), {"inverse": True, "onesided": True}),
        ((35, 23, 2, 2), {"axis": 1}),
    ],
)
def test_other_calls_of_a_prime_take_a_thread_for_each_transform(shape, attributes, many):
    plugin = Dft(length=23, **attributes)
    x = np.random.default_rng(1).normal(size=shape).astype(np.float32)
    assert launched(plugin, shape) == [plugin.whole_kernel]
    run = run_kernels(plugin, [x])
    assert not run.findings
    expected = calls.run_reference(plugin, [x])[0]
    assert np.abs(run.outputs[0] - expected).max() <= 5e-7 * np.abs(expected).max()


@pytest.mark.parametrize(
    ("parts", "inverse", "onesided"), [(2, False, False), (1, True, False), (2, True, True)]
)
@pytest.mark.parametrize("place", [0, 4, 8])
@pytest.mark.parametrize("lost", [np.nan, np.inf])
def test_a_prime_is_lost_with_either_part_of_a_number(lost, place, parts, inverse, onesided, many):
    for part in range(parts):
        x = np.ones((3, 9 if onesided else 17, parts), np.float32)
        x[1, place, part] = lost
        run = run_kernels(Dft(length=17, inverse=inverse, onesided=onesided), [x])
        assert np.isfinite(run.outputs[0][[0, 2]]).all()
        assert np.isnan(run.outputs[0][1]).all()


def test_every_length_has_passes_of_short_transforms():
    for length in (*range(1, 300), *range(8100, 8300, 3), 2**20 - 1, LONGEST - 1, LONGEST, 3**13):
        plan = plan_of(length)
        assert plan.points >= (2 * length - 1 if plan.is_convolution else length), length
        assert not plan.is_convolution or plan.points <= 4 * length, length
        for each in passes_of(length, "COMPLEX", "COMPLEX"):
            is_row_convolved = plan.rows and each.kernel == "second"
            points = plan.rows if is_row_convolved else each.shape.points
            assert points * each.subs == plan.points, length
            assert 2 * points - 1 <= each.shape.points or not is_row_convolved, length
            assert each.shape.points <= SHORT, length


@pytest.mark.parametrize(
    ("shape", "attributes"),
    [
        ((1, 4484, 2), {"inverse": True}),  # 76 columns of 59
        ((2, 2146, 1), {"onesided": True}),
        ((1, 2146, 3, 2), {"axis": 1}),
        ((1, 1075, 2), {"inverse": True, "onesided": True}),  # of 2148 points
    ],
)
def test_rows_with_a_large_prime_factor_are_convolved_between_columns(shape, attributes):
    x = np.random.default_rng(1).normal(size=shape).astype(np.float32)
    axis = attributes.get("axis", -2)
    length = 2148 if shape[1] == 1075 else shape[axis]
    assert len(passes_of(length, "COMPLEX", "COMPLEX")) == 2
    run = run_kernels(Dft(length=length, **attributes), [x])
    assert not run.findings
    expected = calls.run_reference(Dft(length=length, **attributes), [x])[0]
    assert np.abs(run.outputs[0] - expected).max() <= 5e-7 * np.abs(expected).max()


@pytest.mark.parametrize(("length", "launches"), [(37, 1), (4093, 1), (4099, 3), (1_000_003, 3)])
def test_a_convolution_has_no_launch_for_its_chirp_alone(length, launches):
    assert plan_of(length).is_convolution
    assert len(passes_of(length, "COMPLEX", "COMPLEX")) == launches


def test_shapes_read_whole_sectors_with_few_radices():
    assert shape_of(400).radices == (20, 20)
    assert shape_of(2048, is_symmetric=True).radices == (16, 8, 16)
    assert shape_of(64).lanes == 8
    assert shape_of(23).radices == (23,)
    assert shape_of(184).radices == (8, 23)
    assert shape_of(57).lanes == 4  # for three butterflies of 19 points; 19 would idle
    assert shape_of(65).lanes == 13
    assert shape_of(37) is None
    assert shape_of(2 * SHORT) is None


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


@pytest.mark.parametrize("points", [640, 2400])
def test_as_many_threads_as_divide_the_points(points):
    assert points % shape_of(points).lanes == 0


def test_only_the_ends_of_a_symmetric_shape_are_the_same():
    first, *between, last = shape_of(8192, is_symmetric=True).radices
    assert first == last
    assert len(between) == 2  # in place of the three that are the same from both ends


def test_more_numbers_in_a_thread_save_the_fourth_radix():
    assert shape_of(8192).radices == (32, 16, 16)
    assert len(shape_of(4802).radices) == 4  # 2 * 7**4


def test_registers_suffice_for_the_blocks_that_shall_run_at_once():
    plugin = Dft(length=3000, onesided=True)  # 100 threads a block, which take four warps
    inputs = calls.describe_inputs(plugin, [(4096, 3000, 1)], [float32])
    outputs = calls.describe_outputs(plugin, inputs)
    (compiled,) = compile_launches(plugin, inputs, outputs, QUICK)
    blocks = int(re.search(rb"minnctapersm (\d+)", compiled.ptx)[1])
    shape = plan_of(3000).halves
    threads = shape.lanes * shape.rows
    assert threads == 100
    assert 80 <= 65536 // (blocks * 128) <= 96  # four for each of 20 numbers


def test_some_of_each_kernel_compile():
    assert_few_compile(specialisations_of([Dft(length=4)]), QUICK)


@every_architecture
def test_every_kernel_compiles(arch):
    assert_all_compile(specialisations_of([Dft(length=4)]), arch)
