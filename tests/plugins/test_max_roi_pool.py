import numpy as np
import pytest
from onnx import TensorProto, helper

from pluginkit import float16, float32
from pluginkit.contract import calls
from pluginkit.errors import AttributeValueError
from pluginkit.onnx.running.run_model import run_onnxruntime
from pluginkit.plugins import max_roi_pool
from pluginkit.plugins.max_roi_pool import MaxRoiPool
from pluginkit.testing import run_kernels
from tests.plugins.compilation import architectures, assert_kernels_compile, specialisations_of

CASES = {case.name: case for case in MaxRoiPool.cases()}
NAN, INF = np.nan, np.inf


def in_onnxruntime(x, rois, **attributes):
    shapes = {"x": x.shape, "rois": rois.shape}
    inputs = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
        for name, shape in shapes.items()
    ]
    outputs = [helper.make_tensor_value_info("y", TensorProto.FLOAT, [None] * 4)]
    nodes = [helper.make_node("MaxRoiPool", ["x", "rois"], ["y"], **attributes)]
    graph = helper.make_graph(nodes, "g", inputs, outputs)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return run_onnxruntime(model, {"x": x, "rois": rois})["y"]


@pytest.mark.parametrize("name", ["seven", "whole_image", "more_bins_than_pixels", "one_pixel"])
def test_onnxruntime_agrees(name):
    x, rois = CASES[name].inputs
    rois = rois[rois[:, 0] < len(x)]  # ONNX Runtime refuses other images
    attributes = CASES[name].attributes
    (got,) = calls.run_reference(MaxRoiPool(**attributes), [x, rois])
    assert got.any()
    np.testing.assert_array_equal(got, in_onnxruntime(x, rois, **attributes))


def test_numbers_by_hand():
    x = np.arange(16, dtype=np.float32).reshape(1, 1, 4, 4)
    roi = np.float32([[0, 0.5, 1.4, 2.5, 3]])  # pixels 1 to 3 along x, 1 to 3 along y
    run = run_kernels(MaxRoiPool(pooled_shape=(2, 1)), [x, roi])
    assert not run.findings
    assert run.outputs[0].ravel().tolist() == [11, 15]


@pytest.mark.parametrize(
    ("channels", "pooled", "grid", "block"),
    [
        (1, (2, 2), 3689, 64),  # two warps for two rows of bins
        (1, (1, 1), 3689, 32),
        (1, (3, 40), 3689, 128),  # a thread for each of 120 bins of a channel
        (9, (7, 7), 3689, 128),  # 441 bins, four for a thread; three warps have rows
        (64, (7, 7), 3689 * 2, 256),
    ],
)
def test_blocks_have_as_many_warps_as_there_is_to_do(channels, pooled, grid, block):
    plugin = MaxRoiPool(pooled_shape=pooled)
    inputs = calls.describe_inputs(plugin, [(1, channels, 23, 256), (3689, 5)], [float16] * 2)
    (launch,) = calls.steps(plugin, inputs, calls.describe_outputs(plugin, inputs))
    assert (launch.grid, launch.block) == (grid, block)


@pytest.mark.parametrize(
    ("pixels", "expected"),
    [
        ([NAN, 1.0, -INF], 1.0),
        ([NAN, NAN, -INF], np.finfo(np.float32).min),
        ([INF, NAN, 0.0], INF),
        ([0.0, 1e-40, NAN], 1e-40),
    ],
    ids=str,
)
def test_nan_is_not_the_largest(pixels, expected):
    x = np.float32(pixels).reshape(1, 1, 1, 3)
    roi = np.float32([[0, 0, 0, 2, 0]])
    plugin = MaxRoiPool(pooled_shape=(1, 1))
    for (y,) in (calls.run_reference(plugin, [x, roi]), run_kernels(plugin, [x, roi]).outputs):
        assert y.item() == np.float32(expected)


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
@pytest.mark.parametrize("width", [3, 13, 16])
def test_single_bins_are_read_by_vectors(width, dtype):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(2, 9, 6, width)).astype(dtype)
    sides = rng.integers(0, 5, (40, 2))
    low = rng.integers(0, (width, 6), (40, 2))
    rois = np.concatenate([rng.integers(0, 3, (40, 1)), low, low + sides], 1).astype(dtype)
    plugin = MaxRoiPool(pooled_shape=(1, 1))
    run = run_kernels(plugin, [x, rois])
    assert not run.findings
    np.testing.assert_array_equal(run.outputs[0], calls.run_reference(plugin, [x, rois])[0])


