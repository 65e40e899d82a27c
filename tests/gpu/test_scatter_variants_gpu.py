"""Every variant of ScatterElements on a GPU, through the adapters, against float64."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from pluginkit import FLOAT_TYPES, bfloat16, float16, float32, int8, int32, int64
from pluginkit.checking.trt_double.driver import drive
from pluginkit.contract import calls
from pluginkit.device.memory import CupyMemory
from pluginkit.plugins._cuda import row_lists
from pluginkit.plugins.scatter_elements import (
    ScatterElements,
    combined_elements,
    scatter_problem,
)
from pluginkit.plugins.scatter_elements.scatter_problem import problem_of
from pluginkit.plugins.scatter_elements.variants import choose
from tests.gpu.early import compile_together, kernels_of

pytestmark = [pytest.mark.gpu, pytest.mark.trt]

REDUCTIONS = ("none", "add", "mul", "min", "max")
UFUNCS = {"add": np.add, "mul": np.multiply, "min": np.minimum, "max": np.maximum}
#: Relative to the largest intermediate value: one rounding at the end, or one for each update.
ROUNDED_ONCE = {float32: 2e-6, float16: 1e-3, bfloat16: 8e-3}
ROUNDED_OFTEN = {float32: 2e-6, float16: 2e-2, bfloat16: 1.5e-1}

#: data, updates, axis, whether rows of indices are constant, the variant that must be chosen.
SHAPES = {
    "tile vectorised": ((137, 1024), (137, 512), 1, False, "tile"),
    "tiles that are few": ((37, 1024), (37, 512), 1, False, "tile"),
    "tile in several rounds": ((130, 6000), (130, 3000), 1, False, "tile"),
    "tile of vectors of several rows": ((5001, 6), (5001, 3), 1, False, "tile"),
    "tile of vectors of data only": ((300, 424), (300, 1), 1, False, "tile"),
    "tile of odd sizes": ((21, 77, 1), (21, 191, 1), 1, False, "tile"),
    "tile of one cell": ((500, 1), (500, 7), 1, False, "tile"),
    "column": ((40, 50, 128), (40, 33, 128), 1, False, "column"),
    "column of odd sizes": ((130, 17, 45), (130, 40, 45), 1, False, "column"),
    "column of few": ((140, 5, 45), (140, 7, 45), 1, False, "column"),
    "column of many warps": ((300, 20, 200), (300, 3, 200), 1, False, "column"),
    "slab": ((64, 832), (300, 832), 0, False, "slab"),
    "slab of rows": ((90, 1001), (300, 1001), 0, True, "slab"),
    "slab of all columns": ((130, 17, 20), (130, 60, 20), 1, False, "slab"),
    "slabs of few columns": ((3001, 5, 3), (3001, 15, 3), 1, False, "slab"),
    "last": ((64, 209), (1024, 209), 0, False, "last"),
    "rows": ((700, 64), (3000, 64), 0, True, "rows"),
    "rows inside batches": ((3, 3000, 64), (3, 1000, 64), 1, True, "rows"),
    "rows of many vectors": ((900, 1040), (300, 1040), 0, True, "rows"),
    "rows of odd width": ((700, 63), (3000, 63), 0, True, "rows"),
    "rows that turn out different": ((700, 64), (3000, 64), 0, False, "rows"),
    "elements": ((90_000,), (9000,), 0, False, "elements"),
    "elements in vectors": ((700, 64), (500, 64), 0, True, "elements"),
    "elements in vectors that turn out different": ((700, 64), (500, 64), 0, False, "elements"),
    "elements of part of data": ((50, 60, 7), (40, 80, 6), 1, False, "elements"),
}


@pytest.fixture(scope="module", autouse=True)
def kernels_are_coming():
    """Compile the kernels of all tests together: one after the other they take minutes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(row_lists, "FEW_BYTES", 0)
        every = kernels_of(coming_calls())
        patch.setattr(scatter_problem, "MANY_ELEMENTS", 1)
        every += kernels_of(coming_calls())
    compile_together(list(dict.fromkeys(every)))


def coming_calls():
    types = product(SHAPES.values(), REDUCTIONS, ScatterElements.types["T"], (int64, int32))
    for (data, updates, axis, _, _), reduction, dtype, index in types:
        for deterministic in (False, True):
            plugin = ScatterElements(axis=axis, reduction=reduction, deterministic=deterministic)
            if not deterministic or (dtype in FLOAT_TYPES and index is int64):
                shapes, dtypes = (data, updates, updates), (dtype, index, dtype)
                yield plugin, calls.describe_inputs(plugin, shapes, dtypes)


@pytest.fixture(autouse=True)
def few_updates_suit_rows(monkeypatch):
    monkeypatch.setattr(row_lists, "FEW_BYTES", 0)


