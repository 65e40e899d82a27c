import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from pluginkit import Fill, Workspace, float16, float32, int64
from pluginkit.contract import calls
from pluginkit.errors import TensorError
from pluginkit.kernels.enqueue_steps import enqueue_steps
from pluginkit.plugins.top_k import TopK, launches
from pluginkit.testing import run_kernels, run_reference
from tests.onnx_node_tests import node_tests


def reference(x, k, **attributes):
    return calls.run_reference(TopK(**attributes), [np.asarray(x), np.array([k])])


def before(a, b, largest):
    """Whether a comes before b in the result, by value alone; NaN is larger than everything."""
    if np.isnan(a) or np.isnan(b):
        return bool(np.isnan(a) and not np.isnan(b)) == largest and not (
            np.isnan(a) and np.isnan(b)
        )
    return a > b if largest else a < b


@settings(deadline=None)
@given(
    hnp.arrays(
        np.float32,
        st.integers(1, 12),
        elements=st.sampled_from([-np.inf, -1.5, -0.0, 0.0, 2.0, np.inf, np.nan]),
    ),
    st.data(),
    st.booleans(),
)
def test_the_result_is_the_first_k_of_the_ordered_pairs(x, data, largest):
    k = data.draw(st.integers(0, len(x)))
    values, indices = reference(x, k, largest=largest)
    expected: list[int] = []
    left = list(range(len(x)))
    for _ in range(k):  # the first one that no other comes before
        best = next(i for i in left if not any(before(x[j], x[i], largest) for j in left))
        expected.append(best)
        left.remove(best)
    assert indices.tolist() == expected
    np.testing.assert_array_equal(values, x[expected])


def test_the_tests_that_come_with_onnx_agree():
    tests = [test for test in node_tests("TopK") if test.data_sets[0][0][0].dtype != np.float64]
    assert len(tests) >= 3
    compared = 0
    for test in tests:
        (node,) = test.model.graph.node
        given_attributes = {a.name: a.i for a in node.attribute}
        if test.data_sets[0][0][0].dtype == np.uint64:
            continue
        for (x, k), expected in test.data_sets:
            attributes = {name: bool(v) for name, v in given_attributes.items() if name != "axis"}
            got = reference(x, int(k[0]), axis=given_attributes.get("axis", -1), **attributes)
            for one, wanted in zip(got, expected, strict=True):
                np.testing.assert_array_equal(one, wanted, err_msg=test.name)
            compared += 1
    assert compared >= 3


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16, np.int8, np.int32, np.int64])
@pytest.mark.parametrize("largest", [True, False])
def test_ties_keep_the_order_of_their_indices(dtype, largest):
    x = np.array([[3, 1, 3, 2, 1, 3]], dtype)
    values, indices = reference(x, 4, largest=largest)
    assert values.dtype == x.dtype
    assert indices.tolist() == ([[0, 2, 5, 3]] if largest else [[1, 4, 3, 0]])


def test_the_smallest_integer_is_the_smallest():
    lowest = np.iinfo(np.int64).min
    values, indices = reference(np.array([5, lowest, -1]), 3)
    assert values.tolist() == [5, -1, lowest]
    assert indices.tolist() == [0, 2, 1]


@pytest.mark.parametrize("k", [-1, 8])
def test_a_k_beyond_the_axis_is_refused(k):
    with pytest.raises(TensorError, match=rf"TopK/k: k is {k}; expected 0 to 7"):
        reference(np.zeros((2, 7), np.float32), k)


def test_an_axis_out_of_range_is_refused():
    with pytest.raises(TensorError, match="PK126"):
        reference(np.zeros((2, 7), np.float32), 1, axis=2)


def planned(shape, k, tactic, dtype=float32, **attributes):
    plugin = TopK(**attributes).with_tactic(tactic)
    inputs = calls.describe_inputs(plugin, [shape, (1,)], [dtype, int64], {"k": (k,)})
    outputs = calls.describe_outputs(plugin, inputs)
    return plugin, inputs, enqueue_steps(plugin, inputs, outputs)


@pytest.mark.parametrize(
    ("shape", "k", "tactic", "grids"),
    [
        ((1024, 50257), 50, "rows", [1024]),
        ((1024, 50257), 50, "split", [1024]),  # enough rows: splitting would not pay
        ((8, 268569), 1000, "rows", [8]),
        ((8, 268569), 1000, "split", [8 * 33 * 4, 8 * 64]),  # three digits and candidates; ranks
        ((124, 34072), 1, "split", [124]),  # a block is faster than two
        ((8, 80_000), 512, "split", [8]),
        ((8, 80_000), 513, "split", [8 * 20 * 4, 8 * 49]),
        ((8, 4096), 1000, "split", [8]),  # a segment is worth a block from 4096 elements on
        ((8, 268569), 2049, "split", [8 * 33 * 4, 8 * 2, 8 * 7]),  # up to two runs to merge
        ((8, 268569), 5000, "rows", [8 * 33 * 4, 8 * 3, 8 * 12]),  # beyond shared memory
        ((300, 20000), 20000, "rows", [300 * 4, 300 * 10] + [300 * 40] * 2),
        ((132, 1024), 32, "split", [132]),  # each has a multiprocessor
        ((133, 1024), 32, "split", [34]),  # a warp takes a row, four a block
        ((9, 1025), 32, "rows", [9]),
        ((9, 1024), 33, "rows", [9]),
        ((9, 512), 33, "rows", [3]),
        ((2048, 4096), 32, "rows", [512]),
        ((2047, 4096), 32, "rows", [2047]),
        ((2048, 4097), 32, "rows", [2048]),
        ((2048, 4097), 4097, "split", [2048]),  # a block sorts a row
        ((133, 8704), 5000, "rows", [133]),
        ((133, 8705), 5000, "rows", [133 * 4, 133 * 3, 133 * 12]),  # beyond shared memory
        ((132, 8704), 5000, "rows", [132 * 2 * 4, 132 * 3, 132 * 12]),  # a row has two blocks
        ((3, 0), 0, "split", []),
        ((0, 9), 2, "rows", []),
    ],
)
def test_the_launches_follow_the_rule(shape, k, tactic, grids):
    _, _, work = planned(shape, k, tactic)
    assert [launch.grid for launch in work.launches] == grids


