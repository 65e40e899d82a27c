"""Rows of small vectors, of which each lane of a warp has one, of AddLayerNorm and AddRMSNorm."""

import ml_dtypes
import numpy as np
import pytest

from pluginkit.contract import calls
from pluginkit.contract.dtypes import dtype_from_numpy
from pluginkit.kernels.enqueue_steps import enqueue_steps
from pluginkit.plugins._cuda.add_norm_lanes import have_lanes
from pluginkit.plugins.add_layer_norm import AddLayerNorm
from pluginkit.plugins.add_rms_norm import AddRMSNorm
from pluginkit.testing import run_kernels

PLUGINS = pytest.mark.parametrize("plugin", [AddLayerNorm(), AddRMSNorm()], ids=["layer", "rms"])
TOLERANCES = {"float32": 5e-6, "float16": 4e-3, "bfloat16": 3e-2}


def arrays_of(plugin, shape, dtype, weight_type, mean=0.0):
    rng = np.random.default_rng(8)
    x, residual = ((mean + rng.normal(size=shape)).astype(dtype) for _ in range(2))
    weights = [rng.normal(size=shape[-1]).astype(weight_type) for _ in plugin.spec.inputs[2:]]
    return [x, residual, *weights]


def assert_agrees(plugin, arrays):
    run = run_kernels(plugin, arrays)
    assert not run.findings
    y, total = calls.run_reference(plugin, arrays)
    np.testing.assert_array_equal(run.outputs[1], total)
    y, got = y.astype(np.float32), run.outputs[0].astype(np.float32)
    tolerance = TOLERANCES[arrays[0].dtype.name]
    np.testing.assert_allclose(got, y, rtol=tolerance, atol=tolerance)
    return got


def launch_of(plugin, arrays):
    dtypes = [dtype_from_numpy(each.dtype) for each in arrays]
    inputs = calls.describe_inputs(plugin, [each.shape for each in arrays], dtypes)
    (launch,) = enqueue_steps(plugin, inputs, calls.describe_outputs(plugin, inputs)).launches
    return launch


@PLUGINS
@pytest.mark.parametrize(
    ("dtype", "weight_type", "inner", "lanes", "nbytes"),
    [
        *((np.float16, np.float16, 6, 4, 4), (np.float16, np.float32, 100, 32, 8)),
        *((np.float16, np.float32, 13, 16, 2), (np.float32, np.float32, 3, 4, 4)),
        *((np.float32, np.float32, 10, 8, 8), (np.float32, np.float32, 62, 32, 8)),
        (ml_dtypes.bfloat16, ml_dtypes.bfloat16, 44, 16, 8),
    ],
)
def test_rows_of_lanes(plugin, dtype, weight_type, inner, lanes, nbytes):
    """Vectors of all sizes, of which the last lanes have none, and rows that fill no block."""
    arrays = arrays_of(plugin, (133, inner), dtype, weight_type)
    launch = launch_of(plugin, arrays)
    assert launch.kernel is plugin.lane_kernel
    assert launch.constants == {"LANES": lanes, "BYTES": nbytes}
    assert_agrees(plugin, arrays)


@PLUGINS
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_value_that_is_not_finite_spoils_only_its_row(plugin, value):
    arrays = arrays_of(plugin, (130, 20), np.float16, np.float16)
    arrays[0][5, 19] = value
    with np.errstate(invalid="ignore"):
        got = assert_agrees(plugin, arrays)
    assert np.isnan(got[5, 19])
    assert np.isfinite(np.delete(got, 5, axis=0)).all()


@pytest.mark.parametrize("inner", [18, 60])
def test_a_large_mean_costs_no_digits(inner):
    arrays = arrays_of(AddLayerNorm(), (130, inner), np.float32, np.float32, mean=500.0)
    arrays[1][:] = 0
    run = run_kernels(AddLayerNorm(), arrays)
    y, _ = calls.run_reference(AddLayerNorm(), arrays)
    np.testing.assert_allclose(run.outputs[0], y, rtol=1e-3, atol=1e-3)


def test_larger_vectors_more_of_them_and_more_elements_have_other_kernels():
    assert have_lanes(1000, 124, 2)
    assert not have_lanes(1000, 128, 2)
    assert not have_lanes(1000, 132, 2)
    assert not have_lanes(2**26, 36, 2)
