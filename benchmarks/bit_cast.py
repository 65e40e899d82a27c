"""BitCast and torch's copy of the same bits, on a GPU.

    python benchmarks/bit_cast.py

which is ``pluginkit bench BitCast --peers benchmarks/bit_cast.py`` with the results written to
benchmarks/results.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from random import Random
from typing import Any

from drawn_sizes import sizes
from peers import bind_torch, run_bench

from pluginkit import bfloat16, float16, float32, int32
from pluginkit.bench.workload import Peer, Workload
from pluginkit.contract.tensors import DeviceTensor
from pluginkit.plugins.bit_cast import BitCast

CASES = {"large": (4096, 16384), "odd rows": (4099, 4097), "small": (64, 1000), "one": (1,)}

HOSTILE = {
    "long odd": (3, 10_000_001),
    "tiny rows": (2**20, 3),
    "one odd vector": (16_777_213,),
    "rows of 601": (16_384, 601),
}


def drawn(rng: Random) -> tuple[int, ...]:
    """Return a shape of at most 2^25 elements."""
    return sizes(rng, rng.randint(1, 3), 2**25)


def workloads(cases: Mapping[str, tuple[int, ...]] = CASES) -> Iterator[Workload]:
    """Yield every case with words of 4 and of 2 bytes."""
    for case, shape in cases.items():
        for dtype, to in ((float32, int32), (float16, bfloat16)):
            plugin = BitCast(to=to.onnx)
            yield Workload(case, f"to {to.name}", plugin, (dtype,), _inputs(shape))


def _inputs(shape: tuple[int, ...]) -> Callable[[Any, int], list[Any]]:
    return lambda xp, seed: [xp.random.default_rng(seed).random(shape, dtype=xp.float32)]


def _torch(plugin: Any, inputs: Sequence[DeviceTensor]) -> Callable[..., Any]:
    import torch

    to = torch.int32 if plugin.to == int32.onnx else torch.bfloat16
    return lambda x: x.view(to).clone()


PEERS = (Peer("torch", bind_torch(_torch)),)


if __name__ == "__main__":
    raise SystemExit(run_bench(BitCast, __file__))
