import numpy as np
import pytest

from pluginkit import float32, int32, int64
from pluginkit.checking.kernel_run import run_kernels
from pluginkit.contract import calls
from pluginkit.errors import PluginkitError
from pluginkit.onnx.running.run_model import run_onnxruntime
from pluginkit.plugins.multi_scale_deformable_attention import (
    MultiScaleDeformableAttention,
    launches,
)
from tests.graph_rewrites.deformable_attention import EXPORTED, feeds_for
from tests.plugins.compilation import architectures, assert_kernels_compile, specialisations_of


def reference(*arrays):
    return calls.run_reference(MultiScaleDeformableAttention(), list(arrays))[0]


def on_machine(*arrays):
    run = run_kernels(MultiScaleDeformableAttention(), list(arrays))
    assert not run.findings
    return run.outputs[0]


def both(*arrays):
    got, expected = on_machine(*arrays), reference(*arrays)
    np.testing.assert_allclose(got, expected, atol=2e-5)
    return expected


def one_query(value, sizes, location, weight=1.0):
    """Read one location of each level, with one head."""
    sizes = np.array(sizes, np.int64)
    starts = np.cumsum([0, *sizes.prod(axis=1)[:-1]])
    at = (1, 1, 1, len(sizes), 1)
    value = np.asarray(value, np.float32).reshape(1, -1, 1, 1)
    location = np.broadcast_to(np.asarray(location, np.float32), (*at, 2)).copy()
    return both(value, sizes, starts, location, np.full(at, weight, np.float32)).item()


def test_transformers_computes_the_same():
    model = EXPORTED["detr_ts"]()
    feeds = feeds_for("detr")
    sizes = np.array([(6, 8), (3, 4), (2, 2)])
    starts = np.array([0, 48, 60])
    value, locations, weights = feeds.values()
    (expected,) = run_onnxruntime(model, feeds).values()
    np.testing.assert_allclose(
        both(value, sizes, starts, locations, weights), expected, atol=2e-6, rtol=1e-5
    )


def test_a_location_at_the_centre_of_a_pixel_is_that_pixel():
    pixels = np.arange(12)
    assert one_query(pixels, [(3, 4)], [2.5 / 4, 1.5 / 3], weight=2) == 2 * 6


def test_between_pixels_all_four_count_and_outside_none():
    pixels = [1, 2, 3, 4]
    assert one_query(pixels, [(2, 2)], [0.5, 0.5]) == 2.5
    assert one_query(pixels, [(2, 2)], [0.0, 0.0]) == 0.25
    assert one_query(pixels, [(2, 2)], [1.0, 0.25]) == 1
    for outside in ([1.25, 0.5], [0.5, -0.25], [-50, 0.5], [np.nan, 0.5], [0.5, np.inf]):
        assert one_query(pixels, [(2, 2)], outside) == 0


def test_levels_are_added_also_those_of_one_pixel_and_of_none():
    assert one_query([1, 1, 1, 1, 7], [(2, 2), (1, 1), (0, 3)], [0.5, 0.5]) == 1 + 7


def test_what_is_outside_is_not_read_even_if_it_is_not_finite():
    pixels = [np.nan, np.inf, 1, 2]
    assert one_query(pixels, [(2, 2)], [0.25, 1.0]) == 0.5
    assert np.isnan(one_query(pixels, [(2, 2)], [0.25, 0.5]))


def test_a_level_that_does_not_lie_in_value_counts_as_nothing():
    value = np.ones((1, 6, 1, 1), np.float32)
    big = 2**31 - 1
    sizes = np.array([(2, 3), (2, 3), (-2, 3), (big, big)])
    starts = np.array([-3, 5, 0, 2**62])
    locations = np.full((1, 1, 1, 4, 1, 2), 0.5, np.float32)
    weights = np.array([1, 10, 100, 1000], np.float32).reshape(1, 1, 1, 4, 1)
    assert both(value, sizes, starts, locations, weights).item() == 0
    starts[1] = 0
    assert both(value, sizes, starts, locations, weights).item() == 10


def test_many_channels_are_parts_that_each_block_takes():
    rng = np.random.default_rng(0)
    value = rng.normal(size=(1, 4, 2, 72)).astype(np.float32)
    locations = rng.random((1, 3, 2, 1, 2, 2)).astype(np.float32)
    weights = rng.random((1, 3, 2, 1, 2)).astype(np.float32)
    sizes, starts = np.array([[2, 2]], np.int32), np.array([0], np.int32)
    assert both(value, sizes, starts, locations, weights).shape == (1, 3, 144)


@pytest.mark.parametrize("queries", [4095, 4096])
def test_many_queries_share_warps_and_few_have_their_own(queries):
    rng = np.random.default_rng(0)
    value = rng.normal(size=(1, 6, 4, 3)).astype(np.float32)
    locations = (rng.integers(-16, 81, (1, queries, 4, 2, 1, 2)) / 64).astype(np.float32)
    weights = rng.random((1, queries, 4, 2, 1)).astype(np.float32)
    arrays = value, np.array([[2, 2], [1, 2]]), np.array([0, 4]), locations, weights
    assert both(*arrays).shape == (1, queries, 12)


