import numpy as np
import pytest

from pluginkit.plugins.cholesky import Cholesky, launches
from pluginkit.testing import run_kernels
from tests.plugins.compilation import (
    QUICK,
    assert_few_compile,
    specialisations_of,
)


def on_machine(x, **attributes):
    run = run_kernels(Cholesky(**attributes), [x])
    assert not run.findings
    return run.outputs


def positive_definite(*shape):
    root = np.random.default_rng(2).normal(size=shape) / shape[-1] ** 0.5
    return (root @ root.mT + np.eye(shape[-1])).astype(np.float32)


@pytest.mark.parametrize("upper", [False, True])
@pytest.mark.parametrize("shape", [(3, 1, 1), (2, 3, 4, 4), (5, 7, 7), (33, 33)], ids=str)
def test_numpy_agrees(shape, upper):
    x = positive_definite(*shape)
    factor, info = on_machine(np.triu(x) if upper else np.tril(x), upper=upper)
    expected = np.linalg.cholesky(x.astype(np.float64))
    np.testing.assert_allclose(factor, expected.mT if upper else expected, rtol=1e-4, atol=1e-4)
    assert not info.any()


@pytest.mark.slow
@pytest.mark.parametrize(("size", "upper"), [(97, False), (163, True)])
def test_many_blocks_take_a_matrix_larger_than_shared_memory(size, upper):
    x = positive_definite(2, size, size)
    factor, info = on_machine(np.triu(x) if upper else np.tril(x), upper=upper)
    expected = np.linalg.cholesky(x.astype(np.float64))
    np.testing.assert_allclose(factor, expected.mT if upper else expected, rtol=1e-4, atol=1e-4)
    assert not info.any()


@pytest.mark.slow
def test_the_first_pivot_that_is_not_positive_may_be_in_a_later_panel():
    x = positive_definite(2, 101, 101)
    x[0, 70, 70], x[1, 99, 99] = -1, np.nan
    factor, info = on_machine(x)
    assert info.tolist() == [71, 100]
    for matrix, pivot in zip(factor, info, strict=True):
        assert np.isfinite(matrix[:, : pivot - 1]).all()
        assert np.isnan(np.tril(matrix)[pivot - 1 :, pivot - 1]).all()


@pytest.mark.slow
def test_one_block_takes_a_matrix_of_more_rows_than_panels_are_launched_for(monkeypatch):
    monkeypatch.setattr(launches, "_ROWS", (64,))
    x = positive_definite(1, 97, 97)
    factor, _ = on_machine(x)
    expected = np.linalg.cholesky(x.astype(np.float64))
    np.testing.assert_allclose(factor, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("size", [4, 35])
def test_the_first_pivot_that_is_not_positive_is_named(size):
    x = np.stack([np.eye(size, dtype=np.float32)] * 4)
    x[1, 1, 1], x[2, 2, 2], x[3, 3, 3] = 0, -1, np.nan
    factor, info = on_machine(x)
    assert info.tolist() == [0, 2, 3, 4]
    np.testing.assert_array_equal(factor[0], x[0])
    for bad, at in ((1, 1), (2, 2), (3, 3)):
        np.testing.assert_array_equal(factor[bad, :, :at], x[bad, :, :at])
        assert np.isnan(factor[bad, at:, at]).all()


def test_a_matrix_without_rows_is_positive_definite():
    factor, info = on_machine(np.zeros((2, 0, 0), np.float32))
    assert factor.shape == (2, 0, 0)
    assert info.tolist() == [0, 0]


def test_kernels_compile():
    assert_few_compile(specialisations_of([Cholesky()]), QUICK)
