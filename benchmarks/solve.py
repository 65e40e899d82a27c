"""Solve and torch.linalg, on a GPU.

    python benchmarks/solve.py

which is ``pluginkit bench Solve --peers benchmarks/solve.py`` with the results written to
benchmarks/results.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from drawn_matrices import CASES, HOSTILE, SAMPLE, draw, drawn
from peers import bind_torch, run_bench

from pluginkit import float32
from pluginkit.bench.workload import Peer, Workload
from pluginkit.contract.tensors import DeviceTensor
from pluginkit.plugins.solve import Solve

__all__ = ["CASES", "HOSTILE", "PEERS", "drawn", "workloads"]


def workloads(cases: Mapping[str, tuple[int, int, int]] = CASES) -> Iterator[Workload]:
    """Yield every case in float32, the only type of the peer."""
    for case, shape in cases.items():
        yield Workload(
            case, "four right sides", Solve(), (float32, float32), draw(shape, columns=4), SAMPLE
        )


def _torch(plugin: Any, inputs: Sequence[DeviceTensor]) -> Callable[..., Any]:
    import torch

    return lambda matrices, sides: torch.linalg.solve(matrices, sides).contiguous()


PEERS = (Peer("torch", bind_torch(_torch)),)


if __name__ == "__main__":
    raise SystemExit(run_bench(Solve, __file__))