@pytest.mark.parametrize("most_warps", [1, 2**30], ids=["long runs", "single rows"])
@pytest.mark.parametrize("pooled_shape", [(7, 10), (2, 2), (3, 40)], ids=str)
@pytest.mark.parametrize("width", [7, 14, 60, 600])
def test_rows_of_bins_of_regions_of_all_widths(width, pooled_shape, most_warps, monkeypatch):
    monkeypatch.setattr(max_roi_pool, "_WARPS", most_warps)
    rng = np.random.default_rng(0)
    x = rng.normal(size=(1, 5, 30, width)).astype(np.float32)
    corners = rng.uniform(-5, 30, (3, 4)) * np.float32([width / 30, 1] * 2)
    rois = np.concatenate([np.zeros((3, 1)), np.sort(corners.reshape(3, 2, 2), 1).reshape(3, 4)], 1)
    rois[0, 1:] = 0, 3, width - 1, 28
    plugin = MaxRoiPool(pooled_shape=pooled_shape)
    run = run_kernels(plugin, [x, rois.astype(np.float32)])
    assert not run.findings
    expected = calls.run_reference(plugin, [x, rois.astype(np.float32)])
    np.testing.assert_array_equal(run.outputs[0], expected[0])


@pytest.mark.parametrize("pooled_shape", [(3, 2), (1, 1)], ids=str)
def test_a_thread_takes_a_bin_of_more_pixels_where_there_are_many(pooled_shape, monkeypatch):
    monkeypatch.setattr(max_roi_pool, "_MANY", 600)
    rng = np.random.default_rng(0)
    x = rng.normal(size=(1, 600, 30, 19)).astype(np.float32)
    roi = np.float32([[0, 1, 2, pooled_shape[1] * 9, pooled_shape[0] * 8 + 2]])
    plugin = MaxRoiPool(pooled_shape=pooled_shape)
    inputs = calls.describe_inputs(plugin, [x.shape, roi.shape], [float32] * 2)
    (launch,) = calls.steps(plugin, inputs, calls.describe_outputs(plugin, inputs))
    assert launch.args[6].values == (9,)
    run = run_kernels(plugin, [x, roi])
    assert not run.findings
    np.testing.assert_array_equal(run.outputs[0], calls.run_reference(plugin, [x, roi])[0])


@pytest.mark.parametrize("image", [-1, 1, NAN])
def test_an_image_that_is_not_there_is_nan(image):
    x, roi = np.ones((1, 2, 3, 3), np.float32), np.float32([[image, 0, 0, 2, 2]])
    run = run_kernels(MaxRoiPool(pooled_shape=(1, 1)), [x, roi])
    assert not run.findings
    assert np.isnan(run.outputs[0]).all()


@pytest.mark.parametrize("corners", [[NAN] * 4, [-1e30, -1e30, 1e30, 1e30], [INF, -INF, INF, INF]])
def test_corners_that_are_no_pixels(corners):
    x, roi = np.ones((1, 1, 3, 3), np.float32), np.float32([[0, *corners]])
    plugin = MaxRoiPool(pooled_shape=(2, 2))
    run = run_kernels(plugin, [x, roi])
    assert not run.findings
    np.testing.assert_array_equal(run.outputs[0], calls.run_reference(plugin, [x, roi])[0])


@pytest.mark.parametrize("pooled_shape", [(), (3,), (0, 1), (1, 2, 3)], ids=str)
def test_bins_along_two_axes_are_needed(pooled_shape):
    with pytest.raises(AttributeValueError, match="expected two numbers"):
        MaxRoiPool(pooled_shape=pooled_shape)


@architectures
def test_every_kernel_compiles(arch):
    assert_kernels_compile(specialisations_of([MaxRoiPool(pooled_shape=(7, 7))]), arch)
