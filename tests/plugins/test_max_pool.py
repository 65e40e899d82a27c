import numpy as np
import pytest

from pluginkit import float16, float32, offset_type
from pluginkit.contract import calls
from pluginkit.errors import AttributeValueError, PluginkitError
from pluginkit.plugins.max_pool import MaxPool, launches
from pluginkit.testing import run_kernels
from tests.plugins.compilation import (
    architectures,
    assert_kernels_compile,
    specialisations_of,
)


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


@pytest.mark.parametrize("kernel_shape", [(2, 2), (2, 80)], ids=str)
def test_a_denormal_is_greater_than_zero(kernel_shape):
    x = np.zeros((1, 1, 2, kernel_shape[1]), np.float32)
    x[0, 0, :, 1] = 1e-40, 2e-40
    values, indices = on_machine(x, kernel_shape=kernel_shape)
    assert values.item() == x.max() > 0
    assert indices.item() == kernel_shape[1] + 1


def test_nan_is_the_greatest_of_a_large_window():
    x = np.zeros((1, 1, 60, 60), np.float32)
    x[0, 0, 41, 7] = x[0, 0, 59, 1] = np.nan
    values, indices = on_machine(x, kernel_shape=(60, 60))
    assert np.isnan(values).all()
    assert indices.item() == 41 * 60 + 7


def test_nan_is_the_greatest_of_overlapping_windows_and_infinity_the_least():
    x = np.full((1, 2, 20, 21), -np.inf, np.float32)
    x[0, 0, 4, 9] = x[0, 0, 4, 12] = x[0, 0, 17, 3] = np.nan
    x[0, 0, 1, 11] = x[0, 0, 19, 20] = 3
    values, indices = on_machine(x, kernel_shape=(13, 13), pads=(6, 6, 6, 6))
    expected = calls.run_reference(MaxPool(kernel_shape=(13, 13), pads=(6, 6, 6, 6)), [x])
    np.testing.assert_array_equal(values, expected[0])
    np.testing.assert_array_equal(indices, expected[1])


@pytest.mark.parametrize("dtype", [np.float32, np.float16, np.int8])
@pytest.mark.parametrize("sizes", [(16, 20), (64, 80), (13, 17)], ids=str)
@pytest.mark.parametrize("order", [0, 1])
def test_the_greatest_of_a_whole_plane(sizes, order, dtype):
    x = np.random.default_rng(2).integers(-50, 50, (2, 3, *sizes)).astype(dtype)
    x[0, 1] = x[0, 1].max()  # the first is taken
    x[1, 2] = -np.inf if dtype != np.int8 else -128
    values, indices = on_machine(x, kernel_shape=sizes, storage_order=order)
    planes = x.reshape(6, -1)
    first = planes.argmax(axis=1)
    row, column = np.divmod(first, sizes[1])
    place = column * sizes[0] + row if order else first
    np.testing.assert_array_equal(values.ravel(), planes.max(axis=1))
    np.testing.assert_array_equal(indices.ravel(), np.arange(6) * planes.shape[1] + place)


def test_a_window_of_the_least_number_has_a_place_inside_of_it():
    x = np.full((1, 1, 4, 4), -np.inf, np.float32)
    _, places = on_machine(x, kernel_shape=(2, 2), strides=(2, 2), pads=(1, 1, 1, 1))
    np.testing.assert_array_equal(places[0, 0], [[0, 1, 3], [4, 5, 7], [12, 13, 15]])


