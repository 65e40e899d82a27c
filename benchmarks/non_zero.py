"""NonZero, torch and cupy, on a GPU.

    python benchmarks/non_zero.py

which is ``pluginkit bench NonZero --peers benchmarks/non_zero.py`` with the results written to
benchmarks/results.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from math import prod
from random import Random
from typing import Any

from drawn_sizes import sizes
from peers import Function, bind_torch, run_bench

from pluginkit import Plugin, bool_, float16, float32, int64
from pluginkit.bench.workload import Peer, TimedCall, Workload
from pluginkit.contract.dtypes import DType
from pluginkit.contract.tensors import DeviceTensor
from pluginkit.plugins.non_zero import NonZero

#: The shape, the type, and the fraction of elements that are not zero.
Case = tuple[tuple[int, ...], DType, float]
CASES: dict[str, Case] = {
    "edges": ((4_000_000,), bool_, 0.9),
    "mask": ((8, 1024, 1024), bool_, 0.1),
    "sparse": ((4096, 4096), float32, 0.01),
    "half": ((4096, 4096), float32, 0.5),
    "half of float16": ((4096, 4096), float16, 0.5),
    "volume": ((4, 256, 256, 256), float32, 0.05),
    "small": ((2, 8400), bool_, 0.05),
}
HOSTILE: dict[str, Case] = {
    "none": ((2**24,), bool_, 0.0),
    "all": ((2**24,), bool_, 1.0),
    "rank 5": ((8, 16, 32, 64, 33), float32, 0.3),
    "one": ((1,), bool_, 1.0),
    "all of rank 2": ((4096, 4096), float32, 1.0),
}


def drawn(rng: Random) -> Case:
    """Return at most 2^25 elements, of which any share is not zero."""
    dtype, share = rng.choice((bool_, float16, float32)), rng.choice((rng.random(), 0.01))
    return sizes(rng, rng.randint(1, 4), 2**25), dtype, share


def workloads(cases: Mapping[str, Case] = CASES) -> Iterator[Workload]:
    """Yield every case; the bytes to move are those of x and of the resulting coordinates."""
    for case, (shape, dtype, share) in cases.items():
        found = share * prod(shape)
        nbytes = prod(shape) * dtype.itemsize + int(found) * len(shape) * int64.itemsize
        plugin, arrays = NonZero(), _inputs(shape, share)
        yield Workload(case, f"{share:.0%}", plugin, (dtype,), arrays, compulsory_bytes=nbytes)


def _inputs(shape: tuple[int, ...], share: float) -> Callable[[Any, int], list[Any]]:
    def make(xp: Any, seed: int) -> list[Any]:
        drawn = xp.random.default_rng(seed).random(shape, dtype=xp.float32)
        return [(drawn < share).astype(xp.float32)]

    return make


def _torch(plugin: NonZero, inputs: Sequence[DeviceTensor]) -> Function:
    import torch

    return lambda x: torch.nonzero(x).t().contiguous()


def _cupy(
    plugin: Plugin, inputs: Sequence[DeviceTensor], outputs: Sequence[DeviceTensor]
) -> TimedCall:
    import cupy

    x = inputs[0].cupy()
    return lambda: cupy.stack(cupy.nonzero(x))


PEERS = (Peer("torch", bind_torch(_torch)), Peer("cupy", _cupy))


if __name__ == "__main__":
    raise SystemExit(run_bench(NonZero, __file__))
