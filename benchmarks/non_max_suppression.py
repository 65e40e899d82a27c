"""NonMaxSuppression, torchvision and a plain kernel, on a GPU.

    python benchmarks/non_max_suppression.py

which is ``pluginkit bench NonMaxSuppression --peers benchmarks/non_max_suppression.py`` with the
results written to benchmarks/results. The peers take one class and ignore the limit; their
results are compared if the limit does not matter.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from peers import plain_kernel, run_bench, torch_on_stream_of, torchvision_ops

from pluginkit import Plugin, float32, int64
from pluginkit.bench.workload import NotOffered, Peer, TimedCall, Workload
from pluginkit.contract.tensors import DeviceTensor
from pluginkit.plugins.non_max_suppression import NonMaxSuppression

#: Images, classes, boxes, the kind of boxes, the limit, and the threshold of scores. ``random``
#: boxes overlap as those of a detector; the worst cases are ``all`` overlapping, ``none``
#: overlapping, and ``equal`` scores.
CASES: dict[str, tuple[int, int, int, str, int, float]] = {
    "hundred": (1, 1, 100, "random", 2**31 - 1, 0.05),
    "proposals": (1, 1, 1000, "random", 2**31 - 1, 0.05),
    "proposals of a pyramid": (1, 1, 4741, "random", 2**31 - 1, 0.05),
    "yolo, one class": (1, 1, 8400, "random", 2**31 - 1, 0.05),
    "yolo, 80 classes": (1, 80, 8400, "random", 100, 0.9),
    "yolo, 80 classes, all": (1, 80, 8400, "random", 20, 0.0),
    "batch": (16, 20, 2000, "random", 20, 0.5),
    "many": (1, 1, 30_000, "random", 2**31 - 1, 0.0),
    "very many, 300 wanted": (1, 1, 100_000, "random", 300, 0.0),
    "very many": (1, 1, 100_000, "random", 2**31 - 1, 0.0),
    "all overlap": (1, 1, 30_000, "all", 2**31 - 1, 0.0),
    "none overlaps": (1, 1, 20_000, "none", 2**31 - 1, 0.0),
    "equal scores": (1, 1, 30_000, "equal", 2**31 - 1, 0.0),
    "none above": (1, 1, 100_000, "random", 2**31 - 1, 2.0),
}
_IOU = 0.5


def workloads() -> Iterator[Workload]:
    """Yield every case; the bytes to move are those of all boxes and scores."""
    for case, (images, classes, boxes, kind, most, _) in CASES.items():
        plugin = NonMaxSuppression(most_boxes=most if most < boxes else None)
        dtypes = (float32, float32, int64, float32, float32)
        nbytes = images * boxes * (16 + 4 * classes)
        yield Workload(case, kind, plugin, dtypes, _inputs(case), compulsory_bytes=nbytes)


def _inputs(case: str) -> Callable[[Any, int], list[Any]]:
    images, classes, count, kind, most, score = CASES[case]

    def make(xp: Any, seed: int) -> list[Any]:
        rng = xp.random.default_rng(seed)
        shape = (images, count, 2)
        if kind == "none":
            places = xp.stack([xp.arange(count) % 200, xp.arange(count) // 200], axis=-1)
            low = 2.0 * xp.broadcast_to(places, shape)
            high = low + 1
        elif kind == "all":
            low = rng.random(shape, dtype=xp.float32)
            high = low + 100
        else:
            low = rng.random(shape, dtype=xp.float32) * 640
            high = low + 16 + rng.random(shape, dtype=xp.float32) * 100
        scores = rng.random((images, classes, count), dtype=xp.float32)
        if kind == "equal":
            scores = xp.full_like(scores, 0.5)
        numbers = [xp.array([number]) for number in (most, _IOU, score)]
        return [xp.concatenate([low, high], axis=-1), scores, *numbers]

    return make


def _of_one_class(bind: Callable[..., Callable[[], Any]]) -> Callable[..., TimedCall]:
    """Return the ``bind`` of a Peer from what makes a call that returns the chosen boxes."""

    def bound(
        plugin: Plugin, inputs: Sequence[DeviceTensor], outputs: Sequence[DeviceTensor]
    ) -> TimedCall:
        torch = torch_on_stream_of(inputs)
        boxes, scores, _, _, score = (tensor.torch() for tensor in inputs)
        if scores.shape[0] * scores.shape[1] != 1:
            raise NotOffered("it takes one class")
        if plugin.attribute_values["most_boxes"] is not None:
            raise NotOffered("it has no limit")
        above = torch.nonzero(scores[0, 0] > score)[:, 0]
        choose = bind(torch, boxes[0][above].contiguous(), scores[0, 0][above].contiguous())

        def call() -> Any:
            kept = above[choose()]
            return torch.nn.functional.pad(kept[:, None], (2, 0))

        return call

    return bound


def _torchvision(torch: Any, boxes: Any, scores: Any) -> Callable[[], Any]:
    nms = torchvision_ops().nms
    return lambda: nms(boxes, scores, _IOU)


_PLAIN = """
__global__ void masks(unsigned long long* mask, const float4* boxes, int n, float threshold) {
    const int row = blockIdx.y * 64 + threadIdx.x, words = (n + 63) / 64;
    __shared__ float4 columns[64];
    const int first = blockIdx.x * 64;
    if (first + threadIdx.x < n) columns[threadIdx.x] = boxes[first + threadIdx.x];
    __syncthreads();
    if (row >= n) return;
    const float4 a = boxes[row];
    unsigned long long bits = 0;
    for (int i = 0; i < 64 && first + i < n; ++i) {
        const float4 b = columns[i];
        const float w = fmaxf(fminf(a.z, b.z) - fmaxf(a.x, b.x), 0.0f);
        const float h = fmaxf(fminf(a.w, b.w) - fmaxf(a.y, b.y), 0.0f);
        const float both = (a.z - a.x) * (a.w - a.y) + (b.z - b.x) * (b.w - b.y) - w * h;
        if (first + i > row && w * h / both > threshold) bits |= 1ull << i;
    }
    mask[static_cast<long long>(row) * words + blockIdx.x] = bits;
}
__global__ void walk(bool* kept, const unsigned long long* mask, int n) {
    extern __shared__ unsigned long long out[];
    const int words = (n + 63) / 64;
    for (int word = threadIdx.x; word < words; word += blockDim.x) out[word] = 0;
    for (int i = 0; i < n; ++i) {
        __syncthreads();
        const bool is_kept = !(out[i / 64] >> i % 64 & 1);
        __syncthreads();
        if (threadIdx.x == 0) kept[i] = is_kept;
        if (!is_kept) continue;
        for (int word = threadIdx.x; word < words; word += blockDim.x) {
            out[word] |= mask[static_cast<long long>(i) * words + word];
        }
    }
}
"""


def _plain(torch: Any, boxes: Any, scores: Any) -> Callable[[], Any]:
    """Sort with torch, compare all pairs, then go through the masks in one block."""
    import cupy

    count = len(boxes)
    words = -(-count // 64)
    if count > 40_000:
        raise NotOffered("its masks take gigabytes")
    masks, walk = (plain_kernel(_PLAIN, name) for name in ("masks", "walk"))
    mask = cupy.empty((max(count, 1), max(words, 1)), np.uint64)
    kept = torch.empty(count, dtype=torch.bool, device="cuda")
    number = np.int32(count)

    def call() -> Any:
        order = torch.sort(scores, descending=True, stable=True).indices
        ordered = boxes[order]
        if count:
            masks((words, words), (64,), (mask, ordered.data_ptr(), number, np.float32(_IOU)))
            walk((1,), (256,), (kept.data_ptr(), mask, number), shared_mem=8 * words)
        return order[kept]

    return call


PEERS = (
    Peer("torchvision", _of_one_class(_torchvision)),
    Peer("plain kernel", _of_one_class(_plain)),
)


if __name__ == "__main__":
    raise SystemExit(run_bench(NonMaxSuppression, __file__))
