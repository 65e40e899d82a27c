"""Unique on a real GPU: tiles that hand on sums, several sorts, every type, order and axis."""

from __future__ import annotations

import numpy as np
import pytest

from pluginkit.checking.trt_double.driver import Profile, build_layer, drive
from pluginkit.contract import calls
from pluginkit.device.memory import CupyMemory
from pluginkit.plugins.unique import Unique
from tests.gpu.ordered import DTYPES, assert_same_bits, drawn, patterns

pytestmark = [pytest.mark.gpu, pytest.mark.trt]

PATTERNS = patterns(1_000_003) | {
    "one differs": np.repeat(np.arange(2, dtype=np.int8), [1_000_000, 1])
}


def assert_right(lean, x, axis=None, is_sorted=True):
    plugin = Unique(axis=axis, sorted=is_sorted)
    got = drive(plugin, [x], interface="v3", flavour=lean)
    assert_same_bits(plugin, got, calls.run_reference(plugin, [x]))


@pytest.mark.parametrize("is_sorted", [True, False])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("size", [1, 31, 4096, 4097, 5121, 5760, 5761, 8832, 8833, 300_001])
@pytest.mark.parametrize("distinct", [2, 300, 100_000])
def test_elements(lean, size, distinct, dtype, is_sorted):
    assert_right(lean, drawn(size, dtype, distinct), None, is_sorted)


@pytest.mark.parametrize("is_sorted", [True, False])
@pytest.mark.parametrize("pattern", PATTERNS)
def test_elements_in_patterns(lean, pattern, is_sorted):
    assert_right(lean, PATTERNS[pattern], None, is_sorted)


@pytest.mark.parametrize("share", [0.0, 0.9])
@pytest.mark.parametrize("last", [0, 999, 49_151, 49_152])
@pytest.mark.parametrize("dtype", [np.int32, np.int64])
def test_keys_that_are_close_or_just_not(lean, dtype, last, share):
    """`share`: how many elements have one value, as those of a warp have."""
    rng = np.random.default_rng(3)
    x = rng.integers(0, last + 1, 1_200_001)
    x[rng.random(len(x)) < share] = last // 2
    x[500_000:800_000].sort()
    x[-2:] = 0, last
    assert_right(lean, (x - 70_000).astype(dtype))


@pytest.mark.slow
@pytest.mark.parametrize("distinct", [1000, 30_000_000])
def test_many_elements(lean, distinct):
    x = np.random.default_rng(5).integers(0, distinct, 30_000_001, np.int32)
    got = drive(Unique(), [x], interface="v3", flavour=lean)
    expected = np.unique(x, True, True, True)
    for one, wanted in zip(got, expected, strict=False):
        np.testing.assert_array_equal(one, wanted)


@pytest.mark.parametrize("is_sorted", [True, False])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("shape", "axis"),
    [
        ((5, 7), 0),
        ((50_000, 3), 0),
        ((50_000, 4), 0),
        ((3, 50_000), 1),
        ((5000, 33), 0),
        ((3, 2000, 5), 1),
        ((70, 9, 31), 0),
        ((2, 3), 0),
        ((1, 100_000), 0),
        ((2, 1, 3, 2, 400, 1, 2, 2), 4),
        ((3, 1, 40), -1),
    ],
    ids=str,
)
def test_slices(lean, shape, axis, dtype, is_sorted):
    x = drawn(shape, dtype, 2)
    assert_right(lean, x, axis, is_sorted)


@pytest.mark.parametrize("dtype", [np.float32, np.int64, np.int8])
@pytest.mark.parametrize("elements", [2, 9, 100, 4097])
def test_slices_that_differ_in_their_last_element(lean, elements, dtype):
    x = drawn((300, elements), dtype, 90)
    x[:, :-1] = x[0, :-1]
    assert_right(lean, x, 0)
    assert_right(lean, x.T.copy(), 1, False)


@pytest.mark.parametrize(
    ("shape", "axis"), [((0,), None), ((3, 0), 0), ((3, 0), 1), ((0, 0), 0), ((), None)]
)
@pytest.mark.parametrize("dtype", [np.float32, np.int64])
def test_nothing_and_scalars(lean, shape, axis, dtype):
    assert_right(lean, np.ones(shape, dtype), axis)


@pytest.mark.parametrize("is_sorted", [True, False])
def test_one_context_takes_shapes_and_data_in_turn(lean, is_sorted):
    plugin = Unique(axis=0, sorted=is_sorted)
    profile = Profile([(1, 1)], [(1000, 3)], [(30_000, 5)])
    dtype = Unique.spec.inputs[0].dtypes[0]
    layer = build_layer(plugin, profile, [dtype], interface="v3", flavour=lean)
    memory = CupyMemory()
    with layer.context() as context:
        for seed, shape in enumerate([(30_000, 5), (1, 1), (9000, 2), (30_000, 5), (30_000, 5)]):
            x = np.random.default_rng(seed).integers(-3, 3, shape).astype(np.float32)
            got = context.enqueue([x], memory)
            assert_same_bits(plugin, got, calls.run_reference(plugin, [x]))
