"""Col2Im and torch's fold, on a GPU.

    python benchmarks/col2im.py

which is ``pluginkit bench Col2Im --peers benchmarks/col2im.py`` with the results written to
benchmarks/results.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from math import prod
from typing import Any

from peers import bind_torch, run_bench

from pluginkit import float16, float32
from pluginkit.bench.workload import Peer, Workload
from pluginkit.contract.tensors import DeviceTensor
from pluginkit.plugins.col2im import Col2Im
from pluginkit.plugins.col2im.blocks import blocks_of

#: Images, channels, and the attributes.
CASES: dict[str, tuple[int, int, dict[str, Any]]] = {
    "3 x 3": (8, 64, {"image_shape": (130, 130), "block_shape": (3, 3)}),
    "patches": (8, 3, {"image_shape": (512, 512), "block_shape": (16, 16), "strides": (16, 16)}),
    "half overlap": (8, 3, {"image_shape": (512, 512), "block_shape": (16, 16), "strides": (8, 8)}),
    "7 x 7": (2, 16, {"image_shape": (134, 134), "block_shape": (7, 7)}),
    "one small image": (1, 8, {"image_shape": (14, 14), "block_shape": (3, 3)}),
}


def workloads() -> Iterator[Workload]:
    """Yield every case in two types."""
    for case, (images, channels, attributes) in CASES.items():
        for dtype in (float32, float16):
            plugin = Col2Im(**attributes)
            shape = images, channels * prod(plugin.block_shape), prod(blocks_of(plugin))
            yield Workload(case, "fold", plugin, (dtype,), _inputs(shape))


def _inputs(shape: tuple[int, ...]) -> Callable[[Any, int], list[Any]]:
    return lambda xp, seed: [xp.random.default_rng(seed).random(shape, dtype=xp.float32) - 0.5]


def _torch(plugin: Any, inputs: Sequence[DeviceTensor]) -> Callable[..., Any]:
    import torch

    fold = torch.nn.functional.fold
    return lambda x: fold(x, plugin.image_shape, plugin.block_shape, stride=plugin.strides)


PEERS = (Peer("torch", bind_torch(_torch)),)


if __name__ == "__main__":
    raise SystemExit(run_bench(Col2Im, __file__))
