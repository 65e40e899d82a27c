import numpy as np
import pytest

from pluginkit import Launch, Workspace, float32
from pluginkit.contract import calls
from pluginkit.contract.dtypes import dtype_from_numpy
from pluginkit.errors import PluginkitError
from pluginkit.plugins.cum_prod import CumProd, launches
from pluginkit.testing import run_kernels
from tests.plugins.compilation import (
    architectures,
    assert_kernels_compile,
    specialisations_of,
)


def on_machine(x, **attributes):
    run = run_kernels(CumProd(**attributes), [x])
    assert not run.findings
    return run.outputs[0]


def grids_of(x, **attributes):
    plugin = CumProd(**attributes)
    inputs = calls.describe_inputs(plugin, [x.shape], [dtype_from_numpy(x.dtype)])
    steps = calls.steps(plugin, inputs, calls.describe_outputs(plugin, inputs))
    return [step.grid for step in steps if isinstance(step, Launch)]


def launched(plugin, x):
    inputs = calls.describe_inputs(plugin, [x.shape], [dtype_from_numpy(x.dtype)])
    (step,) = calls.steps(plugin, inputs, calls.describe_outputs(plugin, inputs))
    return step.kernel.name


@pytest.mark.slow
@pytest.mark.parametrize(
    ("shape", "dtype"),
    [(shape, np.float32) for shape in [(1,), (33, 31), (129, 33), (2, 100), (2, 300)]]
    + [((129, 33), np.int64), ((2, 300), np.int32)],
    ids=str,
)
def test_products_are_numpys(shape, dtype):
    x = np.random.default_rng(1).choice([-1.0, 1.0, 2.0, 0.5], shape).astype(dtype)
    np.testing.assert_array_equal(on_machine(x), np.cumprod(x, axis=-1, dtype=dtype))
    np.testing.assert_array_equal(on_machine(x, axis=0), np.cumprod(x, axis=0, dtype=dtype))


@pytest.mark.parametrize("axis", [0, 1])
def test_products_from_the_end_without_the_element_itself(axis):
    x = np.arange(1, 13, dtype=np.int32).reshape(3, 4)
    got = on_machine(x, axis=axis, reverse=True, exclusive=True)
    for index in np.ndindex(3, 4):
        after = x[index[0] + 1 :, index[1]] if axis == 0 else x[index[0], index[1] + 1 :]
        assert got[index] == np.prod(after, dtype=np.int64)


@pytest.mark.parametrize(("many", "kernel"), [(2**16, "scan_parts"), (0, "cum_prod_of_columns")])
def test_columns_of_a_few_packs_are_shared_where_they_are_few(many, kernel, monkeypatch):
    monkeypatch.setattr(launches, "_MANY_SHORT", many)
    x = np.random.default_rng(1).choice([-1, 1, 2], (2, 20, 37)).astype(np.int32)
    run = run_kernels(CumProd(axis=1), [x])
    assert not run.findings
    np.testing.assert_array_equal(run.outputs[0], np.cumprod(x, axis=1, dtype=np.int32))
    assert kernel in launched(CumProd(axis=1), x)


@pytest.mark.parametrize(("size", "at_once"), [(3, 4), (8, 8), (9, 6), (12, 6), (13, 8), (17, 6)])
@pytest.mark.parametrize("reverse", [False, True])
def test_a_column_takes_as_few_elements_at_once_as_need_no_more_turns(
    size, at_once, reverse, monkeypatch
):
    monkeypatch.setattr(launches, "_MANY_SHORT", 0)
    x = np.random.default_rng(size).choice([-1, 1, 2], (2, size, 37)).astype(np.float32)
    plugin = CumProd(axis=1, reverse=reverse)
    inputs = calls.describe_inputs(plugin, [x.shape], [float32])
    (launch,) = calls.steps(plugin, inputs, calls.describe_outputs(plugin, inputs))
    assert launch.constants["AT_ONCE"] == at_once
    assert_exact(x, 1, reverse=reverse)


@pytest.mark.parametrize(("axis", "length"), [(0, 3), (1, 3), (0, 300), (1, 300), (1, 4100)])
def test_only_a_product_that_is_out_of_range_itself_is_infinite_or_zero(axis, length):
    x = np.ones((3, length), np.float32)
    x[0, :3], x[1, :3], x[2, :3] = (0, 1e30, 1e30), (1e30, 1e30, 1e-30), (1e-30, 1e-30, 1e30)
    y = on_machine(x if axis else x.T.copy(), axis=axis)
    with np.errstate(over="ignore"):
        expected = np.multiply.accumulate(x.astype(np.float64), axis=1).astype(np.float32)
    assert expected[:, 1].tolist() == [0, np.inf, 0]
    np.testing.assert_array_equal(y if axis else y.T, expected)


