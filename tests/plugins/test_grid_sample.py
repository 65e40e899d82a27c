from __future__ import annotations

import itertools
import math

import hypothesis.strategies as st
import numpy as np
import onnx
import onnxruntime as ort
import pytest
from hypothesis import given, settings

from pluginkit import bfloat16, float16, float32, int8, int32, int64
from pluginkit.contract import calls
from pluginkit.contract.dims import InputDim, ceil_div
from pluginkit.errors import TensorError
from pluginkit.kernels.compile import compile_launches
from pluginkit.plugins.grid_sample import GridSample, launches
from pluginkit.plugins.grid_sample.launches import (
    ENOUGH_BLOCKS,
    LONGEST_RUN,
    MAX_BLOCKS,
    in_numba,
    layout_of,
)
from pluginkit.plugins.grid_sample.pixel_copy import (
    ENOUGH_OF_FEW,
    SECTOR_BYTES,
    THREADS,
    PixelCopy,
)
from pluginkit.testing import run_kernels
from tests.onnx_node_tests import node_tests
from tests.plugins.compilation import architectures

CASES = {case.name: case for case in GridSample.cases()}
MODES = ("linear", "nearest", "cubic")
PADDINGS = ("zeros", "border", "reflection")


def run(x, grid, **attributes):
    return calls.run_reference(GridSample(**attributes), [x, grid])[0]


def described(plugin, x, grid, x_type=float32, grid_type=float32):
    inputs = calls.describe_inputs(plugin, [x, grid], [x_type, grid_type])
    return inputs, calls.describe_outputs(plugin, inputs)


# The reference


def test_backend_tests_are_found():
    backend_tests = node_tests("GridSample")
    names = " ".join(test.name for test in backend_tests)
    assert len(backend_tests) >= 18
    for word in (
        "volumetric",
        "bilinear",
        "bicubic",
        "nearest",
        "reflection",
        "border",
        "aligncor",
    ):
        assert word in names


def test_reference_passes_the_onnx_backend_tests():
    for test in node_tests("GridSample"):
        (node,) = test.model.graph.node
        attributes = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
        attributes = {k: v.decode() if isinstance(v, bytes) else v for k, v in attributes.items()}
        attributes["align_corners"] = bool(attributes.get("align_corners", 0))
        for inputs, (expected,) in test.data_sets:
            got = run(*inputs, **attributes)
            np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-4, err_msg=test.name)


def onnx_runtime(x, grid, mode, padding_mode, align_corners):
    helper = onnx.helper
    arrays = {"x": x, "grid": grid}
    attributes = {"padding_mode": padding_mode, "align_corners": int(align_corners)}
    node = helper.make_node("GridSample", list(arrays), ["y"], mode=mode, **attributes)
    inputs = [helper.make_tensor_value_info(n, 1, a.shape) for n, a in arrays.items()]
    graph = helper.make_graph(
        [node], "sample", inputs, [helper.make_tensor_value_info("y", 1, None)]
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 22)], ir_version=10)
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return session.run(None, arrays)[0]


@st.composite
def calls_of_grid_sample(draw):
    axes = draw(st.sampled_from([2, 3]))
    mode = draw(st.sampled_from(MODES if axes == 2 else MODES[:2]))  # all that the runtime has
    padding_mode = draw(st.sampled_from(PADDINGS))
    align_corners = draw(st.booleans())
    # Its reflection divides by zero on an axis of one pixel with align_corners.
    smallest = 2 if padding_mode == "reflection" and align_corners else 1
    sizes = draw(st.lists(st.integers(smallest, 7), min_size=axes, max_size=axes))
    out_sizes = draw(st.lists(st.integers(1, 5), min_size=axes, max_size=axes))
    items, channels = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    x = rng.uniform(-4, 4, (items, channels, *sizes)).astype(np.float32)
    grid = rng.uniform(-3, 3, (items, *out_sizes, axes))
    if draw(st.booleans()):  # pixels, halves of pixels, and edges
        grid = np.rint(grid * 8) / 8
    return x, grid.astype(np.float32), mode, padding_mode, align_corners