STRIPS = {
    "pairs": ((1, 3, 6, 16), {"kernel_shape": (2, 2), "strides": (2, 2)}),
    "odd rows of pairs": ((2, 1, 8, 13), {"kernel_shape": (2, 2), "strides": (2, 2)}),
    "padded pairs": (
        (2, 2, 23, 16),
        {"kernel_shape": (3, 3), "strides": (2, 2), "pads": (1, 1, 1, 1)},
    ),
    "sliding": ((1, 2, 9, 12), {"kernel_shape": (5, 5), "pads": (2, 2, 2, 2)}),
    "sliding, no padding": ((1, 2, 7, 12), {"kernel_shape": (3, 3)}),
    "sliding, odd padding": ((1, 2, 7, 12), {"kernel_shape": (3, 3), "pads": (1, 1, 1, 1)}),
    "many rows": ((1, 1, 30, 12), {"kernel_shape": (11, 11), "pads": (5, 5, 5, 5)}),
    "far apart": ((1, 2, 9, 640), {"kernel_shape": (1, 2), "strides": (3, 160)}),
    "dilated": ((1, 2, 9, 12), {"kernel_shape": (2, 3), "dilations": (3, 2), "pads": (2, 2, 2, 2)}),
    "lines": ((2, 3, 64), {"kernel_shape": (4,), "strides": (4,)}),
    "volumes": ((1, 2, 6, 7, 16), {"kernel_shape": (2, 3, 2), "strides": (2, 1, 2)}),
    "padded volumes": (
        (1, 2, 5, 6, 8),
        {"kernel_shape": (3, 3, 2), "strides": (1, 2, 2), "pads": (2, 1, 0) * 2},
    ),
    "columns first": (
        (1, 2, 6, 7, 16),
        {"kernel_shape": (3, 2, 2), "strides": (1, 2, 2), "storage_order": 1},
    ),
    "large lines": ((2, 1, 90), {"kernel_shape": (20,), "strides": (5,), "pads": (3, 4)}),
    "large volumes": (
        (1, 2, 9, 10, 11),
        {"kernel_shape": (5, 6, 7), "dilations": (2, 1, 1), "pads": (1, 2, 3) * 2},
    ),
    "overlapping": ((1, 2, 20, 21), {"kernel_shape": (13, 13), "pads": (6,) * 4}),
    "overlapping, several tiles": (
        (1, 2, 40, 50),
        {"kernel_shape": (12, 11), "dilations": (2, 1), "strides": (2, 1), "storage_order": 1},
    ),
    "overlapping volumes": (
        (1, 2, 5, 12, 13),
        {"kernel_shape": (3, 7, 7), "strides": (2, 1, 1), "pads": (1, 3, 3) * 2},
    ),
    "huge": ((1, 2, 50, 60), {"kernel_shape": (46, 50), "strides": (4, 5), "storage_order": 1}),
}


@pytest.mark.parametrize("dtype", [np.float32, np.float16, np.int8])
@pytest.mark.parametrize("case", STRIPS)
def test_strips_of_windows_are_those_of_the_reference(case, dtype, monkeypatch):
    monkeypatch.setattr(launches, "_MANY_WINDOWS", 0)
    monkeypatch.setattr(launches, "_NARROW", 0)
    monkeypatch.setattr(launches, "_FEW", 0)
    monkeypatch.setattr(launches, "_FEW_SHARED", 0)
    shape, attributes = STRIPS[case]
    x = (np.random.default_rng(4).normal(size=shape) * 3).astype(dtype)
    values, indices = calls.run_reference(MaxPool(**attributes), [x])
    got = on_machine(x, **attributes)
    np.testing.assert_array_equal(got[0], values)
    np.testing.assert_array_equal(got[1], indices)


SHARED = ("sliding", "many rows", "dilated", "lines", "padded volumes", "columns first")
APART = ("pairs", "odd rows of pairs", "sliding, no padding", "far apart", "lines")


@pytest.mark.parametrize(
    ("case", "limit", "kernel"),
    [
        *((case, "_MANY_SMALL", "kernel") for case in APART),
        *((case, "_SHARED", "few_kernel") for case in SHARED),
    ],
)
@pytest.mark.parametrize("dtype", [float32, float16], ids=repr)
def test_windows_that_are_apart_or_shared(case, limit, kernel, dtype, monkeypatch):
    """Two windows may be in two rows or planes, one may be left, and a line may be beyond x."""
    monkeypatch.setattr(launches, limit, 0)
    monkeypatch.setattr(launches, "_NARROW", 100)
    monkeypatch.setattr(launches, "_FEW_SHARED", 2**13 if limit == "_SHARED" else 0)
    monkeypatch.setattr(launches, "columns_of", lambda *_: 1)
    shape, attributes = STRIPS[case]
    plugin, rng = MaxPool(**attributes), np.random.default_rng(6)
    x = (rng.normal(size=(*shape[:-1], shape[-1] + 1)) * 3).astype(dtype.numpy)
    inputs = calls.describe_inputs(plugin, [x.shape], [dtype])
    (launch,) = calls.steps(plugin, inputs, calls.describe_outputs(plugin, inputs))
    assert launch.kernel is getattr(plugin, kernel)
    assert launch.constants.get("APART") == (True if kernel == "kernel" else None)
    for _ in range(3):
        values, indices = calls.run_reference(plugin, [x])
        got = on_machine(x, **attributes)
        np.testing.assert_array_equal(got[0], values)
        numbers = ~np.isnan(values)
        np.testing.assert_array_equal(np.signbit(got[0][numbers]), np.signbit(values[numbers]))
        np.testing.assert_array_equal(got[1], indices)
        x[rng.random(x.shape) < 0.1] = np.nan
        x[rng.random(x.shape) < 0.5] = -np.inf if dtype is float32 else -0.0
        x[rng.random(x.shape) < 0.3] = 0
        x = np.copysign(x, rng.normal(size=x.shape)).astype(x.dtype)


