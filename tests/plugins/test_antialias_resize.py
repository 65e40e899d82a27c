import numpy as np
import pytest
from onnx.reference.ops.op_resize import Resize

from pluginkit import float32, int64
from pluginkit.contract import calls
from pluginkit.errors import AttributeValueError, PluginkitError
from pluginkit.kernels.enqueue_steps import enqueue_steps
from pluginkit.plugins.antialias_resize import AntialiasResize, launches
from pluginkit.testing import run_kernels
from tests.plugins.compilation import (
    architectures,
    assert_kernels_compile,
    specialisations_of,
)


def on_machine(x, sizes, **attributes):
    run = run_kernels(AntialiasResize(**attributes), [x, np.array(sizes, np.int64)])
    assert not run.findings
    return run.outputs[0]


def triangle(size, resized):
    """The weights of torch's antialiased bilinear filter, one row for each new element."""
    width = max(size / resized, 1.0)
    centers = (np.arange(resized) + 0.5) * size / resized
    distance = np.abs(np.arange(size) + 0.5 - centers[:, None]) / width
    weights = np.clip(1 - distance, 0, None)
    return weights / weights.sum(axis=1, keepdims=True)


@pytest.mark.parametrize(
    ("size", "sizes", "axes"),
    [
        ((37, 41), (9, 17), (-2, -1)),  # tiles of both axes
        ((10, 9), (27, 20), (-2, -1)),  # larger
        ((20, 301), (16, 140), (-2, -1)),  # rows of a tile that are no vectors
        ((8, 9), (3, 4), (-2, -1)),  # a thread for an element
        ((300, 20), (2, 5), (-2, -1)),  # warps share the elements of a column
        ((20, 300), (5, 3), (-2, -1)),  # a warp for a row's elements
        ((37, 41), (9, 17), (0, 1)),  # channels last
    ],
    ids=str,
)
def test_weights_are_those_of_a_triangle(size, sizes, axes):
    x = np.random.default_rng(1).normal(size=(*size, 3)).astype(np.float32)
    expected = np.einsum(
        "ih,jw,hwc->ijc", triangle(size[0], sizes[0]), triangle(size[1], sizes[1]), x
    )
    if axes == (-2, -1):
        x, expected = x.transpose(2, 0, 1).copy(), expected.transpose(2, 0, 1)
    got = on_machine(x, sizes, axes=axes, exclude_outside=True)
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("shape", "sizes", "kernel"),
    [
        ((4096, 16, 8, 8), (3, 3), "small_kernel"),
        ((1, 1, 2**18, 24), (2**18, 9), "small_kernel"),
        ((3, 9, 149, 1350), (194, 450), "plane_kernel"),
        ((256, 16, 64, 64), (8, 8), "plane_kernel"),
        ((8, 64, 128, 128), (256, 256), "plane_kernel"),
    ],
    ids=str,
)
def test_small_images_have_no_tiles(shape, sizes, kernel):
    plugin = AntialiasResize()
    described = calls.describe_inputs(plugin, [shape, (2,)], [float32, int64], {"sizes": sizes})
    outputs = calls.describe_outputs(plugin, described)
    (launch,) = enqueue_steps(plugin, described, outputs).launches
    assert launch.kernel is getattr(plugin, kernel)


@pytest.mark.parametrize(
    "mode",
    ["half_pixel", "asymmetric", "align_corners", "pytorch_half_pixel", "tf_crop_and_resize"],
)
@pytest.mark.parametrize(("kernel", "sizes"), [("linear", (4, 17)), ("cubic", (1, 1))], ids=str)
def test_coordinates_are_those_of_onnxs_reference(mode, kernel, sizes):
    x = np.random.default_rng(2).normal(size=(11, 14)).astype(np.float32)
    roi = (0.1, -0.2, 0.8, 0.9)
    attributes = {"coordinate_transformation_mode": mode, "mode": kernel, "cubic_coeff_a": -0.6}
    (expected,) = Resize._run(
        None,
        x,
        np.array(roi),
        sizes=np.array(sizes),
        antialias=1,
        exclude_outside=0,
        extrapolation_value=9.0,
        keep_aspect_ratio_policy="stretch",
        **attributes,
    )
    got = on_machine(x, sizes, roi=roi, extrapolation_value=9.0, **attributes)
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("size", [48, 45])
def test_a_block_takes_its_tile_of_several_planes(monkeypatch, size):
    monkeypatch.setattr(launches, "_BLOCKS", 2)
    monkeypatch.setattr(launches, "_TILES", 1)
    x = np.random.default_rng(0).normal(size=(9, size, size)).astype(np.float32)
    (y,) = calls.run_reference(AntialiasResize(), [x, np.array([24, 30])])
    plugin, sizes = AntialiasResize(), np.array([24, 30], np.int64)
    described = calls.describe_arrays(plugin, [x, sizes])
    (launch,) = enqueue_steps(plugin, described, calls.describe_outputs(plugin, described)).launches
    assert (launch.grid, launch.constants["SEVERAL"]) == (2, True)  # tiles of 12 rows
    np.testing.assert_allclose(on_machine(x, [24, 30]), y, rtol=1e-5, atol=1e-5)


def test_far_elements_have_exact_weights():
    """In float32 the coordinate of the last element would be off by more than the tolerance."""
    size, resized = 60_001, 40_000
    x = np.zeros((1, size), np.float32)
    x[0, -3:] = [1, 2, 3]
    got = on_machine(x, (1, resized), exclude_outside=True)[0, -2:]
    scale = resized / size
    at = (np.arange(resized - 2, resized) + 0.5) / scale - 0.5
    weights = np.clip(1 - np.abs(at[:, None] - np.arange(size - 5, size)) * scale, 0, None)
    expected = weights @ [0, 0, 1, 2, 3] / weights.sum(1)
    np.testing.assert_allclose(got, expected, rtol=1e-6)


def test_an_axis_that_keeps_its_size_is_not_touched():
    x = np.random.default_rng(3).normal(size=(2, 4, 9)).astype(np.float32)
    x[0, 1, 3] = np.inf
    np.testing.assert_array_equal(on_machine(x, (4, 9), mode="cubic"), x)


@pytest.mark.parametrize(
    ("attributes", "sizes", "message"),
    [
        ({"axes": (-1, -2)}, (2, 2), "expected two in order"),
        ({"axes": (1, 3)}, (2, 2), "axis 3 of 'x' is out of range"),
        ({}, (2, -1), "expected 0 or more"),
        ({"scales": (0.5, 0.5)}, (2, 3), "those of the scales"),
    ],
    ids=str,
)
def test_what_does_not_fit_is_refused(attributes, sizes, message):
    plugin = AntialiasResize(**attributes)
    shapes, values = [(1, 4, 4), (2,)], {"sizes": sizes}
    described = calls.describe_inputs(plugin, shapes, [float32, int64], values)
    with pytest.raises(PluginkitError, match=message):
        calls.check(plugin, described)


def test_scales_that_are_not_positive_are_refused():
    with pytest.raises(AttributeValueError, match="above 0"):
        AntialiasResize(scales=(0.5, 0.0))


@architectures
def test_every_kernel_compiles(arch):
    plugins = [AntialiasResize(mode=mode) for mode in ("linear", "cubic")]
    assert_kernels_compile(specialisations_of(plugins), arch)
