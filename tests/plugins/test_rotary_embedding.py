import numpy as np
import pytest

from pluginkit import float16
from pluginkit.contract import calls
from pluginkit.errors import TensorError
from pluginkit.plugins.rotary_embedding import RotaryEmbedding, launches
from pluginkit.testing import run_kernels
from tests.onnx_node_tests import node_tests
from tests.plugins.compilation import (
    architectures,
    assert_kernels_compile,
    few_of_each,
    specialisations_of,
)


def on_machine(x, cos, sin, **attributes):
    run = run_kernels(RotaryEmbedding(**attributes), [x, cos, sin])
    assert not run.findings
    return run.outputs[0]


@pytest.mark.parametrize("interleaved", [False, True])
@pytest.mark.parametrize("whole", [False, True])
def test_pairs_are_multiplied_by_unit_numbers(interleaved, whole):
    """As complex numbers; after the rotated elements come six others."""
    rng = np.random.default_rng(4)
    angles = rng.uniform(-3, 3, (2, 5, 9))
    pairs = rng.normal(size=(2, 6, 5, 9)) + 1j * rng.normal(size=(2, 6, 5, 9))
    rest = rng.normal(size=(2, 6, 5, 6))

    def laid_out(first, second):
        if interleaved:
            return np.stack([first, second], -1).reshape(*first.shape[:-1], -1)
        return np.concatenate([first, second], -1)

    def row_of(numbers):
        rotated = laid_out(numbers.real, numbers.imag)
        return np.concatenate([rotated, rest], -1).astype(np.float32)

    tables = [np.cos(angles), np.sin(angles)]
    if whole:
        tables = [laid_out(each, each) for each in tables]
    cos, sin = (each.astype(np.float32) for each in tables)
    got = on_machine(row_of(pairs), cos, sin, interleaved=interleaved, whole=whole)
    expected = row_of(pairs * np.exp(1j * angles)[:, None])
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(got[..., 18:], rest.astype(np.float32))


def test_a_block_has_at_most_64_layers_of_heads():
    x, table = np.ones((1, 130, 1, 2), np.float32), np.ones((1, 1, 2), np.float32)
    assert (on_machine(x, 0 * table, table) == [-1, 1]).all()


@pytest.mark.parametrize("size", [8, 6])
def test_more_heads_and_items_than_a_grid_has_blocks(monkeypatch, size):
    monkeypatch.setattr(launches, "_MOST_BLOCKS", 2)
    rng = np.random.default_rng(5)
    shapes = (5, 2100, 3, size), (5, 3, size), (5, 3, size)
    inputs = [rng.normal(size=shape).astype(np.float32) for shape in shapes]
    (expected,) = calls.run_reference(RotaryEmbedding(), inputs)
    np.testing.assert_allclose(on_machine(*inputs), expected, rtol=2e-6, atol=2e-6)


@pytest.mark.parametrize(
    ("rotated", "size", "nbytes", "heads"),
    [(64, 64, 16, 2), (40, 72, 8, 4), (40, 70, 4, 8), (12, 70, 4, 8), (42, 71, 0, 8)],
)
def test_vectors_divide_both_parts_of_a_row(monkeypatch, rotated, size, nbytes, heads):
    monkeypatch.setattr(launches, "_FEW", 0)
    rng = np.random.default_rng(6)
    shapes = (1, 9, 3, size), (1, 3, rotated), (1, 3, rotated)
    plugin = RotaryEmbedding()
    inputs = calls.describe_inputs(plugin, shapes, [float16] * 3)
    (launch,) = calls.steps(plugin, inputs, calls.describe_outputs(plugin, inputs))
    assert (launch.constants["BYTES"], launch.constants["HEADS"]) == (nbytes, heads)
    arrays = [rng.normal(size=shape).astype(np.float16) for shape in shapes]
    (expected,) = calls.run_reference(plugin, arrays)
    np.testing.assert_allclose(on_machine(*arrays), expected, rtol=1e-3, atol=1e-3)


def test_the_tests_that_come_with_onnx_agree():
    compared = 0
    for test in node_tests("RotaryEmbedding"):
        given = {a.name: a.i for a in test.model.graph.node[0].attribute}
        for inputs, (expected,) in test.data_sets:
            x, cos, sin, *positions = inputs
            if positions:
                cos, sin = cos[positions[0]], sin[positions[0]]
            if x.ndim == 3:
                x = x.reshape(*x.shape[:2], given["num_heads"], -1).transpose(0, 2, 1, 3)
            arrays = [np.ascontiguousarray(each) for each in (x, cos, sin)]
            attributes = {"interleaved": bool(given.get("interleaved", 0)), "whole": False}
            got = on_machine(*arrays, **attributes)
            if expected.ndim == 3:
                got = got.transpose(0, 2, 1, 3).reshape(expected.shape)
            np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-6, err_msg=test.name)
            compared += 1
    assert compared >= 8


@pytest.mark.parametrize(
    ("x", "table", "attributes", "message"),
    [
        ((2, 3, 4, 8), (1, 4, 8), {}, "PK124"),
        ((2, 3, 4, 8), (2, 5, 8), {}, "PK124"),
        ((2, 3, 4, 8), (2, 4, 10), {}, "RotaryEmbedding/shapes"),
        ((2, 3, 4, 8), (2, 4, 7), {}, "RotaryEmbedding/shapes"),
        ((2, 3, 4, 8), (2, 4, 8), {"whole": False}, "RotaryEmbedding/shapes"),
        ((2**20, 2**6, 2**5, 2), (2**20, 2**5, 2), {}, "RotaryEmbedding/size"),
    ],
)
def test_shapes_that_do_not_fit(x, table, attributes, message):
    plugin = RotaryEmbedding(**attributes)
    inputs = calls.describe_inputs(plugin, [x, table, table], [float16] * 3)
    with pytest.raises(TensorError, match=message):
        calls.check(plugin, inputs)


@architectures
def test_kernels_compile(arch):
    assert_kernels_compile(few_of_each(specialisations_of([RotaryEmbedding()]), 16), arch)
