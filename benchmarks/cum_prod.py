"""CumProd and torch's cumprod, on a GPU.

    python benchmarks/cum_prod.py

which is ``pluginkit bench CumProd --peers benchmarks/cum_prod.py`` with the results written to
benchmarks/results. Factors are powers of two, so that products are exact in any order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from peers import bind_torch, run_bench

from pluginkit import float16, float32
from pluginkit.bench.workload import Peer, Workload
from pluginkit.contract.tensors import DeviceTensor
from pluginkit.plugins.cum_prod import CumProd

#: The shape of x and the axis.
CASES = {
    "rows": ((4096, 8192), 1),
    "short rows": ((262_144, 64), 1),
    "columns": ((512, 65_536), 0),
    "inside": ((64, 128, 1024), 1),
    "few long rows": ((8, 262_144), 1),
    "one vector": ((65_536,), 0),
}


def workloads() -> Iterator[Workload]:
    """Yield every case in two types."""
    for case, (shape, axis) in CASES.items():
        for dtype in (float32, float16):
            yield Workload(case, f"axis {axis}", CumProd(axis=axis), (dtype,), _inputs(shape))


def _inputs(shape: tuple[int, ...]) -> Callable[[Any, int], list[Any]]:
    def make(xp: Any, seed: int) -> list[Any]:
        signs = xp.random.default_rng(seed).integers(0, 2, shape, dtype=xp.int8)
        return [signs.astype(xp.float32) * 2 - 1]

    return make


def _torch(plugin: Any, inputs: Sequence[DeviceTensor]) -> Callable[..., Any]:
    import torch

    return lambda x: torch.cumprod(x, plugin.axis)


PEERS = (Peer("torch", bind_torch(_torch)),)


if __name__ == "__main__":
    raise SystemExit(run_bench(CumProd, __file__))