def test_a_window_of_padding_alone_that_a_warp_takes_points_into_x():
    x = np.full((1, 1, 1, 9), np.nan, np.float32)
    attributes = {"kernel_shape": (2, 12), "dilations": (2, 1), "pads": (1, 6, 1, 6)}
    values, indices = on_machine(x, **attributes)
    np.testing.assert_array_equal(values, np.full((1, 1, 1, 10), -np.inf))
    assert ((indices >= 0) & (indices < x.size)).all()


@pytest.mark.parametrize("case", ["padded pairs", "sliding", "dilated", "large volumes"])
def test_places_that_need_64_bits_are_the_same(case, monkeypatch):
    monkeypatch.setattr(launches, "offset_type", lambda *_: offset_type(2**31))
    shape, attributes = STRIPS[case]
    x = np.random.default_rng(5).normal(size=shape).astype(np.float32)
    _, indices = calls.run_reference(MaxPool(**attributes), [x])
    np.testing.assert_array_equal(on_machine(x, **attributes)[1], indices)


@pytest.mark.parametrize(
    ("images", "dtype", "kernel_shape", "columns"),
    [
        (8, float32, (2, 2), 1),
        (8, float32, (3, 3), 2),
        (8, float16, (2, 2), 2),
        (2, float16, (2, 2), 2),
        (1, float32, (2, 2), 1),
        (1, float32, (3, 3), 2),
    ],
    ids=str,
)
def test_windows_that_share_no_elements_are_strips_of_some(images, dtype, kernel_shape, columns):
    plugin = MaxPool(kernel_shape=kernel_shape, strides=(2, 2), ceil_mode=True)
    inputs = calls.describe_inputs(plugin, [(images, 8, 128, 128)], [dtype])
    (launch,) = calls.steps(plugin, inputs, calls.describe_outputs(plugin, inputs))
    assert launch.constants["COLUMNS"] == columns
    assert launch.constants["FEW"] == (images == 1)  # their threads have more registers
    assert launch.grid == images * 8 * 64 * 64 // columns // 128


@pytest.mark.parametrize(
    ("shape", "rows"),
    [
        ((2, 64, 64, 64), 4),
        ((2, 4, 64, 64), 1),  # few
        ((64, 64, 14, 14), 1),  # parts of sectors
        ((64, 64, 16, 8), 4),
    ],
)
def test_strips_have_rows_where_windows_are_many_and_lines_whole_sectors(shape, rows):
    plugin = MaxPool(kernel_shape=(3, 3), pads=(1, 1, 1, 1))
    inputs = calls.describe_inputs(plugin, [shape], [float32])
    (launch,) = calls.steps(plugin, inputs, calls.describe_outputs(plugin, inputs))
    assert launch.constants["ROWS"] == rows


@pytest.mark.parametrize(
    ("shape", "attributes", "kernel", "constants"),
    [
        ((1, 512, 20, 20), {"kernel_shape": (13, 13), "pads": (6,) * 4}, "tile_kernel", {}),
        ((2, 4, 57, 57), {"kernel_shape": (57, 57)}, "large_kernel", {"PACK_BYTES": 1}),
        ((2, 4, 56, 56), {"kernel_shape": (56, 56)}, "large_kernel", {"PACK_BYTES": 16}),
        ((2, 4, 56, 56), {"kernel_shape": (55, 55)}, "large_kernel", {"PACK_BYTES": 0}),
    ],
    ids=str,
)
def test_large_windows_that_overlap_are_tiles_and_planes_are_read_as_they_lie(
    shape, attributes, kernel, constants
):
    plugin = MaxPool(**attributes)
    inputs = calls.describe_inputs(plugin, [shape], [float32])
    (launch,) = calls.steps(plugin, inputs, calls.describe_outputs(plugin, inputs))
    assert launch.kernel is getattr(plugin, kernel)
    assert constants.items() <= launch.constants.items()


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
    assert_kernels_compile(specialisations_of([MaxPool(kernel_shape=(2, 2))]), arch)
