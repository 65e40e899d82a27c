import numpy as np
import pytest
from onnx import TensorProto, helper

from pluginkit import float32, int64
from pluginkit.checking.kernel_run import run_kernels
from pluginkit.contract import calls
from pluginkit.errors import PluginkitError
from pluginkit.onnx.running.run_model import run_onnxruntime
from pluginkit.plugins.resized_arg_max import ResizedArgMax
from tests.plugins.compilation import architectures, assert_kernels_compile, specialisations_of


def reference(maps, *sizes, **attributes):
    return calls.run_reference(ResizedArgMax(**attributes), [maps, *map(np.array, sizes)])


def on_machine(maps, *sizes, **attributes):
    run = run_kernels(ResizedArgMax(**attributes), [maps, *map(np.array, sizes)])
    assert not run.findings
    return run.outputs


def in_onnxruntime(maps, height, width, coefficient):
    nodes = [
        helper.make_node(
            "Resize",
            ["x", "", "", "sizes"],
            ["y"],
            mode="cubic",
            coordinate_transformation_mode="half_pixel",
            cubic_coeff_a=coefficient,
        )
    ]
    inputs = [
        helper.make_tensor_value_info("x", TensorProto.FLOAT, maps.shape),
        helper.make_tensor_value_info("sizes", TensorProto.INT64, [4]),
    ]
    outputs = [helper.make_tensor_value_info("y", TensorProto.FLOAT, [None] * 4)]
    graph = helper.make_graph(nodes, "g", inputs, outputs)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    sizes = np.array([*maps.shape[:2], height, width])
    return run_onnxruntime(model, {"x": maps, "sizes": sizes})["y"]


@pytest.mark.parametrize("coefficient", [-0.75, -0.5])
@pytest.mark.parametrize("size", [(3, 4), (11, 2), (19, 23)], ids=str)
def test_it_finds_the_largest_pixel_of_what_onnxruntime_resizes(size, coefficient):
    maps = np.random.default_rng(1).normal(size=(1, 3, 6, 5)).astype(np.float32)
    resized = in_onnxruntime(maps, *size, coefficient).reshape(3, -1)
    places = divmod(resized.argmax(axis=1), size[1])
    for compute in (reference, on_machine):
        got = compute(maps, [size[0]], [size[1]], cubic_coeff_a=coefficient)
        np.testing.assert_array_equal([each[0] for each in got[:2]], places)
        np.testing.assert_allclose(got[2][0], resized.max(axis=1), rtol=1e-5)


@pytest.mark.parametrize("side", [12, 40])
@pytest.mark.parametrize("first", [0.0, -0.0], ids=str)
def test_zeros_are_equal_and_pixels_that_read_nan_are_below_all(side, first):
    maps = np.full((1, 1, side, side), -1, np.float32)
    maps[0, 0, 2, 1], maps[0, 0, 2, side // 4] = first, -first
    maps[0, 0, -1, -1] = np.nan
    expected = reference(maps, [side], [side])
    np.testing.assert_array_equal(expected[:2], [[[2]], [[1]]])
    for got, wanted in zip(on_machine(maps, [side], [side]), expected, strict=True):
        np.testing.assert_array_equal(got, wanted)


def test_the_first_of_equal_pixels_counts_and_nan_is_below_all():
    maps = np.full((1, 2, 3, 4), np.nan, np.float32)
    maps[0, 1] = 5
    for compute in (reference, on_machine):
        rows, columns, largest = compute(maps, [3], [4])
        assert (rows.tolist(), columns.tolist()) == ([[0, 0]], [[0, 0]])
        assert np.isnan(largest[0, 0])
        assert largest[0, 1] == 5


def described(maps):
    plugin, sizes = ResizedArgMax(), np.ones(len(maps), np.int64)
    inputs = calls.describe_arrays(plugin, [maps, sizes, sizes])
    return inputs, calls.describe_outputs(plugin, inputs)


@pytest.mark.parametrize("size", [(9, 7), (40, 30)])
def test_a_thread_takes_one_pixel_of_few_and_columns_of_many(size):
    maps = np.random.default_rng(2).normal(size=(3, 1, 11, 8)).astype(np.float32)
    (step,) = calls.steps(ResizedArgMax(), *described(maps))
    assert step.grid == (3, 1)
    sizes = [[each] * 3 for each in size]
    for got, expected in zip(on_machine(maps, *sizes), reference(maps, *sizes), strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-5)


def test_parts_of_a_map_are_compared_as_the_whole():
    """Few large maps are divided into parts, which different blocks take."""
    rng = np.random.default_rng(5)
    maps = rng.normal(size=(2, 1, 53, 40)).astype(np.float32)
    maps[1] = np.nan
    steps = calls.steps(ResizedArgMax(), *described(maps))
    assert [step.grid for step in steps] == [(2, 89), 2]
    for got, expected in zip(
        on_machine(maps, [37, 9], [20, 5]), reference(maps, [37, 9], [20, 5]), strict=True
    ):
        np.testing.assert_array_equal(got, expected)
    rows, columns, _ = on_machine(np.zeros_like(maps), [37, 9], [20, 5])
    assert not rows.any()
    assert not columns.any()


@pytest.mark.parametrize(
    "shapes",
    [[(2, 3, 4, 4), (2,), (1,)], [(2, 3, 0, 4), (2,), (2,)], [(1, 1, 4096, 4096), (1,), (1,)]],
    ids=str,
)
def test_shapes_that_do_not_fit_are_refused(shapes):
    described = calls.describe_inputs(ResizedArgMax(), shapes, [float32, int64, int64])
    with pytest.raises(PluginkitError, match=r"PK124|size"):
        calls.check(ResizedArgMax(), described)


@architectures
def test_the_kernel_compiles(arch):
    assert_kernels_compile(specialisations_of([ResizedArgMax()]), arch)
