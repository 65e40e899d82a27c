"""CumProd and torch's cumprod, on a GPU.

    python benchmarks/cum_prod.py

which is ``pluginkit bench CumProd --peers benchmarks/cum_prod.py`` with the results written to
benchmarks/results. Factors are 1 or -1, so that products are exact in any order, or as DRAWN says.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from random import Random
from typing import Any

from drawn_sizes import sizes
from peers import bind_torch, run_bench

from pluginkit import float16, float32
from pluginkit.bench.workload import Peer, Workload
from pluginkit.contract.tensors import DeviceTensor
from pluginkit.plugins.cum_prod import CumProd

#: The shape of x and the axis.
Case = tuple[tuple[int, ...], int]
CASES: dict[str, Case] = {
    "rows": ((4096, 8192), 1),
    "short rows": ((262_144, 64), 1),
    "columns": ((512, 65_536), 0),
    "inside": ((64, 128, 1024), 1),
    "few long rows": ((8, 262_144), 1),
    "one vector": ((65_536,), 0),
    "a vector of 2^20": ((1 << 20,), 0),
    "an odd vector": ((4_194_381,), 0),
    "one long vector": ((1 << 25,), 0),
    "odd rows": ((4096, 8191), 1),
    "few columns": ((100_000, 64), 0),
    "vanishing": ((4096, 8192), 1),
    "with zeros": ((4096, 8192), 1),
}
HOSTILE: dict[str, Case] = {
    "tiny rows": ((2**20, 3), 1),
    "single columns": ((2**20, 1), 1),
    "one deep": ((1, 2**22), 0),
    "three long": ((3, 2_000_003), 1),
    "columns of few": ((5, 1_000_003), 0),
    "inside, odd": ((33, 257, 129), 1),
    "one short vector": ((1000,), 0),
    "rows of 19": ((11, 536, 19), 2),
    "pairs of columns": ((3414, 56, 2), 1),
    "12 of each column": ((256, 12, 1597), 1),
}
#: What of the first axis is compared.
SAMPLE = (slice(65_536),)
#: What is made of ones of both signs and of numbers from 0 to 1.
DRAWN: dict[str, Callable[[Any, Any, Any], Any]] = {
    "vanishing": lambda xp, ones, numbers: numbers,
    "with zeros": lambda xp, ones, numbers: xp.where(numbers < 0.001, 0, ones),
}


def drawn(rng: Random) -> Case:
    """Return a shape of at most 2^24 elements, and any of its axes."""
    shape = sizes(rng, rng.randint(1, 3), 2**24)
    return shape, rng.randrange(len(shape))


def workloads(cases: Mapping[str, Case] = CASES) -> Iterator[Workload]:
    """Yield every case in two types."""
    for case, (shape, axis) in cases.items():
        for dtype in (float32, float16):
            plugin = CumProd(axis=axis)
            yield Workload(case, f"axis {axis}", plugin, (dtype,), _inputs(shape, case), SAMPLE)


def _inputs(shape: tuple[int, ...], case: str) -> Callable[[Any, int], list[Any]]:
    def make(xp: Any, seed: int) -> list[Any]:
        rng = xp.random.default_rng(seed)
        ones = rng.integers(0, 2, shape, dtype=xp.int8).astype(xp.float32) * 2 - 1
        if case in DRAWN:
            return [DRAWN[case](xp, ones, rng.random(shape, dtype=xp.float32))]
        return [ones]

    return make


def _torch(plugin: Any, inputs: Sequence[DeviceTensor]) -> Callable[..., Any]:
    import torch

    return lambda x: torch.cumprod(x, plugin.axis)


PEERS = (Peer("torch", bind_torch(_torch)),)


if __name__ == "__main__":
    raise SystemExit(run_bench(CumProd, __file__))
