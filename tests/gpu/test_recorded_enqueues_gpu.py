"""What kernels compute for shapes that are computed from recorded calls."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from pluginkit import Plugin
from pluginkit.checking.trt_double.driver import Profile, build_layer
from pluginkit.contract import calls
from pluginkit.contract.dtypes import dtype_from_numpy
from pluginkit.device.memory import CupyMemory
from pluginkit.kernels import recorded_enqueue
from pluginkit.plugins.add_rms_norm import AddRMSNorm
from pluginkit.plugins.grid_sample import GridSample
from pluginkit.plugins.non_zero import NonZero
from pluginkit.plugins.scatter_elements import ScatterElements
from pluginkit.plugins.top_k import TopK
from pluginkit.plugins.unique import Unique

pytestmark = [pytest.mark.gpu, pytest.mark.slow]

#: Sizes of one context, in order.
SIZES = (40, 3, 17, 64, 33, 1, 129, 500, 1024, 7, 300, 41)
RNG = np.random.default_rng(17)


def floats(*shape: int) -> np.ndarray:
    return RNG.uniform(-1, 1, shape).astype(np.float32)


def integers(most: int, *shape: int) -> np.ndarray:
    return RNG.integers(0, most, shape)


@pytest.mark.parametrize(
    ("plugin", "arrays_of"),
    [
        (AddRMSNorm(), lambda n: [floats(n, 96), floats(n, 96), floats(96)]),
        (GridSample(), lambda n: [floats(1, 4, n, 9), floats(1, n, 5, 2)]),
        (NonZero(), lambda n: [np.float32(integers(2, n, 6))]),
        (
            ScatterElements(reduction="max"),
            lambda n: [floats(100, 8), integers(100, n, 8), floats(n, 8)],
        ),
        (TopK(), lambda n: [floats(n, 300), np.array([5])]),
        (Unique(), lambda n: [np.int32(integers(50, n))]),
    ],
    ids=lambda one: type(one).__name__,
)
def test_new_sizes_are_computed_as_if_the_author_was_asked(
    plugin: Plugin, arrays_of: Callable[[int], list[Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorded_enqueue, "_by_kind", {})
    asked: list[object] = []
    launches = type(plugin).launches

    def noted(self: Any, *tensors: Any) -> Any:
        asked.append(tensors)
        return launches(self, *tensors)

    monkeypatch.setattr(type(plugin), "launches", noted)
    ends = [[array.shape for array in arrays_of(n)] for n in (1, 64, 1024)]
    first = arrays_of(64)
    profile = Profile(*ends, calls.shape_values_in(plugin, first))
    dtypes = [dtype_from_numpy(array.dtype) for array in first]
    layer = build_layer(plugin, profile, dtypes, flavour="tensorrt_lean")
    asked.clear()
    with layer.context() as context:
        for size in SIZES:
            arrays = arrays_of(size)
            outputs = context.enqueue(arrays, CupyMemory())
            expected = calls.run_reference(plugin, arrays)
            for output, right in zip(outputs, expected, strict=True):
                np.testing.assert_allclose(output, right, rtol=1e-5, atol=1e-5, err_msg=str(size))
    assert len(asked) < len(SIZES)
