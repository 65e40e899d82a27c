"""RoiAlign, torchvision and a plain kernel, on a GPU.

    python benchmarks/roi_align.py

which is ``pluginkit bench RoiAlign --peers benchmarks/roi_align.py`` with the results written to
benchmarks/results.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from random import Random
from typing import Any

import numpy as np
from drawn_sizes import size, sizes
from peers import plain_kernel, run_bench, torch_on_stream_of, torchvision_ops

from pluginkit import Plugin, bfloat16, float16, float32, int64
from pluginkit.bench.workload import NotOffered, Peer, TimedCall, Workload
from pluginkit.contract.tensors import DeviceTensor
from pluginkit.plugins.roi_align import RoiAlign

#: X, regions, bins along an axis, samples of a bin, and the largest side of a region in pixels.
Case = tuple[tuple[int, ...], int, int, int, float]
CASES: dict[str, Case] = {
    "box head": ((2, 256, 200, 336), 1000, 7, 2, 60),
    "mask head": ((2, 256, 200, 336), 200, 14, 2, 60),
    "large regions": ((2, 256, 200, 336), 1000, 7, 2, 300),
    "small regions": ((2, 256, 200, 336), 1000, 7, 2, 7),
    "adaptive": ((2, 256, 100, 168), 500, 7, 0, 60),
    "one region": ((1, 256, 50, 84), 1, 7, 2, 30),
    "one channel": ((1, 1, 800, 800), 5000, 7, 2, 300),
    "few channels": ((8, 3, 640, 640), 256, 64, 1, 300),
}
HOSTILE: dict[str, Case] = {
    "many channels": ((1, 2048, 25, 25), 300, 7, 2, 20),
    "1 x 1": ((2, 256, 50, 68), 4000, 1, 2, 5),
    "many samples": ((1, 64, 200, 200), 100, 7, 7, 140),
    "odd bins": ((2, 63, 101, 99), 777, 5, 2, 60),
    "few tiny regions": ((2, 2, 19, 24), 174, 2, 0, 1),
    "few wide regions": ((2, 8, 100, 100), 50, 4, 0, 60),
    "many tiny regions": ((17, 32, 312, 32), 1024, 7, 0, 2),
    "some tiny regions": ((200, 5, 40, 37), 512, 3, 0, 1),
    "one region of 9 samples": ((17, 1, 160, 477), 1, 9, 3, 14),
}
#: Some regions are few enough for the reference; they may lie in any image.
SAMPLE = dict.fromkeys(("rois", "batch_indices", "Y"), (slice(0, 20),))


def drawn(rng: Random) -> Case:
    """Return images of at most 2^23 elements, 2^12 regions and 2^23 bins."""
    height, width = size(rng, 14, 512), size(rng, 14, 512)
    batch, channels = sizes(rng, 2, 2**23 // (height * width))
    bins = rng.randint(1, 14)
    regions = size(rng, 1, min(2**12, max(1, 2**23 // (channels * bins**2))))
    largest = size(rng, 1, min(height, width))
    return (batch, channels, height, width), regions, bins, rng.randint(0, 3), largest


def workloads(cases: Mapping[str, Case] = CASES) -> Iterator[Workload]:
    """Yield the mean in every case and type, and the maximum for the first case."""
    for case, setting in cases.items():
        _, _, bins, samples, _ = setting
        for dtype in (float32, float16, bfloat16):
            for mode in ("avg", "max") if case == "box head" else ("avg",):
                plugin = RoiAlign(
                    mode=mode,  # type: ignore[arg-type]  # one of two strings
                    output_height=bins,
                    output_width=bins,
                    sampling_ratio=samples,
                )
                yield Workload(case, mode, plugin, (dtype, dtype, int64), _inputs(setting), SAMPLE)


def _inputs(setting: Case) -> Callable[[Any, int], list[Any]]:
    shape, regions, bins, _, largest = setting

    def make(xp: Any, seed: int) -> list[Any]:
        rng = xp.random.default_rng(seed)
        x = rng.random(shape, dtype=xp.float32) * 2 - 1
        # Bins are whole pixels with corners on pixels, so that samples are at the same places in
        # every type, whatever the order of roundings.
        sides = bins * xp.ceil(rng.random((regions, 2), dtype=xp.float32) * (largest / bins))
        room = xp.maximum(xp.array([shape[3], shape[2]], dtype=xp.float32) - sides, 0)
        low = rng.random((regions, 2), dtype=xp.float32) * room
        low = xp.rint(low)
        rois = xp.concatenate([low, low + sides], axis=1)
        return [x, rois, rng.integers(0, shape[0], regions)]

    return make


def _torchvision(
    plugin: Plugin, inputs: Sequence[DeviceTensor], outputs: Sequence[DeviceTensor]
) -> TimedCall:
    roi_align = torchvision_ops().roi_align
    options = plugin.attribute_values
    if options["mode"] == "max":
        raise NotOffered("it has no maximum")
    torch = torch_on_stream_of(inputs)
    x, rois, images = (tensor.torch() for tensor in inputs)
    boxes = torch.cat([images[:, None].to(x.dtype), rois], dim=1)
    size, samples = (options["output_height"], options["output_width"]), options["sampling_ratio"]
    return lambda: roi_align(x, boxes, size, 1.0, samples or -1, aligned=True)


_PLAIN = """
__device__ float pixel(const float* image, int height, int width, float y, float x) {
    if (y < -1.0f || y > height || x < -1.0f || x > width) return 0.0f;
    y = fmaxf(y, 0.0f), x = fmaxf(x, 0.0f);
    int low_y = y, low_x = x, high_y = low_y + 1, high_x = low_x + 1;
    if (low_y >= height - 1) high_y = low_y = height - 1, y = low_y;
    if (low_x >= width - 1) high_x = low_x = width - 1, x = low_x;
    const float dy = y - low_y, dx = x - low_x;
    const float* above = image + low_y * width;
    const float* below = image + high_y * width;
    return (1 - dy) * ((1 - dx) * above[low_x] + dx * above[high_x]) +
           dy * ((1 - dx) * below[low_x] + dx * below[high_x]);
}
__global__ void plain(float* out, const float* x, const float* rois, const long long* images,
                      int total, int channels, int height, int width, int bins, int ratio) {
    for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < total; i += gridDim.x * blockDim.x) {
        const int column = i % bins, row = i / bins % bins, channel = i / bins / bins % channels;
        const int region = i / bins / bins / channels;
        const float* roi = rois + 4 * region;
        const float bin_x = (roi[2] - roi[0]) / bins, bin_y = (roi[3] - roi[1]) / bins;
        const int count_x = ratio ? ratio : ceilf(bin_x), count_y = ratio ? ratio : ceilf(bin_y);
        const float* image = x + (images[region] * channels + channel) * height * width;
        float sum = 0;
        for (int iy = 0; iy < count_y; ++iy) {
            const float y = roi[1] - 0.5f + row * bin_y + (iy + 0.5f) * bin_y / count_y;
            for (int ix = 0; ix < count_x; ++ix) {
                const float at = roi[0] - 0.5f + column * bin_x + (ix + 0.5f) * bin_x / count_x;
                sum += pixel(image, height, width, y, at);
            }
        }
        out[i] = sum / fmaxf(count_x * count_y, 1.0f);
    }
}
"""


def _plain(
    plugin: Plugin, inputs: Sequence[DeviceTensor], outputs: Sequence[DeviceTensor]
) -> TimedCall:
    """Launch a thread for each output, as most implementations do."""
    options = plugin.attribute_values
    if options["mode"] == "max" or inputs[0].dtype is not float32:
        raise NotOffered("it is written for the mean of float32")
    kernel = plain_kernel(_PLAIN, "plain")
    (_, channels, height, width), total = inputs[0].shape, outputs[0].size
    sizes = (total, channels, height, width, options["output_height"], options["sampling_ratio"])
    pointers = [tensor.pointer for tensor in (outputs[0], *inputs)]
    arguments = (*pointers, *map(np.int32, sizes))
    return lambda: kernel((-(-total // 256),), (256,), arguments)


PEERS = (Peer("torchvision", _torchvision), Peer("plain kernel", _plain))


if __name__ == "__main__":
    raise SystemExit(run_bench(RoiAlign, __file__))
