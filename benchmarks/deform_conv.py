"""DeformConv, torchvision and a plain kernel, on a GPU.

    python benchmarks/deform_conv.py

which is ``pluginkit bench DeformConv --peers benchmarks/deform_conv.py`` with the results written
to benchmarks/results.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from random import Random
from typing import Any

import numpy as np
from drawn_sizes import size, sizes
from peers import plain_kernel, run_bench, torch_on_stream_of, torchvision_ops

from pluginkit import Plugin, float16, float32
from pluginkit.bench.workload import NotOffered, Peer, TimedCall, Workload
from pluginkit.contract.tensors import DeviceTensor
from pluginkit.plugins.deform_conv import DeformConv

#: X, output channels, group, offset_group, stride, and the most pixels that a tap moves. Taps are
#: 3 x 3, padded by one pixel.
Case = tuple[tuple[int, ...], int, int, int, int, float]
CASES: dict[str, Case] = {
    "stage 3": ((2, 128, 100, 168), 128, 1, 1, 1, 2),
    "stage 4": ((2, 256, 50, 84), 256, 1, 1, 1, 2),
    "stage 5": ((2, 512, 25, 42), 512, 1, 1, 1, 2),
    "strided": ((2, 256, 100, 168), 256, 1, 1, 2, 2),
    "offset groups": ((2, 256, 50, 84), 256, 1, 8, 1, 2),
    "grouped": ((2, 256, 50, 84), 256, 32, 1, 1, 2),
    "depthwise": ((2, 256, 50, 84), 256, 256, 4, 1, 2),
    "far offsets": ((2, 256, 50, 84), 256, 1, 1, 1, 40),
    "twelve channels": ((2, 12, 128, 128), 256, 1, 1, 1, 2),
    "one image of few pixels": ((1, 256, 7, 7), 256, 1, 1, 1, 2),
}
HOSTILE: dict[str, Case] = {
    "three channels": ((1, 3, 512, 512), 16, 1, 1, 1, 2),
    "odd channels": ((2, 67, 50, 84), 129, 1, 1, 1, 2),
    "one map": ((2, 64, 100, 168), 1, 1, 1, 1, 2),
    "many small images": ((64, 32, 14, 14), 64, 1, 1, 1, 2),
    "groups of 3": ((2, 96, 40, 40), 64, 32, 3, 1, 2),
    "small depthwise": ((1, 32, 14, 14), 32, 32, 1, 1, 2),
    "depthwise, 2^16 outputs": ((8, 32, 8, 32), 32, 32, 1, 1, 2),
    "an offset for each channel": ((2, 32, 40, 40), 32, 32, 32, 1, 2),
    "one channel": ((1, 1, 23272, 15), 1, 1, 1, 1, 2),
    "three channels of few pixels": ((1, 3, 14, 14), 32, 1, 1, 1, 2),
    "few tiles are left": ((1, 64, 112, 80), 256, 1, 1, 1, 2),
}
#: With more samples the plain kernel takes longer than all the rest of the benchmark.
_MOST_SAMPLES = 10**9
#: One image is a problem small enough for the reference.
SAMPLE = {name: (slice(0, 1),) for name in ("X", "offset", "mask", "Y")}


def drawn(rng: Random) -> Case:
    """Return images of at most 512 channels and 2^20 elements each; at most 512 maps."""
    images, channels = size(rng, 1, 8), size(rng, 1, 512)
    height, width = sizes(rng, 2, 2**20 // channels)
    is_depthwise = rng.random() < 0.2
    maps, group = (channels, channels) if is_depthwise else (size(rng, 1, 512), 1)
    stride, reach = rng.choice((1, 1, 2)), rng.choice((0.5, 2, 8))
    return (images, channels, height, width), maps, group, 1, stride, reach


def workloads(cases: Mapping[str, Case] = CASES) -> Iterator[Workload]:
    """Every case in float32 and float16, with a bias and a mask."""
    for case, setting in cases.items():
        _, _, group, parts, stride, _ = setting
        for dtype in (float32, float16):
            plugin = DeformConv(
                group=group, offset_group=parts, strides=(stride, stride), pads=(1, 1, 1, 1)
            )
            yield Workload(case, "masked", plugin, (dtype,) * 5, _inputs(setting), SAMPLE)


def _inputs(setting: Case) -> Callable[[Any, int], list[Any]]:
    shape, maps, group, parts, stride, reach = setting

    def make(xp: Any, seed: int) -> list[Any]:
        rng = xp.random.default_rng(seed)
        out = [(size - 1) // stride + 1 for size in shape[2:]]
        depth = shape[1] // group

        def drawn(*sizes: int) -> Any:
            return rng.random(sizes, dtype=xp.float32) * 2 - 1

        # Eighths of a pixel, which float16 holds too.
        offset = xp.rint(drawn(shape[0], parts * 18, *out) * (8 * reach)) / 8
        weights = drawn(maps, depth, 3, 3) / (9 * depth) ** 0.5
        return [drawn(*shape), weights, offset, drawn(maps), abs(drawn(shape[0], parts * 9, *out))]

    return make


def _torchvision(
    plugin: Plugin, inputs: Sequence[DeviceTensor], outputs: Sequence[DeviceTensor]
) -> TimedCall:
    """Work on CUDA's default stream, where torchvision launches its kernel whatever torch's is."""
    deform_conv2d = torchvision_ops().deform_conv2d
    options = plugin.attribute_values
    torch = torch_on_stream_of(inputs)
    x, weights, offset, bias, mask = (tensor.torch() for tensor in inputs)
    stride = tuple(options["strides"])
    timed, default = torch.cuda.current_stream(), torch.cuda.default_stream()

    def call() -> Any:
        default.wait_stream(timed)
        with torch.cuda.stream(default):
            y = deform_conv2d(x, offset, weights, bias, stride, (1, 1), (1, 1), mask)
            y = y.contiguous()  # images lie beside each other in y's memory, pixel by pixel
        timed.wait_stream(default)
        return y

    return call


_PLAIN = """
#include <cuda_fp16.h>
template <typename T>
__device__ float pixel(const T* image, int height, int width, float y, float x) {
    if (!(y > -1.0f && y < height && x > -1.0f && x < width)) return 0.0f;
    const int top = floorf(y), left = floorf(x);
    const float dy = y - top, dx = x - left;
    float sum = 0;
    for (int i = 0; i < 2; ++i) {
        for (int j = 0; j < 2; ++j) {
            const int row = top + i, column = left + j;
            if (row < 0 || row >= height || column < 0 || column >= width) continue;
            sum += (i ? dy : 1 - dy) * (j ? dx : 1 - dx) * float(image[row * width + column]);
        }
    }
    return sum;
}
template <typename T>
__global__ void plain(T* out, const T* x, const T* w, const T* offset,
                      const T* bias, const T* mask, int total, int channels, int height,
                      int width, int maps, int out_height, int out_width, int group, int parts,
                      int stride) {
    const int area = out_height * out_width, depth = channels / group;
    for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < total; i += gridDim.x * blockDim.x) {
        const int at = i % area, map = i / area % maps, image = i / area / maps;
        const int row = at / out_width * stride - 1, column = at % out_width * stride - 1;
        float sum = bias[map];
        for (int c = 0; c < depth; ++c) {
            const int channel = map / (maps / group) * depth + c;
            const int part = image * parts + channel / (channels / parts);
            const T* pixels = x + (image * channels + channel) * height * width;
            for (int tap = 0; tap < 9; ++tap) {
                const T* moved = offset + (part * 9 + tap) * 2 * area + at;
                const float scale = mask[(part * 9 + tap) * area + at];
                sum += float(w[(map * depth + c) * 9 + tap]) * scale *
                       pixel(pixels, height, width, row + tap / 3 + float(moved[0]),
                             column + tap % 3 + float(moved[area]));
            }
        }
        out[i] = sum;
    }
}
"""


def _plain(
    plugin: Plugin, inputs: Sequence[DeviceTensor], outputs: Sequence[DeviceTensor]
) -> TimedCall:
    """Launch a thread for each output, which takes all its samples itself."""
    options = plugin.attribute_values
    kernel = plain_kernel(_PLAIN, f"plain<{inputs[0].dtype.cpp}>")
    total, (_, maps, *out) = outputs[0].size, outputs[0].shape
    if total * (inputs[0].shape[1] // options["group"]) * 9 > _MOST_SAMPLES:
        raise NotOffered("it takes every sample again for each output channel")
    groups = (options["group"], options["offset_group"], options["strides"][0])
    sizes = (total, *inputs[0].shape[1:], maps, *out, *groups)
    pointers = [tensor.pointer for tensor in (outputs[0], *inputs)]
    arguments = (*pointers, *map(np.int32, sizes))
    return lambda: kernel((-(-total // 256),), (256,), arguments)


#: The plain kernel's results are expected where the reference takes long: torchvision computes
#: positions in float16, which holds no eighths of a pixel from 256 on.
PEERS = (Peer("plain kernel", _plain), Peer("torchvision", _torchvision))


if __name__ == "__main__":
    raise SystemExit(run_bench(DeformConv, __file__))
