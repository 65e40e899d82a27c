import itertools

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx.reference.ops.op_rms_normalization import _rms_normalization

from pluginkit import FLOAT_TYPES, float16, float32
from pluginkit.contract import calls
from pluginkit.contract.dims import InputDim, evaluate
from pluginkit.errors import AttributeValueError, TensorError
from pluginkit.kernels.compile import compile_launches
from pluginkit.kernels.enqueue_steps import enqueue_steps
from pluginkit.plugins._cuda import add_norm
from pluginkit.plugins._cuda.add_norm import KEPT, aligned_of, layout_of
from pluginkit.plugins.add_rms_norm import AddRMSNorm
from pluginkit.testing import run_kernels
from tests.onnx_node_tests import node_tests
from tests.plugins.compilation import (
    QUICK,
    assert_few_compile,
    every_architecture,
    specialisations_of,
)

CASES = {case.name: case for case in AddRMSNorm.cases()}
EPS = {dtype: float(ml_dtypes.finfo(dtype.numpy).eps) for dtype in FLOAT_TYPES}


def reference(x, residual, weight, **attributes):
    return calls.run_reference(AddRMSNorm(**attributes), [x, residual, weight])


def exact(total, weight, epsilon=1e-5):
    """Normalize the rounded sum in float64, one element at a time."""
    total, weight = total.astype(np.float64), weight.astype(np.float64)
    rows = total.reshape(-1, max(weight.size, 1))
    y = np.empty_like(rows)
    for row, out in zip(rows, y, strict=True):
        rms = (sum(value * value for value in row) / len(row) + epsilon) ** 0.5
        out[:] = [value / rms * w for value, w in zip(row, weight.ravel(), strict=True)]
    return y.reshape(total.shape)


@pytest.mark.parametrize(
    "name", [name for name, case in CASES.items() if case.inputs[0].size < 999]
)
@pytest.mark.parametrize("dtype", FLOAT_TYPES, ids=repr)
@pytest.mark.parametrize("weight_type", FLOAT_TYPES, ids=repr)
def test_the_reference_follows_the_formula(name, dtype, weight_type):
    case = CASES[name]
    x, residual = (array.astype(dtype.numpy) for array in case.inputs[:2])
    weight = case.inputs[2].astype(weight_type.numpy)
    y, total = reference(x, residual, weight, **case.attributes)
    assert y.dtype == total.dtype == x.dtype
    sums = x.astype(np.float64) + residual.astype(np.float64)
    np.testing.assert_array_equal(total, sums.astype(np.float32).astype(x.dtype))
    expected = exact(total, weight, case.attributes.get("epsilon", 1e-5))
    # float32 rounds at every step, the others once or, with a weight of their type, twice.
    roundings = 8 if dtype is float32 else 2 if dtype is weight_type else 1
    np.testing.assert_allclose(
        y.astype(np.float64), expected, rtol=0.51 * roundings * EPS[dtype], atol=1e-30
    )


def test_a_row_by_hand():
    x, residual = np.array([[1, 2]], np.float32), np.array([[2, 2]], np.float32)
    y, total = reference(x, residual, np.array([1, 10], np.float32), epsilon=3.5)
    assert total.tolist() == [[3, 4]]
    np.testing.assert_allclose(y, [[0.75, 10]], rtol=1e-6)  # sqrt(12.5 + 3.5) is 4


def test_a_weight_of_the_same_type_meets_rounded_values():
    """1 / sqrt(3) is 0.57735; 1000 times it is 577.5 or, rounded to float16 first, 577.0."""
    x, zero = np.array([1, 1, 1, 3], np.float16), np.zeros(4, np.float16)
    weight = np.array([1000, 1, 1, 1])
    rounded, _ = reference(x, zero, weight.astype(np.float16), epsilon=0.0)
    wide, _ = reference(x, zero, weight.astype(np.float32), epsilon=0.0)
    assert rounded[0] == np.float16(1000 * float(np.float16(3**-0.5)))
    assert wide[0] == np.float16(1000 * 3**-0.5)
    assert rounded[0] != wide[0]


def test_the_sum_is_rounded_before_it_is_normalized():
    """2048 + 1 is 2048 in float16."""
    x, residual = np.array([2048, 2048], np.float16), np.array([1, 0], np.float16)
    y, total = reference(x, residual, np.ones(2, np.float32))
    assert total.tolist() == [2048, 2048]
    assert y[0] == y[1]