@pytest.mark.slow
@settings(max_examples=300, deadline=None, derandomize=True)
@given(calls_of_grid_sample())
def test_reference_agrees_with_onnx_runtime(call):
    x, grid, mode, padding_mode, align_corners = call
    got = run(x, grid, mode=mode, padding_mode=padding_mode, align_corners=align_corners)
    expected = onnx_runtime(*call)
    if mode == "nearest":
        np.testing.assert_array_equal(got, expected)
    else:
        np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-5)


def padded(index, size, padding_mode, align_corners):
    """Return the index that is read, None outside, by walking back from edge to edge."""
    if padding_mode == "zeros":
        return index if 0 <= index < size else None
    if padding_mode == "border":
        return min(max(index, 0), size - 1)
    low, high = (0, 2 * size - 2) if align_corners else (-1, 2 * size - 1)  # in half pixels
    while not low <= 2 * index <= high and high > low:
        index = (2 * low if 2 * index < low else 2 * high) // 2 - index
    return index if high > low else 0


def weight(mode, distance):
    a, d = -0.75, abs(distance)
    if mode == "linear":
        return max(0.0, 1 - d)
    if d <= 1:
        return (a + 2) * d**3 - (a + 3) * d**2 + 1
    return a * d**3 - 5 * a * d**2 + 8 * a * d - 4 * a if d < 2 else 0.0


def sampled(x, grid, mode, padding_mode, align_corners):
    """Do what the docstring says, one location at a time; only coordinates are in float32."""
    sizes, out_sizes = x.shape[2:], grid.shape[1:-1]
    y = np.zeros((*x.shape[:2], *out_sizes))
    f = np.float32
    for item, *place in itertools.product(*map(range, (x.shape[0], *out_sizes))):
        reads = []
        for axis, size in enumerate(sizes):
            g = f(grid[(item, *place, len(sizes) - 1 - axis)])
            with np.errstate(all="ignore"):
                p = (g + f(1)) / f(2) * f(size - 1)
                p = p if align_corners else ((g + f(1)) * f(size) - f(1)) / f(2)
            p = -(2.0**30) if math.isnan(p) else float(min(max(p, -(2.0**30)), 2.0**30))
            if mode == "nearest":
                near = [(round(p), 1.0)]
            else:
                reach = 1 if mode == "linear" else 2
                around = range(math.floor(p) - reach + 1, math.floor(p) + reach + 1)
                near = [(index, weight(mode, p - index)) for index in around]
            reads.append([(padded(i, size, padding_mode, align_corners), w) for i, w in near])
        for taps in itertools.product(*reads):
            indices = [index for index, _ in taps]
            if None not in indices:
                value = x[(item, slice(None), *indices)].astype(np.float64)
                y[(item, slice(None), *place)] += math.prod(w for _, w in taps) * value
    return y


@pytest.mark.parametrize("name", sorted(CASES.keys() - {"tiles"}))
@pytest.mark.parametrize("grid_type", GridSample.types["T2"], ids=repr)
@pytest.mark.parametrize("dtype", GridSample.types["T1"], ids=repr)
def test_reference_follows_the_text(name, dtype, grid_type):
    case = CASES[name]
    attributes = dict(case.attributes)
    if not dtype.is_floating:
        attributes["mode"] = "nearest"
    x, grid = case.inputs[0].astype(dtype.numpy), case.inputs[1].astype(grid_type.numpy)
    got = run(x, grid, **attributes)
    assert got.dtype == dtype.numpy
    expected = sampled(x, grid, **attributes)
    tolerance = GridSample.tolerance.get(dtype, 0)
    error = np.abs(got.astype(np.float64) - expected) / np.maximum(1, np.abs(expected))
    assert error.max(initial=0) <= tolerance


