import ml_dtypes
import numpy as np
import pytest

from pluginkit import FLOAT_TYPES, float16, float32
from pluginkit.contract import calls
from pluginkit.errors import AttributeValueError, TensorError
from pluginkit.export.trace.methods import trace_plugin
from pluginkit.export.trace.tree import leaves
from pluginkit.export.variant import Variant
from pluginkit.kernels.enqueue_steps import enqueue_steps
from pluginkit.plugins._cuda.add_norm import layout_of
from pluginkit.plugins.add_layer_norm import AddLayerNorm
from pluginkit.testing import run_kernels
from tests.onnx_node_tests import node_tests
from tests.plugins.compilation import (
    QUICK,
    assert_all_compile,
    assert_few_compile,
    every_architecture,
    few_of_each,
    specialisations_of,
)


def reference(x, residual, weight, bias=None, **attributes):
    plugin = AddLayerNorm(**attributes)
    if bias is None:
        plugin = plugin.with_inputs("x", "residual", "weight")
    given = [x, residual, weight] if bias is None else [x, residual, weight, bias]
    return calls.run_reference(plugin, given)


def test_a_row_by_hand():
    x, residual = np.array([[1, 2]], np.float32), np.array([[0, 3]], np.float32)
    bias = np.array([0, 1], np.float32)
    y, total = reference(x, residual, np.array([1, 10], np.float32), bias, epsilon=0.0)
    assert total.tolist() == [[1, 5]]
    assert y.tolist() == [[-1, 11]]


def test_the_tests_that_come_with_onnx_agree():
    compared = 0
    for test in node_tests("LayerNormalization"):
        (node,) = test.model.graph.node
        attributes = {
            a.name: a.i if a.name == "axis" else a.f
            for a in node.attribute
            if a.name != "stash_type"
        }
        for (x, weight, bias), (expected, *_) in test.data_sets:
            y, total = reference(x, np.zeros_like(x), weight, bias, **attributes)
            np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-6, err_msg=test.name)
            np.testing.assert_array_equal(total, x)
            compared += 1
    assert compared >= 10


@pytest.mark.parametrize("size", [7, 1024, 5003, 40_000])
def test_a_large_mean_costs_no_digits(size):
    """Squares of 1000 in float32, less the square of the mean, would keep one digit or none."""
    rng = np.random.default_rng(3)
    x = (1000 + rng.uniform(-1, 1, (2, size))).astype(np.float32)
    zero, one = np.zeros_like(x), np.ones(size, np.float32)
    run = run_kernels(AddLayerNorm(epsilon=0.0), [x, zero, one, None])
    assert not run.findings
    centred = x.astype(np.float64) - x.mean(1, np.float64, keepdims=True)
    # The mean is rounded to float32: to 3e-5 of a deviation of 0.58.
    np.testing.assert_allclose(
        run.outputs[0], centred / centred.std(1, keepdims=True), rtol=1e-4, atol=2e-4
    )


@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        ([(2, 4), (4,), (4,), (4,)], "PK124"),
        ([(2, 4), (2, 4), (1,), (1,)], "AddLayerNorm/shapes: x .*weight.*; expected x.shape"),
        ([(2, 4), (2, 4), (4,), (2, 4)], "AddLayerNorm/shapes: x .*bias.*; expected x.shape"),
    ],
)
def test_shapes_that_do_not_fit(shapes, message):
    with pytest.raises(TensorError, match=message):
        reference(*(np.ones(shape, np.float32) for shape in shapes))


def test_a_negative_epsilon():
    with pytest.raises(AttributeValueError, match="PK104 AddLayerNorm: attribute 'epsilon'"):
        AddLayerNorm(epsilon=-1e-5)


@pytest.mark.parametrize(
    ("shape", "dtype", "block", "kept"),
    [
        ((12_608, 768), float16, (96, 1), 1),
        ((12_608, 1024), float32, (128, 1), 2),
        ((100, 768), float16, (96, 1), 1),
        ((12_608, 64), float32, (16, 8), 1),
        ((12_608, 80), float16, (16, 8), 1),
        ((12_608, 24), float16, (4, 32), 1),
    ],
)
def test_the_vectors_that_threads_take_of_rows_of_which_there_are_many(shape, dtype, block, kept):
    layout = layout_of(*shape, dtype.itemsize, 16, most_alone=255)
    assert ((layout.threads, layout.rows), layout.kept) == (block, kept)
    plugin = AddLayerNorm()
    inputs = calls.describe_inputs(plugin, [shape, shape, shape[1:], shape[1:]], [dtype] * 4)
    outputs = calls.describe_outputs(plugin, inputs)
    (launch,) = enqueue_steps(plugin, inputs, outputs).launches
    assert tuple(launch.block)[:2] == block


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16], ids=["float16", "bfloat16"])
def test_short_rows_that_are_not_aligned(dtype):
    rng = np.random.default_rng(5)
    x, residual = (100 + rng.normal(size=(2, 150, 9))).astype(dtype)
    weight, bias = rng.normal(size=(2, 9)).astype(dtype)
    run = run_kernels(AddLayerNorm(), [x, residual, weight, bias])
    assert not run.findings
    y, total = reference(x, residual, weight, bias)
    np.testing.assert_array_equal(run.outputs[1], total)
    y, got = y.astype(np.float32), run.outputs[0].astype(np.float32)
    np.testing.assert_allclose(got, y, rtol=1e-2, atol=1e-2)


@pytest.mark.parametrize("weight_type", [np.float16, np.float32])
def test_threads_take_three_small_vectors(weight_type):
    assert layout_of(140, 284, 2, 8).kept == 3
    rng = np.random.default_rng(5)
    x, residual = (3 + rng.normal(size=(140, 284)) for _ in range(2))
    weight, bias = rng.normal(size=(2, 284)).astype(weight_type)
    arrays = x.astype(np.float16), residual.astype(np.float16), weight, bias
    run = run_kernels(AddLayerNorm(), arrays)
    assert not run.findings
    for got, expected in zip(run.outputs, reference(*arrays), strict=True):
        expected = expected.astype(np.float32)
        np.testing.assert_allclose(got.astype(np.float32), expected, rtol=4e-3, atol=4e-3)


def test_it_is_traced_for_rows_of_any_length():
    rows, inner = (0, 258), (0, 140_016)
    ranges = (rows, inner), (rows, inner), (inner,), (inner,)
    traced = trace_plugin(Variant(AddLayerNorm(), (float32,) * 4, ranges))
    launched = [steps for steps in leaves(traced.steps) if isinstance(steps, tuple)]
    assert {len(steps) for steps in launched} == {1, 2}


@pytest.mark.slow
def test_each_kernel_compiles():
    every = specialisations_of([AddLayerNorm()])
    of_rows = 9 * (5 * 2 * 5 * 7 + 4)  # types; KEPT, ALONE, ALIGNED, FULL, and WHOLE
    of_lanes, of_parts = 9 * 5 * 3, (3 + 9) * 2  # types; LANES and BYTES; SHIFTED
    assert len(every) == of_rows + of_lanes + of_parts
    assert_few_compile(every, QUICK, 7)


@every_architecture
def test_kernels_of_one_type_compile(arch):
    every = specialisations_of([AddLayerNorm()])
    assert_all_compile(few_of_each(every, len(FLOAT_TYPES) * 9), arch)
