"""SegmentReduce on a real GPU: graphs of every kind, aggregate and type, the same bits each run."""

from __future__ import annotations

from itertools import product

import ml_dtypes
import numpy as np
import pytest

from pluginkit.checking.trt_double.driver import drive
from pluginkit.contract import calls
from pluginkit.contract.dtypes import dtype_from_numpy
from pluginkit.plugins.segment_reduce import SegmentReduce
from tests.gpu.early import compile_together, kernels_of

pytestmark = [pytest.mark.gpu, pytest.mark.trt]

AGGREGATES = ("add", "mean", "max", "min")
DTYPES = [np.float32, np.float16, ml_dtypes.bfloat16]
#: Nodes, edges, rows, elements, columns of weights (0: a vector; None: absent) and the exponent
#: of the distribution of destinations: 0 for one of them.
GRAPHS = [
    (500, 20_000, 3000, 64, None, 1),
    (500, 20_000, 70_000, 63, 0, 1),
    (500, 20_000, 9000, 24, 3, 4),
    (500, 200_000, 100, 8, None, 0),
    (500, 700_001, 20_773, 1, 0, 9),
    (50, 5000, 7, 600, None, 4),
    (50, 1000, 200, 33, 0, 1),
    (500, 11_000, 2000, 64, 0, 1),
    (500, 6000, 400, 24, 3, 4),
    (500, 8000, 3, 5, None, 0),
    (500, 1_100_000, 70_000, 4, 0, 1),
]


@pytest.fixture(scope="module", autouse=True)
def kernels_are_coming():
    """Compile the kernels of all graphs together: one after the other they take minutes."""
    compile_together(kernels_of(coming_calls()))


def coming_calls():
    for graph, aggregate, dtype, exact in product(GRAPHS, AGGREGATES, DTYPES, (True, False)):
        nodes, edges, rows, inner, heads, _ = graph
        weights = None if heads is None else np.empty((edges, heads) if heads else edges, dtype)
        at = np.empty(edges, np.int64)
        arrays = [np.empty((nodes, inner), dtype), at, np.array([rows]), at, weights]
        plugin, given = present(arrays, aggregate=aggregate, deterministic=exact)
        yield plugin, calls.describe_arrays(plugin, given)


def arrays_of(nodes, edges, rows, inner, heads, exponent, dtype):
    rng = np.random.default_rng(0)
    columns = () if heads == 0 else (heads,)
    weights = None if heads is None else rng.normal(size=(edges, *columns)).astype(dtype)
    drawn = rng.random(edges) ** exponent if exponent else np.full(edges, 0.5)
    return [
        rng.normal(size=(nodes, inner)).astype(dtype),
        (drawn * rows).astype(np.int64),
        np.array([rows]),
        rng.integers(-nodes, nodes, edges),
        weights,
    ]


def present(arrays, **attributes):
    """Return the plugin with the inputs that are given, and those."""
    plugin = SegmentReduce(**attributes)
    ports = zip(plugin.spec.inputs, arrays, strict=True)
    names = [port.name for port, array in ports if array is not None]
    return plugin.with_inputs(*names), [array for array in arrays if array is not None]


def on_gpu(lean, arrays, **attributes):
    return drive(*present(arrays, **attributes), interface="v3", flavour=lean)[0]


def reference(arrays, **attributes):
    return calls.run_reference(*present(arrays, **attributes))[0]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("aggregate", AGGREGATES)
@pytest.mark.parametrize("graph", GRAPHS, ids=str)
def test_graphs(lean, graph, aggregate, dtype):
    arrays = arrays_of(*graph, dtype)
    attributes = {"aggregate": aggregate, "deterministic": True}
    got, again = (on_gpu(lean, arrays, **attributes) for _ in range(2))
    np.testing.assert_array_equal(got.view(np.uint8), again.view(np.uint8))
    expected = reference(arrays, aggregate=aggregate)
    assert_near(got, expected, arrays, aggregate)


@pytest.mark.parametrize("graph", GRAPHS, ids=str)
def test_sums_by_atomics(lean, graph):
    arrays = arrays_of(*graph, np.float32)
    # Of n numbers around 1 the sums on the way are around sqrt(n). Each of n additions rounds by up
    # to 2^-24 of that, all together by about n * 2^-24: the order of the atomics decides.
    most = np.bincount(arrays[1]).max()
    assert_near(on_gpu(lean, arrays), reference(arrays), arrays, "add", rounding=4 * most * 2**-24)


def assert_near(got, expected, arrays, aggregate, rounding=1e-9):
    wide, wanted = got.astype(np.float64), expected.astype(np.float64)
    tolerance = SegmentReduce.tolerance[dtype_from_numpy(got.dtype)]
    longest = np.bincount(arrays[1]).max() if aggregate == "add" else 1
    allowed = tolerance * np.maximum(max(1, longest / 1000), abs(wanted)) + rounding
    np.testing.assert_array_less(abs(wide - wanted), allowed)


@pytest.mark.parametrize("order", ["ascending", "descending"])
@pytest.mark.parametrize("outside", [False, True])
def test_order_and_indices_that_name_nothing(lean, order, outside):
    x, at, rows, sources, _ = arrays_of(500, 20_000, 3000, 16, None, 1, np.float32)
    at = np.sort(at) if order == "ascending" else np.sort(at)[::-1].copy()
    given, wanted = [x, at, rows, sources, None], [x, at, rows, sources, None]
    if outside:
        given[1], given[3] = at.copy(), sources.copy()
        given[1][7], given[1][-1], given[3][100] = 3000, -3001, 500
        keep = ~np.isin(np.arange(len(at)), [7, 100, len(at) - 1])
        wanted = [x, at[keep], rows, sources[keep], None]
    np.testing.assert_allclose(on_gpu(lean, given), reference(wanted), atol=1e-4)
