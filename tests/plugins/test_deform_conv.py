import numpy as np
import pytest

from pluginkit import float16, float32
from pluginkit.checking.kernel_run import run_kernels
from pluginkit.contract import calls
from pluginkit.errors import PluginkitError
from pluginkit.plugins.deform_conv import DeformConv, arranged, few, product
from pluginkit.plugins.deform_conv import launches as launches_module
from tests.onnx_node_tests import node_tests
from tests.plugins.compilation import architectures, assert_kernels_compile, specialisations_of

PORTS = ("X", "W", "offset", "B", "mask")


def plugin_for(inputs, **attributes):
    present = [name for name, one in zip(PORTS, inputs, strict=True) if one is not None]
    return DeformConv(**attributes).with_inputs(*present)


def reference(arrays, **attributes):
    given = [one for one in arrays if one is not None]
    return calls.run_reference(plugin_for(arrays, **attributes), given)[0]


def on_machine(arrays, **attributes):
    run = run_kernels(DeformConv(**attributes), arrays)
    assert not run.findings
    return run.outputs[0]


def arrays_of(shape=(1, 2, 5, 5), maps=3, side=3, out=(3, 3)):
    rng = np.random.default_rng(3)
    w = rng.normal(size=(maps, shape[1], side, side))
    offset = np.zeros((shape[0], 2 * side * side, *out))
    given = [rng.normal(size=shape), w, offset]
    return [*(each.astype(np.float32) for each in given), None, None]


def test_the_tests_that_come_with_onnx_agree():
    tests = node_tests("DeformConv")
    assert len(tests) >= 4
    for test in tests:
        (node,) = test.model.graph.node
        attributes = {each.name: each.i or list(each.ints) for each in node.attribute}
        for arrays, (expected,) in test.data_sets:
            named = dict(zip([name for name in node.input if name], arrays, strict=True))
            given = [named.get(name) for name in (*node.input, *[""] * (5 - len(node.input)))]
            for compute in (reference, on_machine):
                np.testing.assert_allclose(compute(given, **attributes), expected, atol=1e-4)


def test_without_offsets_it_is_a_convolution():
    x, w, *rest = arrays_of()
    windows = np.lib.stride_tricks.sliding_window_view(x[0], (3, 3), axis=(1, 2))
    expected = np.einsum("chwij,mcij->mhw", windows, w)[None]
    for compute in (reference, on_machine):
        np.testing.assert_allclose(compute([x, w, *rest]), expected, atol=1e-5)


def test_an_offset_moves_a_tap_along_y_and_then_along_x():
    x, offset = np.zeros((1, 1, 3, 4), np.float32), np.zeros((1, 2, 3, 4), np.float32)
    x[0, 0, 2, 1] = 1
    offset[0, :, 0, 0] = 2, 1
    offset[0, :, 1, 1] = 0.75, 0.5
    one = np.ones((1, 1, 1, 1), np.float32)
    expected = x.copy()
    expected[0, 0, 0, 0], expected[0, 0, 1, 1] = 1, 0.75 * 0.5
    for compute in (reference, on_machine):
        np.testing.assert_array_equal(compute([x, one, offset, None, None]), expected)


@pytest.mark.parametrize("far", [np.nan, np.inf, -np.inf, 3e38, -1.0, 5.0])
def test_what_is_a_pixel_outside_or_nowhere_counts_as_zero(far):
    x, w, offset, *_ = arrays_of(side=1, out=(5, 5))
    x[...] = np.inf  # outside, no infinity is multiplied by 0
    offset[0, 0, 0, 0] = far
    for compute in (reference, on_machine):
        got = compute([x, np.abs(w), offset, np.ones(3, np.float32), None])
        assert (got[0, :, 0, 0] == 1).all()
        assert not np.isfinite(got[0, :, 1:]).any()


@pytest.mark.parametrize("maps", [3, 6, 40])
def test_infinite_sums_are_infinite(maps):
    x = np.full((1, 16, 1, 1), np.inf, np.float32)
    w, offset = np.ones((maps, 16, 1, 1), np.float32), np.zeros((1, 2, 1, 1), np.float32)
    assert (on_machine([x, w, offset, None, None]) == np.inf).all()


