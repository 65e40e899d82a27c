import numpy as np
import pytest

from pluginkit import float32
from pluginkit.contract import calls
from pluginkit.errors import PluginkitError
from pluginkit.plugins.cum_prod import CumProd
from pluginkit.testing import run_kernels
from tests.plugins.compilation import architectures, assert_all_compile, specialisations_of


def on_machine(x, **attributes):
    run = run_kernels(CumProd(**attributes), [x])
    assert not run.findings
    return run.outputs[0]


@pytest.mark.parametrize("dtype", [np.float32, np.int64, np.int32])
@pytest.mark.parametrize("shape", [(1,), (33, 31), (129, 33), (2, 100)], ids=str)
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


@pytest.mark.parametrize("axis", [0, 1])
def test_zero_comes_before_what_would_overflow(axis):
    x = np.float32([[0, 1e30, 1e30], [1, 1, 1]])
    x = x if axis else x.T.copy()
    assert not np.isnan(on_machine(x, axis=axis)).any()


def test_half_precision_rounds_every_product():
    x = np.full((1, 40), 1.1, np.float16)
    np.testing.assert_array_equal(on_machine(x), np.cumprod(x, axis=1, dtype=np.float16))


@pytest.mark.parametrize("axis", [2, -3])
def test_an_axis_that_x_lacks_is_refused(axis):
    plugin = CumProd(axis=axis)
    with pytest.raises(PluginkitError, match=f"axis {axis} of 'x' is out of range"):
        calls.check(plugin, calls.describe_inputs(plugin, [(3, 4)], [float32]))


@architectures
def test_every_kernel_compiles(arch):
    assert_all_compile(specialisations_of([CumProd()]), arch)
