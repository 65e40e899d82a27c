import numpy as np
import pytest

from pluginkit import float16, offset_type
from pluginkit.contract import calls
from pluginkit.errors import TensorError
from pluginkit.plugins._cuda.division import divisor_numbers
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


def launch_for(plugin, *shapes):
    inputs = calls.describe_inputs(plugin, shapes, [float16] * 3)
    (launch,) = calls.steps(plugin, inputs, calls.describe_outputs(plugin, inputs))
    return launch


@pytest.mark.parametrize(
    ("x", "blocks", "threads"),
    [
        ((20000, 1, 1, 64), 1250, 128),
        ((4, 167, 5, 44), 144, 256),
        ((5326, 2, 1, 118), 2455, 128),
        ((4, 32, 2048, 128), 32768, 128),
    ],
)
def test_there_is_a_thread_for_each_vector_of_some_heads(x, blocks, threads):
    """Of rows of 8, 11, 59 and 16 vectors, in one head, in each of 167, in two, and in each."""
    launch = launch_for(RotaryEmbedding(), x, (x[0], x[2], 16), (x[0], x[2], 16))
    assert (launch.grid, launch.block) == (blocks, threads)


@pytest.mark.parametrize("size", [1, 2**31])
def test_the_heads_of_a_thread_lie_groups_apart(monkeypatch, size):
    """The last heads may be missing. Elements of so large tensors are counted in 64 bits."""
    monkeypatch.setattr(launches, "_FEW", 0)
    monkeypatch.setattr(launches, "offset_type", lambda *_: offset_type(size))
    rng = np.random.default_rng(7)
    inputs = [rng.normal(size=shape).astype(np.float32) for shape in ((3, 21, 2, 6), (3, 2, 4))]
    inputs.append(inputs[1][::-1].copy())
    assert launch_for(RotaryEmbedding(), *(each.shape for each in inputs)).constants["HEADS"] > 2
    (expected,) = calls.run_reference(RotaryEmbedding(), inputs)
    np.testing.assert_allclose(on_machine(*inputs), expected, rtol=2e-6, atol=2e-6)


@pytest.mark.parametrize("interleaved", [False, True])
@pytest.mark.parametrize(("rows", "size"), [(64, 5), (43, 9), (1, 7), (300, 3)])
def test_a_thread_takes_two_short_vectors_of_a_head(interleaved, rows, size, monkeypatch):
    """The second may be missing, lie in another row or item, or not turn."""
    monkeypatch.setattr(launches, "_FEW", 0)
    monkeypatch.setattr(launches, "_RESIDENT", 0)
    rng = np.random.default_rng(9)
    shapes = (3, 1, rows, size), (3, rows, 2), (3, rows, 2)
    inputs = [rng.normal(size=shape).astype(np.float32) for shape in shapes]
    plugin = RotaryEmbedding(interleaved=interleaved)
    assert launch_for(plugin, *shapes).constants["UNITS"] == 2
    (expected,) = calls.run_reference(plugin, inputs)
    got = on_machine(*inputs, interleaved=interleaved)
    np.testing.assert_allclose(got, expected, rtol=2e-6, atol=2e-6)


@pytest.mark.parametrize(
    ("x", "columns", "units"),
    [
        *(((16, 1, 333, 122), 2, 2), ((4, 1, 333, 122), 2, 1), ((16, 4, 333, 122), 2, 1)),
        *(((9, 1, 40_000, 128), 128, 1), ((9, 1, 40_000, 44), 20, 1)),
    ],
)
def test_more_threads_than_a_gpu_has_take_two_short_vectors(x, columns, units):
    launch = launch_for(RotaryEmbedding(), x, (x[0], x[2], columns), (x[0], x[2], columns))
    assert launch.constants["UNITS"] == units


@pytest.mark.parametrize("interleaved", [False, True])
@pytest.mark.parametrize("whole", [False, True])
def test_wide_vectors(interleaved, whole, monkeypatch):
    monkeypatch.setattr(launches, "_FEW", 0)
    rng = np.random.default_rng(8)
    shapes = (2, 3, 5, 48), (2, 5, 48 if whole else 24), (2, 5, 48 if whole else 24)
    inputs = [rng.normal(size=shape).astype(np.float32) for shape in shapes]
    attributes = {"interleaved": interleaved, "whole": whole}
    (expected,) = calls.run_reference(RotaryEmbedding(**attributes), inputs)
    np.testing.assert_allclose(on_machine(*inputs, **attributes), expected, rtol=2e-6, atol=2e-6)


@pytest.mark.parametrize(
    ("rotated", "size", "nbytes", "parts", "heads"),
    [
        *((64, 64, 16, 1, 2), (32, 80, 16, 1, 1), (40, 72, 16, 2, 2), (20, 64, 16, 4, 2)),
        *((12, 70, 4, 1, 8), (2, 122, 4, 2, 8), (2, 16, 8, 4, 4), (42, 71, 1, 1, 8)),
    ],
)
def test_vectors_divide_rows_and_their_parts_what_turns(
    monkeypatch, rotated, size, nbytes, parts, heads
):
    monkeypatch.setattr(launches, "_FEW", 0)
    rng = np.random.default_rng(6)
    shapes = (1, 9, 3, size), (1, 3, rotated), (1, 3, rotated)
    plugin = RotaryEmbedding()
    constants = launch_for(plugin, *shapes).constants
    assert [constants[name] for name in ("BYTES", "PARTS", "HEADS")] == [nbytes, parts, heads]
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


def test_three_numbers_share_a_word_of_shifts():
    counts = (1, 641, 2**31 - 1)
    *factors, shifts = launches.divisors_of(*counts).values
    for at, (count, factor) in enumerate(zip(counts, factors, strict=True)):
        shift, whole = divmod(divisor_numbers(count)[1], 2**32)
        assert factor + 2**31 == whole
        assert -(2**31) <= factor < 2**31
        assert shifts >> 8 * at & 31 == shift