#: X, output channels, taps, attributes, and which kernel computes float16.
WAYS = {
    "rows of a tile": ((2, 40, 3, 4), 70, (2, 2), {"strides": (2, 1)}, "product"),
    "many rows": ((1, 40, 3, 4), 270, (1, 2), {}, "product"),
    "several runs of taps": ((1, 320, 2, 3), 40, (1, 2), {}, "product"),
    "blocks that take turns": ((1, 128, 3, 3), 40, (2, 2), {"dilations": (1, 2)}, "product"),
    "offset groups": ((1, 96, 3, 4), 40, (2, 2), {"offset_group": 3}, "product"),
    "groups across parts": ((1, 64, 3, 4), 160, (2, 2), {"group": 4, "offset_group": 2}, "product"),
    "parts across groups": ((1, 96, 3, 4), 80, (2, 2), {"group": 2, "offset_group": 6}, "product"),
    "merged groups": ((1, 48, 3, 4), 144, (2, 2), {"group": 12, "offset_group": 3}, "product"),
    "one map": ((2, 40, 3, 4), 1, (2, 2), {"strides": (2, 1)}, "narrow"),
    "few maps": ((1, 320, 2, 3), 10, (1, 2), {}, "narrow"),
    "few maps of parts": ((1, 96, 3, 4), 6, (2, 2), {"group": 2, "offset_group": 6}, "narrow"),
    "few maps of merged groups": (
        (1, 48, 3, 4),
        24,
        (2, 2),
        {"group": 12, "offset_group": 3},
        "narrow",
    ),
    "uneven groups and parts": (
        (1, 48, 3, 4),
        12,
        (2, 3),
        {"group": 3, "offset_group": 2},
        "kernel",
    ),
    "depthwise": ((2, 40, 3, 4), 40, (2, 2), {"group": 40, "offset_group": 2}, "depthwise"),
    "depthwise of many maps": ((1, 32, 3, 4), 160, (2, 2), {"group": 32}, "product"),
    "depthwise of few channels": ((2, 6, 3, 4), 6, (2, 2), {"group": 6}, "separate"),
    "few channels": ((1, 3, 5, 4), 40, (2, 2), {}, "kernel"),
    "groups of few channels": ((1, 9, 5, 4), 6, (2, 2), {"group": 3}, "kernel"),
}


