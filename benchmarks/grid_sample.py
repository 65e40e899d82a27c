"""GridSample, torch and a plain kernel, on a GPU.

    python benchmarks/grid_sample.py

which is ``pluginkit bench GridSample --peers benchmarks/grid_sample.py`` with the results written
to benchmarks/results.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from random import Random
from typing import Any

from drawn_sizes import sizes
from peers import MAX_AUTOTUNE, Function, bind_torch, compiled, plain_kernel, run_bench

from pluginkit import Plugin, bfloat16, float16, float32
from pluginkit.bench.workload import NotOffered, Peer, TimedCall, Workload
from pluginkit.contract.tensors import DeviceTensor
from pluginkit.plugins.grid_sample import GridSample

#: x, the output's sizes, and the kind of locations: warped (turned by a tenth and bent), across
#: (transposed, so that adjacent locations read different rows), or scattered at random.
Case = tuple[tuple[int, ...], tuple[int, ...], str]
CASES: dict[str, Case] = {
    "image": ((8, 64, 256, 256), (256, 256), "warped"),
    "across": ((8, 64, 256, 256), (256, 256), "across"),
    "scattered": ((8, 64, 256, 256), (256, 256), "scattered"),
    "photo": ((4, 3, 1080, 1920), (1080, 1920), "warped"),
    "points": ((32, 32, 100, 134), (10_000, 4), "scattered"),
    "volume": ((2, 16, 64, 128, 128), (64, 128, 128), "warped"),
    "small": ((2, 64, 32, 32), (32, 32), "warped"),
}
HOSTILE: dict[str, Case] = {
    "one channel": ((16, 1, 512, 512), (512, 512), "warped"),
    "many channels, few pixels": ((1, 1024, 16, 16), (16, 16), "warped"),
    "one pixel": ((64, 256, 32, 32), (1, 1), "scattered"),
    "enlarged": ((1, 3, 64, 64), (2048, 2048), "warped"),
    "13 channels": ((2, 13, 333, 333), (333, 333), "scattered"),
    "16 channels across": ((4, 16, 256, 256), (256, 256), "across"),
    "a smooth image of 13 channels": ((2, 13, 333, 333), (333, 333), "warped"),
    "a large flow": ((1, 2, 2160, 3840), (2160, 3840), "warped"),
    "one location": ((1, 6200, 4, 2), (1, 1), "scattered"),
    "many tiny items": ((4000, 13, 7, 7), (3, 3), "warped"),
    "136 locations": ((970, 16, 8, 4), (8, 17), "across"),
    "a prime of channels": ((8, 10867, 1, 4), (23, 2), "scattered"),
}
#: One item of the batch is small enough for the reference.
SAMPLE = (slice(0, 1),)


def drawn(rng: Random) -> Case:
    """Return images or volumes of at most 2^23 elements, and at most 2^21 outputs an item."""
    rank = rng.choice((2, 2, 3))
    shape = sizes(rng, 2 + rank, 2**23)
    out_sizes = sizes(rng, rank, max(1, min(2**21, 2**24 // shape[0]) // shape[1]))
    return shape, out_sizes, rng.choice(("warped", "across", "scattered"))


def workloads(cases: Mapping[str, Case] = CASES) -> Iterator[Workload]:
    """Yield mode linear in every case and type; other modes and paddings for some."""
    for case, setting in cases.items():
        for dtype in (float32, float16, bfloat16):
            yield _workload(case, setting, dtype)
        yield _workload(case, setting, float16, grid=float32)
        if case in ("image", "volume"):
            for padding_mode in ("border", "reflection"):
                yield _workload(case, setting, float32, padding_mode=padding_mode)
            for dtype in (float32, float16):
                yield _workload(case, setting, dtype, mode="nearest")
        if case == "image":
            for dtype in (float32, float16):
                yield _workload(case, setting, dtype, mode="cubic")


def _workload(
    case: str,
    setting: Case,
    dtype: Any,
    mode: Any = "linear",
    padding_mode: Any = "zeros",
    grid: Any = None,
) -> Workload:
    plugin = GridSample(mode=mode, padding_mode=padding_mode)
    variant = f"{mode}, {padding_mode}" + ", float32 grid" * (grid is not None)
    return Workload(case, variant, plugin, (dtype, grid or dtype), inputs_of(*setting), SAMPLE)


def inputs_of(
    shape: tuple[int, ...], out_sizes: tuple[int, ...], kind: str
) -> Callable[[Any, int], list[Any]]:
    """Return what makes x of a shape, and a grid of a kind for these sizes of the output.

    Locations are 4096ths, of which float32 holds the products with sizes: all implementations read
    the same pixels, with the same weights.
    """

    def make(xp: Any, seed: int) -> list[Any]:
        rng = xp.random.default_rng(seed)
        x = rng.random(shape, dtype=xp.float32) * 2 - 1
        return [x, xp.rint(locations(xp, rng) * 4096) / 4096]

    def locations(xp: Any, rng: Any) -> Any:
        if kind == "scattered":
            return rng.random((shape[0], *out_sizes, len(out_sizes)), dtype=xp.float32) * 2 - 1
        ticks = [(2 * xp.arange(size, dtype=xp.float32) + 1) / size - 1 for size in out_sizes]
        axes = xp.meshgrid(*ticks, indexing="ij")[::-1]
        if kind == "across":
            return _for_items(xp, xp.stack(axes[::-1], -1), shape[0])
        phase = rng.random((shape[0], *[1] * len(out_sizes)), dtype=xp.float32) * 6
        bent = [axis + 0.02 * xp.sin(8 * other + phase) for axis, other in _pairs(axes)]
        turned = [bent[0] + 0.1 * bent[1], bent[1] - 0.1 * bent[0], *bent[2:]]
        return xp.stack(turned, -1)

    return make


def _pairs(axes: Sequence[Any]) -> list[tuple[Any, Any]]:
    """Return each axis together with the next one."""
    return list(zip(axes, [*axes[1:], axes[0]], strict=True))


def _for_items(xp: Any, grid: Any, items: int) -> Any:
    return xp.broadcast_to(grid, (items, *grid.shape))


# Peers.

_TORCH_MODES = {"linear": "bilinear", "nearest": "nearest", "cubic": "bicubic"}


def _torch(plugin: GridSample, inputs: Sequence[DeviceTensor]) -> Function:
    from torch.nn.functional import grid_sample

    if inputs[0].dtype is not inputs[1].dtype:
        raise NotOffered("one type for both")
    mode, padding_mode = _TORCH_MODES[plugin.mode], plugin.padding_mode
    return lambda x, grid: grid_sample(x, grid, mode, padding_mode, plugin.align_corners)


_SOURCE = r"""
#include <cuda_bf16.h>
#include <cuda_fp16.h>
template <typename T, typename G>
__global__ void plain(T* y, const T* x, const G* grid, int count, int channels, int height,
                      int width, int locations) {
    const int element = blockIdx.x * blockDim.x + threadIdx.x;
    if (element >= count) return;
    const int location = element % locations, channel = element / locations;
    const G* point = grid + 2 * (static_cast<long long>(channel / channels) * locations + location);
    const float column = ((static_cast<float>(point[0]) + 1) * width - 1) / 2;
    const float row = ((static_cast<float>(point[1]) + 1) * height - 1) / 2;
    const T* plane = x + static_cast<long long>(channel) * height * width;
    const float left = floorf(column), top = floorf(row);
    float sum = 0;
    for (int dy = 0; dy < 2; ++dy) {
        for (int dx = 0; dx < 2; ++dx) {
            const int r = static_cast<int>(top) + dy, c = static_cast<int>(left) + dx;
            if (r < 0 || r >= height || c < 0 || c >= width) continue;
            const float across = dx ? column - left : 1 - column + left;
            const float down = dy ? row - top : 1 - row + top;
            sum += down * across * static_cast<float>(plane[r * width + c]);
        }
    }
    y[element] = static_cast<T>(sum);
}
"""


def _plain(
    plugin: Plugin, inputs: Sequence[DeviceTensor], outputs: Sequence[DeviceTensor]
) -> TimedCall:
    """Launch a thread for each output element, which computes its location itself."""
    import numpy as np

    x, grid = inputs
    if (plugin.mode, plugin.padding_mode, len(x.shape)) != ("linear", "zeros", 4):  # type: ignore[attr-defined]
        raise NotOffered("linear, zeros, two axes only")
    kernel = plain_kernel(_SOURCE, f"plain<{x.dtype.cpp}, {grid.dtype.cpp}>")
    count, locations = outputs[0].size, grid.shape[1] * grid.shape[2]
    numbers = map(np.int32, (count, *x.shape[1:], locations))
    arguments = (outputs[0].pointer, x.pointer, grid.pointer, *numbers)
    return lambda: kernel((-(-count // 256),), (256,), arguments)


PEERS = (
    Peer("torch", bind_torch(_torch)),
    Peer("torch.compile", bind_torch(compiled(_torch))),
    Peer("max-autotune", bind_torch(compiled(_torch, mode=MAX_AUTOTUNE))),
    Peer("plain RawKernel", _plain),
)


if __name__ == "__main__":
    raise SystemExit(run_bench(GridSample, __file__))
