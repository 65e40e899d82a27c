import numpy as np
import pytest

from pluginkit import float32
from pluginkit.contract import calls
from pluginkit.errors import PluginkitError
from pluginkit.plugins._cuda import elimination, panels
from pluginkit.plugins.det import Det
from pluginkit.plugins.inverse import Inverse
from pluginkit.plugins.solve import Solve
from pluginkit.testing import run_kernels
from tests.plugins.compilation import (
    assert_few_compile,
    specialisations_of,
)


def matrices(*shape):
    rng = np.random.default_rng(3)
    return (rng.normal(size=shape) + 2 * np.eye(shape[-1])).astype(np.float32)


def on_machine(plugin, *inputs):
    run = run_kernels(plugin, list(inputs))
    assert not run.findings
    return run.outputs[0]


@pytest.mark.parametrize(
    "shape", [(3, 1, 1), (5, 3, 3), (2, 2, 4, 4), (3, 9, 9), (33, 33)], ids=str
)
def test_numpy_agrees(shape):
    a = matrices(*shape)
    b = np.random.default_rng(4).normal(size=(*shape[:-1], 2)).astype(np.float32)
    exact = a.astype(np.float64)
    close = {"rtol": 2e-4, "atol": 2e-4}
    np.testing.assert_allclose(on_machine(Det(), a), np.linalg.det(exact), **close)
    np.testing.assert_allclose(on_machine(Inverse(), a), np.linalg.inv(exact), **close)
    np.testing.assert_allclose(on_machine(Solve(), a, b), np.linalg.solve(exact, b), **close)


@pytest.mark.parametrize("size", [9, 33])
def test_few_right_sides_are_eliminated_beside_rows(size):
    """They are in registers, with the results of more, of which threads have a column each."""
    a = matrices(2, size, size)
    b = np.random.default_rng(4).normal(size=(2, size, 5)).astype(np.float32)
    inputs = calls.describe_inputs(Solve(), [a.shape, (2, size, 4)], [float32] * 2)
    (launch,) = calls.steps(Solve(), inputs, calls.describe_outputs(Solve(), inputs))
    assert launch.constants["RIGHTS"] == 4
    few = on_machine(Solve(), a, np.ascontiguousarray(b[..., :4]))
    np.testing.assert_array_equal(few, on_machine(Solve(), a, b)[..., :4])
    np.testing.assert_array_equal(few, elimination.eliminate(a, b[..., :4])[1])


def test_more_right_sides_than_threads_are_solved_in_turns():
    """Beyond 32 rows a block keeps columns in registers, 64 of them here, and then the others."""
    assert_as_reference(37, 67)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("size", "columns", "kept"),
    [
        (65, 67, (1, 16)),
        (139, 3, (2, 16)),
        (160, 17, (4, 16)),
        (70, 67, (8, 8)),
        (69, 2, (16, 4)),
    ],
)
def test_large_matrices_are_eliminated_as_in_numpy(size, columns, kept, monkeypatch):
    """Up to 128 rows, here up to 32, are in registers; of larger matrices panels of columns are."""
    monkeypatch.setattr(elimination, "_OF_ROWS", (8, 16, 32))
    monkeypatch.setattr(panels, "_KEPT", {256: kept})
    monkeypatch.setattr(panels, "_FUSED", 256 if kept[0] < 4 else 0)
    monkeypatch.setattr(panels, "_SHARED_BYTES", 2**16 if kept[0] < 4 else 0)
    assert_as_reference(size, columns)


def test_the_largest_matrices_are_eliminated_as_in_numpy(monkeypatch):
    """Beyond 16384 rows, here beyond 8, a block takes a matrix."""
    monkeypatch.setattr(elimination, "_OF_ROWS", (8,) * 2)
    monkeypatch.setattr(elimination, "MOST_ROWS", 8)
    assert_as_reference(37, 3)


@pytest.mark.parametrize(("rows", "count"), [(1024, 64), (4096, 447), (16384, 1983)])
def test_many_blocks_take_a_matrix_of_many_rows(rows, count):
    """Each panel has a launch, and one of more than 1024 rows another that updates it."""
    (matrix,) = calls.describe_inputs(Det(), [(1, rows, rows)], [float32])
    (determinant,) = calls.describe_outputs(Det(), [matrix])
    _, *launches = Det().launches(matrix, determinant, None)
    assert {launch.kernel for launch in launches} == {Det().eliminate_panels}
    assert len(launches) == count


@pytest.mark.parametrize(("rows", "narrow"), [(2048, 0), (2049, 63), (2561, 127), (3073, 255)])
def test_few_panels_of_a_matrix_beyond_2048_rows_are_in_strips(rows, narrow):
    """They are those with more rows than 2048, counted from the next number of launched panels."""
    (matrix,) = calls.describe_inputs(Det(), [(1, rows, rows)], [float32])
    (determinant,) = calls.describe_outputs(Det(), [matrix])
    _, *launches = Det().launches(matrix, determinant, None)
    assert sum(launch.constants["KEPT"] == "8, 8" for launch in launches) == narrow


def assert_as_reference(size, columns):
    """Every operation is rounded as numpy does, in one order: the results are the same."""
    a = matrices(size, size)[None] / np.float32(size**0.5)  # determinants are in float32's range
    b = np.random.default_rng(4).normal(size=(1, size, columns)).astype(np.float32)
    det, (_, solution) = elimination.eliminate(a)[0], elimination.eliminate(a, b)
    assert np.isfinite(det).all()
    np.testing.assert_array_equal(on_machine(Det(), a), det)
    np.testing.assert_array_equal(on_machine(Solve(), a, b), solution)


@pytest.mark.parametrize("size", [2, 3, 5])
def test_a_row_below_may_be_the_pivot(size):
    """Without pivots the first division would be by zero."""
    a = np.roll(np.eye(size, dtype=np.float32), 1, axis=0)[None]
    assert on_machine(Det(), a).tolist() == [(-1) ** (size - 1)]
    np.testing.assert_array_equal(on_machine(Inverse(), a)[0], a[0].T)


@pytest.mark.parametrize("size", [2, 3, 6])
def test_a_singular_matrix_has_determinant_zero_and_no_finite_inverse(size):
    a = np.ones((1, size, size), np.float32)
    assert on_machine(Det(), a).tolist() == [0]
    assert not np.isfinite(on_machine(Inverse(), a)).all()


def test_a_matrix_without_rows_has_determinant_one():
    assert calls.run_reference(Det(), [np.zeros((2, 0, 0), np.float32)])[0].tolist() == [1, 1]
    assert on_machine(Det(), np.zeros((2, 0, 0), np.float32)).tolist() == [1, 1]


def test_solve_wants_one_batch():
    inputs = calls.describe_inputs(Solve(), [(2, 3, 3), (4, 3, 1)], [float32, float32])
    with pytest.raises(PluginkitError, match="expected the same batch"):
        calls.check(Solve(), inputs)


@pytest.mark.parametrize("plugin", [Det, Inverse, Solve])
def test_kernels_compile(plugin):
    assert_few_compile(specialisations_of([plugin()]), "75")