def test_the_tests_that_come_with_onnx_agree():
    compared = 0
    for test in node_tests("RMSNormalization"):
        (node,) = test.model.graph.node
        attributes = {
            a.name: a.i if a.name == "axis" else a.f
            for a in node.attribute
            if a.name != "stash_type"
        }
        for (x, weight), (expected,) in test.data_sets:
            if x.dtype == np.float64:
                continue
            y, total = reference(x, np.zeros_like(x), weight, **attributes)
            np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-6, err_msg=test.name)
            np.testing.assert_array_equal(total, x)
            compared += 1
    assert compared >= 10


@settings(deadline=None, max_examples=50)
@given(st.lists(st.integers(1, 6), min_size=1, max_size=5), st.data())
def test_onnx_agrees_on_any_axis(shape, data):
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    x, residual = rng.normal(size=(2, *shape)).astype(np.float32)
    weight = rng.normal(size=shape[axis:]).astype(np.float32)
    y, total = reference(x, residual, weight, axis=axis)
    np.testing.assert_array_equal(total, x + residual)
    expected = _rms_normalization(x + residual, weight, axis)
    np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_value_that_is_not_finite_spoils_only_its_row(value):
    x = np.ones((2, 4), np.float16)
    x[0, 1] = value
    y, _ = reference(x, x, np.ones(4, np.float16))
    assert np.isnan(y[0, 1])
    np.testing.assert_allclose(y[1].astype(float), 1, rtol=1e-3)


@pytest.mark.parametrize(
    ("shapes", "attributes", "message"),
    [
        ([(2, 4), (4,), (4,)], {}, r"PK124 AddRMSNorm: input residual float32\[4\]"),
        ([(2, 4), (1, 4), (4,)], {}, r"residual .*; expected \(\*S,\) with S\[0\] = 2 as in x"),
        ([(2, 4), (2, 4), (1,)], {}, "AddRMSNorm/shapes: x .*; expected a weight"),
        ([(2, 4), (2, 4), (1, 4)], {}, "AddRMSNorm/shapes"),
        ([(2, 4), (2, 4), (4,)], {"axis": 0}, "AddRMSNorm/shapes"),
    ],
)
def test_shapes_that_do_not_fit(shapes, attributes, message):
    with pytest.raises(TensorError, match=message):
        reference(*(np.ones(shape, np.float32) for shape in shapes), **attributes)


def test_an_axis_out_of_range():
    with pytest.raises(TensorError, match="PK126"):
        reference(*[np.ones(3, np.float32)] * 3, axis=1)


def test_a_row_that_is_too_long():
    plugin = AddRMSNorm()
    inputs = calls.describe_inputs(plugin, [(2**30 + 1,)] * 3, [float16] * 3)
    with pytest.raises(TensorError, match=r"AddRMSNorm/size: weight .* up to 2\^30 elements"):
        calls.check(plugin, inputs)


def test_a_negative_epsilon():
    with pytest.raises(AttributeValueError, match="PK104 AddRMSNorm: attribute 'epsilon'"):
        AddRMSNorm(epsilon=-1e-5)


def test_unknown_dimensions():
    plugin = AddRMSNorm()
    shapes = [tuple(InputDim(index, axis) for axis in range(3)) for index in range(2)]
    inputs = calls.describe_inputs(plugin, [*shapes, (InputDim(2, 0),)], [float32] * 3)
    calls.check(plugin, inputs)
    for output in calls.describe_outputs(plugin, inputs):
        assert [evaluate(dim, [(5, 6, 7)] * 3) for dim in output.shape] == [5, 6, 7]


def test_the_sum_may_use_the_memory_of_the_residual():
    assert [(port.name, port.aliases) for port in AddRMSNorm.spec.outputs] == [
        ("y", ""),
        ("total", "residual"),
    ]


def described(plugin, shape, dtype, weight_type):
    axis = plugin.axis % len(shape)
    shapes = [shape, shape, shape[axis:]]
    inputs = calls.describe_inputs(plugin, shapes, [dtype, dtype, weight_type])
    return inputs, calls.describe_outputs(plugin, inputs)


@pytest.mark.parametrize(("inner", "dtype"), [(129, np.float16), (65, np.float32)])
def test_short_rows_that_are_not_aligned_are_loaded_by_vectors(monkeypatch, inner, dtype):
    monkeypatch.setattr(add_norm, "_FEW_BYTES", 0)
    assert aligned_of(200, inner, np.dtype(dtype).itemsize) == 0
    rng = np.random.default_rng(3)
    arrays = [
        rng.normal(size=size).astype(dtype) for size in ((200, inner), (200, inner), (inner,))
    ]
    run = run_kernels(AddRMSNorm(), arrays)
    assert not run.findings
    for got, expected in zip(run.outputs, reference(*arrays), strict=True):
        np.testing.assert_allclose(got, expected, atol=4e-3 if dtype == np.float16 else 2e-6)