def arrays_of(name, dtype, index_type, reduction, rng):
    data_shape, updates_shape, axis, is_uniform, _ = SHAPES[name]
    size = data_shape[axis]
    # Few updates an element keep products, and sums of integers, in range.
    low, high = (0.6, 1.5) if dtype.is_floating else (-3, 4)
    draw = rng.uniform if dtype.is_floating else rng.integers
    data, updates = (draw(low, high, s).astype(dtype.numpy) for s in (data_shape, updates_shape))
    index_shape = list(updates_shape)
    if is_uniform:
        index_shape[axis + 1 :] = [1] * (len(index_shape) - axis - 1)
    indices = rng.integers(-size, size, index_shape)
    indices = np.ascontiguousarray(np.broadcast_to(indices, updates_shape))
    return data, indices.astype(index_type.numpy), updates


def exact(data, indices, updates, axis, reduction):
    """Scatter in float64, or wrapping integers; with "none" the last update wins."""
    wide = np.float64 if data.dtype.kind not in "i" else data.dtype
    output, values = data.astype(wide), updates.astype(wide)
    places = list(np.indices(indices.shape, sparse=True))
    places[axis] = np.where(indices < 0, indices + data.shape[axis], indices)
    if reduction == "none":
        output[tuple(places)] = values
    else:
        UFUNCS[reduction].at(output, tuple(places), values)
    return output


def run(lean, plugin, arrays, interface="v3"):
    return drive(plugin, arrays, interface=interface, flavour=lean, memory=CupyMemory())[0]


def assert_right(got, expected, dtype, tolerance):
    if not dtype.is_floating:
        np.testing.assert_array_equal(got, expected)
        return
    error = np.abs(got.astype(np.float64) - expected) / np.maximum(1, np.abs(expected))
    assert error.max(initial=0) <= tolerance[dtype]


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("dtype", ScatterElements.types["T"], ids=repr)
def test_every_variant_agrees_with_float64(lean, name, dtype, reduction):
    rng = np.random.default_rng(7)
    axis, variant = SHAPES[name][2], SHAPES[name][4]
    for index_type in (int64, int32):
        plugin = ScatterElements(axis=axis, reduction=reduction)
        arrays = arrays_of(name, dtype, index_type, reduction, rng)
        inputs = calls.describe_inputs(
            plugin, [array.shape for array in arrays], [dtype, index_type, dtype]
        )
        is_chosen = variant != "last" or reduction == "none"
        if is_chosen and dtype in (float32, float16, bfloat16, int32):
            assert choose(problem_of(plugin, *inputs)) == variant
        got = run(lean, plugin, arrays)
        if reduction == "none":
            check_some_update_won(got, arrays, axis)
            continue
        is_atomic = variant == "elements" or "different" in name
        tolerance = ROUNDED_OFTEN if is_atomic else ROUNDED_ONCE
        assert_right(got, exact(*arrays, axis, reduction), dtype, tolerance)


def check_some_update_won(got, arrays, axis):
    """Check that each element is one of its updates, or data's where it has none."""
    data, indices, updates = arrays
    is_candidate = np.zeros(data.shape, bool)
    is_hit = np.zeros(data.shape, bool)
    places = list(np.indices(indices.shape, sparse=True))
    places[axis] = np.where(indices < 0, indices + data.shape[axis], indices)
    is_hit[tuple(places)] = True
    matches = got[tuple(places)] == updates
    np.logical_or.at(is_candidate, tuple(places), matches)
    assert (is_candidate == is_hit).all()
    np.testing.assert_array_equal(got[~is_hit], data[~is_hit])


@pytest.mark.parametrize("cells", [1, 2, 16, 64])
@pytest.mark.parametrize(
    "name", [name for name in SHAPES if name.startswith(("tile", "column", "slab", "elements"))]
)
@pytest.mark.parametrize("reduction", ["add", "max"])
@pytest.mark.parametrize("dtype", ScatterElements.types["T"], ids=repr)
def test_updates_meet_in_few_cells(lean, name, dtype, reduction, cells, monkeypatch):
    monkeypatch.setattr(scatter_problem, "MANY_ELEMENTS", 1)
    rng = np.random.default_rng(12)
    data, indices, _ = arrays_of(name, dtype, int64, reduction, rng)
    axis = SHAPES[name][2]
    few = min(cells, data.shape[axis])
    in_turn = np.indices(indices.shape, sparse=True)[axis] % few
    anywhere, is_in_turn = rng.integers(0, few, indices.shape), rng.random(len(indices)) < 0.5
    indices = np.where(is_in_turn, in_turn.T, anywhere.T).T
    updates = rng.integers(-3, 4, indices.shape).astype(dtype.numpy)
    arrays = np.round(data).astype(dtype.numpy), np.ascontiguousarray(indices), updates
    got = run(lean, ScatterElements(axis=axis, reduction=reduction), arrays)
    np.testing.assert_array_equal(
        got.astype(np.float64), exact(*arrays, axis, reduction).astype(dtype.numpy)
    )


