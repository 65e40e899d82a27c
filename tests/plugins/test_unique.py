import ml_dtypes
import numpy as np
import onnx.helper
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from pluginkit import float16, float32, int8, int32, int64
from pluginkit.contract import calls
from pluginkit.contract.dtypes import dtype_from_numpy
from pluginkit.errors import TensorError
from pluginkit.kernels.enqueue_steps import enqueue_steps
from pluginkit.onnx.model.plugin_nodes import plugin_node, plugin_of_node
from pluginkit.onnx.running.run_model import run_onnxruntime
from pluginkit.plugins.unique import Unique, sort_levels
from pluginkit.testing import run_kernels
from tests.onnx_node_tests import node_tests
from tests.plugins.unique_on_host import Host

NAMES = ("Y", "indices", "inverse_indices", "counts")
BFLOAT16 = ml_dtypes.bfloat16
DTYPES = [np.float32, np.float16, BFLOAT16, np.int64, np.int32, np.int8]
BLOCK_ITEMS, SHORT_BLOCK_ITEMS = sort_levels.BLOCK_ITEMS, sort_levels.SHORT_BLOCK_ITEMS
SPECIAL = [-np.inf, -1.5, -0.0, 0.0, 2.0, np.inf, np.nan]


@pytest.fixture(autouse=True, scope="module")
def without_a_block():
    """Few slices take all launches, too, but in the tests of the block that takes them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sort_levels, "BLOCK_ITEMS", ())
        patch.setattr(sort_levels, "SHORT_BLOCK_ITEMS", ())
        yield


def reference(x, axis=None, is_sorted=True):
    return calls.run_reference(Unique(axis=axis, sorted=is_sorted), [np.asarray(x)])


def on_host(x, axis=None, is_sorted=True):
    return Host(Unique(axis=axis, sorted=is_sorted), np.asarray(x)).run()


def is_same(a, b):
    return a == b or (a != a and b != b)  # NaN


def by_definition(x, axis, is_sorted):
    """Find the different rows of a list, one after the other, with Python's numbers."""
    along = x.reshape(-1, 1) if axis is None else np.moveaxis(x, axis, 0)
    slices = [one.reshape(-1).tolist() for one in along]
    firsts, inverse = [], []
    for at, one in enumerate(slices):
        same = (f for f in firsts if all(map(is_same, slices[f], one)))
        first = next(same, at)
        firsts += [at] * (first == at)
        inverse.append(first)
    if is_sorted:
        firsts.sort(key=lambda at: [(v != v, 0 if v != v else v) for v in slices[at]])
    y = x.reshape(-1)[firsts] if axis is None else np.take(x, np.array(firsts, int), axis)
    counts = [inverse.count(first) for first in firsts]
    return y, firsts, [firsts.index(first) for first in inverse], counts, len(firsts)


def assert_same(got, expected):
    for name, one, wanted in zip((*NAMES, "found"), got, expected, strict=False):
        wanted = np.asarray(wanted)
        assert one.shape == wanted.shape, name
        if name == "Y":
            assert one.dtype == wanted.dtype
            assert one.tobytes() == wanted.tobytes()  # of equal values the first, bit by bit
        else:
            np.testing.assert_array_equal(one, wanted, err_msg=name)


@st.composite
def problems(draw, most=8):
    dtype = draw(st.sampled_from(DTYPES))
    shape = draw(hnp.array_shapes(min_dims=0, max_dims=8, min_side=0, max_side=3))
    if shape and draw(st.booleans()):
        shape = (*shape[:1], draw(st.integers(0, most)), *shape[2:])
    values = SPECIAL if np.dtype(dtype).kind in "fV" else [-128, -1, 0, 1, 127]
    chosen = np.random.default_rng(draw(st.integers(0, 999))).choice(values, shape)
    axis = draw(st.none() | st.integers(-len(shape), len(shape) - 1)) if shape else None
    return np.asarray(chosen).astype(dtype), axis, draw(st.booleans())


@settings(deadline=None)
@given(problems())
def test_the_reference_is_the_definition(problem):
    assert_same(reference(*problem), by_definition(*problem))