@pytest.mark.parametrize("length", [40, 300])
def test_half_precision_rounds_the_product_once(length):
    x = np.random.default_rng(1).choice([0.9, 1.1], (1, length)).astype(np.float16)
    products = np.multiply.accumulate(x.astype(np.float64), axis=1)
    np.testing.assert_allclose(on_machine(x), products, rtol=2**-11)


def assert_exact(x, axis, **attributes):
    """Check products that every order of multiplication rounds alike."""
    x[x == 0] = 1
    forwards = np.flip(x, axis) if attributes.get("reverse") else x
    expected = np.cumprod(forwards, axis, dtype=x.dtype)
    got = on_machine(x, axis=axis, **attributes)
    np.testing.assert_array_equal(
        np.flip(got, axis) if attributes.get("reverse") else got, expected
    )


@pytest.mark.slow
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize(
    ("shape", "axis", "dtype", "grids"),
    [
        ((300, 3), 0, np.int64, [(1, 4), (1, 4)]),
        ((300, 3), 0, np.float32, [(1, 4), (1, 4)]),
        ((2, 4096), 1, np.int64, [1, 4]),
        ((2, 4100), 1, np.int64, [1, 6]),
        ((2, 4096), 1, np.float32, [1, 4]),
        ((2, 4100), 1, np.float32, [1, 6]),
        ((2, 4100), 1, np.int32, [1, 6]),
    ],
)
def test_blocks_that_share_rows_begin_with_what_is_before_their_part(
    shape, axis, dtype, grids, reverse
):
    x = np.random.default_rng(1).choice([-1.0, 2.0, 0.5], shape).astype(dtype)
    assert grids_of(x, axis=axis, reverse=reverse) == grids
    assert_exact(x, axis, reverse=reverse)


@pytest.mark.slow
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize(
    ("dtype", "tiles"), [(np.float32, 2), (np.float16, 2), (np.int32, 2), (np.int64, 3)]
)
def test_rows_of_large_tiles_begin_anywhere(dtype, tiles, reverse, monkeypatch):
    monkeypatch.setattr(launches, "_MANY", 0)
    x = np.random.default_rng(1).choice([-1, 1, 3], (2, 9001)).astype(dtype)
    if np.issubdtype(dtype, np.floating):
        x = np.sign(x)
    assert grids_of(x) == [1, 2 * tiles]
    assert_exact(x, 1, reverse=reverse)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", [np.int32, np.int64])
def test_one_block_finds_what_is_before_each_of_many_tiles(dtype):
    x = np.random.default_rng(1).choice([-1, 1, 3], (1, 66 * 2048 + 3)).astype(dtype)
    assert grids_of(x) == [1, 68]
    run = run_kernels(CumProd(), [x], seed=1)
    assert not run.findings
    np.testing.assert_array_equal(run.outputs[0], np.cumprod(x, 1, dtype=dtype))


@pytest.mark.parametrize(
    ("axis", "fewer", "more"),
    [(1, (1, 10**5), (4096, 10**5)), (0, (10**5, 64), (10**5, 65536)), (1, (9, 10**5), (9, 10**6))],
)
def test_fewer_or_shorter_rows_fit_into_the_workspace_of_more(axis, fewer, more):
    plugin = CumProd(axis=axis)
    described, largest = (calls.describe_inputs(plugin, [x], [float32]) for x in (fewer, more))
    room = Workspace(calls.workspace_bytes(plugin, largest))
    assert calls.workspace_bytes(plugin, described) <= room.nbytes
    calls.steps_within(plugin, described, calls.describe_outputs(plugin, described), room)


@pytest.mark.parametrize("axis", [2, -3])
def test_an_axis_that_x_lacks_is_refused(axis):
    plugin = CumProd(axis=axis)
    with pytest.raises(PluginkitError, match=f"axis {axis} of 'x' is out of range"):
        calls.check(plugin, calls.describe_inputs(plugin, [(3, 4)], [float32]))


@pytest.mark.slow
@architectures
def test_kernels_compile(arch):
    assert_kernels_compile(specialisations_of([CumProd()]), arch)
