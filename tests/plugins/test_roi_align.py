import numpy as np
import pytest

from pluginkit import float32, int64
from pluginkit.checking.kernel_run import run_kernels
from pluginkit.contract import calls
from pluginkit.errors import PluginkitError
from pluginkit.plugins.roi_align import RoiAlign, launches
from tests.onnx_node_tests import node_tests
from tests.plugins.compilation import architectures, assert_kernels_compile, specialisations_of

LEGACY = {"coordinate_transformation_mode": "output_half_pixel"}


def reference(x, rois, at, **attributes):
    return calls.run_reference(RoiAlign(**attributes), [x, rois, at])[0]


def on_machine(x, rois, at, **attributes):
    run = run_kernels(RoiAlign(**attributes), [x, rois, at])
    assert not run.findings
    return run.outputs[0]


@pytest.fixture(params=["shared", "alone", "in blocks"])
def way(request, monkeypatch):
    """How bins are taken: by threads that share each, by one, or those of a region by a block."""
    if request.param == "alone":
        monkeypatch.setattr(launches, "_SHARING", (0, 0, 0))
    if request.param == "in blocks":
        monkeypatch.setattr(launches, "_FEW_BINS", -1)
        monkeypatch.setattr(launches, "_FEW_LARGE_BINS", -1)
    return request.param


def image_of(*shape):
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


def rois_of(*rows):
    return np.array(rows, np.float32), np.zeros(len(rows), np.int64)


def test_the_tests_that_come_with_onnx_agree():
    tests = node_tests("RoiAlign")
    assert len(tests) >= 3
    for test in tests:
        (node,) = test.model.graph.node
        attributes = {each.name: value_of(each) for each in node.attribute}
        for arrays, (expected,) in test.data_sets:
            for compute in (reference, on_machine):
                np.testing.assert_allclose(compute(*arrays, **attributes), expected, atol=1e-4)


def value_of(attribute):
    return attribute.s.decode() if attribute.s else attribute.i or attribute.f


def test_a_bin_of_one_sample_at_the_centre_of_a_pixel_is_that_pixel():
    x = image_of(1, 2, 5, 6)
    rois = rois_of([2, 1, 5, 3])
    got = reference(x, *rois, output_height=2, output_width=3, sampling_ratio=1)
    np.testing.assert_array_equal(got[0], x[0, :, 1:3, 2:5])


def test_the_edge_reaches_a_pixel_out_and_then_comes_zero(way):
    x = np.ones((1, 1, 4, 4), np.float32)
    one = {"sampling_ratio": 1} | LEGACY
    for compute in (reference, on_machine):
        got = compute(x, *rois_of([-1.5, 0, -0.5, 1], [-1.6, 0, -0.5, 1], [3.5, 0, 4.5, 1]), **one)
        assert got.ravel().tolist() == [1, 0, 1]


@pytest.mark.parametrize("mode", ["avg", "max"])
@pytest.mark.parametrize("attributes", [{}, LEGACY], ids=str)
@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf, 1e6])
def test_coordinates_of_any_size_come_to_an_end(way, number, attributes, mode):
    assert_that_it_ends(number, attributes | {"mode": mode})


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["avg", "max"])
@pytest.mark.parametrize("attributes", [{}, LEGACY], ids=str)
@pytest.mark.parametrize("number", [1e9, -3e38])
@pytest.mark.parametrize(
    "bins", [pytest.param(-1, id="in blocks"), pytest.param(99, marks=pytest.mark.exhaustive)]
)
def test_huge_coordinates_come_to_an_end(monkeypatch, bins, number, attributes, mode):
    monkeypatch.setattr(launches, "_FEW_BINS", bins)
    assert_that_it_ends(number, attributes | {"mode": mode})


def assert_that_it_ends(number, attributes):
    rows = [[number, 1, 3, 3], [1, 1, number, 3], [1, -abs(number), 3, abs(number)], [number] * 4]
    given = (image_of(1, 2, 7, 7), *rois_of(*rows))
    attributes = attributes | {"output_width": 2}
    got, expected = (compute(*given, **attributes) for compute in (reference, on_machine))
    np.testing.assert_allclose(got, expected, atol=1e-5)
    assert np.isfinite(expected).all()


def test_samples_of_a_huge_region_that_are_outside_are_counted_and_not_visited(way):
    x = np.ones((1, 1, 8, 8), np.float32)
    rois = rois_of([0, -4000, 8, 4008])
    expected = 9 / 8008  # from a pixel before the first centre to a pixel after the last one
    for compute in (reference, on_machine):
        got = compute(x, *rois, **LEGACY)
        np.testing.assert_allclose(got.item(), expected, rtol=2e-3)
        assert compute(-x, *rois, mode="max").item() == 0


@pytest.mark.parametrize("region", [(8.3, 8.7, 8.0, 3.4), (-0.5, -0.5, -0.5, -0.5)])
def test_samples_of_a_region_that_ends_where_or_before_it_begins_are_taken(way, region):
    given, attributes = (image_of(1, 1, 9, 11), *rois_of(region)), {"sampling_ratio": 23}
    got, expected = (
        compute(*given, **attributes, output_height=30) for compute in (on_machine, reference)
    )
    np.testing.assert_allclose(got, expected, atol=1e-5)
    assert np.abs(expected).max() > 0.1


