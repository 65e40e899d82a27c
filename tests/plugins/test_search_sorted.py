import numpy as np
import pytest

from pluginkit import float32
from pluginkit.contract import calls
from pluginkit.errors import PluginkitError
from pluginkit.plugins.search_sorted import SearchSorted, launches
from pluginkit.testing import run_kernels
from tests.plugins.compilation import (
    QUICK,
    assert_few_compile,
    specialisations_of,
)


def on_machine(sequence, values, **attributes):
    run = run_kernels(SearchSorted(**attributes), [sequence, values])
    assert not run.findings
    return run.outputs[0]


def drawn(*shape):
    return (np.random.default_rng(sum(shape)).integers(-40, 40, shape) / 4).astype(np.float32)


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize(
    ("elements", "values"), [(1, 5), (1, 2100), (5, 2100), (50, 7), (50, 2100), (3000, 9)]
)
def test_numpy_agrees(elements, values, side):
    sequence, asked = np.sort(drawn(elements)), drawn(values)
    got = on_machine(sequence, asked, right=side == "right")
    np.testing.assert_array_equal(got, np.searchsorted(sequence, asked, side))
    assert got.dtype == np.int64


def test_denormals_differ_from_zero_and_each_other():
    got = on_machine(
        np.array([0, 1e-40, 2e-40, 1], np.float32), np.array([1e-40, 1e-38], np.float32)
    )
    assert got.tolist() == [1, 3]


@pytest.fixture
def few_are_plenty(monkeypatch):
    monkeypatch.setattr(launches, "_PLENTY", 0)


@pytest.mark.usefixtures("few_are_plenty")
@pytest.mark.parametrize("right", [False, True])
@pytest.mark.parametrize(
    ("elements", "values"), [((5,), (2100,)), ((50,), (1, 8193)), ((2, 100), (2, 2100))], ids=str
)
def test_a_tree_of_each_sequence(elements, values, right):
    sequence, asked = np.sort(drawn(*elements)), drawn(*values)
    asked.flat[::7] = np.nan
    got = on_machine(sequence, asked, right=right)
    expected = calls.run_reference(SearchSorted(right=right), [sequence, asked])[0]
    np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize(
    ("sequence", "values", "kernel", "threads", "items"),
    [
        ((1000,), (100,), "warp_kernel", 256, None),
        ((1000,), (8000,), "row_kernel", 256, 1),
        ((1000,), (1 << 20,), "tree_kernel", 1024, None),
        ((100_000,), (1 << 20,), "row_kernel", 256, 2),
        ((1 << 20,), (1_500_000,), "row_kernel", 256, 2),
        ((100_000,), (1 << 22,), "tree_kernel", 1024, None),
        ((16, 100_000), (16, 1 << 16), "tree_kernel", 1024, None),
        ((64, 100_000), (64, 1 << 12), "row_kernel", 1024, 1),  # fewer sequences at a time
        ((128, 100_000), (128, 1 << 11), "row_kernel", 256, 1),
        ((2048, 512), (2048, 512), "row_kernel", 256, 2),
    ],
    ids=str,
)
def test_the_kernel_is_chosen_by_the_number_of_values(sequence, values, kernel, threads, items):
    plugin = SearchSorted()
    inputs = calls.describe_inputs(plugin, [sequence, values], [float32, float32])
    (launch,) = calls.steps(plugin, inputs, calls.describe_outputs(plugin, inputs))
    assert launch.kernel is getattr(plugin, kernel)
    assert launch.block == threads
    assert launch.constants.get("ITEMS") == items


@pytest.mark.slow
@pytest.mark.usefixtures("few_are_plenty")
def test_a_tree_that_is_larger_than_shared_memory():
    sequence, asked = np.sort(drawn(9000)), drawn(8200)
    np.testing.assert_array_equal(on_machine(sequence, asked), np.searchsorted(sequence, asked))


def test_each_row_has_its_sequence():
    sequences, asked = np.sort(drawn(4, 9)), drawn(4, 6)
    got = on_machine(sequences, asked, out_int32=True)
    expected = [np.searchsorted(*each) for each in zip(sequences, asked, strict=True)]
    np.testing.assert_array_equal(got, expected)
    assert got.dtype == np.int32


def test_larger_blocks_of_threads(monkeypatch):
    monkeypatch.setattr(launches, "_LARGE_BLOCKS", 0)
    monkeypatch.setattr(launches, "_LARGE_SHARE", 1000)
    sequences, asked = np.sort(drawn(2, 40)), drawn(2, 1100)
    expected = [np.searchsorted(*each) for each in zip(sequences, asked, strict=True)]
    np.testing.assert_array_equal(on_machine(sequences, asked), expected)


@pytest.mark.parametrize("right", [False, True])
def test_nan_belongs_behind_all(right):
    sequence = np.array([-np.inf, 0, np.inf], np.float32)
    got = on_machine(sequence, np.array([np.nan, np.inf, -np.inf], np.float32), right=right)
    assert got.tolist() == ([3, 3, 1] if right else [3, 2, 0])


def test_large_integers_are_compared_as_they_are():
    sequence = np.array([2**53, 2**53 + 1, 2**53 + 2])
    assert on_machine(sequence, sequence).tolist() == [0, 1, 2]


def test_sequences_and_values_have_one_batch():
    inputs = calls.describe_inputs(SearchSorted(), [(2, 3), (4, 3)], [float32, float32])
    with pytest.raises(PluginkitError, match="expected one sequence, or the same batch"):
        calls.check(SearchSorted(), inputs)


def test_kernels_compile():
    assert_few_compile(specialisations_of([SearchSorted()]), QUICK, 2)