@pytest.mark.parametrize("align_corners", [False, True])
@pytest.mark.parametrize("padding_mode", PADDINGS)
@pytest.mark.parametrize("mode", MODES)
def test_far_coordinates_stay_in_bounds(mode, padding_mode, align_corners):
    x = np.random.default_rng(3).uniform(1, 2, (1, 2, 5, 4)).astype(np.float32)
    far = np.array([np.nan, np.inf, -np.inf, 3e38, -3e38, 40.0, -40.0], np.float32)
    grid = np.stack(np.meshgrid(far, far), -1)[None]
    attributes = {"mode": mode, "padding_mode": padding_mode, "align_corners": align_corners}
    got = run(x, grid, **attributes)
    if padding_mode == "zeros":
        assert (got == 0).all()
    elif padding_mode == "border":
        after, before = [1, 3, 5], [0, 2, 4, 6]  # where far lies beyond the last pixel, and NaN
        for rows, row in ((after, -1), (before, 0)):
            for columns, column in ((after, -1), (before, 0)):
                corner = x[:, :, row, column, None, None]
                at_corner = got[:, :, rows][..., columns]
                np.testing.assert_allclose(
                    at_corner, np.broadcast_to(corner, at_corner.shape), 1e-5
                )
    else:
        low = 0.5 if mode == "cubic" else 1  # cubic may overshoot
        assert np.isfinite(got).all()
        assert ((got >= low) & (got <= 3 - low)).all()


@pytest.mark.parametrize("mode", MODES)
def test_what_is_outside_adds_zero_also_to_nan_and_infinity(mode):
    x = np.full((1, 1, 3, 3), np.nan, np.float32)
    x[0, 0, 1] = np.inf
    grid = np.full((1, 1, 1, 2), -5, np.float32)
    assert run(x, grid, mode=mode).item() == 0


def test_nan_and_infinity_in_x_are_passed_on():
    x = np.array([[[[1, np.nan, 2, np.inf]]]], np.float32)
    grid = np.array([[[[-0.75, 0], [0, 0], [0.75, 0]]]], np.float32)
    got = run(x, grid)[0, 0, 0]
    assert got[0] == 1 or math.isnan(got[0])  # the neighbour counts nothing, or NaN
    assert math.isnan(got[1])
    assert run(x, grid, mode="nearest")[0, 0, 0, 2] == np.inf


def test_large_integers_are_copied_exactly():
    x = np.array([[[2**62 + 1, -(2**62) - 1, 3]]])
    grid = np.array([[[-1], [0], [1]]], np.float32)
    assert run(x, grid, mode="nearest", align_corners=True).tolist() == x.tolist()


# Kernels


@pytest.mark.slow
@pytest.mark.exhaustive
@pytest.mark.parametrize("grid_type", GridSample.types["T2"], ids=repr)
@pytest.mark.parametrize("dtype", GridSample.types["T1"], ids=repr)
def test_every_kernel_compiles_for_every_type(dtype, grid_type):
    modes = MODES if dtype.is_floating else ("nearest",)
    for mode, axes in itertools.product(modes, (1, 2, 3)):
        plugin = GridSample(mode=mode, padding_mode="reflection")
        shapes = (2, 3, *[2] * axes), (2, *[2] * axes, axes)
        (compiled,) = compile_launches(plugin, *described(plugin, *shapes, dtype, grid_type), "80")
        assert compiled.cubin.startswith(b"\x7fELF")


@pytest.mark.exhaustive
@architectures
@pytest.mark.parametrize("name", ["image", "volume", "cubic_border", "sequence", "four_axes"])
def test_kernels_compile_for_every_architecture(name, arch):
    case = CASES[name]
    plugin = GridSample(**case.attributes)
    shapes = [array.shape for array in case.inputs]
    (compiled,) = compile_launches(plugin, *described(plugin, *shapes, bfloat16), arch)
    assert compiled.cubin.startswith(b"\x7fELF")


