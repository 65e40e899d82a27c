"""numba's simulator is chosen for a whole process, so most of this runs in one of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from pluginkit.device.numba_simulator import simulate
from pluginkit.errors import KernelError

SCRIPT = """
import runpy, sys
import numpy as np, ml_dtypes
from pluginkit import Copy, Input, Launch, NumbaKernel, Output, Plugin, float32, int32
from pluginkit.device.numba_simulator import simulate
from tests.unit.kernels.plugins import Stamp

(y,) = simulate(Stamp(), [np.zeros(9, np.float32)])
assert y.tolist() == [17, 27, 37] * 3, y
(y,) = simulate(Stamp(), [np.zeros(20, ml_dtypes.bfloat16)])
assert y[:16].tolist() == [17, 27, 37] * 5 + [17], y
assert (y[16:].view(np.uint8) == 0xA5).all(), "elements that no thread wrote keep the poison"

class Saxpy(Plugin):
    '''y = a x + x'''
    x = Input(float32)
    y = Output(float32)
    kernel = NumbaKernel("numba_kernels.py", "saxpy")
    def output_shapes(self, x):
        return x.shape
    def launches(self, x, y):
        return Copy(y, x), Launch(self.kernel, 3, 4, (x, y, 0.5, int32(x.size)))
    def reference(self, x):
        return x * 1.5

x = np.arange(11, dtype=np.float32)
(y,) = simulate(Saxpy(), [x])
assert np.array_equal(y, x * 1.5), y
(y,) = simulate(Saxpy(), [x[:0]])
assert y.shape == (0,)
print("simulated")
"""


def test_steps_run_on_arrays(tmp_path):
    here = Path(__file__).parent
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    (tmp_path / "numba_kernels.py").write_text((here / "numba_kernels.py").read_text())
    root = str(Path(__file__).parents[3])
    result = subprocess.run(
        [sys.executable, script],
        env=os.environ | {"NUMBA_ENABLE_CUDASIM": "1", "PYTHONPATH": root},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.stdout == "simulated\n", result.stderr


def test_simulator_that_is_off(stamp):
    with pytest.raises(KernelError, match="PK340 Stamp: numba's CUDA simulator is off"):
        simulate(stamp(), [np.zeros(9, np.float32)])


def test_cuda_kernel_cannot_be_simulated(combine):
    with pytest.raises(KernelError, match="PK341 Combine: kernel 'combine"):
        simulate(combine(), [np.zeros(9, np.float32)])
