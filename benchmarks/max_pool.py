"""MaxPool with indices and torch's max_pool2d, on a GPU.

    python benchmarks/max_pool.py

which is ``pluginkit bench MaxPool --peers benchmarks/max_pool.py`` with the results written to
benchmarks/results. torch's indices count in a plane, so that they are not compared; torch.compile,
which leaves out what is not read, has to count them in all of X.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from peers import bind_torch, compiled, run_bench

from pluginkit import float16, float32
from pluginkit.bench.workload import Peer, Workload
from pluginkit.contract.tensors import DeviceTensor
from pluginkit.plugins.max_pool import MaxPool

#: The shape of X, and the attributes.
CASES: dict[str, tuple[tuple[int, ...], dict[str, Any]]] = {
    "halves": ((8, 64, 128, 128), {"kernel_shape": (2, 2), "strides": (2, 2)}),
    "3 x 3": (
        (8, 64, 112, 112),
        {"kernel_shape": (3, 3), "strides": (2, 2), "pads": (1, 1, 1, 1)},
    ),
    "overlapping": ((8, 64, 64, 64), {"kernel_shape": (5, 5), "pads": (2, 2, 2, 2)}),
    "odd sizes": ((8, 64, 127, 131), {"kernel_shape": (2, 2), "strides": (2, 2)}),
    "whole planes": ((32, 64, 56, 56), {"kernel_shape": (56, 56)}),
    "odd planes": ((32, 64, 57, 57), {"kernel_shape": (57, 57)}),
    "pyramid": ((1, 512, 20, 20), {"kernel_shape": (13, 13), "pads": (6, 6, 6, 6)}),
    "one channel": ((1, 1, 2048, 2048), {"kernel_shape": (2, 2), "strides": (2, 2)}),
    "one small image": ((1, 64, 32, 32), {"kernel_shape": (2, 2), "strides": (2, 2)}),
    "volumes": ((2, 32, 32, 64, 64), {"kernel_shape": (2, 2, 2), "strides": (2, 2, 2)}),
    "lines": ((64, 128, 4096), {"kernel_shape": (4,), "strides": (4,)}),
}


def workloads() -> Iterator[Workload]:
    """Yield every case in float32, and the first one in float16, too."""
    for case, (shape, attributes) in CASES.items():
        for dtype in (float32, float16)[: 2 if case == "halves" else 1]:
            first = (slice(1), slice(4))
            sample = {"X": first, "Y": first, "Indices": first}
            plugin = MaxPool(**attributes)
            yield Workload(case, "max", plugin, (dtype,), _inputs(shape), sample)


def _inputs(shape: tuple[int, ...]) -> Callable[[Any, int], list[Any]]:
    return lambda xp, seed: [xp.random.default_rng(seed).random(shape, dtype=xp.float32) - 0.5]


def _pool(plugin: Any) -> Callable[[Any], tuple[Any, Any]]:
    import torch

    rank = len(plugin.kernel_shape)
    pool = getattr(torch.nn.functional, f"max_pool{rank}d")
    strides, pads = plugin.strides or 1, (plugin.pads or (0,) * rank)[:rank]
    return lambda x: pool(x, plugin.kernel_shape, strides, pads, return_indices=True)


def _torch(plugin: Any, inputs: Sequence[DeviceTensor]) -> Callable[..., Any]:
    pool = _pool(plugin)
    return lambda x: pool(x)[:1]


def _torch_with_planes(plugin: Any, inputs: Sequence[DeviceTensor]) -> Callable[..., Any]:
    import torch

    pool = _pool(plugin)

    def run(x: Any) -> Any:
        y, indices = pool(x)
        planes = torch.arange(x.shape[0] * x.shape[1], device=x.device)
        planes = planes.reshape(*x.shape[:2], *[1] * (x.ndim - 2))
        return y, indices + planes * x[0, 0].numel()

    return run


PEERS = (
    Peer("torch", bind_torch(_torch)),
    Peer("torch.compile", bind_torch(compiled(_torch_with_planes))),
)


if __name__ == "__main__":
    raise SystemExit(run_bench(MaxPool, __file__))