@settings(deadline=None)
@given(problems(most=40))
def test_the_launches_compute_the_definition(problem):
    assert_same(on_host(*problem), by_definition(*problem))


@pytest.mark.parametrize("case", list(Unique.cases()), ids=lambda case: case.name)
@pytest.mark.parametrize("dtype", DTYPES)
def test_the_launches_of_every_case_agree_with_the_reference(case, dtype):
    plugin = Unique(**case.attributes)
    x = case.inputs[0].astype(dtype)
    assert_same(Host(plugin, x).run(), calls.run_reference(plugin, [x]))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("elements", [1, 2, 3, 4, 5, 8, 9, 17, 64, 65])
def test_slices_of_any_length(dtype, elements):
    rng = np.random.default_rng(elements)
    x = rng.integers(-2, 2, (50, elements)).astype(dtype)
    x[:, :-1] = x[:1, :-1]  # slices differ in their last element, if at all
    for array, axis in ((x, 0), (x.T.copy(), 1)):
        assert_same(on_host(array, axis), by_definition(array, axis, True))


def test_the_tests_that_come_with_onnx_agree():
    tests = node_tests("Unique")
    assert len(tests) >= 6
    for test in tests:
        (node,) = test.model.graph.node
        given_attributes = {a.name: a.i for a in node.attribute}
        axis, is_sorted = given_attributes.get("axis"), bool(given_attributes.get("sorted", 1))
        for (x,), expected in test.data_sets:
            assert_same(reference(x, axis, is_sorted), expected)
            assert_same(on_host(x, axis, is_sorted), expected)


@pytest.mark.parametrize("dtype", [np.float32, np.int64, np.int8])
@pytest.mark.parametrize("is_sorted", [True, False])
@pytest.mark.parametrize(
    ("shape", "axis"),
    [
        ((300,), None),
        ((9, 11), None),
        ((90, 2), 0),
        ((2, 3, 40), -1),
        ((2, 70, 2), 1),
        ((0,), None),
    ],
)
def test_onnxruntime_agrees(dtype, shape, axis, is_sorted):
    x = np.random.default_rng(3).integers(-2, 3, shape).astype(dtype)
    attributes = {"sorted": int(is_sorted)} | ({} if axis is None else {"axis": axis})
    elem_type = onnx.helper.np_dtype_to_tensor_dtype(x.dtype)
    values = [onnx.helper.make_tensor_value_info(NAMES[0], elem_type, None)]
    values += [onnx.helper.make_tensor_value_info(name, 7, None) for name in NAMES[1:]]
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("Unique", ["x"], NAMES, **attributes)],
        "g",
        [onnx.helper.make_tensor_value_info("x", elem_type, shape)],
        values,
    )
    opsets = [onnx.helper.make_opsetid("", 11)]
    model = onnx.helper.make_model(graph, opset_imports=opsets, ir_version=9)
    expected = run_onnxruntime(model, {"x": x})
    assert_same(reference(x, axis, is_sorted), [expected[name] for name in NAMES])


@pytest.mark.parametrize("dtype", [np.float32, np.float16, np.int64, np.int32, np.int8])
def test_numpy_agrees_on_elements(dtype):
    x = np.random.default_rng(4).normal(scale=30, size=2000).astype(dtype)
    if dtype in (np.float32, np.float16):
        x[::9] = np.nan
    assert_same(reference(x), np.unique(x, True, True, True))


def test_equal_values_are_one_and_y_has_the_first_of_them():
    other_nan = np.array([0xFFC00001], np.uint32).view(np.float32)[0]
    x = np.array([-0.0, np.nan, 0.0, other_nan, 1], np.float32)
    for unique in (reference, on_host):
        y, indices, inverse, counts, found = unique(x)
        assert y.tobytes() == x[[0, 4, 1]].tobytes()
        assert indices.tolist() == [0, 4, 1]
        assert inverse.tolist() == [0, 2, 0, 2, 1]
        assert counts.tolist() == [2, 1, 2]
        assert found == 3