@pytest.mark.parametrize(
    ("shape", "k", "dtype", "block", "each"),
    [
        ((9, 513), 40, float32, 64, 2),
        ((9, 1025), 43, float32, 96, 4),
        ((9, 2048), 170, float32, 128, 8),
        ((9, 2049), 170, float32, 512, None),
        ((9, 4096), 341, float16, 256, 16),
        ((9, 4096), 342, float16, 512, None),
        ((9, 1024), 32, int64, 128, None),  # 64 bits are too many steps
        ((9, 1024), 33, int64, 64, 2),
        ((9, 1025), 33, int64, 512, None),
    ],
)
def test_registers_hold_rows_of_so_many_bytes(shape, k, dtype, block, each):
    (launch,) = planned(shape, k, "rows", dtype)[2].launches
    assert (launch.block, launch.constants.get("EACH")) == (block, each)


@pytest.mark.parametrize("largest", [True, False])
@pytest.mark.parametrize(
    ("size", "k"), [(513, 1), (513, 128), (600, 64), (1023, 85), (1024, 171), (2047, 33)]
)
@pytest.mark.parametrize("kind", ["any", "equal", "few different", "NaN and infinities"])
def test_rows_that_registers_hold(kind, size, k, largest):
    x = np.random.default_rng(size).standard_normal((2, size)).astype(np.float32)
    if kind == "equal":
        x[:] = 0
        x[0, ::2] = -0.0
    elif kind == "few different":
        x = np.round(x)
    elif kind != "any":
        x[:, ::3], x[:, ::7], x[:, ::11] = np.nan, np.inf, -np.inf
    plugin, arrays = TopK(largest=largest), [x, np.array([k])]
    run = run_kernels(plugin, arrays)
    assert run.findings == []
    for got, expected in zip(run.outputs, run_reference(plugin, arrays), strict=True):
        np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize("dtype", [np.int8, np.float16, np.int64])
@pytest.mark.parametrize("largest", [True, False])
def test_registers_hold_the_lowest_key(dtype, largest):
    lowest = -np.inf if dtype == np.float16 else np.iinfo(dtype).min
    x = np.full((2, 700), lowest if largest else -1 - lowest, dtype)
    x[:, 650:] = np.arange(50) - 25
    arrays = [x.T.copy(), np.array([60])]
    plugin = TopK(axis=0, largest=largest)
    run = run_kernels(plugin, arrays)
    assert run.findings == []
    for got, expected in zip(run.outputs, run_reference(plugin, arrays), strict=True):
        np.testing.assert_array_equal(got, expected)


@pytest.mark.slow  # CUB takes seconds to compile
@pytest.mark.parametrize("largest", [True, False])
@pytest.mark.parametrize(("size", "axis"), [(600, 1), (5000, 0)])
def test_a_block_sorts_a_row_of_many_results(size, axis, largest, monkeypatch):
    monkeypatch.setattr(launches, "_BLOCKS", 1)  # even where there are few rows
    x = np.random.default_rng(5).integers(-9, 9, (2, size)).astype(np.float16)
    arrays = [x if axis else x.T.copy(), np.array([size - 9])]
    plugin = TopK(axis=axis, largest=largest)
    run = run_kernels(plugin, arrays)
    assert run.findings == []
    for got, expected in zip(run.outputs, run_reference(plugin, arrays), strict=True):
        np.testing.assert_array_equal(got, expected)


@settings(deadline=None)
@given(
    st.integers(1, 400),
    st.integers(1, 60000),
    st.integers(1, 20000),
    st.sampled_from([float16, int64]),
    st.sampled_from(TopK.tactics),
    st.data(),
)
def test_the_workspace_of_the_largest_problem_is_enough_for_smaller_ones(
    rows, size, k, dtype, tactic, data
):
    k = min(k, size)
    plugin, inputs, _ = planned((rows, size), k, tactic, dtype)
    nbytes = calls.workspace_bytes(plugin, inputs)
    fewer = data.draw(st.integers(1, rows)), data.draw(st.integers(1, size))
    _, inputs, work = planned(fewer, data.draw(st.integers(1, min(k, fewer[1]))), tactic, dtype)
    parts = [part for launch in work.launches for part in launch.args]
    parts += [step.target for step in work.steps if isinstance(step, Fill)]
    used = [part.slot.offset + part.nbytes for part in parts if isinstance(part, Workspace)]
    assert max(used, default=0) <= nbytes
    assert calls.workspace_bytes(plugin, inputs) <= nbytes


@settings(deadline=None)
@given(st.integers(1, 40), st.integers(4097, 10**7))
def test_every_segment_has_elements(rows, size):
    _, _, work = planned((rows, size), 513, "split")
    *_, segment, segments = work.launches[0].args[8].values
    assert work.launches[0].grid == rows * segments * 4  # three digits, and what is collected
    assert (segments - 1) * segment < size <= segments * segment


def test_it_needs_v3():
    assert TopK.spec.needs_v3 == "'k' is a shape input"
