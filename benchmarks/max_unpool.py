"""MaxUnpool and torch's max_unpool2d, on a GPU.

    python benchmarks/max_unpool.py

which is ``pluginkit bench MaxUnpool --peers benchmarks/max_unpool.py`` with the results written to
benchmarks/results. torch's indices count in a plane; they are made before the time is taken.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from math import prod
from random import Random
from typing import Any

from drawn_sizes import sizes
from peers import bind_torch, run_bench

from pluginkit import float16, float32, int64
from pluginkit.bench.workload import Peer, Workload
from pluginkit.contract.tensors import DeviceTensor
from pluginkit.plugins.max_unpool import MaxUnpool

#: The shape of X, and the sizes of a window, which lie side by side.
Case = tuple[tuple[int, ...], tuple[int, ...]]
CASES: dict[str, Case] = {
    "halves": ((8, 64, 64, 64), (2, 2)),
    "large": ((16, 64, 128, 128), (2, 2)),
    "3 x 3": ((8, 64, 37, 41), (3, 3)),
    "one channel": ((1, 1, 1024, 1024), (2, 2)),
    "one small image": ((1, 64, 16, 16), (2, 2)),
    "volumes": ((2, 32, 16, 32, 32), (2, 2, 2)),
    "anywhere": ((8, 64, 64, 64), (2, 2)),
}
HOSTILE: dict[str, Case] = {
    "lines of 4": ((64, 128, 1000), (4,)),
    "3 x 3 of odd": ((8, 64, 33, 35), (3, 3)),
    "16 x 16": ((8, 64, 16, 16), (16, 16)),
    "1 x 2": ((8, 64, 63, 65), (1, 2)),
}


def drawn(rng: Random) -> Case:
    """Return at most 2^20 elements, in windows of at most 5 x 5."""
    return sizes(rng, 4, 2**20), (rng.randint(1, 5), rng.randint(1, 5))


def workloads(cases: Mapping[str, Case] = CASES) -> Iterator[Workload]:
    """Yield every case in float32, and the first one in float16, too."""
    for case, setting in cases.items():
        window = setting[1]
        for dtype in (float32, float16)[: 1 if case in CASES and case != "halves" else 2]:
            plugin = MaxUnpool(kernel_shape=window, strides=window)
            yield Workload(case, "scatter", plugin, (dtype, int64), _inputs(setting, case))


def _inputs(setting: Case, case: str) -> Callable[[Any, int], list[Any]]:
    shape, window = setting
    batch, channels, *counts = shape
    sizes = [count * length for count, length in zip(counts, window, strict=True)]

    def make(xp: Any, seed: int) -> list[Any]:
        rng = xp.random.default_rng(seed)
        x = rng.random(shape, dtype=xp.float32) - 0.5
        planes = xp.arange(batch * channels).reshape(batch, channels, *[1] * len(sizes))
        if case == "anywhere":  # of its plane
            order = xp.random.permutation(prod(sizes))[: prod(counts)].reshape(counts)
            return [x, planes * prod(sizes) + order]
        index = planes
        for axis, (size, count, length) in enumerate(zip(sizes, counts, window, strict=True)):
            first = xp.arange(count).reshape(-1, *[1] * (len(sizes) - axis - 1)) * length
            within = (rng.random(shape, dtype=xp.float32) * length).astype(xp.int64)
            index = index * size + first + xp.minimum(within, length - 1)
        return [x, index]

    return make


def _unpool(rank: int, window: tuple[int, ...]) -> Callable[..., Any]:
    import torch

    unpool = getattr(torch.nn.functional, f"max_unpool{rank}d")
    return lambda x, within: unpool(x, within, window, window)


@cache
def _compiled(rank: int, window: tuple[int, ...]) -> Callable[..., Any]:
    import torch

    torch._dynamo.config.recompile_limit = 1000
    return torch.compile(_unpool(rank, window), dynamic=False)


def _bind(function: Callable[..., Any]) -> Callable[..., Any]:
    def make(plugin: Any, inputs: Sequence[DeviceTensor]) -> Callable[..., Any]:
        window = plugin.kernel_shape
        within = inputs[1].torch() % (prod(inputs[0].shape[2:]) * prod(window))
        unpool = function(len(window), window)
        return lambda x, _: unpool(x, within)

    return bind_torch(make)


PEERS = (Peer("torch", _bind(_unpool)), Peer("torch.compile", _bind(_compiled)))


if __name__ == "__main__":
    raise SystemExit(run_bench(MaxUnpool, __file__))