def on_a_cpu(plugin, arrays):
    run = run_kernels(plugin, arrays)
    assert not run.findings
    return run.outputs[0], calls.run_reference(plugin, arrays)[0]


@pytest.mark.parametrize("dtype", [float32, float16], ids=repr)
@pytest.mark.parametrize("reach", [0.8, 1.4])
@pytest.mark.parametrize(("channels", "run"), [(5, 3), (7, 4), (6, 3), (2, 2)])
def test_kernels_for_few_and_for_many_elements_on_a_cpu(monkeypatch, dtype, reach, channels, run):
    """That for many has code for warps whose locations are all inside."""
    monkeypatch.setattr(launches, "_FEW_THREADS", 1)
    plugin, rng = GridSample(), np.random.default_rng(8)
    x = rng.normal(size=(2, channels, 7, 12)).astype(dtype.numpy)
    grid = rng.uniform(-reach, reach, (2, 8, 32, 2)).astype(dtype.numpy)
    (launch,) = calls.steps(plugin, *described(plugin, x.shape, grid.shape, dtype))
    assert (launch.kernel, launch.constants["RUN"]) == (plugin.sample_few, run)
    few = on_a_cpu(plugin, [x, grid])
    monkeypatch.setattr(launches, "FEW_ELEMENTS", -1)
    monkeypatch.setattr(launches, "FEW_CHANNELS", 0)
    monkeypatch.setattr(launches, "FEW_LOCATIONS", 0)
    monkeypatch.setattr(launches, "_FEWEST_LOCATIONS", 0)
    (launch,) = calls.steps(plugin, *described(plugin, x.shape, grid.shape, dtype))
    assert launch.kernel == plugin.kernel
    many = on_a_cpu(plugin, [x, grid])
    for got, expected in (few, many):
        tolerance = GridSample.tolerance[dtype]
        np.testing.assert_allclose(got.astype(float), expected.astype(float), atol=tolerance)


@pytest.mark.parametrize("spare", [0, launches._SPARE])
@pytest.mark.parametrize(
    ("locations", "channels", "block", "grid", "blocks"),
    [
        ((1, 1), 599, (1, 64), (1, 10, 2), 5),
        ((3, 3), 70, (16, 4), (1, 18, 2), 5),
        ((1, 65), 7, (128, 2), (1, 4, 2), 4),
        ((1, 129), 2, (256, 1), (1, 2, 2), 3),
    ],
)
def test_a_block_takes_many_channels_of_few_locations_or_items_too(
    monkeypatch, locations, channels, block, grid, blocks, spare
):
    monkeypatch.setattr(launches, "_SPARE", spare)
    plugin, rng = GridSample(), np.random.default_rng(9)
    x = rng.normal(size=(2, channels, 7, 12)).astype(np.float32)
    points = rng.uniform(-1, 1, (2, *locations, 2)).astype(np.float32)
    (launch,) = calls.steps(plugin, *described(plugin, x.shape, points.shape, float32))
    expected = (block, grid) if spare else (256, blocks)
    assert (launch.kernel, launch.block, launch.grid) == (plugin.sample_few, *expected)
    got, expected = on_a_cpu(plugin, [x, points])
    np.testing.assert_allclose(got, expected, atol=GridSample.tolerance[float32])


@pytest.mark.parametrize(
    ("x", "locations", "block"),
    [
        ((32, 256, 8, 4), 1, (1, 64)),
        ((32, 257, 8, 4), 1, (1, 256)),  # many threads
        ((32, 256, 8, 3), 1, (1, 256)),  # planes of less than a line
        ((1, 100, 8, 4), 31, (32, 2)),
        ((1, 100, 8, 4), 32, (32, 8)),
    ],
)
def test_loads_that_lie_apart_are_spread_over_more_blocks(x, locations, block):
    plugin = GridSample()
    (launch,) = calls.steps(plugin, *described(plugin, x, (x[0], 1, locations, 2), float32))
    assert (launch.kernel, launch.block) == (plugin.sample_few, block)


