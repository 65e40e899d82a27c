"""AddLayerNorm on a GPU, through the adapter, against float64."""

from __future__ import annotations

import numpy as np
import pytest

from pluginkit import FLOAT_TYPES, bfloat16, float16, float32
from pluginkit.checking.trt_double.driver import drive
from pluginkit.device.memory import CupyMemory
from pluginkit.plugins.add_layer_norm import AddLayerNorm

pytestmark = [pytest.mark.gpu, pytest.mark.trt]

#: Relative to max(1, y): what float32 loses to a mean that is twice the deviation; or one rounding.
ROUNDED_ONCE = {float32: 4e-6, float16: 5e-4, bfloat16: 4e-3}

#: What decides threads, vectors, what is kept in registers, and which blocks share a row.
SHAPES = {
    "rows of three": (1000, 3),
    "a warp": (131, 768),
    "a few rows": (3, 4096),
    "a block": (513, 4096),
    "odd block": (140, 5003),
    "all registers": (2, 32768),
    "shared": (2, 100_000),
    "odd, shared": (3, 100_003),
    "many, beyond registers": (130, 70_000),
    "many, odd, beyond registers": (130, 70_001),
}


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("dtype", FLOAT_TYPES, ids=repr)
def test_every_shape_agrees_with_float64(lean, name, dtype):
    shape = SHAPES[name]
    rng = np.random.default_rng(3)
    x, residual = ((1 + rng.normal(size=shape)).astype(dtype.numpy) for _ in range(2))
    weight, bias = rng.uniform(-2, 2, (2, shape[1])).astype(dtype.numpy)
    arrays = [x, residual, weight, bias]
    y, total = drive(AddLayerNorm(), arrays, interface="v3", flavour=lean, memory=CupyMemory())
    sums = (x.astype(np.float32) + residual.astype(np.float32)).astype(x.dtype)
    np.testing.assert_array_equal(total, sums)
    wide = sums.astype(np.float64)
    centred = wide - wide.mean(1, keepdims=True)
    expected = centred / np.sqrt(np.mean(centred**2, 1, keepdims=True) + 1e-5)
    expected = expected * weight.astype(np.float64) + bias.astype(np.float64)
    limit = ROUNDED_ONCE[dtype]
    np.testing.assert_allclose(y.astype(np.float64), expected, rtol=limit, atol=limit)
