"""TopK on a real GPU: rows of one block and of several, every type, ties, many sorted runs."""

from __future__ import annotations

import numpy as np
import pytest

from pluginkit import float16, int64
from pluginkit.checking.trt_double.driver import Profile, build_layer, drive
from pluginkit.contract import calls
from pluginkit.device.memory import CupyMemory
from pluginkit.plugins.top_k import TopK
from tests.gpu.ordered import DTYPES, assert_same_bits, drawn, patterns

pytestmark = [pytest.mark.gpu, pytest.mark.trt]

PATTERNS = patterns(300_001)


def assert_right(lean, x, k, tactic="split", **attributes):
    plugin, arrays = TopK(**attributes).with_tactic(tactic), [x, np.array([k])]
    got = drive(plugin, arrays, flavour=lean)
    assert_same_bits(plugin, got, calls.run_reference(plugin, arrays))


@pytest.mark.parametrize("largest", [True, False])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("k", [1, 50, 2048, 2049, 4096, 4097, 16384, 16385, 30_011])
@pytest.mark.parametrize("distinct", [2, 30, 100_000])
def test_split_rows(lean, k, dtype, largest, distinct):
    assert_right(lean, drawn((3, 30_011), dtype, distinct), k, largest=largest)


@pytest.mark.parametrize("largest", [True, False])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("k", [1, 50, 2049, 4096])
@pytest.mark.parametrize("distinct", [2, 30, 100_000])
def test_whole_rows(lean, k, dtype, largest, distinct):
    assert_right(lean, drawn((5, 30_011), dtype, distinct), k, "rows", largest=largest)


@pytest.mark.parametrize("k", [1, 4097, 262_145])
@pytest.mark.parametrize("pattern", PATTERNS)
def test_patterns(lean, pattern, k):
    assert_right(lean, PATTERNS[pattern], k)


@pytest.mark.parametrize("largest", [True, False])
@pytest.mark.parametrize("tactic", TopK.tactics)
@pytest.mark.parametrize("k", [1, 1024])
@pytest.mark.parametrize("pattern", PATTERNS)
def test_patterns_of_rows_that_are_sampled(lean, pattern, k, tactic, largest):
    rows = np.stack([PATTERNS[pattern][:70_001], PATTERNS[pattern][-70_001:]])
    assert_right(lean, rows, k, tactic, largest=largest)


@pytest.mark.parametrize("largest", [True, False])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("distinct", [40, 30_000])
@pytest.mark.parametrize(("size", "k"), [(1, 1), (32, 32), (257, 8), (1024, 32), (4095, 31)])
def test_short_rows(lean, size, k, distinct, dtype, largest):
    assert_right(lean, drawn((2051, size), dtype, distinct), k, largest=largest)


@pytest.mark.parametrize("largest", [True, False])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("distinct", [40, 30_000])
@pytest.mark.parametrize(("size", "k"), [(33, 33), (100, 60), (129, 128), (300, 100), (512, 512)])
def test_rows_that_a_warp_sorts(lean, size, k, distinct, dtype, largest):
    assert_right(lean, drawn((2051, size), dtype, distinct), k, largest=largest)


@pytest.mark.parametrize("largest", [True, False])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("distinct", [2, 40, 30_000])
@pytest.mark.parametrize(("size", "k"), [(513, 5), (892, 64), (1025, 100), (2048, 300)])
@pytest.mark.parametrize("rows", [2, 2051])
def test_rows_that_registers_hold(lean, rows, size, k, distinct, dtype, largest):
    assert_right(lean, drawn((rows, size), dtype, distinct), k, largest=largest)


@pytest.mark.parametrize("tactic", TopK.tactics)
@pytest.mark.parametrize(("axis", "k"), [(0, 900), (1, 5000), (-1, 3)])
def test_rows_that_are_not_contiguous(lean, axis, k, tactic):
    shape = [7, 5, 3]
    shape[axis] = 9001
    assert_right(lean, drawn(shape, np.float32, 500), k, tactic, axis=axis)


def test_many_rows_beyond_shared_memory(lean):
    assert_right(lean, drawn((300, 5001), np.float16, 1000), 4500)


@pytest.mark.slow
def test_all_of_many_elements(lean):
    assert_right(lean, drawn(5_000_001, np.int32, 1_000_000), 5_000_001)


def test_one_plan_for_short_and_long_rows(lean):
    """The workspace of the profile's maximum suffices for smaller shapes that are split more."""
    profile = Profile([(1, 9000), (1,)], [(8, 9000), (1,)], [(300, 30_000), (1,)], {"k": (5000,)})
    layer = build_layer(TopK(), profile, [float16, int64], flavour=lean)
    with layer.context() as context:
        memory = CupyMemory()
        for rows, size, k in (
            (300, 30_000, 5000),
            (1, 30_000, 5000),
            (263, 9000, 4096),
            (2, 9000, 7),
        ):
            arrays = [drawn((rows, size), np.float16, 3000), np.array([k])]
            got = context.enqueue(arrays, memory)
            assert_same_bits(TopK(), got, calls.run_reference(TopK(), arrays))
