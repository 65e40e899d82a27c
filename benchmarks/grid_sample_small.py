"""GridSample of small inputs, and torch, on a GPU.

    python benchmarks/grid_sample_small.py

which is ``pluginkit bench GridSample --peers benchmarks/grid_sample_small.py`` with the results
written to benchmarks/results. The peers are those of grid_sample.py.
"""

from __future__ import annotations

from collections.abc import Iterator

import grid_sample
from peers import run_bench

from pluginkit import float16, float32
from pluginkit.bench.workload import Workload
from pluginkit.plugins.grid_sample import GridSample

#: The shape of x, of which the output has the spatial sizes.
CASES = {"small": (2, 64, 32, 32), "smaller": (1, 16, 16, 16), "feature map": (1, 256, 64, 64)}
PEERS = grid_sample.PEERS


def workloads() -> Iterator[Workload]:
    """Yield every case in both types."""
    for case, shape in CASES.items():
        for dtype in (float32, float16):
            arrays = grid_sample.inputs_of(shape, shape[2:], "warped")
            yield Workload(case, "linear, zeros", GridSample(), (dtype, dtype), arrays)


if __name__ == "__main__":
    raise SystemExit(run_bench(GridSample, __file__))
