"""ResizedArgMax, torch and a plain kernel, on a GPU.

    python benchmarks/resized_arg_max.py

which is ``pluginkit bench ResizedArgMax --peers benchmarks/resized_arg_max.py`` with the results
written to benchmarks/results.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from random import Random
from typing import Any

import numpy as np
from drawn_sizes import size
from peers import bind_torch, plain_kernel, run_bench

from pluginkit import Plugin, float32, int64
from pluginkit.bench.workload import Peer, TimedCall, Workload
from pluginkit.contract.tensors import DeviceTensor
from pluginkit.plugins.resized_arg_max import ResizedArgMax

#: Items, maps of an item, pixels of a map, and the least and largest height of a resized map, which
#: is half as wide. torchvision's Keypoint R-CNN has 17 maps of 56 x 56 for each person.
Case = tuple[int, int, tuple[int, int], int, int]
CASES: dict[str, Case] = {
    "a crowd": (100, 17, (56, 56), 40, 400),
    "ten people": (10, 17, (56, 56), 40, 400),
    "one person": (1, 17, (56, 56), 400, 400),
    "they shrink": (100, 17, (56, 56), 8, 30),
    "one large map": (1, 1, (56, 56), 1600, 1600),
    "maps beyond shared memory": (10, 17, (96, 72), 100, 400),
    "tiny maps": (200, 1, (8, 8), 8, 32),
}
HOSTILE: dict[str, Case] = {
    "many tiny": (1000, 17, (14, 14), 7, 9),
    "to one": (100, 17, (56, 56), 2, 3),
    "large": (1, 17, (56, 56), 1000, 1100),
    "long maps": (4, 5, (3, 900), 50, 100),
    "a few pixels": (4, 1, (16, 12), 3, 8),
    "few maps, of 1128 pixels": (2, 4, (24, 47), 8, 46),
    "few maps, to few pixels": (20, 1, (11, 72), 3, 8),
}
#: Some items are enough for the reference.
SAMPLE = (slice(0, 2),)


def drawn(rng: Random) -> Case:
    """Return at most 100 items of 20 maps of 100 x 100 pixels, and heights of at most 400."""
    pixels = size(rng, 2, 100), size(rng, 2, 100)
    least, largest = sorted((size(rng, 2, 400), size(rng, 2, 400)))
    return size(rng, 1, 100), size(rng, 1, 20), pixels, least, largest


def workloads(cases: Mapping[str, Case] = CASES) -> Iterator[Workload]:
    """Yield every case; what must be moved is little, for pixels are computed and not written."""
    for case, setting in cases.items():
        dtypes = (float32, int64, int64)
        yield Workload(case, "cubic", ResizedArgMax(), dtypes, _inputs(setting), SAMPLE)


def _inputs(setting: Case) -> Callable[[Any, int], list[Any]]:
    items, maps, pixels, least, largest = setting

    def make(xp: Any, seed: int) -> list[Any]:
        rng = xp.random.default_rng(seed)
        heights = rng.integers(least, largest + 1, items)
        drawn = rng.random((items, maps, *pixels), dtype=xp.float32)
        return [drawn, heights, heights // 2]

    return make


def _torch(plugin: Any, inputs: Sequence[DeviceTensor]) -> Callable[..., Any]:
    """Resize the maps of an item at a time, as their sizes differ; torch's Keys' a is -0.75."""
    import torch

    sizes = list(zip(inputs[1].torch().tolist(), inputs[2].torch().tolist(), strict=True))

    def largest_pixels(maps: Any, heights: Any, widths: Any) -> tuple[Any, Any]:
        places = []
        for item, to in zip(maps.split(1), sizes, strict=True):
            resized = torch.nn.functional.interpolate(item, size=to, mode="bicubic")
            places.append(resized.flatten(2).argmax(dim=2))
        place = torch.cat(places)
        return place // widths[:, None], place % widths[:, None]

    return largest_pixels


_PLAIN = """
__device__ float weight(float t, float a) {
    t = fabsf(t);
    return t <= 1 ? ((a + 2) * t - (a + 3)) * t * t + 1 : ((a * t - 5 * a) * t + 8 * a) * t - 4 * a;
}
__global__ void plain(long long* rows, long long* columns, float* found, const float* maps,
                      const long long* heights, const long long* widths, int count, int high,
                      int wide, float a) {
    __shared__ float best[1024];
    __shared__ int best_at[1024];
    const float* map = maps + (long long)blockIdx.x * high * wide;
    const int height = heights[blockIdx.x / count], width = widths[blockIdx.x / count];
    float largest = -1e30f;
    int at = 0;
    for (int i = threadIdx.x; i < height * width; i += blockDim.x) {
        const float y = (i / width + 0.5f) * high / height - 0.5f;
        const float x = (i % width + 0.5f) * wide / width - 0.5f;
        const int y0 = floorf(y), x0 = floorf(x);
        float sum = 0;
        for (int dy = -1; dy < 3; ++dy) {
            const float* row = map + min(max(y0 + dy, 0), high - 1) * wide;
            float of_row = 0;
            for (int dx = -1; dx < 3; ++dx)
                of_row += row[min(max(x0 + dx, 0), wide - 1)] * weight(x - (x0 + dx), a);
            sum += of_row * weight(y - (y0 + dy), a);
        }
        if (sum > largest) largest = sum, at = i;
    }
    best[threadIdx.x] = largest, best_at[threadIdx.x] = at;
    for (int step = blockDim.x / 2; step; step /= 2) {
        __syncthreads();
        if (threadIdx.x < step && best[threadIdx.x + step] > best[threadIdx.x])
            best[threadIdx.x] = best[threadIdx.x + step],
            best_at[threadIdx.x] = best_at[threadIdx.x + step];
    }
    if (threadIdx.x) return;
    rows[blockIdx.x] = best_at[0] / width;
    columns[blockIdx.x] = best_at[0] % width;
    found[blockIdx.x] = best[0];
}
"""


def _plain(
    plugin: Plugin, inputs: Sequence[DeviceTensor], outputs: Sequence[DeviceTensor]
) -> TimedCall:
    """Launch a block for each map, in which a thread computes each pixel from its 16."""
    kernel = plain_kernel(_PLAIN, "plain")
    items, count, height, width = inputs[0].shape
    pointers = [tensor.pointer for tensor in (*outputs, *inputs)]
    sizes = (np.int32(count), np.int32(height), np.int32(width), np.float32(-0.75))
    return lambda: kernel((items * count,), (1024,), (*pointers, *sizes))


PEERS = (Peer("torch", bind_torch(_torch)), Peer("plain kernel", _plain))


if __name__ == "__main__":
    raise SystemExit(run_bench(ResizedArgMax, __file__))