@pytest.mark.parametrize("points", [1, 3])
@pytest.mark.parametrize(("queries", "channels"), [(2, 16), (37, 16), (19, 64)])
def test_rows_of_few_samples_share_a_warp(monkeypatch, points, queries, channels):
    monkeypatch.setattr(launches, "_FEW_THREADS", 1)
    monkeypatch.setattr(launches, "_MANY_THREADS", 1)
    rng = np.random.default_rng(0)
    value = rng.normal(size=(3, 4, 2, channels)).astype(np.float32)
    locations = (rng.integers(-16, 81, (3, queries, 2, 1, points, 2)) / 64).astype(np.float32)
    weights = rng.random((3, queries, 2, 1, points)).astype(np.float32)
    output = both(value, np.array([[2, 2]]), np.array([0]), locations, weights)
    assert output.shape == (3, queries, 2 * channels)


@pytest.mark.parametrize("channels", [3, 20, 32, 35])
@pytest.mark.parametrize("samples", [1, 3, 10])
def test_lanes_share_samples(channels, samples):
    rng = np.random.default_rng(0)
    value = rng.normal(size=(2, 4, 3, channels)).astype(np.float32)
    locations = (rng.integers(-16, 81, (2, 5, 3, 1, samples, 2)) / 64).astype(np.float32)
    weights = rng.random((2, 5, 3, 1, samples)).astype(np.float32)
    output = both(value, np.array([[2, 2]]), np.array([0]), locations, weights)
    assert output.shape == (2, 5, 3 * channels)


@pytest.mark.parametrize("channels", [3, 20, 35])
def test_rows_of_any_number_of_packs_follow_each_other(monkeypatch, channels):
    monkeypatch.setattr(launches, "_FEW_THREADS", 1)
    rng = np.random.default_rng(0)
    value = rng.normal(size=(2, 4, 2, channels)).astype(np.float32)
    locations = (rng.integers(-16, 81, (2, 23, 2, 1, 12, 2)) / 64).astype(np.float32)
    weights = rng.random((2, 23, 2, 1, 12)).astype(np.float32)
    output = both(value, np.array([[2, 2]]), np.array([0]), locations, weights)
    assert output.shape == (2, 23, 2 * channels)


@pytest.mark.parametrize(
    ("channels", "samples", "kernel"),
    [
        (3, 12, "few"),
        (35, 12, "kernel"),
        (4, 12, "few"),
        (5, 1, "few"),
        (8, 1, "few"),
        (16, 2, "kernel"),
    ],
)
def test_threads_find_few_samples_themselves(monkeypatch, channels, samples, kernel):
    monkeypatch.setattr(launches, "_FEW_THREADS", 1)
    rng = np.random.default_rng(0)
    value = rng.normal(size=(2, 6, 3, channels)).astype(np.float32)
    locations = (rng.integers(-16, 81, (2, 5, 3, 2, samples // 2 or 1, 2)) / 64).astype(np.float32)
    weights = rng.random(locations.shape[:-1]).astype(np.float32)
    sizes, starts = np.array([[2, 2], [1, 2]]), np.array([0, 4])
    if samples == 1:
        sizes, starts = sizes[:1], starts[:1]
        locations, weights = locations[:, :, :, :1], weights[:, :, :, :1]
    arrays = value, sizes, starts, locations, weights
    assert both(*arrays).shape == (2, 5, 3 * channels)
    plugin = MultiScaleDeformableAttention()
    inputs = calls.describe_arrays(plugin, arrays)
    (launch,) = calls.steps(plugin, inputs, calls.describe_outputs(plugin, inputs))
    assert launch.kernel is getattr(plugin, kernel)


@pytest.mark.parametrize(
    ("dtype", "channels", "kernel"),
    [("float16", 32, "few"), ("float32", 32, "few"), ("float32", 64, "kernel")],
)
def test_lanes_take_further_rows_where_packs_are_many(monkeypatch, dtype, channels, kernel):
    monkeypatch.setattr(launches, "_FEW_THREADS", 1)
    monkeypatch.setattr(launches, "_MANY_THREADS", 1)
    rng = np.random.default_rng(0)
    value = rng.integers(-9, 10, (2, 4, 3, channels)).astype(dtype)
    locations = (rng.integers(-16, 81, (2, 40, 3, 1, 1, 2)) / 64).astype(dtype)
    weights = (rng.integers(0, 5, (2, 40, 3, 1, 1)) / 4).astype(dtype)
    arrays = value, np.array([[2, 2]]), np.array([0]), locations, weights
    np.testing.assert_allclose(on_machine(*arrays), reference(*arrays), atol=0.01)
    plugin = MultiScaleDeformableAttention()
    inputs = calls.describe_arrays(plugin, arrays)
    (launch,) = calls.steps(plugin, inputs, calls.describe_outputs(plugin, inputs))
    assert launch.kernel is getattr(plugin, kernel)
    assert kernel == "kernel" or dict(launch.constants)["KIND"] == "true, 2"


@pytest.mark.parametrize(
    ("value", "sizes", "index"),
    [
        ((1, 4, 2, 8), (2, 2), int32),
        ((2, 4, 2, 8), (1, 2), int64),
        ((1, 4, 3, 8), (1, 2), int64),
        ((1, 2**31, 2, 8), (1, 2), int64),
        ((1, 4, 2, 2**31), (1, 2), int64),
    ],
    ids=str,
)
def test_shapes_that_do_not_fit_are_refused(value, sizes, index):
    shapes = [value, sizes, (1,), (1, 5, 2, 1, 3, 2), (1, 5, 2, 1, 3)]
    types = [float32, index, index, float32, float32]
    described = calls.describe_inputs(MultiScaleDeformableAttention(), shapes, types)
    with pytest.raises(PluginkitError, match=r"PK124|size"):
        calls.check(MultiScaleDeformableAttention(), described)


@architectures
def test_every_kernel_compiles(arch):
    assert_kernels_compile(specialisations_of([MultiScaleDeformableAttention()]), arch)
