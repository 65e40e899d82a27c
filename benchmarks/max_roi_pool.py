"""MaxRoiPool and torchvision's roi_pool, on a GPU.

    python benchmarks/max_roi_pool.py

which is ``pluginkit bench MaxRoiPool --peers benchmarks/max_roi_pool.py`` with the results written
to benchmarks/results.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from random import Random
from typing import Any

from drawn_sizes import size, sizes
from peers import bind_torch, run_bench, torchvision_ops

from pluginkit import float16, float32
from pluginkit.bench.workload import Peer, Workload
from pluginkit.contract.tensors import DeviceTensor
from pluginkit.plugins.max_roi_pool import MaxRoiPool

#: X, regions, bins along an axis, and the largest side of a region in pixels.
Case = tuple[tuple[int, ...], int, int, int]
CASES: dict[str, Case] = {
    "box head": ((2, 256, 50, 68), 1000, 7, 30),
    "small regions": ((2, 256, 200, 336), 1000, 7, 7),
    "large regions": ((2, 64, 200, 336), 300, 7, 190),
    "whole images": ((8, 256, 100, 168), 8, 1, 100),
    "one region": ((1, 256, 50, 84), 1, 7, 30),
}
HOSTILE: dict[str, Case] = {
    "one channel": ((1, 1, 800, 800), 5000, 7, 300),
    "many channels": ((1, 2048, 25, 25), 300, 7, 20),
    "whole": ((1, 64, 400, 400), 100, 2, 400),
    "single bins": ((2, 256, 50, 68), 4000, 1, 5),
    "many bins of medium size": ((81, 48, 61, 17), 1320, 2, 17),
    "few tiny bins": ((546, 17, 9, 8), 344, 2, 4),
    "one channel of small images": ((1, 1, 23, 256), 3700, 2, 22),
}
#: Some regions of all images are small enough for the reference.
SAMPLE = (slice(0, 8),)


def drawn(rng: Random) -> Case:
    """Return images of at most 2^23 elements, 2^12 regions and 2^23 bins."""
    height, width = size(rng, 7, 512), size(rng, 7, 512)
    batch, channels = sizes(rng, 2, 2**23 // (height * width))
    bins = rng.randint(1, 14)
    regions = size(rng, 1, min(2**12, max(1, 2**23 // (channels * bins**2))))
    return (batch, channels, height, width), regions, bins, size(rng, 1, min(height, width))


def workloads(cases: Mapping[str, Case] = CASES) -> Iterator[Workload]:
    """Yield every case in two types."""
    for case, setting in cases.items():
        bins = setting[2]
        for dtype in (float32, float16):
            plugin = MaxRoiPool(pooled_shape=(bins, bins))
            yield Workload(case, "max", plugin, (dtype, dtype), _inputs(setting), SAMPLE)


def _inputs(setting: Case) -> Callable[[Any, int], list[Any]]:
    shape, regions, _, largest = setting

    def make(xp: Any, seed: int) -> list[Any]:
        rng = xp.random.default_rng(seed)
        x = rng.random(shape, dtype=xp.float32) * 2 - 1
        sides = xp.ceil(rng.random((regions, 2), dtype=xp.float32) * largest)
        room = xp.maximum(xp.array([shape[3], shape[2]], dtype=xp.float32) - sides, 0)
        low = xp.floor(rng.random((regions, 2), dtype=xp.float32) * room)
        images = (xp.arange(regions) % shape[0]).astype(xp.float32)
        return [x, xp.concatenate([images[:, None], low, low + sides - 1], axis=1)]

    return make


def _torchvision(plugin: Any, inputs: Sequence[DeviceTensor]) -> Callable[..., Any]:
    roi_pool = torchvision_ops().roi_pool
    return lambda x, rois: roi_pool(x, rois, plugin.pooled_shape, plugin.spatial_scale)


PEERS = (Peer("torchvision", bind_torch(_torchvision)),)


if __name__ == "__main__":
    raise SystemExit(run_bench(MaxRoiPool, __file__))