@pytest.mark.parametrize(("shape", "found"), [((3, 0), 1), ((0, 3), 0), ((0, 0), 0)])
def test_slices_without_elements_are_equal(shape, found):
    y, indices, inverse, counts, size = on_host(np.zeros(shape, np.float32), 0)
    assert y.shape == (found, shape[1])
    assert (indices.tolist(), counts.tolist()) == ([0] * found, [shape[0]] * found)
    assert inverse.tolist() == [0] * shape[0]
    assert size == found


def planned(shape, dtype=float32, axis=None, is_sorted=True):
    plugin = Unique(axis=axis, sorted=is_sorted)
    inputs = calls.describe_inputs(plugin, [shape], [dtype])
    work = enqueue_steps(plugin, inputs, calls.describe_outputs(plugin, inputs))
    return [launch.kernel.name.partition("<")[0] for launch in work.launches]


@pytest.mark.parametrize(
    ("shape", "dtype", "axis", "sweeps"),
    [
        ((5000,), float32, None, [4]),
        ((5000,), int64, None, [8]),
        ((5000,), float16, None, [2]),
        ((5000,), int8, None, [1]),
        ((1000, 3), int8, 0, [3]),
        ((1000, 5), int8, 0, [5]),
        ((1000, 3), int32, 0, [8, 3]),  # two words of 1000 slices: ranks of 11 bits
        ((1000, 9), float32, 0, [8, 4, 3, 3]),  # 5, 3, 2, 1 words
        ((7, 0), float32, 0, [0]),
    ],
)
def test_every_eight_bits_that_may_differ_take_a_launch(shape, dtype, axis, sweeps):
    names = planned(shape, dtype, axis)
    expected = ["find_range"] if dtype in (int32, int64) else []
    for level, count in enumerate(sweeps):
        expected += ["slice_keys" if level == 0 else "pair_ranks"]
        expected += ["place_digits", *["sweep"] * count, "find_runs"]
    last = ["write_runs"] if axis is None or 0 in shape else ["write_runs", "take_slices"]
    assert names == expected + last
    in_first_order = planned(shape, dtype, axis, False)
    last = ["write_runs"] if 0 in shape else ["write_runs", "take_slices"]
    assert in_first_order == [*expected, "order_runs", "rename_runs", *last]


@pytest.mark.parametrize("is_sorted", [True, False])
def test_many_ranks_are_brought_near_to_their_positions(monkeypatch, is_sorted):
    assert "spread_ranks" not in planned((2**22 - 1,), is_sorted=is_sorted)
    assert "spread_ranks" in planned((2**22,), is_sorted=is_sorted)
    assert "spread_ranks" not in planned((2**26,), is_sorted=is_sorted)
    monkeypatch.setattr(sort_levels, "_NEAR_ITEMS", 1000)
    for case in Unique.cases():
        (x,) = case.inputs
        plugin = Unique(axis=case.attributes["axis"], sorted=is_sorted)
        assert_same(Host(plugin, x).run(), calls.run_reference(plugin, [x]))


def test_digits_that_are_the_same_in_all_keys_are_not_sorted():
    host = Host(Unique(), np.array([-300, 400, -300, 5], np.int32))
    host.run()
    halves = host.memory["workspace", 0][8:].view(np.int32)[:5]
    assert halves.tolist() == [0, 1, 0, 0, 0]  # 700 has ten bits


@pytest.mark.parametrize("dtype", DTYPES)
def test_elements_whose_keys_are_close_are_counted(monkeypatch, dtype):
    monkeypatch.setattr(sort_levels, "_DENSE_ITEMS", 50)
    for size, distinct, is_close in ((50, 9, True), (49, 9, False), (20_000, 100, True)):
        x = np.random.default_rng(size).integers(0, distinct, size).astype(dtype)
        host = Host(Unique(), x)
        assert_same(host.run(), reference(x))
        state = host.memory["workspace", 0][:72]
        assert host._state(state).is_dense == (is_close and dtype is not np.float32)
    far = np.array([0, 3 * 2**14 - 1, *[5] * 60]).astype(np.int32)
    for x in (far, far + far):
        host = Host(Unique(), x)
        assert_same(host.run(), reference(x))
        assert host._state(host.memory["workspace", 0][:72]).is_dense == (x is far)
    assert "count_dense" not in planned((50,), int32, is_sorted=False)
    assert "count_dense" not in planned((50, 2), int32, 0)