@pytest.mark.parametrize(
    ("shape", "blocks"), [((4097, 1), 3), ((300, 7), 2), ((64, 127), 4), ((1, 3), 1)], ids=str
)
def test_shorter_rows_that_are_not_aligned_share_a_block(monkeypatch, shape, blocks):
    monkeypatch.setattr(add_norm, "_FEW_BYTES", 0)
    plugin = AddRMSNorm()
    (launch,) = enqueue_steps(plugin, *described(plugin, shape, float16, float32)).launches
    assert (launch.grid, launch.block) == (blocks, 256)
    rng = np.random.default_rng(3)
    x, residual = (rng.normal(size=shape).astype(np.float16) for _ in range(2))
    weight = rng.normal(size=shape[1:]).astype(np.float32)
    run = run_kernels(plugin, [x, residual, weight])
    assert not run.findings
    y, total = reference(x, residual, weight)
    np.testing.assert_array_equal(run.outputs[1], total)
    np.testing.assert_allclose(run.outputs[0], y, rtol=2e-3, atol=2e-3)


@pytest.mark.parametrize(
    ("shape", "dtype", "aligned"),
    [
        ((241, 74), float16, 4),
        ((50, 33), float16, 2),
        ((150, 6), float32, 8),
        ((140, 1860), float16, 8),
        ((9, 2501), float32, 4),
    ],
)
def test_rows_are_loaded_by_the_largest_vectors_of_which_they_are_whole_ones(shape, dtype, aligned):
    assert aligned_of(*shape, dtype.itemsize) == aligned
    shape = min(shape[0], 140), shape[1]
    rng = np.random.default_rng(4)
    arrays = [rng.normal(size=size).astype(dtype.numpy) for size in (shape, shape, shape[1:])]
    run = run_kernels(AddRMSNorm(), arrays)
    assert not run.findings
    for got, expected in zip(run.outputs, reference(*arrays), strict=True):
        np.testing.assert_allclose(got, expected, atol=4e-3 if dtype is float16 else 2e-6)


def test_many_rows_of_odd_sizes_are_loaded_by_vectors_of_16_bytes():
    most = (add_norm._FEW_BYTES - 1) // 66
    assert [aligned_of(rows, 33, 2) for rows in (most, most + 1)] == [2, 0]
    most = (3 * add_norm._FEW_BYTES - 1) // 568
    assert [aligned_of(rows, 142, 4) for rows in (most, most + 1)] == [8, 0]
    most = (add_norm._FEW_BYTES - 1) // 44
    assert [aligned_of(rows, 22, 2) for rows in (most, most + 1)] == [4, 0]


@pytest.mark.parametrize(
    ("rows", "inner", "itemsize", "aligned", "block", "kept"),
    [
        *((384, 286, 4, 8, (160, 1), 1), (304, 453, 4, 4, (256, 1), 2)),
        *((1000, 300, 2, 8, (32, 4), 3), (9182, 142, 4, 8, (32, 4), 3)),
        *((241, 74, 2, 4, (32, 4), 2), (10_000, 33, 4, 4, (32, 4), 2)),
    ],
)
def test_the_small_vectors_of_a_thread(rows, inner, itemsize, aligned, block, kept):
    layout = layout_of(rows, inner, itemsize, aligned)
    assert ((layout.threads, layout.rows), layout.kept) == (block, kept)


@pytest.mark.parametrize("itemsize", [2, 4])
def test_every_element_has_one_thread(itemsize):
    lanes = 16 // itemsize
    sizes = [
        *range(lanes, 16 * lanes, lanes),
        *range(16 * lanes, 16 * lanes + 20),
        1000,
        1024,
        4096,
        4097,
        5120,
        8192,
        10_000,
        20_000,
        70_008,
        2**20 + 4,
    ]
    seen, full = set(), set()
    for inner, rows in itertools.product(sizes, (1, 5000)):
        aligned = aligned_of(rows, inner, itemsize)
        if aligned == 0 and inner < 16 * lanes:
            continue  # short rows, of which threads have vectors as they lie
        layout = layout_of(rows, inner, itemsize, aligned)
        each = (aligned or 16) // itemsize
        vectors = inner // each
        single = inner - vectors * each + (lanes - 1) * (aligned == 0)
        assert single <= (layout.threads if aligned == 0 else 0)
        assert layout.threads * layout.rows <= 1024
        assert layout.threads * layout.rows % 32 == 0
        assert layout.threads % 32 == 0 or 32 % layout.threads == 0
        assert layout.kept in KEPT
        if layout.is_full:
            assert layout.rows == 1
            assert aligned == 16
            assert layout.threads * layout.kept * lanes == inner
        if layout.threads * layout.kept < vectors:
            assert (layout.threads, layout.kept) == (1024, KEPT[-1])
        seen.add((layout.kept, aligned))
        full.add((inner, layout.is_full))
    assert {kept for kept, _ in seen} == set(KEPT)
    assert {aligned for _, aligned in seen} == {0, 16, 8, 4, itemsize}
    assert {(4096, True), (5120, True), (4097, False), (10_000, False)} <= full


