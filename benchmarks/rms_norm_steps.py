"""AddRMSNorm in a decoding step: one row or few, and torch and Triton, on a GPU.

    python benchmarks/rms_norm_steps.py

which is ``pluginkit bench AddRMSNorm --peers benchmarks/rms_norm_steps.py`` with the results
written to benchmarks/results. The peers are those of rms_norm.py.
"""

from __future__ import annotations

from collections.abc import Iterator

import rms_norm
from peers import run_bench

from pluginkit import float16, float32
from pluginkit.bench.workload import Workload
from pluginkit.plugins.add_rms_norm import AddRMSNorm

#: The sequences, and the size of a token.
CASES = {"one row": (1, 4096), "one long row": (1, 16384), "eight rows": (8, 4096)}
PEERS = rms_norm.PEERS


def workloads() -> Iterator[Workload]:
    """Yield every case in both types, with a weight of the same type."""
    for case, shape in CASES.items():
        for dtype in (float16, float32):
            types, arrays = (dtype, dtype, dtype), rms_norm.inputs_of(shape)
            yield Workload(case, f"{dtype.name} weight", AddRMSNorm(), types, arrays)


if __name__ == "__main__":
    raise SystemExit(run_bench(AddRMSNorm, __file__))
