"""DeformConv on a GPU, through the adapters, against its reference in float64."""

from __future__ import annotations

import numpy as np
import pytest

from pluginkit import float32
from pluginkit.checking.trt_double.driver import CupyMemory, drive
from pluginkit.contract import calls
from pluginkit.plugins.deform_conv import DeformConv

pytestmark = [pytest.mark.gpu, pytest.mark.trt]

#: X, output channels, taps, attributes: what decides the kernel, its tiles and their slices.
SHAPES = {
    "tiles": ((3, 96, 40, 37), 300, (3, 3), {"pads": (1, 1, 1, 1)}),
    "rows of one tile": ((2, 64, 30, 31), 100, (3, 3), {"strides": (2, 1)}),
    "few rows": ((2, 80, 25, 26), 20, (5, 3), {"pads": (2, 1, 2, 1), "dilations": (1, 2)}),
    "rows of 192": ((2, 80, 25, 26), 170, (3, 3), {}),
    "one map": ((2, 64, 30, 31), 1, (3, 3), {"pads": (1, 1, 1, 1)}),
    "few maps": ((1, 512, 7, 7), 3, (3, 3), {"offset_group": 2}),
    "parts of 8 channels": ((2, 64, 21, 20), 12, (3, 3), {"offset_group": 8}),
    "slices": ((1, 512, 7, 7), 256, (3, 3), {"pads": (1, 1, 1, 1)}),
    "channels of no whole chunk": ((2, 45, 20, 22), 70, (3, 3), {}),
    "offset groups": ((2, 128, 21, 20), 64, (3, 3), {"offset_group": 4}),
    "groups": ((2, 128, 21, 20), 64, (3, 3), {"group": 2}),
    "groups of both kinds": ((2, 120, 15, 16), 90, (3, 3), {"group": 3, "offset_group": 15}),
    "parts across groups": ((2, 48, 15, 16), 90, (3, 3), {"group": 3, "offset_group": 2}),
    "merged groups": ((2, 128, 21, 20), 128, (3, 3), {"group": 16, "offset_group": 2}),
    "merged unevenly": ((2, 96, 21, 20), 48, (3, 3), {"group": 12}),
    "depthwise": ((2, 96, 33, 35), 96, (3, 3), {"group": 96, "offset_group": 2}),
    "depthwise, several maps": ((2, 40, 33, 35), 120, (3, 3), {"group": 40}),
    "depthwise, many maps": ((1, 16, 33, 35), 160, (3, 3), {"group": 16}),
    "few channels": ((2, 3, 64, 65), 64, (3, 3), {"pads": (1, 1, 1, 1)}),
    "groups of few channels": ((2, 6, 64, 65), 6, (3, 3), {"group": 3, "offset_group": 2}),
}


def arrays_of(name, dtype, rng, *, far=0.05):
    shape, maps, taps, attributes = SHAPES[name]
    pads, strides = attributes.get("pads", (0,) * 4), attributes.get("strides", (1, 1))
    dilations = attributes.get("dilations", (1, 1))
    out = [
        (shape[2 + i] + pads[i] + pads[2 + i] - dilations[i] * (taps[i] - 1) - 1) // strides[i] + 1
        for i in (0, 1)
    ]
    depth = shape[1] // attributes.get("group", 1)
    count = taps[0] * taps[1] * attributes.get("offset_group", 1)
    # Eighths of a pixel, which every type holds; some are far outside.
    offset = rng.integers(-24, 25, (shape[0], 2 * count, *out)) / 8
    offset = np.where(rng.random(offset.shape) < far, 80.0, offset)
    arrays = (
        rng.uniform(-1, 1, shape),
        rng.normal(size=(maps, depth, *taps)) / np.sqrt(depth * taps[0] * taps[1]),
        offset,
        rng.uniform(-1, 1, maps),
        rng.uniform(0, 1, (shape[0], count, *out)),
    )
    return [each.astype(dtype.numpy) for each in arrays]


def run(lean, arrays, attributes, interface="v3"):
    """Return Y, and the reference's; the driver poisons Y first."""
    given = [each for each in arrays if each is not None]
    names = ("X", "W", "offset", "B", "mask")
    present = [name for name, each in zip(names, arrays, strict=True) if each is not None]
    plugin = DeformConv(**attributes).with_inputs(*present)
    got = drive(plugin, given, interface=interface, flavour=lean, memory=CupyMemory())[0]
    expected = calls.run_reference(plugin, [each.astype(np.float32) for each in given])[0]
    return got.astype(np.float64), expected.astype(np.float64)


def assert_close(got, expected, dtype):
    bound = DeformConv.tolerance[dtype] * np.maximum(1, np.abs(expected))
    assert (np.abs(got - expected) <= bound).all()


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("dtype", DeformConv.types["T"], ids=repr)
def test_every_type_and_kernel_agrees(lean, dtype, name):
    arrays = arrays_of(name, dtype, np.random.default_rng(1))
    assert_close(*run(lean, arrays, SHAPES[name][3]), dtype)


@pytest.mark.parametrize("name", ["tiles", "few maps", "slices", "merged groups", "depthwise"])
@pytest.mark.parametrize("absent", [(3,), (4,), (3, 4)], ids=["B", "mask", "both"])
def test_without_bias_and_mask(lean, absent, name):
    for dtype in DeformConv.types["T"]:
        arrays = arrays_of(name, dtype, np.random.default_rng(2))
        arrays = [None if place in absent else each for place, each in enumerate(arrays)]
        assert_close(*run(lean, arrays, SHAPES[name][3], "v2"), dtype)


@pytest.mark.parametrize("name", ["tiles", "few maps", "slices", "merged groups", "depthwise"])
def test_what_is_outside_or_nowhere_counts_as_zero(lean, name):
    rng = np.random.default_rng(3)
    far = np.array([np.nan, np.inf, -np.inf, 6e4, -6e4], np.float32)
    for dtype in DeformConv.types["T"]:
        arrays = arrays_of(name, dtype, rng)
        is_far = rng.random(arrays[2].shape) < 0.3
        moved = np.where(is_far, rng.choice(far, arrays[2].shape), arrays[2])
        arrays[2] = moved.astype(dtype.numpy)
        assert_close(*run(lean, arrays, SHAPES[name][3]), dtype)


@pytest.mark.parametrize("name", ["tiles", "few maps", "slices", "merged groups", "depthwise"])
def test_infinite_pixels_reach_only_the_outputs_that_sample_them(lean, name):
    arrays = arrays_of(name, float32, np.random.default_rng(4))
    arrays[0][:, ::5, 3, 4] = np.inf
    got, expected = run(lean, arrays, SHAPES[name][3])
    np.testing.assert_array_equal(np.isfinite(got), np.isfinite(expected))
    is_number = np.isfinite(expected)
    assert 0 < is_number.sum() < is_number.size
    assert_close(got[is_number], expected[is_number], float32)