@pytest.mark.parametrize("x", [(2, 3, 70, 80), (3, 2**17, 1, 1), (2**17, 3, 1, 1)])
def test_few_elements_fit_a_grid_of_blocks(x):
    plugin = GridSample(mode="nearest")
    (launch,) = calls.steps(plugin, *described(plugin, x, (x[0], 1, 2, 2), int8))
    assert launch.kernel == plugin.sample_few
    assert launch.constants["FLAT"] == isinstance(launch.grid, int) == (x[0] > MAX_BLOCKS)


@pytest.mark.parametrize(("out_sizes", "is_few"), [((33, 31), True), ((33, 32), False)])
def test_few_locations_of_many_items_are_few(out_sizes, is_few):
    plugin = GridSample()
    arguments = described(plugin, (1000, 5, 8, 8), (1000, *out_sizes, 2), float32)
    (launch,) = calls.steps(plugin, *arguments)
    assert (launch.kernel == plugin.sample_few) == is_few


@pytest.mark.parametrize(("channels", "run"), [(1, 1), (2, 2), (3, 3), (4, 4), (5, None)])
def test_a_thread_takes_all_of_few_channels_of_a_large_image(channels, run):
    plugin, sizes = GridSample(), (2048, 2048)
    arguments = described(plugin, (1, channels, *sizes), (1, *sizes, 2), float32)
    launch = calls.steps(plugin, *arguments)[-1]
    assert (launch.kernel == plugin.sample_few) == (channels <= launches.FEW_CHANNELS)
    assert run is None or launch.constants["RUN"] == run


@pytest.fixture
def _in_numba(monkeypatch):
    """Every case, not only those of ranks that no kernel in CUDA C++ takes."""
    monkeypatch.setattr(
        GridSample, "launches", lambda plugin, x, grid, y, workspace: in_numba(plugin, x, grid, y)
    )


@pytest.mark.slow
@pytest.mark.usefixtures("_in_numba")
@pytest.mark.parametrize("name", CASES)
def test_numba_kernels_on_a_cpu(name):
    case = CASES[name]
    plugin = GridSample(**case.attributes)
    every = list(GridSample.spec.type_bindings())
    for bindings in every if name in ("labels", "image") else every[:1]:
        arrays = [a.astype(t.numpy) for a, t in zip(case.inputs, bindings.values(), strict=True)]
        if calls.refuses_types(plugin, calls.describe_arrays(plugin, arrays)):
            continue
        got, expected = on_a_cpu(plugin, arrays)
        assert got.dtype == expected.dtype
        tolerance = GridSample.tolerance.get(bindings["T1"], 0)
        got, expected = got.astype(np.float64), expected.astype(np.float64)
        np.testing.assert_allclose(got, expected, tolerance, tolerance)


@pytest.mark.slow
@pytest.mark.usefixtures("_in_numba")
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("padding_mode", PADDINGS)
def test_numba_kernels_far_outside(mode, padding_mode):
    far = np.array([[[np.nan], [np.inf], [-np.inf], [1e30], [-77.5]]], np.float32)
    x = np.arange(1, 5, dtype=np.float32)[None, None]
    got, expected = on_a_cpu(GridSample(mode=mode, padding_mode=padding_mode), [x, far])
    np.testing.assert_allclose(got, expected, 1e-5)


@pytest.mark.parametrize("axes", range(1, 7))
def test_two_and_three_axes_take_the_kernel_in_cuda(axes):
    plugin = GridSample()
    inputs, outputs = described(plugin, (1, 1, *[2] * axes), (1, *[2] * axes, axes))
    (launch,) = calls.steps(plugin, inputs, outputs)
    kernels = {2: plugin.sample_few, 3: plugin.kernel}
    assert launch.kernel is kernels.get(axes, plugin.interpolate)


