"""The kernels of ScatterElements and ScatterND where updates do not spread evenly.

They run on the PTX machine. Values are whole numbers whose sums are exact in every order.
"""

from __future__ import annotations

import numpy as np
import pytest

from pluginkit.plugins._cuda import row_lists
from pluginkit.plugins.scatter_elements import (
    ScatterElements,
    combined_elements,
    launches,
    scatter_problem,
    tiles,
    variants,
)
from pluginkit.plugins.scatter_nd import ScatterND
from pluginkit.plugins.scatter_nd import launches as scatter_nd_launches
from pluginkit.testing import run_kernels, run_reference

NODES, EDGES = 20, 700


@pytest.fixture(autouse=True)
def few_updates_suit_rows(monkeypatch):
    monkeypatch.setattr(variants, "MANY_UPDATES", 1)
    monkeypatch.setattr(scatter_nd_launches, "_MANY_UPDATES", 1)
    monkeypatch.setattr(row_lists, "FEW_BYTES", 0)
    monkeypatch.setattr(row_lists, "LONGEST_AVERAGE", EDGES)


def assert_right(plugin, arrays):
    run = run_kernels(plugin, arrays)
    assert run.findings == []
    np.testing.assert_array_equal(run.outputs[0], run_reference(plugin, arrays)[0])


def whole(rng, shape, dtype):
    return rng.integers(-1, 2, shape).astype(dtype)


def graph(width, dtype, *, irregular=0):
    """Half of the edges go to one node; some rows of indices are not constant."""
    rng = np.random.default_rng(3)
    nodes = rng.integers(-NODES, NODES, EDGES)
    nodes[rng.random(EDGES) < 0.5] = 7
    indices = np.repeat(nodes[:, None], width, axis=1)
    indices[5 : 5 + irregular] = rng.integers(-NODES, NODES, (irregular, width))
    return [whole(rng, (NODES, width), dtype), indices, whole(rng, (EDGES, width), dtype)]


@pytest.mark.parametrize("reduction", ["add", "max"])
@pytest.mark.parametrize(
    ("width", "dtype"),
    [
        (16, np.float32),
        (63, np.float32),
        (16, np.float16),
        (14, np.float16),
        (63, np.float16),
        (16, np.int8),
        (19, np.int8),
    ],
)
def test_hubs_and_rows_that_are_not_constant(width, dtype, reduction):
    arrays = graph(width, dtype, irregular=11)
    assert_right(ScatterElements(reduction=reduction), arrays)