def test_an_image_that_is_not_there_gives_nan(way):
    x, (rois, _) = image_of(2, 1, 4, 4), rois_of(*[[0, 0, 2, 2]] * 3)
    for compute in (reference, on_machine):
        got = compute(x, rois, np.array([-1, 2, 1]))
        assert np.isnan(got).ravel().tolist() == [True, True, False]


@pytest.mark.parametrize(
    "shapes",
    [
        [(1, 2, 5, 5), (3, 5), (3,)],
        [(1, 2, 5, 5), (3, 4), (2,)],
        [(1, 2, 0, 5), (3, 4), (3,)],
        [(1, 2, 5, 2**24 + 1), (3, 4), (3,)],
    ],
    ids=str,
)
def test_shapes_that_do_not_fit_are_refused(shapes):
    described = calls.describe_inputs(RoiAlign(), shapes, [float32, float32, int64])
    with pytest.raises(PluginkitError, match=r"PK124|size"):
        calls.check(RoiAlign(), described)


@pytest.mark.parametrize(
    "wrong", [{"output_height": 0}, {"sampling_ratio": -1}, {"mode": "min"}], ids=str
)
def test_attributes_out_of_range_are_refused(wrong):
    with pytest.raises(PluginkitError, match="PK104"):
        RoiAlign(**wrong)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("channels", "attributes", "threads", "kept"),
    [
        (1, {"output_height": 7, "output_width": 7, "sampling_ratio": 2}, 64, 128),
        (2, {"output_height": 7, "output_width": 7, "sampling_ratio": 2}, 128, 128),
        (64, {"output_height": 7, "output_width": 65, "sampling_ratio": 2}, 256, 512),
        (1, {"output_height": 7, "output_width": 7}, 64, 512),
    ],
)
def test_a_region_with_little_work_has_a_small_block(
    channels, attributes, threads, kept, monkeypatch
):
    """As where there are too many bins for a thread each."""
    monkeypatch.setattr(launches, "_FEW_BINS", -1)
    monkeypatch.setattr(launches, "_FEW_LARGE_BINS", -1)
    plugin = RoiAlign(**attributes)
    shapes = [(1, channels, 50, 50), (10_000, 4), (10_000,)]
    inputs = calls.describe_inputs(plugin, shapes, [float32, float32, int64])
    (launch,) = calls.steps(plugin, inputs, calls.describe_outputs(plugin, inputs))
    assert (launch.block, launch.constants["KEPT"]) == (threads, kept)


@architectures
def test_every_kernel_compiles(arch):
    plugins = [RoiAlign(mode="avg"), RoiAlign(mode="max")]
    assert_kernels_compile(specialisations_of(plugins), arch)


@pytest.mark.parametrize("case", list(RoiAlign.cases()), ids=lambda case: case.name)
def test_threads_that_take_several_channels_compute_the_same(case, monkeypatch):
    """As where there is work for every processor, and bins have few samples."""
    monkeypatch.setattr(launches, "_FEW_BINS", -1)
    monkeypatch.setattr(launches, "_FEW_LARGE_BINS", -1)
    monkeypatch.setattr(launches, "_BLOCKS", 0)
    monkeypatch.setattr(launches, "_FEW_SAMPLES", 100)
    x = case.inputs[0]
    channels = np.concatenate([x, -x, 2 * x, x + 1, x - 1], axis=1)
    given = (channels, *case.inputs[1:])
    got, expected = (compute(*given, **case.attributes) for compute in (on_machine, reference))
    np.testing.assert_allclose(got, expected, atol=2e-5)


@pytest.mark.parametrize("case", list(RoiAlign.cases()), ids=lambda case: case.name)
def test_every_way_to_take_bins_computes_the_same(way, case):
    got, expected = (
        compute(*case.inputs, **case.attributes) for compute in (on_machine, reference)
    )
    np.testing.assert_allclose(got, expected, atol=1e-5)


@pytest.mark.parametrize(
    ("regions", "samples", "power"),
    [(10, 0, 3), (10, 2, 0), (10, 3, 3), (430, 0, 2), (1000, 0, 2), (4000, 0, 0), (20_000, 3, 0)],
)
def test_threads_share_the_samples_of_few_bins(regions, samples, power):
    plugin = RoiAlign(output_width=7, output_height=7, sampling_ratio=samples)
    shapes = [(1, 1, 50, 50), (regions, 4), (regions,)]
    inputs = calls.describe_inputs(plugin, shapes, [float32, float32, int64])
    (launch,) = calls.steps(plugin, inputs, calls.describe_outputs(plugin, inputs))
    assert (launch.kernel, launch.constants["POWER"]) == (plugin.alone, power)


@pytest.mark.parametrize("mode", ["avg", "max"])
@pytest.mark.parametrize("most", [(2**18, 0, 0), (0, 2**18, 0)], ids=["by 8", "by 4"])
def test_bins_of_few_and_of_many_samples_are_shared(monkeypatch, mode, most):
    """A block has 32 bins or 64, of the 72 of four regions and two channels."""
    monkeypatch.setattr(launches, "_SHARING", most)
    sides = np.array([4, 30, 4, 30])[:, None]
    low = np.random.default_rng(1).uniform(0, 9, (4, 2))
    rois = np.concatenate([low, low + sides], axis=1).astype(np.float32)
    given = image_of(3, 2, 40, 37), rois, np.array([0, 1, 3, 2])
    attributes = {"output_height": 3, "output_width": 3, "mode": mode}
    got, expected = (compute(*given, **attributes) for compute in (on_machine, reference))
    np.testing.assert_allclose(got, expected, atol=1e-5)
