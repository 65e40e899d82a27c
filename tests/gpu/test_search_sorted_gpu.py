"""SearchSorted on a real GPU: few values and many, trees with and without a gap, every type."""

from __future__ import annotations

import numpy as np
import pytest

from pluginkit.checking.trt_double.driver import drive
from pluginkit.contract import calls
from pluginkit.plugins.search_sorted import SearchSorted
from tests.gpu.ordered import DTYPES, drawn

pytestmark = [pytest.mark.gpu, pytest.mark.trt]


def assert_right(lean, arrays, **attributes):
    plugin = SearchSorted(**attributes)
    (got,) = drive(plugin, arrays, interface="v3", flavour=lean)
    np.testing.assert_array_equal(got, calls.run_reference(plugin, arrays)[0])


@pytest.mark.parametrize("right", [False, True])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("size", [1, 7, 8, 8191, 100_003])
@pytest.mark.parametrize("count", [5, 2049, 1_100_001])
def test_one_sequence(lean, size, count, dtype, right):
    sequence, values = np.sort(drawn((size,), dtype, 3000)), drawn((count,), dtype, 2000)
    assert_right(lean, [sequence, values], right=right)


@pytest.mark.parametrize(
    ("rows", "size", "count"), [(3, 100, 5000), (700, 40, 2100), (9, 7, 3), (64, 999, 4099)]
)
def test_a_sequence_for_each_row(lean, rows, size, count):
    arrays = [
        np.sort(drawn((rows, size), np.float32, 99)),
        drawn((rows, count), np.float32, 99),
    ]
    assert_right(lean, arrays)


@pytest.mark.parametrize("count", [100_000, 1_100_000])
def test_a_sequence_that_is_not_sorted_is_halved_in_the_same_steps(lean, count):
    arrays = [drawn((50_000,), np.float32, 9999), drawn((count,), np.float32, 999)]
    assert_right(lean, arrays)