@pytest.mark.parametrize("irregular", [EDGES // 4, EDGES - 5])
@pytest.mark.parametrize("reduction", ["add", "mul"])
@pytest.mark.parametrize("dtype", [np.float32, np.float16, np.int8])
def test_rows_that_are_not_constant_go_through_data_in_slices(
    dtype, reduction, irregular, monkeypatch
):
    monkeypatch.setattr(launches, "_SLICE_BYTES", 200)
    assert_right(ScatterElements(reduction=reduction), graph(16, dtype, irregular=irregular))


def test_the_last_of_many_updates_is_kept_in_order():
    for irregular in (0, 11):
        arrays = graph(16, np.float32, irregular=irregular)
        assert_right(ScatterElements(reduction="none", deterministic=True), arrays)


@pytest.mark.slow  # CUB takes seconds to compile
@pytest.mark.parametrize("reduction", ["add", "mul"])
def test_rows_are_combined_in_order(reduction):
    for width, dtype in ((16, np.float32), (9, np.float16)):
        arrays = graph(width, dtype)
        assert_right(ScatterElements(reduction=reduction, deterministic=True), arrays)


@pytest.mark.slow
@pytest.mark.parametrize("reduction", ["add", "mul", "none"])
@pytest.mark.parametrize("shape", [(50, 3), (50, 1)])
def test_elements_are_combined_in_order(shape, reduction, monkeypatch):
    for module in (variants, scatter_problem):  # no tile
        monkeypatch.setattr(module, "SHARED_BYTES", 0)
    rng = np.random.default_rng(6)
    indices = rng.integers(-50, 50, (900, shape[1]))
    indices[rng.random(indices.shape) < 0.5] = 3
    arrays = [whole(rng, shape, np.float16), indices, whole(rng, indices.shape, np.float16)]
    assert_right(ScatterElements(reduction=reduction, deterministic=True), arrays)


@pytest.mark.slow
def test_one_row_that_is_not_constant_makes_lists_of_elements():
    arrays = graph(16, np.float32, irregular=1)
    assert_right(ScatterElements(reduction="add", deterministic=True), arrays)


@pytest.mark.slow
def test_the_order_of_updates_decides_how_sums_round():
    rng = np.random.default_rng(4)
    data, indices, updates = graph(16, np.float32)
    updates = rng.standard_normal(updates.shape).astype(np.float32)
    plugin = ScatterElements(reduction="add", deterministic=True)
    runs = [run_kernels(plugin, [data, indices, updates], seed=seed) for seed in (1, 2)]
    first, second = (run.outputs[0] for run in runs)
    np.testing.assert_array_equal(first, second)
    np.testing.assert_allclose(first, plugin.reference(data, indices, updates), rtol=1e-5)


@pytest.mark.parametrize(
    ("width", "dtype"),
    [(16, np.float32), (140, np.float32), (33, np.float32), (16, np.float16), (16, np.int8)],
)
def test_nodes_of_scatter_nd_with_very_many_edges(width, dtype):
    data, indices, updates = graph(width, dtype)
    assert_right(ScatterND(reduction="add"), [data, indices[:, :1].copy(), updates])


def assert_lists_are_right(nodes):
    """Sum updates of one vector each in 400 nodes."""
    rng = np.random.default_rng(8)
    data, updates = whole(rng, (400, 4), np.float32), whole(rng, (len(nodes), 4), np.float32)
    assert_right(ScatterND(reduction="add"), [data, nodes[:, None], updates])


@pytest.mark.parametrize("longest", [1, 48])
@pytest.mark.parametrize(
    ("edges", "other_hubs"), [(1, 0), (2, 0), (48, 0), (49, 0), (100, 6), (2500, 6), (49, 140)]
)
def test_lists_just_short_and_long_and_many(edges, other_hubs, longest, monkeypatch):
    monkeypatch.setattr(row_lists, "_SHORT_LIST", longest)
    rng = np.random.default_rng(9)
    hubs = [399] * edges + [*range(20, 20 + other_hubs)] * 60
    assert_lists_are_right(rng.permutation(np.append(rng.integers(0, 400, 200), hubs)))


@pytest.mark.parametrize("period", [1, 2, 16, 17])
def test_a_hub_at_regular_places(period):
    for place in {0, period // 2, period - 1}:
        nodes = np.arange(1500) % 400
        nodes[place::period] = 399
        assert_lists_are_right(nodes)


@pytest.mark.parametrize("reduction", ["add", "min", "none"])
@pytest.mark.parametrize(
    ("shape", "dtype"),
    [((5, 6, 20), np.float32), ((5, 6, 24), np.float16), ((30, 66), np.int8), ((7,), np.float32)],
)
def test_few_tuples_of_which_most_may_be_equal(shape, dtype, reduction):
    rng = np.random.default_rng(7)
    sizes = np.array(shape[:-1] or shape)
    for count, hub in ((1, 0), (9, 0.5), (32, 0), (32, 0.5)):
        indices = rng.integers(-sizes, sizes, (count, len(sizes)))
        indices[rng.random(count) < hub] = 1
        updates = whole(rng, (count, *shape[len(sizes) :]), dtype)
        arrays = [whole(rng, shape, dtype), indices, updates]
        assert_right(ScatterND(reduction=reduction), arrays)


@pytest.mark.parametrize("deterministic", [False, True])
@pytest.mark.parametrize("reduction", ["add", "min"])
@pytest.mark.parametrize("dtype", [np.float32, np.float16, np.int64, np.int8])
def test_cells_with_very_many_updates(dtype, reduction, deterministic):
    rng = np.random.default_rng(5)
    indices = rng.integers(-70, 70, (4, 300))
    indices[0] = 5
    indices[1, :200] = rng.integers(0, 3, 200)
    indices[2] = np.arange(300) % 2
    arrays = [whole(rng, (4, 70), dtype), indices, whole(rng, (4, 300), dtype)]
    plugin = ScatterElements(axis=1, reduction=reduction, deterministic=deterministic)
    assert_right(plugin, arrays)


@pytest.mark.parametrize(
    ("reduction", "deterministic"), [("add", False), ("min", False), ("add", True), ("none", True)]
)
@pytest.mark.parametrize(
    ("cells", "count", "dtype"),
    [(3, 3, np.float32), (1, 9, np.int8), (40, 1, np.float16), (8, 2, np.float16)],
)
def test_blocks_take_several_short_rows(cells, count, dtype, reduction, deterministic, monkeypatch):
    monkeypatch.setattr(tiles, "_MANY_TILES", 3)
    monkeypatch.setattr(tiles, "_SOME_TILES", 3)
    rng = np.random.default_rng(6)
    indices = rng.integers(-cells, cells, (131, count))
    arrays = [whole(rng, (131, cells), dtype), indices, whole(rng, (131, count), dtype)]
    plugin = ScatterElements(axis=1, reduction=reduction, deterministic=deterministic)
    assert_right(plugin, arrays)


@pytest.mark.parametrize("cells", [1, 40, 3000])
@pytest.mark.parametrize("reduction", ["add", "min"])
@pytest.mark.parametrize("dtype", [np.float32, np.float16, np.int64, np.int8])
def test_many_single_elements_are_combined_if_they_meet(dtype, reduction, cells, monkeypatch):
    monkeypatch.setattr(scatter_problem, "MANY_ELEMENTS", 1)
    rng = np.random.default_rng(8)
    indices = rng.integers(-cells, cells, (900, 2))
    arrays = [whole(rng, (3000, 3), dtype), indices, whole(rng, (900, 2), dtype)]
    assert_right(ScatterElements(reduction=reduction), arrays)


@pytest.mark.parametrize("reduction", ["none", "add", "min"])
@pytest.mark.parametrize("dtype", [np.float32, np.float16, np.int8])
@pytest.mark.parametrize("are_few", [False, True])
def test_updates_are_vectors_where_their_indices_are_equal(dtype, reduction, are_few, monkeypatch):
    monkeypatch.setattr(variants, "MANY_UPDATES", 2**17)
    monkeypatch.setattr(scatter_problem, "MANY_OF_FEW", 1 if are_few else 2**17)
    monkeypatch.setattr(scatter_problem, "UPDATES_OF_ONE", 0)
    rng = np.random.default_rng(14)
    indices = np.tile(np.arange(-30, 0)[:, None], 16)
    indices[:10] = rng.permuted(indices[:10], axis=0)
    if reduction != "none":  # of which the order is open
        indices = np.concatenate([indices, rng.integers(-30, 30, (20, 16))])
    arrays = [whole(rng, (30, 16), dtype), indices, whole(rng, indices.shape, dtype)]
    assert_right(ScatterElements(reduction=reduction), arrays)


@pytest.mark.parametrize("blocks", [1, 3])
@pytest.mark.parametrize("dtype", [np.float32, np.float16, np.int64])
def test_blocks_begin_and_end_to_combine_single_elements(dtype, blocks, monkeypatch):
    """Updates that hardly meet, that meet in one cell, and in more cells than a block can have."""
    for module in (variants, scatter_problem):  # no tile
        monkeypatch.setattr(module, "SHARED_BYTES", 0)
    monkeypatch.setattr(scatter_problem, "MANY_ELEMENTS", 1)
    monkeypatch.setattr(combined_elements, "_COMBINING_BLOCKS", blocks)
    for name, value in {"_COMBINING_BLOCK": 64, "COMBINED_CELLS": 30}.items():
        monkeypatch.setattr(combined_elements, name, value)
        monkeypatch.setitem(combined_elements.DEFINES, name.strip("_"), value)
    rng, batch = np.random.default_rng(9), 4 * 64
    stretches = [3000, 1, 3000, 3000, 1, 200, 1, 40, 40]
    indices = np.concatenate([rng.integers(0, cells, batch) for cells in stretches])[:-7]
    arrays = [whole(rng, (3000,), dtype), indices, whole(rng, indices.shape, dtype)]
    assert_right(ScatterElements(reduction="add"), arrays)


def test_many_16_bit_elements_round_once(monkeypatch):
    """Float16 has no odd numbers above 2048."""
    for module in (variants, scatter_problem):  # no tile
        monkeypatch.setattr(module, "SHARED_BYTES", 0)
    monkeypatch.setattr(scatter_problem, "MANY_ELEMENTS", 1)
    indices = np.random.default_rng(9).permutation(np.repeat(np.arange(301), 6))
    data, updates = np.full(301, 2048, np.float16), np.ones(len(indices), np.float16)
    assert_right(ScatterElements(reduction="add"), [data, indices, updates])


@pytest.mark.parametrize("reduction", ["none", "add", "min"])
@pytest.mark.parametrize("dtype", [np.float32, np.float16, np.int64, np.int8])
@pytest.mark.parametrize(("cells", "count"), [(9, 75), (4, 7)])
def test_columns_whose_updates_meet(cells, count, dtype, reduction, monkeypatch):
    monkeypatch.setattr(variants, "ENOUGH_BLOCKS", 1)
    rng = np.random.default_rng(12)
    indices = rng.integers(-4, 4, (2, count, 37))
    indices[0, :, :20] = 1
    arrays = [whole(rng, (2, cells, 37), dtype), indices, whole(rng, indices.shape, dtype)]
    assert_right(ScatterElements(axis=1, reduction=reduction), arrays)