@pytest.mark.parametrize(
    ("shape", "dtype", "grid", "block"),
    [
        ((8192, 4096), float16, 8192, (512, 1)),
        ((8192, 4096), float32, 8192, (512, 1)),
        ((1, 4096), float16, 1, (256, 1)),
        ((1000, 64), float16, 63, (8, 16)),
    ],
)
def test_the_launch(shape, dtype, grid, block):
    plugin = AddRMSNorm()
    (launch,) = enqueue_steps(plugin, *described(plugin, shape, dtype, dtype)).launches
    assert launch.grid == grid
    assert tuple(launch.block)[:2] == block


@pytest.mark.parametrize(
    ("shape", "dtype", "grid"),
    [
        ((64, 131_072), float32, (16, 64)),
        ((1, 70_008), float16, (35, 1)),
        ((64, 2**17 + 1), float16, (16, 64)),
        ((32, 65_536), float16, (32, 32)),
        ((8, 8193), float16, (4, 8)),
        ((1, 24_576), float16, (12, 1)),
        ((1, 2**30), float16, (1056, 1)),
    ],
)
def test_blocks_share_few_long_rows(shape, dtype, grid):
    plugin = AddRMSNorm()
    inputs, outputs = described(plugin, shape, dtype, dtype)
    launches = enqueue_steps(plugin, inputs, outputs).launches
    assert [launch.grid for launch in launches] == [grid, grid]
    vectors, (part,) = shape[1] * dtype.itemsize // 16, launches[0].args[-1].values
    assert (grid[0] - 1) * part < vectors <= grid[0] * part
    assert grid[0] * grid[1] * 12 <= calls.workspace_bytes(plugin, inputs)


def test_more_rows_have_a_block_each():
    for shape in ((65, 65_536), (65, 2**17), (1, 24_568), (9, 8193), (1, 8191)):
        plugin = AddRMSNorm()
        (launch,) = enqueue_steps(plugin, *described(plugin, shape, float16, float16)).launches
        assert launch.grid == shape[0]


@pytest.mark.parametrize("size", [33_000, 33_001])
def test_many_long_rows_are_read_again_by_their_block(monkeypatch, size):
    monkeypatch.setattr(add_norm, "_SHARED_ROWS", 1)
    x, residual = np.random.default_rng(6).normal(size=(2, 2, size)).astype(np.float32)
    weight = np.linspace(-2, 2, size, dtype=np.float32)
    run = run_kernels(AddRMSNorm(), [x, residual, weight])
    assert not run.findings
    expected = reference(x, residual, weight)
    np.testing.assert_array_equal(run.outputs[1], expected[1])
    np.testing.assert_allclose(run.outputs[0], expected[0], rtol=2e-6, atol=2e-6)


@pytest.mark.parametrize("shape", [(0, 8), (8, 0), (0,), (0, 70_008)])
def test_nothing_is_launched_for_empty_tensors(shape):
    plugin = AddRMSNorm()
    assert not enqueue_steps(plugin, *described(plugin, shape, float32, float32)).launches


@pytest.mark.slow
def test_each_kernel_compiles():
    every = specialisations_of([AddRMSNorm()])
    of_rows = 9 * (5 * 2 * 5 * 7 + 4)  # types; KEPT, ALONE, ALIGNED, FULL, and WHOLE
    of_lanes, of_parts = 9 * 5 * 3, (3 + 9) * 2  # types; LANES and BYTES; SHIFTED
    assert len(every) == of_rows + of_lanes + of_parts
    assert_few_compile(every, QUICK, 7)


@every_architecture
@pytest.mark.parametrize("dtype", FLOAT_TYPES, ids=repr)
@pytest.mark.parametrize("weight_type", FLOAT_TYPES, ids=repr)
def test_the_kernel_compiles_and_takes_its_arguments(dtype, weight_type, arch):
    plugin = AddRMSNorm()
    sizes = (8, 4097, 8192) if dtype is weight_type else (4096,)
    for size in sizes:
        tensors = described(plugin, (300, size), dtype, weight_type)
        (compiled,) = compile_launches(plugin, *tensors, arch)
        assert compiled.cubin.startswith(b"\x7fELF")
