"""ScatterND on a GPU, through the adapters, against float64."""

from __future__ import annotations

from math import prod

import numpy as np
import pytest

from pluginkit import FLOAT_TYPES, bfloat16, float16, float32, int8, int64
from pluginkit.checking.trt_double.driver import drive
from pluginkit.contract import calls
from pluginkit.device.memory import CupyMemory
from pluginkit.plugins._cuda import row_lists
from pluginkit.plugins.scatter_nd import ScatterND
from pluginkit.plugins.scatter_nd.launches import rows_of

pytestmark = [pytest.mark.gpu, pytest.mark.trt]

UFUNCS = {"add": np.add, "mul": np.multiply, "min": np.minimum, "max": np.maximum}
#: Relative to the largest intermediate value: one rounding at the end, or one for each update.
ROUNDED_ONCE = {float32: 2e-6, float16: 1e-3, bfloat16: 8e-3}
ROUNDED_OFTEN = {float32: 2e-6, float16: 2e-2, bfloat16: 1.5e-1}

#: data, indices, whether lists must be chosen for 4-byte types.
SHAPES = {
    "vector": ((11,), (5, 1), False),
    "single elements": ((60, 50, 40), (90_000, 3), False),
    "single elements, few": ((3, 3), (1, 2), False),
    "all of data": ((7, 9), (4, 0), False),
    "slices": ((30, 5, 6), (50, 1), False),
    "words": ((300, 6), (900, 1), False),
    "odd slices": ((70, 7, 3), (90, 1), False),
    "inside batches": ((6, 5, 4, 24), (3, 30, 2), False),
    "rank eight": ((2, 3, 2, 3, 2, 3, 2, 3), (200, 8), False),
    "many rows": ((700, 64), (3000, 1), True),
    "many rows of two dimensions": ((30, 40, 64), (60, 50, 2), True),
    "many odd rows": ((900, 67), (3000, 1), True),
    "many rows of words": ((900, 66), (3000, 1), True),
    "many narrow rows": ((9000, 8), (20_000, 1), True),
    "long rows": ((9, 9001), (40, 1), True),
    "very long rows": ((3, 70_000), (7, 1), True),
}
#: Indices that are far from any dimension, and wrap in 32 bits.
FAR = (2**32, -(2**32), 2**40, 2**63 - 1, -(2**63))


@pytest.fixture(autouse=True)
def lists_suit_few_updates(monkeypatch):
    monkeypatch.setattr(row_lists, "FEW_BYTES", 2**17)


class GuardedMemory(CupyMemory):
    """Poisoned memory, with canaries before and after each buffer that is written."""

    GUARD = 1024

    def __init__(self) -> None:
        super().__init__()
        self._wholes = []

    def empty(self, nbytes):
        whole = super().empty(nbytes + 2 * self.GUARD)
        self._wholes.append(whole)
        return whole[self.GUARD : self.GUARD + nbytes]

    def assert_untouched(self) -> None:
        """Check that nothing was written outside outputs and workspace."""
        assert len(self._wholes) == 2
        for whole in self._wholes:
            assert (whole[: self.GUARD] == 0xA5).all()
            assert (whole[-self.GUARD :] == 0xA5).all()


def run(lean, plugin, arrays, interface="v3"):
    memory = GuardedMemory()
    (output,) = drive(plugin, arrays, interface=interface, flavour=lean, memory=memory)
    memory.assert_untouched()
    return output


def arrays_of(name, dtype, rng):
    data_shape, index_shape, _ = SHAPES[name]
    *count, depth = index_shape
    shapes = data_shape, (*count, *data_shape[depth:])
    # Few updates an element keep products, and sums of integers, in range.
    low, high = (0.6, 1.5) if dtype.is_floating else (-3, 4)
    draw = rng.uniform if dtype.is_floating else rng.integers
    data, updates = (draw(low, high, shape).astype(dtype.numpy) for shape in shapes)
    sizes = data_shape[:depth]
    rows = rng.integers(0, prod(sizes), prod(count))
    indices = np.stack(np.unravel_index(rows, sizes), -1) if depth else np.zeros((prod(count), 0))
    is_negative = rng.random(indices.shape) < 0.4
    indices = np.where(is_negative, indices - np.array(sizes, int), indices)
    return data, indices.astype(np.int64).reshape(index_shape), updates


def as_rows(data, indices, updates):
    """Return data and updates as matrices, and the row of data for each row of updates."""
    depth = indices.shape[-1]
    sizes, inner = data.shape[:depth], prod(data.shape[depth:])
    tuples = np.where(indices < 0, indices + np.array(sizes, int), indices)
    tuples = tuples.reshape(prod(indices.shape[:-1]), depth)
    strides = np.array([prod(sizes[dim + 1 :]) for dim in range(depth)], int)
    return data.reshape(-1, inner), tuples @ strides, updates.reshape(len(tuples), inner)


def exact(arrays, reduction, is_valid=slice(None)):
    """Scatter in float64 for floats, and in wrapping integers for the others."""
    data, rows, updates = as_rows(*arrays)
    wide = np.float64 if data.dtype.kind != "i" else data.dtype
    output = data.astype(wide)
    UFUNCS[reduction].at(output, rows[is_valid], updates.astype(wide)[is_valid])
    return output.reshape(arrays[0].shape)


def assert_right(got, expected, dtype, tolerance):
    if not dtype.is_floating:
        np.testing.assert_array_equal(got, expected)
        return
    error = np.abs(got.astype(np.float64) - expected) / np.maximum(1, np.abs(expected))
    assert error.max(initial=0) <= tolerance[dtype]


