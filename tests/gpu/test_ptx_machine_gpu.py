"""The PTX machine computes what the GPU does: every shipped plugin in every case and type.

The machine takes a thousand times as long.
"""

import numpy as np
import pytest

from pluginkit.checking.debug_taps import differing
from pluginkit.checking.plugin_under_test import Subject
from pluginkit.device.ptx_device import PtxDevice
from pluginkit.device.ptx_run import run_on
from pluginkit.device.run_kernels import run_kernels
from pluginkit.discovery import find_plugins

SHIPPED = [one for one in find_plugins().values() if one.__module__.startswith("pluginkit.")]


@pytest.mark.gpu
@pytest.mark.slow
@pytest.mark.parametrize("plugin", SHIPPED, ids=lambda one: one.__name__)
def test_the_machine_computes_what_the_gpu_does(plugin) -> None:
    outputs = equal = 0
    for call in Subject(plugin).calls("cover"):
        run = run_on(PtxDevice(), call.plugin, call.arrays)
        assert run.findings == [], call.label
        expected = run_kernels(call.plugin, call.arrays)
        for port, got, wanted in zip(plugin.spec.outputs, run.outputs, expected, strict=True):
            assert got.shape == wanted.shape, f"{call.label}: {port.name}"
            assert not differing(call.plugin, got, wanted).any(), f"{call.label}: {port.name}"
            is_equal = got.tobytes() == wanted.tobytes()
            if np.issubdtype(got.dtype, np.integer):
                assert is_equal, f"{call.label}: {port.name}"
            outputs, equal = outputs + 1, equal + is_equal
    print(f"{plugin.__name__}: {equal} of {outputs} outputs are equal in every bit")  # noqa: T201
    assert outputs > 0
