"""GridSample on a GPU, through the adapters, against float64."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from pluginkit import bfloat16, float16, float32, int8, int64
from pluginkit.checking.trt_double.driver import CupyMemory, drive
from pluginkit.contract import calls
from pluginkit.contract.dtypes import offset_type
from pluginkit.plugins.grid_sample import GridSample, launches, pixel_copy

pytestmark = [pytest.mark.gpu, pytest.mark.trt]

#: Relative to the largest value: coordinates in float32, then one rounding.
ROUNDED_ONCE = {float32: 2e-6, float16: 1e-3, bfloat16: 8e-3}

#: x, the output's sizes: what decides the kernel and its layout.
SHAPES = {
    "tiles": ((3, 37, 40, 50), (64, 96)),
    "one row": ((2, 18, 30, 20), (100, 4)),
    "odd": ((2, 5, 17, 23), (19, 33)),
    "many channels": ((1, 300, 9, 11), (7, 6)),
    "one pixel": ((2, 3, 1, 1), (5, 8)),
    "volume": ((2, 7, 9, 10, 11), (8, 9, 40)),
    "flat volume": ((1, 4, 1, 20, 3), (5, 6, 7)),
    "sequence": ((3, 5, 50), (70,)),
    "four axes": ((1, 2, 3, 4, 3, 5), (3, 2, 4, 3)),
}
MODES = ("linear", "nearest", "cubic")
PADDINGS = ("zeros", "border", "reflection")


@pytest.fixture(params=["few", "planes", "pixels", "a look"])
def way(request, monkeypatch):
    """How x is read: directly, by either kernel, from the copy, or directly after a look."""
    if request.param == "few":
        monkeypatch.setattr(launches, "_FEW_THREADS", 1024)
        return request.param
    monkeypatch.setattr(launches, "FEW_ELEMENTS", -1)
    monkeypatch.setattr(launches, "FEW_CHANNELS", 0)
    monkeypatch.setattr(launches, "FEW_LOCATIONS", 0)
    monkeypatch.setattr(launches, "_FEWEST_LOCATIONS", 0)
    if request.param != "planes":
        monkeypatch.setattr(pixel_copy, "ENOUGH_ELEMENTS", 1)
        monkeypatch.setattr(pixel_copy, "ENOUGH_OF_FEW", 1)
        monkeypatch.setattr(pixel_copy, "ENOUGH_CHANNEL_BYTES", 1)
        monkeypatch.setattr(pixel_copy, "MOST_COPIED", 10**6)
        monkeypatch.setattr(pixel_copy, "MOST_LINES", -1 if request.param == "pixels" else 32)
    return request.param


def arrays_of(name, dtype, grid_type, rng, reach=1.6):
    shape, out_sizes = SHAPES[name]
    x = rng.normal(size=shape) * (1 if dtype.is_floating else 40)
    grid = rng.uniform(-reach, reach, (shape[0], *out_sizes, len(out_sizes)))
    return x.astype(dtype.numpy), grid.astype(grid_type.numpy)


def run(lean, plugin, arrays, interface="v3"):
    """Return the outputs; the driver poisons them first."""
    return drive(plugin, arrays, interface=interface, flavour=lean, memory=CupyMemory())[0]


def exact(plugin, x, grid):
    """Compute in float64 from the pixel coordinates, which are float32."""
    sizes = x.shape[2:]
    points = np.moveaxis(grid.astype(np.float32)[..., ::-1], -1, 0)
    total = np.zeros((*x.shape[:2], *grid.shape[1:-1]))
    item = np.arange(x.shape[0]).reshape(-1, *[1] * len(sizes))
    reads = [taps(plugin, point, size) for point, size in zip(points, sizes, strict=True)]
    for chosen in itertools.product(*reads):
        indices = [np.maximum(index, 0) for index, _ in chosen]
        weight = np.prod(np.stack([w for _, w in chosen]), axis=0)
        inside = np.all(np.stack([index >= 0 for index, _ in chosen]), axis=0)
        values = np.moveaxis(x[(item, slice(None), *indices)], -1, 1).astype(np.float64)
        with np.errstate(invalid="ignore"):
            total += np.where(inside[:, None], weight[:, None] * values, 0)
    return total


def taps(plugin, g, size):
    with np.errstate(over="ignore", invalid="ignore"):
        if plugin.align_corners:
            p = (g + np.float32(1)) / np.float32(2) * np.float32(size - 1)
        else:
            p = ((g + np.float32(1)) * np.float32(size) - np.float32(1)) / np.float32(2)
    p = np.clip(np.nan_to_num(p, nan=-(2.0**30)), -(2.0**30), 2.0**30).astype(np.float64)
    if plugin.mode == "nearest":
        return [(padded(plugin, np.rint(p).astype(np.int64), size), np.ones_like(p))]
    floor = np.floor(p).astype(np.int64)
    reach = 1 if plugin.mode == "linear" else 2
    around = [floor + step for step in range(1 - reach, reach + 1)]
    return [(padded(plugin, i, size), weight(plugin.mode, np.abs(p - i))) for i in around]


def weight(mode, d):
    if mode == "linear":
        return 1 - d
    near = 1.25 * d**3 - 2.25 * d**2 + 1
    return np.where(d <= 1, near, -0.75 * d**3 + 3.75 * d**2 - 6 * d + 3)


def padded(plugin, index, size):
    if plugin.padding_mode == "zeros":
        return np.where((index >= 0) & (index < size), index, -1)
    if plugin.padding_mode == "border":
        return np.clip(index, 0, size - 1)
    row = np.arange(size)  # one period of the mirrored axis, from 0 on
    period = np.concatenate([row, row[-2:0:-1] if plugin.align_corners else row[::-1]])
    return period[index % len(period)]


def assert_right(got, expected, dtype, is_copy=False):
    if is_copy or not dtype.is_floating:
        np.testing.assert_array_equal(got.astype(np.float64), expected)
        return
    error = np.abs(got.astype(np.float64) - expected)
    assert error.max(initial=0) <= ROUNDED_ONCE[dtype] * max(1, np.abs(expected).max(initial=0))


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("align_corners", [False, True])
@pytest.mark.parametrize("padding_mode", PADDINGS)
@pytest.mark.parametrize("mode", MODES)
def test_every_mode_agrees_with_float64(lean, way, mode, padding_mode, align_corners, name):
    rng = np.random.default_rng(1)
    plugin = GridSample(mode=mode, padding_mode=padding_mode, align_corners=align_corners)
    for dtype in (float32, float16):
        arrays = arrays_of(name, dtype, float32, rng)
        assert_right(run(lean, plugin, arrays), exact(plugin, *arrays), dtype, mode == "nearest")


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("grid_type", GridSample.types["T2"], ids=repr)
@pytest.mark.parametrize("dtype", GridSample.types["T1"], ids=repr)
def test_every_type_agrees_with_float64(lean, way, dtype, grid_type, name):
    rng = np.random.default_rng(2)
    for mode in MODES if dtype.is_floating else ("nearest",):
        plugin = GridSample(mode=mode)
        arrays = arrays_of(name, dtype, grid_type, rng)
        assert_right(run(lean, plugin, arrays), exact(plugin, *arrays), dtype, mode == "nearest")


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("align_corners", [False, True])
@pytest.mark.parametrize("padding_mode", PADDINGS)
def test_halves_of_pixels_go_to_the_even_one(lean, way, padding_mode, align_corners, name):
    rng = np.random.default_rng(3)
    shape, out_sizes = SHAPES[name]
    sizes = np.array(shape[2:][::-1])
    halves = rng.integers(-6, 2 * sizes + 6, (shape[0], *out_sizes, len(sizes))) / 2
    if align_corners:
        grid = 2 * halves / np.maximum(sizes - 1, 1) - 1
    else:
        grid = (2 * halves + 1) / sizes - 1
    x = rng.integers(-100, 100, shape).astype(np.int8)
    plugin = GridSample(mode="nearest", padding_mode=padding_mode, align_corners=align_corners)
    arrays = x, grid.astype(np.float32)
    assert_right(run(lean, plugin, arrays), exact(plugin, *arrays), int8)


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("padding_mode", PADDINGS)
@pytest.mark.parametrize("mode", MODES)
def test_no_coordinate_reads_out_of_bounds(lean, way, mode, padding_mode, name):
    rng = np.random.default_rng(4)
    plugin = GridSample(mode=mode, padding_mode=padding_mode)
    x, grid = arrays_of(name, float32, float32, rng)
    far = np.array([np.nan, np.inf, -np.inf, 3e38, -3e38, 1e10, -1e10, 77.7], np.float32)
    grid = np.where(rng.random(grid.shape) < 0.2, rng.choice(far, grid.shape), grid)
    got = run(lean, plugin, (x, grid))
    assert np.isfinite(got).all()
    assert_right(got, exact(plugin, x, grid), float32, mode == "nearest")


@pytest.mark.parametrize("name", ["tiles", "odd", "volume", "sequence"])
@pytest.mark.parametrize("mode", MODES)
def test_zeros_outside_where_x_has_nan(lean, way, mode, name):
    rng = np.random.default_rng(5)
    plugin = GridSample(mode=mode)
    x, grid = arrays_of(name, float32, float32, rng, reach=3)
    x.reshape(-1)[::5] = np.nan
    got, expected = run(lean, plugin, (x, grid)), exact(plugin, x, grid)
    np.testing.assert_array_equal(np.isnan(got), np.isnan(expected))
    is_number = ~np.isnan(expected)
    assert_right(got[is_number], expected[is_number], float32, mode == "nearest")


@pytest.mark.parametrize("interface", ["v2", "v3"])
@pytest.mark.parametrize("name", SHAPES)
def test_both_interfaces_give_the_same(lean, way, name, interface):
    rng = np.random.default_rng(6)
    plugin = GridSample(mode="nearest", padding_mode="border")
    arrays = arrays_of(name, int64, float16, rng)
    assert_right(run(lean, plugin, arrays, interface), exact(plugin, *arrays), int64)


@pytest.mark.parametrize("name", ["tiles", "odd", "volume"])
@pytest.mark.parametrize("mode", MODES)
def test_64_bit_offsets_give_the_same(lean, way, name, mode, monkeypatch):
    rng = np.random.default_rng(7)
    arrays = arrays_of(name, float16, float32, rng)
    plugin = GridSample(mode=mode, padding_mode="reflection")
    narrow = run(lean, plugin, arrays)
    for module in (launches, pixel_copy):
        monkeypatch.setattr(module, "offset_type", lambda *_: offset_type(2**31))
    *_, launch = steps_of(plugin, arrays)
    assert launch.constants["OFFSET"] == "unsigned long long"
    np.testing.assert_array_equal(run(lean, plugin, arrays), narrow)


def steps_of(plugin, arrays):
    inputs = calls.describe_arrays(plugin, arrays)
    return calls.steps(plugin, inputs, calls.describe_outputs(plugin, inputs))


@pytest.mark.parametrize(("batch", "channels"), [(70_000, 1), (1, 70_000)])
def test_more_items_and_channels_than_a_grid_has_blocks(lean, way, batch, channels):
    rng = np.random.default_rng(8)
    x = rng.normal(size=(batch, channels, 2, 3)).astype(np.float32)
    grid = rng.uniform(-1, 1, (batch, 1, 2, 2)).astype(np.float32)
    plugin = GridSample()
    assert_right(run(lean, plugin, (x, grid)), exact(plugin, x, grid), float32)


def test_what_the_grid_says_decides(lean, monkeypatch):
    """Tell from the bits which way was taken, since both ways round differently."""
    rng = np.random.default_rng(9)
    x = rng.normal(size=(2, 32, 200, 200)).astype(np.float32)
    ticks = (2 * np.arange(200, dtype=np.float32) + 1) / 200 - 0.99
    in_order = np.broadcast_to(np.stack(np.meshgrid(ticks, ticks), -1), (2, 200, 200, 2)).copy()
    across = np.ascontiguousarray(in_order.transpose(0, 2, 1, 3))
    anywhere = rng.uniform(-1, 1, in_order.shape).astype(np.float32)
    plugin = GridSample()
    assert len(steps_of(plugin, [x, in_order])) == 3
    for grid, expected in ((in_order, 32), (across, -1), (anywhere, -1)):
        got = run(lean, plugin, (x, grid))
        for lines in (32, -1):
            with monkeypatch.context() as forced:
                forced.setattr(pixel_copy, "MOST_LINES", lines)
                is_same = run(lean, plugin, (x, grid)).tobytes() == got.tobytes()
            assert is_same == (lines == expected)
