"""SegmentReduce: its reference, what it launches, and its kernels on the PTX machine."""

from __future__ import annotations

import numpy as np
import pytest

from pluginkit import float32, int64
from pluginkit.checking.kernel_run import run_kernels
from pluginkit.contract import calls
from pluginkit.contract.launches import Launch
from pluginkit.errors import PluginkitError, TensorError
from pluginkit.plugins.segment_reduce import SegmentReduce, added_edges, launches, segment_problem
from pluginkit.plugins.segment_reduce.segment_problem import SLOTS
from tests.plugins.compilation import (
    QUICK,
    assert_all_compile,
    assert_few_compile,
    every_architecture,
    share_of,
    specialisations_of,
)

AGGREGATES = ("add", "mean", "max", "min")


def present(arrays, **attributes):
    plugin = SegmentReduce(**attributes)
    ports = zip(plugin.spec.inputs, arrays, strict=True)
    names = [port.name for port, array in ports if array is not None]
    return plugin.with_inputs(*names), [array for array in arrays if array is not None]


def reference(arrays, **attributes):
    return calls.run_reference(*present(arrays, **attributes))[0]


def on_machine(arrays, **attributes):
    run = run_kernels(SegmentReduce(**attributes), arrays)
    assert not run.findings
    return run.outputs[0]


def edges(nodes, count, rows, inner, exponent=1.0, heads=None):
    """Draw an edge's destination as rows * u^exponent: all lead to few rows if it is large."""
    rng = np.random.default_rng(0)
    columns = () if heads == 0 else (heads,)
    weights = None if heads is None else rng.normal(size=(count, *columns)).astype(np.float32)
    return [
        rng.normal(size=(nodes, *inner)).astype(np.float32),
        (rng.random(count) ** exponent * rows).astype(np.int64),
        np.array([rows]),
        rng.integers(0, nodes, count),
        weights,
    ]


@pytest.mark.parametrize("aggregate", AGGREGATES)
@pytest.mark.parametrize("heads", [None, 0, 2])
def test_the_reference_is_the_definition(aggregate, heads):
    x, at, _, sources, weights = arrays = edges(9, 20, 12, (2, 3), heads=heads)
    got = reference(arrays, aggregate=aggregate)
    for row in range(12):
        messages = []
        for edge in np.flatnonzero(at == row):
            factor = 1 if heads is None else weights[edge]
            factor = factor[:, None] if heads else factor
            messages.append(x[sources[edge]] * np.float64(factor))
        ufunc = {"add": np.sum, "mean": np.mean, "max": np.max, "min": np.min}[aggregate]
        expected = ufunc(messages, axis=0) if messages else np.zeros((2, 3))
        np.testing.assert_allclose(got[row], expected, atol=1e-6)
    assert (np.bincount(at, minlength=12) == 0).any()


def test_an_initial_value_counts_where_there_are_edges():
    arrays = [np.float32([3, -3]), np.array([0, 0]), np.array([2]), None, None]
    for compute in (reference, on_machine):
        assert compute(arrays, aggregate="max", initial=5.0).tolist() == [5, 0]
        assert compute(arrays, aggregate="min", initial=-9.0).tolist() == [-9, 0]
        assert compute(arrays, aggregate="max").tolist() == [3, 0]


@pytest.fixture(params=["chunks", "sort"])
def sorts(request, monkeypatch):
    """Without atomics: the edges of chunks are sorted, or all of them."""
    if request.param == "sort":
        monkeypatch.setattr(segment_problem, "_FEW_TO_A_ROW", 0)


#: Runs of every length around a warp's 32 edges, each beside shorter and longer ones.
LENGTHS = [1, 31, 32, 33, 1, 63, 64, 65, 32, 32, 95, 1030, 2, 33, 500, 31]


@pytest.mark.parametrize("first", [0, 1, 17, 31])
@pytest.mark.parametrize("is_sorted", [True, False])
def test_runs_of_every_length_and_place(first, is_sorted, sorts):
    arrays = runs_in_place(first, is_sorted)
    np.testing.assert_array_equal(on_machine(arrays, deterministic=True), reference(arrays))


@pytest.mark.parametrize("first", [0, 17])
@pytest.mark.parametrize("is_sorted", [True, False])
def test_atomics_add_runs_of_every_length_and_place(first, is_sorted):
    arrays = runs_in_place(first, is_sorted)
    np.testing.assert_array_equal(on_machine(arrays), reference(arrays))