def check_some_update_won(got, arrays, is_valid=slice(None)):
    """Check that each element is one of its updates, or data's where it has none."""
    data, rows, updates = as_rows(*arrays)
    rows, updates = rows[is_valid], updates[is_valid]
    got = got.reshape(data.shape)
    is_candidate, is_hit = np.zeros(data.shape, bool), np.zeros(len(data), bool)
    is_hit[rows] = True
    np.logical_or.at(is_candidate, rows, got[rows] == updates)
    assert is_candidate[is_hit].all()
    np.testing.assert_array_equal(got[~is_hit], data[~is_hit])


def has_lists(plugin, arrays, dtype):
    shapes = [array.shape for array in arrays]
    return rows_of(*calls.describe_inputs(plugin, shapes, [dtype, int64, dtype])).suit_lists


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("reduction", ["none", "add", "mul", "min", "max"])
@pytest.mark.parametrize("dtype", ScatterND.types["T"], ids=repr)
def test_every_shape_agrees_with_float64(lean, name, dtype, reduction):
    plugin = ScatterND(reduction=reduction)
    arrays = arrays_of(name, dtype, np.random.default_rng(7))
    is_listed = has_lists(plugin, arrays, dtype)
    if dtype.itemsize == 4:
        assert is_listed == SHAPES[name][2]
    got = run(lean, plugin, arrays)
    if reduction != "none":
        tolerance = ROUNDED_ONCE if is_listed else ROUNDED_OFTEN
        assert_right(got, exact(arrays, reduction), dtype, tolerance)
    elif is_listed:
        np.testing.assert_array_equal(got, plugin.reference(*arrays))  # the last one
    else:
        check_some_update_won(got, arrays)


@pytest.mark.parametrize("interface", ["v2", "v3"])
@pytest.mark.parametrize("name", SHAPES)
def test_both_interfaces_give_the_same(lean, name, interface):
    plugin = ScatterND(reduction="max")
    arrays = arrays_of(name, int8, np.random.default_rng(8))
    np.testing.assert_array_equal(run(lean, plugin, arrays, interface), exact(arrays, "max"))


@pytest.mark.parametrize("name", [name for name in SHAPES if SHAPES[name][1][-1]])
@pytest.mark.parametrize("reduction", ["none", "add", "max"])
@pytest.mark.parametrize("dtype", [float32, float16, int64, int8], ids=repr)
def test_indices_out_of_range_are_skipped(lean, name, dtype, reduction):
    rng = np.random.default_rng(9)
    arrays = arrays_of(name, dtype, rng)
    indices = arrays[1]
    depth = indices.shape[-1]
    tuples = indices.reshape(-1, depth).copy()
    is_bad = rng.random(len(tuples)) < 0.3
    dims = rng.integers(0, depth, len(tuples))
    size = np.array(arrays[0].shape)[dims]
    wrong = np.stack([size, -size - 1, *(np.full(len(size), x) for x in FAR)])
    chosen = wrong[rng.integers(0, len(wrong), len(tuples)), np.arange(len(tuples))]
    tuples[np.flatnonzero(is_bad), dims[is_bad]] = chosen[is_bad]
    bad = arrays[0], tuples.reshape(indices.shape), arrays[2]
    got = run(lean, ScatterND(reduction=reduction), bad)
    if reduction == "none":
        check_some_update_won(got, arrays, ~is_bad)
    else:
        assert_right(got, exact(arrays, reduction, ~is_bad), dtype, ROUNDED_OFTEN)


@pytest.mark.parametrize("reduction", ["none", "add", "mul", "max"])
@pytest.mark.parametrize("dtype", [float32, bfloat16, int64, int8], ids=repr)
@pytest.mark.parametrize("inner", [64, 67, 4200])
def test_a_row_with_very_many_updates(lean, dtype, reduction, inner):
    rng = np.random.default_rng(10)
    rows = rng.integers(0, 300, 3000)
    rows[:700] = 17  # a hub of the graph, whose list is long
    data = rng.uniform(1, 2, (300, inner)).astype(dtype.numpy)
    updates = np.ones((3000, inner), dtype.numpy)
    updates[::100] = 2
    arrays = data, rows[:, None], updates
    plugin = ScatterND(reduction=reduction)
    assert has_lists(plugin, arrays, dtype)
    got = run(lean, plugin, arrays)
    if reduction == "none":
        np.testing.assert_array_equal(got, plugin.reference(*arrays))
        return
    expected, is_hub = exact(arrays, reduction), np.arange(300) == 17
    assert_right(got[~is_hub], expected[~is_hub], dtype, ROUNDED_ONCE)
    # What is left over of the long list is rounded once for some updates.
    tolerance = ROUNDED_OFTEN if reduction == "add" else ROUNDED_ONCE
    assert_right(got[is_hub], expected[is_hub], dtype, tolerance)


@pytest.mark.parametrize("name", ["single elements", "words", "many rows", "many odd rows"])
@pytest.mark.parametrize("reduction", ["min", "max"])
@pytest.mark.parametrize("dtype", FLOAT_TYPES, ids=repr)
def test_nan_wins(lean, name, reduction, dtype):
    rng = np.random.default_rng(11)
    data, indices, updates = arrays_of(name, dtype, rng)
    for array in (data, updates):
        array[rng.random(array.shape) < 0.02] = np.nan
        array[rng.random(array.shape) < 0.02] = -np.inf
    got = run(lean, ScatterND(reduction=reduction), (data, indices, updates))
    expected = exact((data, indices, updates), reduction)
    assert np.isnan(expected).any()
    np.testing.assert_array_equal(got.astype(np.float64), expected)