@pytest.mark.parametrize(
    ("mode", "dtype", "grid_type", "name"),
    [
        ("nearest", bfloat16, float32, "nearest"),
        ("nearest", int64, bfloat16, "nearest_at_bfloat16"),
        ("linear", float16, float16, "interpolate"),
        ("cubic", float32, bfloat16, "interpolate_at_bfloat16"),
        ("linear", bfloat16, float16, "interpolate_bfloat16"),
        ("cubic", bfloat16, bfloat16, "interpolate_bfloat16_at_bfloat16"),
    ],
)
def test_types_choose_the_numba_kernel(mode, dtype, grid_type, name):
    plugin = GridSample(mode=mode)
    (launch,) = calls.steps(plugin, *described(plugin, (1, 1, 4), (1, 2, 1), dtype, grid_type))
    assert launch.kernel is getattr(plugin, name)


@pytest.mark.parametrize(
    ("x", "grid", "is_small"),
    [
        ((1, 1, 2, 2**30 - 1), (1, 2, 3, 2), True),
        ((1, 1, 2, 2**30), (1, 2, 3, 2), False),
        ((1, 1, 2, 3), (1, 2**20, 2**11 - 1, 2), True),
        ((1, 1, 2, 3), (1, 2**20, 2**11, 2), False),
    ],
)
def test_large_channels_take_64_bit_offsets(x, grid, is_small):
    plugin = GridSample(mode="nearest")
    (launch,) = calls.steps(plugin, *described(plugin, x, grid, int8))
    assert launch.constants["OFFSET"] == ("unsigned int" if is_small else "unsigned long long")


# The copy in which the channels of a pixel lie together


@pytest.mark.parametrize(
    ("x", "grid", "dtype", "names"),
    [
        (
            (8, 64, 256, 256),
            (8, 256, 256, 2),
            float16,
            ["collect_pixels", "kernel", "sample_pixels"],
        ),
        (
            (1, 32, 64, 64, 64),
            (1, 80, 90, 75, 3),
            int8,
            ["collect_pixels", "kernel", "sample_pixels"],
        ),
        ((8, 64, 256, 256), (8, 63, 65, 2), float16, ["sample_few"]),  # a small output
        ((8, 11, 256, 256), (8, 500, 500, 2), float16, ["kernel"]),  # few channels
        ((970, 16, 8, 4), (970, 8, 17, 2), float16, ["sample_few"]),  # items of few locations
        ((8, 64, 600, 600), (8, 256, 256, 2), float16, ["kernel"]),  # a large copy
        ((8, 64, 0, 9), (8, 256, 256, 2), float16, ["kernel"]),  # nothing to copy
        ((1, 64, 300), (1, 2**19, 1), float16, ["interpolate"]),  # no kernels for these axes
    ],
)
def test_large_outputs_look_at_the_grid(x, grid, dtype, names):
    plugin = GridSample(mode="linear" if dtype.is_floating else "nearest")
    steps = calls.steps(plugin, *described(plugin, x, grid, dtype))
    assert [step.kernel for step in steps] == [getattr(plugin, name) for name in names]


@pytest.mark.slow
@pytest.mark.exhaustive
@pytest.mark.parametrize("grid_type", GridSample.types["T2"], ids=repr)
@pytest.mark.parametrize("dtype", GridSample.types["T1"], ids=repr)
def test_the_kernels_with_a_copy_compile_for_every_type(dtype, grid_type):
    ways = itertools.product(MODES if dtype.is_floating else ("nearest",), (2, 3))
    for (mode, axes), sectors in zip(ways, itertools.cycle((1, 2, 3)), strict=False):
        plugin = GridSample(mode=mode, padding_mode=PADDINGS[sectors - 1])
        channels = SECTOR_BYTES * sectors // dtype.itemsize
        items = ceil_div(ENOUGH_OF_FEW, channels * 2**axes)
        shapes = (items, channels, *[2] * axes), (items, *[2] * axes, axes)
        compiled = compile_launches(plugin, *described(plugin, *shapes, dtype, grid_type), "80")
        assert len(compiled) == 3


