"""MultiScaleDeformableAttention, torch, Triton and a plain kernel, on a GPU.

    python benchmarks/multi_scale_deformable_attention.py

which is ``pluginkit bench MultiScaleDeformableAttention --peers
benchmarks/multi_scale_deformable_attention.py`` with the results written to benchmarks/results.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from random import Random
from typing import Any

import numpy as np
from drawn_sizes import size, sizes
from peers import Function, bind_torch, compiled, plain_kernel, run_bench, torch_on_stream_of

from pluginkit import Plugin, bfloat16, float16, float32, int64
from pluginkit.bench.workload import NotOffered, Peer, TimedCall, Workload
from pluginkit.contract.tensors import DeviceTensor
from pluginkit.plugins.multi_scale_deformable_attention import MultiScaleDeformableAttention

#: The levels of an image of 800 x 1333 pixels in Deformable DETR; of 640 x 640 in RT-DETR.
_DETR = ((100, 167), (50, 84), (25, 42), (13, 21))
_RT_DETR = ((80, 80), (40, 40), (20, 20))


@dataclass(frozen=True)
class Setting:
    """The sizes of a case and where its locations are.

    Attributes:
        kind: near (a few pixels around the query's own pixel), scattered (anywhere), outside (half
            of them are), or one (all at one pixel).
        queries: how many; None for one for each pixel.
    """

    kind: str
    items: int
    queries: int | None
    levels: tuple[tuple[int, ...], ...] = _DETR
    heads: int = 8
    channels: int = 32
    points: int = 4

    @property
    def pixels(self) -> int:
        """The pixels of all levels."""
        return sum(height * width for height, width in self.levels)


CASES = {
    "encoder": Setting("near", 4, None),
    "one image": Setting("near", 1, None),
    "decoder": Setting("scattered", 4, 900),
    "RT-DETR decoder": Setting("scattered", 1, 300, _RT_DETR),
    "scattered": Setting("scattered", 4, None),
    "one pixel": Setting("one", 4, None),
    "outside": Setting("outside", 4, None),
    "64 channels": Setting("near", 1, None, channels=64),
    "one point": Setting("near", 2, None, ((64, 64),), points=1),
    "bird's eye": Setting("near", 1, None, ((200, 200),)),
    "33 channels": Setting("near", 1, None, channels=33),
}
HOSTILE = {
    "one query": Setting("scattered", 1, 1),
    "one level": Setting("near", 2, None, levels=((64, 64),), points=1),
    "one head of 256": Setting("near", 1, None, heads=1, channels=256),
    "8 channels": Setting("near", 1, None, channels=8),
    "16 heads of 7": Setting("scattered", 2, 900, heads=16, channels=7),
    "15 heads of 17": Setting("near", 1, None, heads=15, channels=17),
    "16 heads of 13, one point": Setting("outside", 1, 4000, ((90, 90),), 16, 13, 1),
    "8 channels of few": Setting("outside", 4, 512, ((64, 64), (32, 32)), 5, 8, 3),
    "lines, mostly outside": Setting("near", 2, None, ((1, 4), (1602, 1)), 6, 22, 8),
}
#: The types of a case that is measured in others than float32.
TYPES = {
    "encoder": (float32, float16, bfloat16),
    "decoder": (float32, float16),
    "RT-DETR decoder": (float32, float16),
}
#: torch.compile takes seconds for each.
COMPILED = ("one image", "decoder")
#: Some queries are few enough for the reference.
_SOME = (slice(None), slice(0, 50))
SAMPLE = dict.fromkeys(("sampling_loc", "attn_weight", "output"), _SOME)


def drawn(rng: Random) -> Setting:
    """Return up to 5 levels of at most 2^13 pixels each, and at most 2^23 values."""
    levels = [sizes(rng, 2, 2**13) for _ in range(rng.randint(1, 5))]
    pixels = sum(height * width for height, width in levels)
    items, heads, channels = rng.randint(1, 4), size(rng, 1, 16), size(rng, 4, 64)
    kind = rng.choice(("near", "scattered", "outside"))
    most = max(1, 2**23 // (pixels * channels * heads))
    queries = None if kind == "near" else size(rng, 1, 4000)
    points = rng.randint(1, 8)
    return Setting(kind, min(items, most), queries, tuple(levels), heads, channels, points)


def workloads(cases: Mapping[str, Setting] = CASES) -> Iterator[Workload]:
    """Yield every case in its types."""
    for case, setting in cases.items():
        for dtype in TYPES.get(case, (float32,) if case in CASES else (float32, float16)):
            dtypes = (dtype, int64, int64, dtype, dtype)
            plugin = MultiScaleDeformableAttention()
            yield Workload(case, setting.kind, plugin, dtypes, _inputs(setting), SAMPLE)


def _inputs(setting: Setting) -> Callable[[Any, int], list[Any]]:
    def make(xp: Any, seed: int) -> list[Any]:
        rng = xp.random.default_rng(seed)
        sizes = np.array(setting.levels, np.int64)
        starts = np.cumsum([0, *sizes.prod(axis=1)[:-1]])
        queries = setting.queries or setting.pixels
        at = (setting.items, queries, setting.heads, len(sizes), setting.points)
        weight = rng.random(at, dtype=xp.float32)
        weight /= weight.sum(axis=(3, 4), keepdims=True)
        shape = (setting.items, setting.pixels, setting.heads, setting.channels)
        value = rng.random(shape, dtype=xp.float32)
        locations = _locations(xp, rng, setting, at)
        return [value * 2 - 1, xp.asarray(sizes), xp.asarray(starts), locations, weight]

    return make


def _locations(xp: Any, rng: Any, setting: Setting, at: tuple[int, ...]) -> Any:
    """Return locations in 1024ths, which are near to those in every type."""
    drawn = rng.random((*at, 2), dtype=xp.float32)
    if setting.kind == "one":
        return xp.full((*at, 2), 0.5, xp.float32)
    if setting.kind == "outside":
        return xp.rint((drawn * 2 - 0.5) * 1024) / 1024
    if setting.kind == "scattered":
        return xp.rint(drawn * 1024) / 1024
    centres = [
        xp.stack(xp.meshgrid(*(_centres(xp, size) for size in level[::-1])), -1).reshape(-1, 2)
        for level in setting.levels
    ]
    own = xp.concatenate(centres)[None, :, None, None, None]
    size = xp.asarray([level[::-1] for level in setting.levels], dtype=xp.float32)
    return xp.rint((own + (drawn - 0.5) * 8 / size[:, None]) * 1024) / 1024


def _centres(xp: Any, size: int) -> Any:
    return (xp.arange(size, dtype=xp.float32) + 0.5) / size


# Peers.


def _torch(plugin: Any, inputs: Sequence[DeviceTensor]) -> Function:
    """Return what transformers computes, with a grid_sample for each level."""
    from torch import stack
    from torch.nn.functional import grid_sample

    torch_on_stream_of(inputs)
    levels = inputs[1].torch().tolist()

    def attention(value: Any, shapes: Any, starts: Any, locations: Any, weights: Any) -> Any:
        items, _, heads, channels = value.shape
        queries = locations.shape[1]
        grids = 2 * locations - 1
        parts = value.split([height * width for height, width in levels], dim=1)
        sampled = []
        for level, (height, width) in enumerate(levels):
            image = parts[level].flatten(2).transpose(1, 2)
            image = image.reshape(items * heads, channels, height, width)
            grid = grids[:, :, :, level].transpose(1, 2).flatten(0, 1)
            sampled.append(grid_sample(image, grid, align_corners=False))
        weights = weights.transpose(1, 2).reshape(items * heads, 1, queries, -1)
        output = (stack(sampled, dim=-2).flatten(-2) * weights).sum(-1)
        return output.view(items, heads * channels, queries).transpose(1, 2).contiguous()

    return attention


def _compiled(plugin: Any, inputs: Sequence[DeviceTensor]) -> Function:
    """Return the same, where torch.compile is tried: two of the shapes, in float32."""
    shapes = [(CASES[case].items, CASES[case].queries or CASES[case].pixels) for case in COMPILED]
    if inputs[0].dtype is not float32 or inputs[4].shape[:2] not in shapes:
        raise NotOffered("compiled for the encoder of one image and the decoder, in float32")
    return _torch(plugin, inputs)


@cache
def _triton_kernel() -> Any:
    import triton
    import triton.language as tl

    globals().update(tl=tl)  # where the compiler looks names up

    @triton.jit
    def kernel(
        output, value, shapes, starts, locations, weights, rows, queries, pixels, heads, points,
        channels, samples: tl.constexpr, block_rows: tl.constexpr, block_channels: tl.constexpr,
    ):  # fmt: skip
        row = tl.program_id(0).to(tl.int64) * block_rows + tl.arange(0, block_rows)
        head = tl.program_id(1)
        channel = tl.arange(0, block_channels)
        is_row, is_channel = row < rows, channel < channels
        first = (row // queries * pixels * heads + head) * channels
        total = tl.zeros((block_rows, block_channels), tl.float32)
        for sample in range(samples):
            level = sample // points
            height, width = tl.load(shapes + 2 * level), tl.load(shapes + 2 * level + 1)
            start = tl.load(starts + level)
            at = (row * heads + head) * samples + sample
            x = tl.load(locations + 2 * at, mask=is_row, other=0).to(tl.float32) * width - 0.5
            y = tl.load(locations + 2 * at + 1, mask=is_row, other=0).to(tl.float32) * height - 0.5
            weight = tl.load(weights + at, mask=is_row, other=0).to(tl.float32)
            left, top = tl.floor(x), tl.floor(y)
            for corner in tl.static_range(4):
                right, down = corner % 2, corner // 2
                c, r = left.to(tl.int64) + right, top.to(tl.int64) + down
                share = x - left if right else 1 - x + left
                share *= y - top if down else 1 - y + top
                is_read = is_row & (c >= 0) & (c < width) & (r >= 0) & (r < height)
                source = first + (start + r * width + c) * heads * channels
                pixel = tl.load(
                    value + source[:, None] + channel[None], other=0,
                    mask=is_read[:, None] & is_channel[None],
                )  # fmt: skip
                total += pixel.to(tl.float32) * (share * weight)[:, None]
        target = output + ((row * heads + head) * channels)[:, None] + channel[None]
        tl.store(target, total, mask=is_row[:, None] & is_channel[None])

    return kernel


def _triton(plugin: Any, inputs: Sequence[DeviceTensor]) -> Function:
    import torch

    kernel = _triton_kernel()
    (items, pixels, heads, channels), (_, queries, _, levels, points) = (
        inputs[0].shape,
        inputs[4].shape,
    )
    rows, block = items * queries, 32
    width = 1 << (channels - 1).bit_length()

    def attention(value: Any, *others: Any) -> Any:
        output = torch.empty((items, queries, heads * channels), dtype=value.dtype, device="cuda")
        kernel[(-(-rows // block), heads)](
            output, value, *others, rows, queries, pixels, heads, points, channels,
            samples=levels * points, block_rows=block, block_channels=width,
        )  # fmt: skip
        return output

    return attention


_PLAIN = r"""
#include <cuda_bf16.h>
#include <cuda_fp16.h>
template <typename T>
__device__ float pixel(const T* image, int height, int width, int stride, float y, float x) {
    const int top = floorf(y), left = floorf(x);
    const float dy = y - top, dx = x - left;
    float sum = 0;
    for (int i = 0; i < 2; ++i) {
        for (int j = 0; j < 2; ++j) {
            const int row = top + i, column = left + j;
            if (row < 0 || row >= height || column < 0 || column >= width) continue;
            const float share = (i ? dy : 1 - dy) * (j ? dx : 1 - dx);
            sum += share * static_cast<float>(image[(row * width + column) * stride]);
        }
    }
    return sum;
}
template <typename T>
__global__ void plain(T* out, const T* value, const long long* shapes, const long long* starts,
                      const T* locations, const T* weights, int total, int pixels, int heads,
                      int channels, int queries, int levels, int points) {
    for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < total; i += gridDim.x * blockDim.x) {
        const int channel = i % channels, at = i / channels, head = at % heads;
        const int item = at / heads / queries, stride = heads * channels;
        const T* weight = weights + (long long)at * levels * points;
        const T* location = locations + (long long)at * levels * points * 2;
        float sum = 0;
        for (int level = 0; level < levels; ++level) {
            const int height = shapes[2 * level], width = shapes[2 * level + 1];
            const T* image = value + (item * (long long)pixels + starts[level]) * stride +
                             head * channels + channel;
            for (int point = 0; point < points; ++point, ++weight, location += 2) {
                const float x = static_cast<float>(location[0]) * width - 0.5f;
                const float y = static_cast<float>(location[1]) * height - 0.5f;
                if (y > -1 && x > -1 && y < height && x < width)
                    sum += pixel(image, height, width, stride, y, x) * static_cast<float>(*weight);
            }
        }
        out[i] = static_cast<T>(sum);
    }
}
"""


def _plain(
    plugin: Plugin, inputs: Sequence[DeviceTensor], outputs: Sequence[DeviceTensor]
) -> TimedCall:
    """Launch a thread for each output, as the operator of Deformable DETR does."""
    kernel = plain_kernel(_PLAIN, f"plain<{inputs[0].dtype.cpp}>")
    total, (_, pixels, heads, channels) = outputs[0].size, inputs[0].shape
    _, queries, _, levels, points = inputs[4].shape
    sizes = (total, pixels, heads, channels, queries, levels, points)
    pointers = [tensor.pointer for tensor in (outputs[0], *inputs)]
    arguments = (*pointers, *map(np.int32, sizes))
    return lambda: kernel((-(-total // 256),), (256,), arguments)


PEERS = (
    Peer("torch", bind_torch(_torch)),
    Peer("torch.compile", bind_torch(compiled(_compiled))),
    Peer("Triton", bind_torch(_triton)),
    Peer("plain kernel", _plain),
)


if __name__ == "__main__":
    raise SystemExit(run_bench(MultiScaleDeformableAttention, __file__))
