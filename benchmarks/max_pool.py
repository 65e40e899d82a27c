"""MaxPool with indices and torch's max_pool2d, on a GPU.

    python benchmarks/max_pool.py

which is ``pluginkit bench MaxPool --peers benchmarks/max_pool.py`` with the results written to
benchmarks/results. torch's indices count in a plane, so that they are not compared; torch.compile,
which leaves out what is not read, has to count them in all of X.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from random import Random
from typing import Any

from drawn_sizes import size, sizes
from peers import bind_torch, compiled, run_bench

from pluginkit import float16, float32
from pluginkit.bench.workload import Peer, Workload
from pluginkit.contract.tensors import DeviceTensor
from pluginkit.plugins.max_pool import MaxPool

#: The shape of X, and the attributes.
Case = tuple[tuple[int, ...], dict[str, Any]]
CASES: dict[str, Case] = {
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
HOSTILE: dict[str, Case] = {
    "3 x 3, step 1": ((8, 64, 112, 112), {"kernel_shape": (3, 3), "pads": (1,) * 4}),
    "odd 3 x 3": ((8, 64, 113, 113), {"kernel_shape": (3, 3), "strides": (2, 2)}),
    "dilated": ((8, 64, 64, 64), {"kernel_shape": (3, 3), "dilations": (2, 2)}),
    "7 x 7": ((8, 64, 112, 112), {"kernel_shape": (7, 7), "strides": (7, 7)}),
    "3 x 3 x 3": ((1, 16, 32, 64, 64), {"kernel_shape": (3, 3, 3), "pads": (1,) * 6}),
    "lines of 5": ((64, 128, 4096), {"kernel_shape": (5,), "pads": (2, 2)}),
    "gaps": ((8, 64, 120, 120), {"kernel_shape": (2, 2), "strides": (3, 3)}),
    "1 x 4": ((8, 64, 128, 128), {"kernel_shape": (1, 4), "strides": (1, 4)}),
    "few of 7 x 9": ((11, 2, 13, 32), {"kernel_shape": (7, 9), "strides": (1, 2)}),
    "few that overlap": (
        (1, 1, 272, 64),
        {"kernel_shape": (5, 9), "strides": (2, 1), "pads": (2, 0, 2, 0)},
    ),
    "few of 9 x 3": (
        (8, 1, 32, 60),
        {"kernel_shape": (9, 3), "strides": (9, 1), "pads": (4, 0, 4, 0)},
    ),
    "5 beside each other": ((1, 2800, 155, 9), {"kernel_shape": (4, 1), "strides": (1, 2)}),
    "planes of 7": ((256, 512, 7, 7), {"kernel_shape": (7, 7)}),
}


def drawn(rng: Random) -> Case:
    """Return planes of at most 2^23 elements together, and windows of at most 9 x 9."""
    height, width = size(rng, 9, 512), size(rng, 9, 512)
    batch, channels = sizes(rng, 2, 2**23 // (height * width))
    kernel = rng.randint(1, 9), rng.randint(1, 9)
    strides = tuple(rng.choice((1, 2, side)) for side in kernel)
    pads = tuple(rng.choice((0, side // 2)) for side in kernel)
    attributes = {"kernel_shape": kernel, "strides": strides, "pads": pads * 2}
    return (batch, channels, height, width), attributes


def workloads(cases: Mapping[str, Case] = CASES) -> Iterator[Workload]:
    """Yield every case in float32, and the first one in float16, too."""
    for case, (shape, attributes) in cases.items():
        for dtype in (float32, float16)[: 1 if case in CASES and case != "halves" else 2]:
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
    dilations = plugin.dilations or 1
    return lambda x: pool(x, plugin.kernel_shape, strides, pads, dilations, return_indices=True)


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