@pytest.mark.parametrize("near_items", [1000, 2**22])
@pytest.mark.parametrize("is_sorted", [True, False])
def test_keys_in_order_are_not_sorted(monkeypatch, is_sorted, near_items):
    monkeypatch.setattr(sort_levels, "_NEAR_ITEMS", near_items)
    x = np.sort(np.random.default_rng(1).integers(-300, 400, 2000)).astype(np.int32)
    host = Host(Unique(sorted=is_sorted), x)
    assert_same(host.run(), reference(x, None, is_sorted))
    assert not host.memory["workspace", 0][8:].view(np.int32)[:11].any()


@pytest.mark.parametrize("is_sorted", [True, False])
@pytest.mark.parametrize(
    ("shape", "dtype", "axis"),
    [
        ((), np.int8, None),
        ((300,), np.float32, None),
        ((40, 4), np.float16, 0),
        ((2, 513, 1), np.int32, 1),
        ((2049,), np.int64, None),
        ((4097,), np.int32, None),
        ((2, 5120), np.float16, 1),
        ((5, 0), np.float32, 0),
    ],
    ids=str,
)
def test_a_block_takes_few_slices(monkeypatch, shape, dtype, axis, is_sorted):
    monkeypatch.setattr(sort_levels, "BLOCK_ITEMS", BLOCK_ITEMS)
    monkeypatch.setattr(sort_levels, "SHORT_BLOCK_ITEMS", SHORT_BLOCK_ITEMS)
    values = SPECIAL if np.dtype(dtype).kind == "f" else np.iinfo(dtype).min + np.arange(3)
    x = np.random.default_rng(3).choice(values, shape).astype(dtype)
    assert planned(shape, dtype_from_numpy(x.dtype), axis, is_sorted) == ["unique_of_block"]
    run = run_kernels(Unique(axis=axis, sorted=is_sorted), [x])
    assert not run.findings
    assert_same(run.outputs, reference(x, axis, is_sorted))


def test_more_or_longer_slices_take_several_launches(monkeypatch):
    monkeypatch.setattr(sort_levels, "BLOCK_ITEMS", BLOCK_ITEMS)
    monkeypatch.setattr(sort_levels, "SHORT_BLOCK_ITEMS", SHORT_BLOCK_ITEMS)
    most, of_short_keys = BLOCK_ITEMS[-1] * 512, SHORT_BLOCK_ITEMS[-1] * 512
    assert len(planned((most, 2), axis=0)) == len(planned((of_short_keys, 1), axis=0)) == 1
    for shape in ((most + 1, 2), (of_short_keys + 1, 1), (2, 3)):
        assert len(planned(shape, axis=0)) > 5


@pytest.mark.parametrize(("shape", "axis"), [((2**15, 2**15), None), ((2**30, 0), 0)])
def test_what_32_bits_cannot_hold_is_refused(shape, axis):
    inputs = calls.describe_inputs(Unique(axis=axis), [shape], [float32])
    with pytest.raises(TensorError, match=r"Unique/size: x float32\[.* has 2\^30 elements"):
        calls.check(Unique(axis=axis), inputs)


@pytest.mark.parametrize(("shape", "axis"), [((2, 3), 2), ((2, 3), -3), ((), 0)])
def test_an_axis_out_of_range_is_refused(shape, axis):
    with pytest.raises(TensorError, match="PK126"):
        reference(np.zeros(shape, np.float32), axis)


@pytest.mark.parametrize("axis", [None, 0, -2])
def test_an_axis_that_is_absent_stays_absent_on_the_node(axis):
    plugin = Unique(axis=axis, sorted=False)
    node = plugin_node(plugin, ["x"], [*NAMES, "found"], "n")
    assert ("axis" in {attribute.name for attribute in node.attribute}) == (axis is not None)
    assert plugin_of_node(node, {Unique.spec.key: Unique}) == plugin


def test_it_needs_v3():
    assert Unique.spec.needs_v3 == "output 'found' makes a shape depend on data"