@architectures
def test_the_kernels_with_a_copy_compile_for_every_architecture(arch):
    plugin = GridSample(mode="cubic", padding_mode="reflection")
    shapes = (1, 64, 512, 512), (1, 512, 512, 2)
    assert len(compile_launches(plugin, *described(plugin, *shapes, bfloat16), arch)) == 3


_SIDE = st.integers(3, 200)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.data(), st.sampled_from([1, 2, 4, 8]), st.integers(2, 4))
def test_a_profiles_largest_workspace_holds_the_copies_of_all_shapes(data, itemsize, axes):
    smaller = [data.draw(_SIDE) for _ in range(2 + 2 * axes)]
    larger = [side + data.draw(st.integers(0, 40)) for side in smaller]

    def copy(sides):
        items, channels, *rest = sides
        return PixelCopy(items, channels, tuple(rest[:axes]), math.prod(rest[axes:]), itemsize)

    assert copy(smaller).workspace_bytes <= copy(larger).workspace_bytes
    for each in (copy(smaller), copy(larger)):
        assert not each.may_be_made or each.workspace_bytes == SECTOR_BYTES + each.nbytes


@pytest.mark.parametrize(("channels", "itemsize", "sectors"), [(16, 2, 1), (17, 2, 2), (9, 4, 2)])
def test_each_pixel_begins_at_a_sector(channels, itemsize, sectors):
    copy = PixelCopy(3, channels, (5, 7), 1, itemsize)
    assert copy.nbytes == 3 * 5 * 7 * sectors * SECTOR_BYTES


# The layout


