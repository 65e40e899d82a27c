"""Col2Im and torch's fold, on a GPU.

    python benchmarks/col2im.py

which is ``pluginkit bench Col2Im --peers benchmarks/col2im.py`` with the results written to
benchmarks/results.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from math import prod
from random import Random
from typing import Any

from drawn_sizes import size
from peers import bind_torch, run_bench

from pluginkit import float16, float32
from pluginkit.bench.workload import Peer, Workload
from pluginkit.contract.tensors import DeviceTensor
from pluginkit.plugins.col2im import Col2Im
from pluginkit.plugins.col2im.blocks import blocks_of

#: Images, channels, and the attributes.
Case = tuple[int, int, dict[str, Any]]
CASES: dict[str, Case] = {
    "3 x 3": (8, 64, {"image_shape": (130, 130), "block_shape": (3, 3)}),
    "patches": (8, 3, {"image_shape": (512, 512), "block_shape": (16, 16), "strides": (16, 16)}),
    "half overlap": (8, 3, {"image_shape": (512, 512), "block_shape": (16, 16), "strides": (8, 8)}),
    "7 x 7": (2, 16, {"image_shape": (134, 134), "block_shape": (7, 7)}),
    "one small image": (1, 8, {"image_shape": (14, 14), "block_shape": (3, 3)}),
}
HOSTILE: dict[str, Case] = {
    "31 x 31": (1, 8, {"image_shape": (64, 64), "block_shape": (31, 31)}),
    "2 x 2": (1, 1, {"image_shape": (1025, 1025), "block_shape": (2, 2)}),
    "1 x 1": (8, 64, {"image_shape": (128, 128), "block_shape": (1, 1)}),
    "gaps": (8, 16, {"image_shape": (200, 200), "block_shape": (2, 2), "strides": (3, 3)}),
    "odd patches": (
        8,
        3,
        {"image_shape": (224, 224), "block_shape": (14, 14), "strides": (14, 14)},
    ),
    "steps of 2": (8, 64, {"image_shape": (113, 113), "block_shape": (3, 3), "strides": (2, 2)}),
}


def drawn(rng: Random) -> Case:
    """Return images of at most 256 x 256 pixels, in blocks of at most 12 x 12."""
    image = size(rng, 12, 256), size(rng, 12, 256)
    block = size(rng, 1, 12), size(rng, 1, 12)
    strides = size(rng, 1, 2 * block[0]), size(rng, 1, 2 * block[1])
    blocks = prod(
        (full - part) // step + 1 for full, part, step in zip(image, block, strides, strict=True)
    )
    most = max(1, 2**24 // (blocks * prod(block)))
    images = size(rng, 1, min(16, most))
    attributes = {"image_shape": image, "block_shape": block, "strides": strides}
    return images, size(rng, 1, min(256, most // images)), attributes


def workloads(cases: Mapping[str, Case] = CASES) -> Iterator[Workload]:
    """Yield every case in two types."""
    for case, (images, channels, attributes) in cases.items():
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