@pytest.mark.parametrize(
    ("inner", "heads", "least", "count", "crowded"),
    [(1, None, 2**15, 1300, 0), (4, 0, 1, 1300, 0), (1, 0, 1, 4300, 70), (1, 0, 1, 4300, 69)],
)
def test_narrow_rows_keep_the_sum_of_a_hub(inner, heads, least, count, crowded, monkeypatch):
    """One block takes all edges; a hub before another one, neighbours, pairs, every or some rows.

    With ``least`` edges the sums of the first rows of one element are in shared memory, and in more
    than ``crowded`` rows warps look at two edges of each lane together.
    """
    monkeypatch.setattr(added_edges, "_NARROW_BLOCKS", 1)
    monkeypatch.setattr(added_edges, "_SINGLE_BLOCKS", 1)
    monkeypatch.setattr(added_edges, "_SINGLE_EDGES", least)
    monkeypatch.setattr(added_edges, "_SINGLE_ROWS", 30)
    monkeypatch.setattr(added_edges, "_CROWDED_ROWS", crowded)
    rng = np.random.default_rng(3)
    x, at, rows, sources, weights = edges(50, count, 70, (inner,), heads=heads)
    drawn = rng.random(count)
    for places in (
        np.where(drawn < 0.5, np.where(np.arange(count) < count // 2, 20, 50), at),
        np.sort(at),
        (drawn**4 * 70).astype(int),
        np.arange(count) % 70,
        *(np.arange(count) % 17 * 4 + last for last in range(4)),  # one row of each vector
    ):
        places[[5, 17]], sources[20] = -3, -1
        arrays = [x.round(1), places, rows, sources, None if weights is None else weights.round(1)]
        np.testing.assert_allclose(on_machine(arrays), reference(arrays), atol=1e-4)


def runs_in_place(first, is_sorted):
    lengths = [first, *LENGTHS]
    at = np.repeat(np.arange(len(lengths)) * 7, lengths)
    rng = np.random.default_rng(1)
    if not is_sorted:
        rng.shuffle(at)
    x = rng.integers(-8, 9, (50, 3)).astype(np.float32)  # sums are exact
    return [x, at, np.array([8300]), rng.integers(0, 50, len(at)), None]


@pytest.mark.slow
def test_wide_digits_where_they_save_a_sweep(monkeypatch):
    monkeypatch.setattr(segment_problem, "_FEW_TO_A_ROW", 0)
    monkeypatch.setattr(segment_problem, "_FEW_KEYS", 1000)
    monkeypatch.setattr(segment_problem, "_SOME_KEYS", 1200)
    assert launched(1001, 70_000, deterministic=True).count("sweep") == 2
    assert launched(1001, 60_000, deterministic=True).count("sweep") == 2
    assert launched(1000, 70_000, deterministic=True).count("sweep") == 3
    arrays = edges(40, 1500, 70_000, (3,), exponent=3, heads=0)
    got = on_machine(arrays, deterministic=True)
    np.testing.assert_allclose(got, reference(arrays), atol=1e-5)


@pytest.mark.parametrize(("rows", "blocks"), [(9, (9, 5)), (100, (100, 2)), (2000, (125, 1))])
def test_blocks_take_the_parts_of_rows_for_which_there_would_be_too_many(rows, blocks):
    plugin = SegmentReduce(aggregate="max").with_inputs("x", "destinations", "rows", "sources")
    arrays = edges(30, 50, rows, (290,))[:4]
    described = calls.describe_arrays(plugin, arrays)
    (scan,) = calls.steps(plugin, described, calls.describe_outputs(plugin, described))
    assert scan.grid == blocks


@pytest.mark.parametrize("blocks", [1, 132])
def test_rows_of_several_parts(blocks, monkeypatch):
    monkeypatch.setattr(launches, "SCAN_BLOCKS", blocks)
    arrays = edges(30, 150, 5, (150,), exponent=9)
    got = on_machine(arrays, aggregate="max")
    np.testing.assert_array_equal(got, reference(arrays, aggregate="max"))


@pytest.mark.parametrize("inner", [33, 70])
def test_wide_rows_without_vectors(inner):
    at = np.repeat(np.arange(len(LENGTHS)) * 7, LENGTHS)
    rng = np.random.default_rng(1)
    rng.shuffle(at)
    x = rng.integers(-8, 9, (50, inner)).astype(np.float32)  # sums are exact
    arrays = [x, at, np.array([8300]), rng.integers(0, 50, len(at)), None]
    np.testing.assert_array_equal(on_machine(arrays, deterministic=True), reference(arrays))


@pytest.mark.parametrize("aggregate", AGGREGATES)
def test_one_destination_takes_every_level(aggregate, sorts):
    arrays = edges(40, 33_000, 1, (2,))
    arrays[2] = np.array([9000])
    got = on_machine(arrays, aggregate=aggregate, deterministic=True)
    np.testing.assert_allclose(got, reference(arrays, aggregate=aggregate), atol=2e-3)


@pytest.mark.slow
@pytest.mark.parametrize(("inner", "heads"), [((4,), None), ((140,), 0), ((2, 6), 2)])
def test_rows_of_more_runs_than_slots(inner, heads):
    arrays = edges(40, 9000, 8400, inner, exponent=4, heads=heads)
    assert len(np.unique(np.flatnonzero(arrays[1] == 0) // segment_problem.CHUNK)) > SLOTS
    for aggregate in ("mean", "max"):
        got = on_machine(arrays, aggregate=aggregate)
        np.testing.assert_allclose(got, reference(arrays, aggregate=aggregate), atol=1e-5)


@pytest.mark.parametrize("order", [1, 2])
def test_sums_of_chunks_have_the_same_bits_in_any_order_of_blocks(order):
    arrays = edges(40, 9000, 8400, (3,), exponent=4)
    plugin = SegmentReduce(deterministic=True)
    run = run_kernels(plugin, arrays, seed=order)
    assert not run.findings
    np.testing.assert_array_equal(run.outputs[0], on_machine(arrays, deterministic=True))
    np.testing.assert_allclose(run.outputs[0], reference(arrays), atol=1e-4)


@pytest.mark.parametrize(("rows", "heads"), [(20, 0), (9000, 2)])
def test_indices_that_name_nothing_leave_an_edge_out(rows, heads):
    x, at, size, sources, weights = edges(30, 200, rows, (4,), heads=heads)
    outside, source = at.copy(), sources.copy()
    outside[[3, 60]], source[[9, 199]] = [rows, -rows - 1], [30, -31]
    keep = ~np.isin(np.arange(200), [3, 9, 60, 199])
    given = [x, outside, size, source, weights]
    left = [x, at[keep], size, sources[keep], weights[keep]]
    expected = reference(left, aggregate="mean")
    np.testing.assert_allclose(on_machine(given, aggregate="mean"), expected, atol=1e-6)
    with pytest.raises(TensorError, match=r"SegmentReduce/index: destinations\[3\] is"):
        reference(given, aggregate="mean")
    with pytest.raises(TensorError, match=r"SegmentReduce/index: sources\[9\] is 30"):
        reference([x, at, size, source, weights], aggregate="mean")


@pytest.mark.parametrize("count", [900, 3500])  # in one block's list, and in those of its warps
def test_all_warps_share_a_long_row_beside_short_ones(count):
    arrays = edges(30, count, 300, (2,), exponent=6)
    lengths = np.bincount(arrays[1][arrays[1] < 3], minlength=3)
    assert lengths.max() > 3 * 64
    assert (lengths.sum() > 1024) == (count > 1000)
    for aggregate in ("mean", "max"):
        got = on_machine(arrays, aggregate=aggregate)
        np.testing.assert_allclose(got, reference(arrays, aggregate=aggregate), atol=1e-5)


@pytest.mark.parametrize("exponent", [1, 9])
@pytest.mark.parametrize("count", [1, 700])
def test_most_rows_have_no_edge(count, exponent):
    arrays = edges(30, count, 9000, (5,), exponent=exponent)
    for aggregate in ("mean", "max"):
        got = on_machine(arrays, aggregate=aggregate)
        np.testing.assert_allclose(got, reference(arrays, aggregate=aggregate), atol=1e-5)


@pytest.mark.parametrize("count", [40, 5000])
def test_nan_wins(count):
    arrays = edges(30, count, 3, (2,), exponent=3)
    arrays[0][arrays[3][count // 2]] = np.nan
    for aggregate in ("max", "min"):
        got, expected = (
            compute(arrays, aggregate=aggregate) for compute in (on_machine, reference)
        )
        assert np.isnan(got).any()
        np.testing.assert_array_equal(np.isnan(got), np.isnan(expected))


def launched(count, rows, inner=4, **attributes):
    plugin = SegmentReduce(**attributes).with_inputs("x", "destinations", "rows", "sources")
    described = calls.describe_inputs(
        plugin,
        [(9, inner), (count,), (1,), (count,)],
        [float32, int64, int64, int64],
        {"rows": [rows]},
    )
    outputs = calls.describe_outputs(plugin, described)
    steps = calls.steps(plugin, described, outputs)
    return [each.kernel.name.partition("<")[0] for each in steps if isinstance(each, Launch)]


def test_few_edges_take_one_launch():
    assert launched(4001, 500, aggregate="max") == ["scan_edges"]
    assert launched(4000, 500) == launched(513, 500) == ["clear", "add_narrow_edges"]
    assert launched(512, 500) == launched(513, 500, inner=5) == ["clear", "add_edges"]
    assert launched(2**18, 2**16, inner=1) == ["clear", "add_single_elements"]
    assert launched(2**18 - 1, 2**16, inner=1) == ["clear", "add_narrow_edges"]
    assert launched(2**18, 2**16 + 1, inner=1) == ["clear", "add_narrow_edges"]
    assert launched(2**15, 2048, inner=1) == ["clear", "add_single_elements"]
    assert launched(2**15, 2049, inner=1) == ["clear", "add_narrow_edges"]
    chunks = ["clear", "sort_chunks", "gather_chunks"]
    assert launched(2048, 4000, aggregate="max") == launched(8000, 500, aggregate="max")
    assert launched(2048, 4000, aggregate="max") == ["scan_edges"]
    assert launched(2049, 4000, aggregate="max") == launched(300, 70_000, aggregate="max") == chunks
    assert launched(65_600, 8200, deterministic=True) == chunks
    assert launched(65_601, 8200, deterministic=True)[:2] == ["clear", "make_keys"]
    assert launched(300, 2**20, deterministic=True) == chunks
    assert launched(2**17, 2**18 + 1, deterministic=True)[:2] == ["clear", "make_keys"]
    _, before, *sweeps, edge, item, zero = launched(300, 2**20 + 1, deterministic=True)
    assert [before, edge, item, zero] == ["make_keys", "reduce_edges", "reduce_items", "zero_rows"]
    assert sweeps == ["place_digits", *["sweep"] * 3]


def sized(count, rows, inner):
    plugin = SegmentReduce(deterministic=True).with_inputs("x", "destinations", "rows", "sources")
    shapes, types = [(9, inner), (count,), (1,), (count,)], [float32, int64, int64, int64]
    described = calls.describe_inputs(plugin, shapes, types, {"rows": [rows]})
    problem = segment_problem.problem_of(plugin, *described[:2], rows, None)
    used = problem.chunk_sizes() if problem.is_chunked else problem.sizes()
    return plugin.workspace_bytes(*described), 0 if problem.scans else sum(used)


@pytest.mark.parametrize(
    ("larger", "smaller"),
    [
        ((10_782, 62, 128), (7840, 6, 33)),  # scans, but rows without vectors
        ((20_000, 10_000, 65), (20_000, 10_000, 64)),  # sorts elements that are apart
        ((2**18 + 1, 2**18, 8), (2**18, 2**18, 8)),  # sorts what chunks could not
        ((5000, 2**20, 64), (5000, 2**18, 64)),
        ((11_000, 1000, 64), (8000, 1000, 64)),  # scans, but rows with few edges each
    ],
)
def test_the_workspace_suffices_for_smaller_calls(larger, smaller):
    assert sized(*larger)[0] >= sized(*smaller)[1] > 0


@pytest.mark.parametrize(
    "shapes",
    [
        [(3, 4), (5,), (1,), None, None],
        [(3, 4), (5,), (1,), (6,), None],
        [(3, 4), (5,), (1,), (5,), (5, 3)],
        [(3, 4), (5,), (1,), (5,), (5, 0)],
        [(3, 4), (5,), (1,), (5,), (5, 2, 2)],
        [(2**30, 4), (5,), (1,), (5,), None],
        [(3, 2**21 + 1), (5,), (1,), (5,), None],
    ],
    ids=str,
)
def test_shapes_that_do_not_fit_are_refused(shapes):
    names = [port.name for port in SegmentReduce.spec.inputs]
    there = [name for name, shape in zip(names, shapes, strict=True) if shape is not None]
    types = dict(zip(names, [float32, int64, int64, int64, float32], strict=True))
    plugin = SegmentReduce().with_inputs(*there)
    given = [shape for shape in shapes if shape is not None]
    described = calls.describe_inputs(plugin, given, [types[name] for name in there], {"rows": [7]})
    with pytest.raises(PluginkitError, match=r"PK124|shapes|size"):
        calls.check(plugin, described)


@pytest.mark.slow
def test_some_of_each_kernel_compile():
    plugins = [SegmentReduce(aggregate=each) for each in AGGREGATES]
    assert_few_compile(specialisations_of(plugins), QUICK)


@every_architecture
def test_every_kernel_compiles(arch):
    plugins = [SegmentReduce(aggregate=each) for each in AGGREGATES]
    assert_all_compile(share_of(specialisations_of(plugins), arch), arch)