def covered(layout, items, channels):
    """Return how often the blocks of a layout write each element."""
    count = np.zeros((items, channels, layout.rows, layout.width), np.uint8)
    tiles = -(-layout.width // (layout.block[0] * layout.pack))
    blocks, splits, slices = layout.grid
    for number, split, first in itertools.product(range(blocks), range(splits), range(slices)):
        row, tile = divmod(number, tiles)
        rows = slice(row * layout.block[1], (row + 1) * layout.block[1])
        span = layout.block[0] * layout.pack
        columns = slice(tile * span, (tile + 1) * span)
        run = slice(split * layout.run, (split + 1) * layout.run)
        count[first::slices, run, rows, columns] += 1
    return count


@settings(max_examples=300, deadline=None, derandomize=True)
@given(
    st.integers(0, 3),
    st.integers(0, 70),
    st.one_of(
        st.tuples(st.integers(0, 90), st.integers(0, 90)), st.tuples(*[st.integers(0, 20)] * 3)
    ),
    st.sampled_from([1, 2, 4, 8]),
    st.booleans(),
)
def test_a_layout_covers_every_element_once(items, channels, out_sizes, itemsize, is_light):
    layout = layout_of(items, channels, out_sizes, itemsize, is_light)
    assert layout.rows * layout.width == math.prod(out_sizes)
    assert (covered(layout, items, channels) == 1).all()
    assert math.prod(layout.block) == THREADS
    assert layout.pack == 1 or (itemsize == 2 and is_light)
    assert layout.width % layout.pack == 0
    assert layout.run <= LONGEST_RUN
    if layout.block[1] > 1:
        assert layout.grid[0] * THREADS * layout.pack <= 1.25 * math.prod(out_sizes)


def test_layouts_of_known_sizes():
    image = layout_of(8, 64, (256, 256), 4, True)
    assert (image.block, image.pack, image.run, image.grid) == ((32, 8), 1, 16, (256, 4, 8))
    half = layout_of(8, 64, (256, 256), 2, True)
    assert (half.block, half.pack, half.grid) == ((32, 8), 2, (128, 4, 8))
    points = layout_of(8, 32, (1000, 4), 4, True)  # few columns: as one row
    assert (points.block, points.width, points.rows) == ((256, 1), 4000, 1)
    odd = layout_of(1, 3, (64, 63), 2, True)  # pairs would straddle its rows
    assert (odd.block, odd.pack, odd.width) == ((256, 1), 2, 64 * 63)
    assert layout_of(1, 3, (63, 33), 2, True).pack == 1


def test_few_blocks_mean_short_runs():
    assert layout_of(1, 64, (32, 32), 4, True).run == 2
    assert layout_of(4, 64, (128, 128), 4, True).run == 16
    one = layout_of(1, 64, (128, 128), 4, True)
    assert (one.run, one.tiles) == (8, 4)
    assert math.prod(one.grid) >= ENOUGH_BLOCKS


def test_a_layout_keeps_to_the_limits_of_a_grid():
    layout = layout_of(10**6, 3 * 10**6, (1, 1), 4, True)
    assert layout.grid[1] <= MAX_BLOCKS
    assert layout.grid[2] == MAX_BLOCKS
    assert layout.grid[1] * layout.run >= 3 * 10**6


# Errors


@pytest.mark.parametrize(
    ("x", "grid", "attributes", "message"),
    [
        ((2, 3, 4, 5), (2, 6, 2), {}, "GridSample/shapes: x .* and grid "),
        ((2, 3, 4, 5), (2, 6, 7, 3), {}, "GridSample/shapes: "),
        ((2, 3, 4, 5), (1, 6, 7, 2), {}, "PK124 .* with N = 2"),
        ((2, 3), (2, 0), {}, "PK124 .* expected .N, C, "),
        ((1, 2, 0, 5), (1, 2, 2, 2), {"padding_mode": "border"}, "GridSample/empty: .* 'border'"),
        ((1, 2, 0, 5), (1, 2, 2, 2), {"padding_mode": "reflection"}, "GridSample/empty: "),
    ],
)
def test_shapes_that_do_not_fit(x, grid, attributes, message):
    with pytest.raises(TensorError, match=message):
        run(np.zeros(x, np.float32), np.zeros(grid, np.float32), **attributes)


def test_an_axis_that_is_too_long():
    plugin = GridSample(mode="nearest")
    inputs, _ = described(plugin, (1, 1, 1, 2**30 + 1), (1, 1, 1, 2), int8)
    with pytest.raises(TensorError, match="GridSample/size: x int8.* up to 2\\^30"):
        calls.check(plugin, inputs)


@pytest.mark.parametrize("dtype", [int64, int32, int8], ids=repr)
@pytest.mark.parametrize("mode", ["linear", "cubic"])
def test_integers_have_no_values_between(mode, dtype):
    x, grid = np.zeros((1, 1, 2, 2), dtype.numpy), np.zeros((1, 1, 1, 2), np.float32)
    with pytest.raises(TensorError, match=f"GridSample/type: x is {dtype} in mode '{mode}'"):
        run(x, grid, mode=mode)
    assert run(x, grid, mode="nearest").dtype == dtype.numpy


@pytest.mark.parametrize("axes", [1, 2, 3])
def test_unknown_dimensions(axes):
    plugin = GridSample(padding_mode="border")
    shapes = [tuple(InputDim(index, axis) for axis in range(axes + 2)) for index in range(2)]
    inputs = calls.describe_inputs(plugin, shapes, [float16, float32])
    calls.check(plugin, inputs)
    (y,) = calls.describe_outputs(plugin, inputs)
    expected = (*shapes[0][:2], *shapes[1][1:-1])
    assert [(d.index, d.axis) for d in y.shape] == [(d.index, d.axis) for d in expected]
    assert y.dtype is float16
