"""RandomNumbers on a real GPU: what a seed promises, and what a run without one does."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from pluginkit.contract import calls
from pluginkit.device.run_kernels import run_kernels
from pluginkit.kernels.prepare import prepare
from pluginkit.plugins.random_numbers import RandomNumbers

pytestmark = pytest.mark.gpu

COUNT = 100_003
INPUTS = [np.float32([1, 0]), np.array([COUNT])]


@pytest.mark.parametrize("distribution", ["uniform", "normal"])
def test_seeded_numbers_are_those_of_the_reference(distribution):
    plugin = RandomNumbers(seed=11, distribution=distribution)
    (got,) = run_kernels(plugin, INPUTS)
    error = 0 if distribution == "uniform" else 1e-5
    np.testing.assert_allclose(got, plugin.reference(*INPUTS), rtol=error, atol=error)


def test_every_launch_of_a_captured_graph_gives_other_numbers():
    import cupy

    plugin = RandomNumbers()
    inputs = calls.describe_arrays(plugin, INPUTS)
    affine, y = cupy.asarray(INPUTS[0]), cupy.zeros(COUNT, cupy.float32)
    stream = cupy.cuda.Stream(non_blocking=True)
    cupy.cuda.Device().synchronize()
    prepared = prepare(plugin, inputs, calls.describe_outputs(plugin, inputs))
    stream.begin_capture()
    prepared.enqueue([affine.data.ptr], [y.data.ptr], 0, stream.ptr)
    graph = stream.end_capture()
    runs = []
    for _ in range(3):
        graph.launch(stream)
        stream.synchronize()
        runs.append(y.get())
    for one, other in itertools.combinations(runs, 2):
        # Equal numbers are Poisson, with a mean of COUNT / 2^24 < 0.006.
        assert (one == other).sum() < 4