@pytest.mark.parametrize("blocks", [1, 3])
@pytest.mark.parametrize("dtype", [float32, float16, int64, int8], ids=repr)
def test_blocks_begin_and_end_to_combine_single_elements(lean, dtype, blocks, monkeypatch):
    monkeypatch.setattr(scatter_problem, "MANY_ELEMENTS", 1)
    monkeypatch.setattr(combined_elements, "_COMBINING_BLOCKS", blocks)
    rng = np.random.default_rng(13)
    stretches = [90_000, 1, 90_000, 90_000, 1, 5000, 1, 3000, 300]
    indices = np.concatenate([rng.integers(0, cells, 2**11) for cells in stretches])[:-7]
    data, updates = (rng.integers(-1, 2, n).astype(dtype.numpy) for n in (90_000, len(indices)))
    got = run(lean, ScatterElements(reduction="add"), (data, indices, updates))
    np.testing.assert_array_equal(
        got.astype(np.float64), exact(data, indices, updates, 0, "add").astype(np.float64)
    )


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("reduction", ["none", "add", "mul"])
@pytest.mark.parametrize("dtype", FLOAT_TYPES, ids=repr)
def test_deterministic_is_bit_identical_and_in_order(lean, name, dtype, reduction):
    rng = np.random.default_rng(8)
    axis = SHAPES[name][2]
    plugin = ScatterElements(axis=axis, reduction=reduction, deterministic=True)
    arrays = arrays_of(name, dtype, int64, reduction, rng)
    first = run(lean, plugin, arrays)
    assert all(run(lean, plugin, arrays).tobytes() == first.tobytes() for _ in range(3))
    (expected,) = calls.run_reference(plugin, arrays)
    if reduction == "none":
        np.testing.assert_array_equal(first, expected)
    else:
        assert_right(first, exact(*arrays, axis, reduction), dtype, ROUNDED_ONCE)


@pytest.mark.parametrize("deterministic", [False, True])
@pytest.mark.parametrize("reduction", ["none", "add", "mul", "max"])
@pytest.mark.parametrize("dtype", [float32, bfloat16, int64], ids=repr)
def test_a_row_with_very_many_updates(lean, dtype, reduction, deterministic):
    rng = np.random.default_rng(9)
    target = rng.integers(0, 50, 4000)
    target[:1500] = 17  # a hub of the graph, whose list is long
    indices = np.ascontiguousarray(np.broadcast_to(target[:, None], (4000, 64)))
    data = rng.uniform(0.5, 2, (50, 64)).astype(dtype.numpy)
    updates = np.ones((4000, 64), dtype.numpy)
    updates[::100] = 2
    plugin = ScatterElements(reduction=reduction, deterministic=deterministic)
    got = run(lean, plugin, (data, indices, updates))
    expected = exact(data, indices, updates, 0, reduction)
    if reduction == "none" and not deterministic:
        return check_some_update_won(got, (data, indices, updates), 0)
    # What is left over of a long list is rounded once for some updates.
    is_rounded_often = reduction == "add" and not deterministic
    return assert_right(got, expected, dtype, ROUNDED_OFTEN if is_rounded_often else ROUNDED_ONCE)


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("deterministic", [False, True])
@pytest.mark.parametrize("reduction", ["none", "add"])
def test_indices_out_of_range_are_skipped(lean, name, reduction, deterministic):
    rng = np.random.default_rng(10)
    axis = SHAPES[name][2]
    data, indices, updates = arrays_of(name, float32, int64, reduction, rng)
    size = data.shape[axis]
    wrong = np.array([size, -size - 1, 2**40, -(2**40), 2**63 - 1, -(2**63)])
    outside = rng.random(indices.shape) < 0.3
    if SHAPES[name][3]:
        outside[...] = np.take(outside, [0], axis=-1)
    bad = np.where(outside, rng.choice(wrong, indices.shape), indices)
    if SHAPES[name][3]:
        bad[...] = np.take(bad, [0], axis=-1)
    plugin = ScatterElements(axis=axis, reduction=reduction, deterministic=deterministic)
    got = run(lean, plugin, (data, bad, updates))
    # An update outside is one that changes nothing.
    if reduction == "add":
        expected = exact(data, indices, np.where(outside, 0, updates), axis, "add")
        assert_right(got, expected, float32, ROUNDED_ONCE)
        return
    places = list(np.indices(indices.shape, sparse=True))
    places[axis] = np.where(indices < 0, indices + size, indices)
    touched = np.zeros(data.shape, bool)
    places = np.broadcast_arrays(*places)
    touched[tuple(place[~outside] for place in places)] = True
    np.testing.assert_array_equal(got[~touched], data[~touched])


@pytest.mark.parametrize("interface", ["v2", "v3"])
@pytest.mark.parametrize("name", SHAPES)
def test_both_interfaces_give_the_same(lean, name, interface):
    rng = np.random.default_rng(11)
    axis = SHAPES[name][2]
    plugin = ScatterElements(axis=axis, reduction="max")
    arrays = arrays_of(name, int8, int64, "max", rng)
    got = run(lean, plugin, arrays, interface)
    np.testing.assert_array_equal(got, exact(*arrays, axis, "max"))