def arrays_for(name):
    shape, maps, taps, attributes, _ = WAYS[name]
    strides, dilations = attributes.get("strides", (1, 1)), attributes.get("dilations", (1, 1))
    out = [(shape[2 + i] - dilations[i] * (taps[i] - 1) - 1) // strides[i] + 1 for i in (0, 1)]
    count = taps[0] * taps[1] * attributes.get("offset_group", 1)
    rng = np.random.default_rng(5)
    return [
        rng.uniform(-1, 1, shape),
        rng.uniform(-1, 1, (maps, shape[1] // attributes.get("group", 1), *taps)) / 4,
        rng.integers(-12, 13, (shape[0], 2 * count, *out)) / 8,
        rng.uniform(-1, 1, maps),
        rng.uniform(0, 1, (shape[0], count, *out)),
    ]


def assert_right(arrays, attributes, dtype):
    given = [each.astype(dtype.numpy) for each in arrays]
    expected = reference([each.astype(np.float32) for each in given], **attributes)
    bound = DeformConv.tolerance[dtype]
    np.testing.assert_allclose(on_machine(given, **attributes), expected, bound, bound)


def launches_for(arrays, attributes, dtype):
    given = [each.astype(dtype.numpy) for each in arrays]
    plugin = plugin_for(given, **attributes)
    inputs = calls.describe_arrays(plugin, given)
    return plugin, calls.steps(plugin, inputs, calls.describe_outputs(plugin, inputs))


@pytest.fixture
def much(monkeypatch):
    """Let nothing count as little to do."""
    monkeypatch.setattr(few, "_MOST_THREADS", -1)


@pytest.mark.parametrize("shares", few.SHARES)
@pytest.mark.parametrize("name", ["groups across parts", "one map"])
def test_lanes_share_terms_where_there_is_little_to_do(monkeypatch, name, shares):
    monkeypatch.setattr(few, "SHARES", (shares,))
    monkeypatch.setattr(few, "_TURNS", 2**10)
    arrays, attributes = arrays_for(name), WAYS[name][3]
    for dtype in (float32, float16):
        assert_right(arrays, attributes, dtype)
    plugin, (launch,) = launches_for(arrays, attributes, float16)
    assert (launch.kernel, launch.constants["SHARES"]) == (plugin.few, shares)


@pytest.mark.parametrize("name", ["depthwise of few channels", "one map", "many chunks"])
def test_as_many_lanes_share_terms_as_there_are_for(monkeypatch, name):
    monkeypatch.setitem(WAYS, "many chunks", ((1, 300, 3, 3), 9, (2, 2), {}, "product"))
    arrays, attributes = arrays_for(name), WAYS[name][3]
    plugin, launches = launches_for(arrays, attributes, float32)
    found = [each.constants.get("SHARES") for each in launches if each.kernel is plugin.few]
    assert found == {"depthwise of few channels": [2], "one map": [32], "many chunks": []}[name]


@pytest.mark.parametrize(("images", "depth", "is_few"), [(4, 1, True), (8, 1, False), (8, 2, True)])
def test_groups_of_one_channel_are_fewer_where_there_is_little_to_do(images, depth, is_few):
    x, out = (images, 32 * depth, 8, 32), (8, 32)
    shapes = [x, (32, depth, 1, 3), (images, 6, *out), None, None]
    plugin = plugin_for(shapes, group=32, pads=(0, 1, 0, 1))
    inputs = calls.describe_inputs(plugin, shapes[:3], [float32] * 3)
    launches = calls.steps(plugin, inputs, calls.describe_outputs(plugin, inputs))
    assert (launches[0].kernel == plugin.few) == is_few


@pytest.mark.usefixtures("much")
@pytest.mark.parametrize("name", WAYS)
def test_every_way_to_compute_agrees(monkeypatch, name):
    monkeypatch.setattr(arranged, "_LEAST_SAMPLES", 0)
    arrays, (*_, attributes, kernel) = arrays_for(name), WAYS[name]
    for dtype in (float32, float16):
        assert_right(arrays, attributes, dtype)
    plugin, launches = launches_for(arrays, attributes, float16)
    assert getattr(plugin, kernel) in [each.kernel for each in launches]


@pytest.mark.usefixtures("much")
@pytest.mark.parametrize("far", [np.nan, np.inf, -np.inf, 3e38, -1.0, 5.0])
def test_groups_of_one_channel_count_only_taps_that_are_there(far):
    x, offset = np.full((1, 2, 5, 5), np.inf, np.float32), np.zeros((1, 2, 5, 5), np.float32)
    offset[0, 0, 0, 0] = far
    for mask in (None, np.ones((1, 1, 5, 5), np.float32)):
        given = [x, np.ones((2, 1, 1, 1), np.float32), offset, None, mask]
        got = on_machine(given, group=2)
        assert (got[0, :, 0, 0] == 0).all()
        assert not np.isfinite(got[0, :, 1:]).any()
    x, offset = x[..., :1, :1], offset[..., 1:2, 1:2]
    assert (on_machine([x, given[1], offset, None, None], group=2) == np.inf).all()


@pytest.mark.usefixtures("much")
def test_groups_of_one_channel_may_have_no_mask():
    *arrays, _ = (each.astype(np.float32) for each in arrays_for("depthwise of few channels"))
    expected = reference([*arrays, None], group=6)
    np.testing.assert_allclose(on_machine([*arrays, None], group=6), expected, 2e-5, 2e-5)


@pytest.mark.usefixtures("much")
@pytest.mark.parametrize(("maps", "group"), [(20, 1), (9, 1), (10, 2), (3, 1), (9, 9), (9, 3)])
def test_a_thread_takes_several_outputs(monkeypatch, maps, group):
    monkeypatch.setattr(launches_module, "_FEW_BLOCKS", 0)
    monkeypatch.setattr(launches_module, "_CHANNEL_BLOCKS", {4: 0, 2: 0})
    shape, attributes = (1, 2 if group == 2 else 9 if group == 9 else 3, 3, 4), {"group": group}
    monkeypatch.setitem(WAYS, "outputs", (shape, maps, (2, 2), attributes, ""))
    assert_right(arrays_for("outputs"), attributes, float32)


@pytest.mark.usefixtures("much")
@pytest.mark.parametrize(("channels", "kernel"), [(11, "kernel"), (12, "narrow")])
def test_chunks_of_float32_are_mostly_channels(monkeypatch, channels, kernel):
    monkeypatch.setitem(WAYS, "chunks", ((1, channels, 3, 4), 5, (2, 2), {}, kernel))
    arrays = arrays_for("chunks")
    plugin, launches = launches_for(arrays, {}, float32)
    assert getattr(plugin, kernel) in [each.kernel for each in launches]
    assert_right(arrays, {}, float32)


@pytest.mark.usefixtures("much")
@pytest.mark.parametrize(("maps", "rows"), [(250, 256), (270, 192)])
def test_tiles_of_many_rows(monkeypatch, maps, rows):
    monkeypatch.setattr(product, "_BUSY", 1)
    monkeypatch.setitem(WAYS, "rows", ((1, 40, 3, 4), maps, (1, 2), {}, "product"))
    arrays = arrays_for("rows")
    for dtype in (float32, float16):
        _, launches = launches_for(arrays, {}, dtype)
        assert [each.constants["ROWS"] for each in launches if each.constants] == [rows]
        assert_right(arrays, {}, dtype)


@pytest.mark.usefixtures("much")
def test_few_tiles_have_slices_whose_sums_are_added():
    arrays, attributes = arrays_for("several runs of taps"), WAYS["several runs of taps"][3]
    plugin, launches = launches_for(arrays, attributes, float16)
    assert [each.kernel for each in launches] == [
        plugin.arrange, plugin.product, plugin.add_slices,
    ]  # fmt: skip
    assert launches[1].grid == 5  # of 20 chunks, which are two taps of 320 channels


@pytest.mark.usefixtures("much")
@pytest.mark.parametrize(
    ("maps", "group", "images", "grid"),
    [(130, 1, 3, 2 + 2), (5, 1, 9, 8 + 6), (10, 2, 5, 8 + 2 * 4)],
    ids=["product", "narrow", "groups"],
)
def test_tiles_that_are_left_have_slices(monkeypatch, maps, group, images, grid):
    monkeypatch.setattr(product, "_BUSY", 2)
    monkeypatch.setattr(product, "_LEAST_CHUNKS", 1)
    monkeypatch.setattr(product, "_LEAST_NARROW", 1)
    shape = images, 40 * group, 8, 9
    monkeypatch.setitem(WAYS, "left", (shape, maps, (1, 2), {"group": group}, ""))
    arrays = arrays_for("left")
    _, launches = launches_for(arrays, {"group": group}, float32)
    assert launches[1].grid == grid
    assert_right(arrays, {"group": group}, float32)


@pytest.mark.parametrize(
    ("shapes", "attributes"),
    [
        ([(1, 2, 5, 5), (3, 2, 3, 3), (1, 18, 3, 4)], {}),
        ([(1, 2, 5, 5), (3, 2, 3, 3), (1, 16, 3, 3)], {}),
        ([(1, 2, 5, 5), (3, 1, 3, 3), (1, 18, 3, 3)], {}),
        ([(1, 3, 5, 5), (3, 1, 3, 3), (1, 18, 3, 3)], {"group": 2}),
        ([(1, 2, 5, 5), (3, 1, 3, 3), (1, 18, 3, 3)], {"group": 2}),
        ([(1, 3, 5, 5), (3, 3, 3, 3), (1, 36, 3, 3)], {"offset_group": 2}),
        ([(1, 2, 5, 5), (3, 2, 3, 3), (1, 18, 3, 3)], {"kernel_shape": (3, 1)}),
        ([(1, 2, 5, 5), (3, 2, 3, 3), (1, 18, 3, 3), (2,)], {}),
        ([(1, 2, 5, 5), (3, 2, 3, 3), (1, 18, 3, 3), None, (1, 18, 3, 3)], {}),
        ([(1, 16, 3, 3), (2, 16, 0, 0), (1, 0, 4, 4)], {}),
        ([(1, 1, 1, 2**24 + 1), (1, 1, 1, 1), (1, 2, 1, 2**24 + 1)], {}),
    ],
    ids=str,
)
def test_shapes_that_do_not_fit_are_refused(shapes, attributes):
    plugin = plugin_for([*shapes, *[None] * (5 - len(shapes))], **attributes)
    given = [shape for shape in shapes if shape is not None]
    described = calls.describe_inputs(plugin, given, [float32] * len(given))
    with pytest.raises(PluginkitError, match=r"PK124|shapes|size"):
        calls.check(plugin, described)


@pytest.mark.parametrize(
    "wrong",
    [{"group": 0}, {"offset_group": 0}, {"strides": (1, 0)}, {"dilations": (0, 1)},
     {"pads": (0, -1, 0, 0)}, {"kernel_shape": (3, 0)}],
    ids=str,
)  # fmt: skip
def test_attributes_out_of_range_are_refused(wrong):
    with pytest.raises(PluginkitError, match="PK104"):
        DeformConv(**wrong)


@pytest.mark.slow
@architectures
def test_every_kernel_compiles(arch):
    assert_kernels_compile(specialisations_of([DeformConv()]), arch)
