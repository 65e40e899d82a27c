"""AddRMSNorm on a GPU, through the adapters, against float64."""

from __future__ import annotations

import numpy as np
import pytest

from pluginkit import FLOAT_TYPES, bfloat16, float16, float32
from pluginkit.checking.trt_double.driver import Profile, build_layer, drive
from pluginkit.contract.dtypes import dtype_from_numpy
from pluginkit.device.memory import CupyMemory
from pluginkit.plugins.add_rms_norm import AddRMSNorm

pytestmark = [pytest.mark.gpu, pytest.mark.trt]

#: Relative to the value: float32 sums and a division; or one rounding, or two with a weight's.
ROUNDED_ONCE = {float32: 2e-6, float16: 5e-4, bfloat16: 4e-3}
ROUNDED_TWICE = {float32: 2e-6, float16: 1e-3, bfloat16: 8e-3}

#: x, the first normalized axis: what decides threads, vectors and what is kept in registers.
SHAPES = {
    "one element": ((1, 1), -1),
    "rows of one": ((300, 1), -1),
    "rows of three": ((1000, 3), -1),
    "rows of a warp's part": ((999, 24), -1),
    "a warp": ((131, 128), -1),
    "odd": ((130, 333), -1),
    "words": ((130, 1002), -1),
    "a few rows": ((3, 4096), -1),
    "llama": ((513, 4096), -1),
    "not a power of two": ((200, 5120), -1),
    "odd block": ((140, 5003), -1),
    "all registers": ((2, 32768), -1),
    "beyond registers": ((2, 100_000), -1),
    "odd, beyond registers": ((2, 100_003), -1),
    "many, beyond registers": ((130, 70_000), -1),
    "many, odd, beyond registers": ((130, 70_001), -1),
    "two axes": ((5, 30, 6, 8), 2),
    "all axes": ((3, 4, 5), 0),
}


def arrays_of(name, dtype, weight_type, seed=3):
    shape, axis = SHAPES[name]
    rng = np.random.default_rng(seed)
    x, residual = (rng.normal(size=shape).astype(dtype.numpy) for _ in range(2))
    return x, residual, rng.uniform(-2, 2, shape[axis:]).astype(weight_type.numpy)


def exact(total, weight, epsilon=1e-5):
    """Compute in float64 from the sum."""
    rows = total.astype(np.float64).reshape(-1, weight.size)
    y = rows / np.sqrt(np.mean(rows * rows, 1, keepdims=True) + epsilon)
    return (y * weight.astype(np.float64).ravel()).reshape(total.shape)


def in_place(lean, plugin, arrays):
    """Return the outputs where the sum is in the residual's memory, as with TensorRT."""
    shapes = [array.shape for array in arrays]
    types = [dtype_from_numpy(array.dtype) for array in arrays]
    profile = Profile(shapes, shapes, shapes)
    layer = build_layer(plugin, profile, types, interface="v3", flavour=lean)
    x = arrays[0]
    with layer.context() as context:
        memory = CupyMemory()
        buffers = [memory.upload(array) for array in arrays]
        y = memory.empty(x.nbytes)
        pointers = [memory.pointer(buffer) for buffer in buffers]
        outputs = [memory.pointer(y), pointers[1]]
        workspace = memory.empty(max(layer.workspace_bytes, 1))
        scratch = memory.pointer(workspace)
        context.enqueue_pointers(shapes, pointers, outputs, scratch, memory.stream)
        found = [memory.download(buffer) for buffer in (y, buffers[1], buffers[0])]
    y, total, left = (np.frombuffer(each, x.dtype).reshape(x.shape) for each in found)
    np.testing.assert_array_equal(left, x)
    return y, total


def assert_right(got, arrays, dtype, weight_type):
    y, total = got
    x, residual, weight = arrays
    sums = (x.astype(np.float32) + residual.astype(np.float32)).astype(x.dtype)
    np.testing.assert_array_equal(total, sums)
    limits = ROUNDED_TWICE if dtype is weight_type else ROUNDED_ONCE
    np.testing.assert_allclose(
        y.astype(np.float64), exact(sums, weight), rtol=limits[dtype], atol=1e-7
    )


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("dtype", FLOAT_TYPES, ids=repr)
def test_every_shape_agrees_with_float64(lean, name, dtype):
    arrays = arrays_of(name, dtype, dtype)
    plugin = AddRMSNorm(axis=SHAPES[name][1])
    got = drive(plugin, arrays, interface="v3", flavour=lean, memory=CupyMemory())
    assert_right(got, arrays, dtype, dtype)


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("dtype", FLOAT_TYPES, ids=repr)
def test_in_place_gives_the_same(lean, name, dtype):
    arrays = arrays_of(name, dtype, dtype)
    plugin = AddRMSNorm(axis=SHAPES[name][1])
    apart = drive(plugin, arrays, interface="v3", flavour=lean, memory=CupyMemory())
    for one, other in zip(in_place(lean, plugin, arrays), apart, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("name", ["rows of three", "odd", "words", "llama", "beyond registers"])
@pytest.mark.parametrize("dtype", FLOAT_TYPES, ids=repr)
@pytest.mark.parametrize("weight_type", FLOAT_TYPES, ids=repr)
def test_a_weight_of_any_type(lean, name, dtype, weight_type):
    arrays = arrays_of(name, dtype, weight_type)
    got = drive(AddRMSNorm(), arrays, interface="v3", flavour=lean, memory=CupyMemory())
    assert_right(got, arrays, dtype, weight_type)


@pytest.mark.parametrize("name", ["rows of one", "odd", "llama", "two axes"])
def test_on_v2_the_sum_has_memory_of_its_own(lean, name):
    arrays = arrays_of(name, float16, float16)
    plugin = AddRMSNorm(axis=SHAPES[name][1])
    got = drive(plugin, arrays, interface="v2", flavour=lean, memory=CupyMemory())
    assert_right(got, arrays, float16, float16)


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("size", [3, 64, 4096])
def test_a_value_that_is_not_finite_spoils_its_row_alone(lean, value, size):
    x = np.ones((70, size), np.float16)
    x[33, 1] = value
    plugin, arrays = AddRMSNorm(), [x, np.zeros_like(x), np.ones(size, np.float16)]
    y, _ = drive(plugin, arrays, interface="v3", flavour=lean, memory=CupyMemory())
    expected, _ = plugin.reference(*arrays)
    np.testing.assert_allclose(y.astype(float), expected.astype(float), rtol=2e-3)
    assert np.isnan(y[33, 1])
    assert not np.isnan(np.delete(y, 33, 0).astype(float)).any()
