"""NonMaxSuppression, torchvision and a plain kernel, on a GPU.

    python benchmarks/non_max_suppression.py

which is ``pluginkit bench NonMaxSuppression --peers benchmarks/non_max_suppression.py`` with the
results written to benchmarks/results. torchvision's batched_nms moves the classes apart, and goes
through them one after the other where there are many boxes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from random import Random
from typing import Any

import numpy as np
from drawn_sizes import size
from peers import plain_kernel, run_bench, torch_on_stream_of, torchvision_ops

from pluginkit import Plugin, float32, int64
from pluginkit.bench.workload import NotOffered, Peer, TimedCall, Workload
from pluginkit.contract.tensors import DeviceTensor
from pluginkit.plugins.non_max_suppression import NonMaxSuppression

#: Images, classes, boxes, the kind of boxes, the limit, and the threshold of scores. ``random``
#: boxes overlap as those of a detector, ``pixels`` have whole corners; the worst cases are ``all``
#: overlapping, ``none`` overlapping, and ``equal`` scores.
Case = tuple[int, int, int, str, int, float]
CASES: dict[str, Case] = {
    "hundred": (1, 1, 100, "random", 2**31 - 1, 0.05),
    "proposals": (1, 1, 1000, "random", 2**31 - 1, 0.05),
    "proposals of a pyramid": (1, 1, 4741, "random", 2**31 - 1, 0.05),
    "yolo, one class": (1, 1, 8400, "random", 2**31 - 1, 0.05),
    "yolo, 80 classes": (1, 80, 8400, "random", 100, 0.9),
    "yolo, 80 classes, all": (1, 80, 8400, "random", 20, 0.0),
    "proposals, 20 classes": (1, 20, 1000, "pixels", 100, 0.05),
    "batch": (16, 20, 2000, "random", 20, 0.5),
    "many": (1, 1, 30_000, "random", 2**31 - 1, 0.0),
    "very many, 300 wanted": (1, 1, 100_000, "random", 300, 0.0),
    "very many": (1, 1, 100_000, "random", 2**31 - 1, 0.0),
    "all overlap": (1, 1, 30_000, "all", 2**31 - 1, 0.0),
    "none overlaps": (1, 1, 20_000, "none", 2**31 - 1, 0.0),
    "equal scores": (1, 1, 30_000, "equal", 2**31 - 1, 0.0),
    "none above": (1, 1, 100_000, "random", 2**31 - 1, 2.0),
}
HOSTILE: dict[str, Case] = {
    "one box": (1, 1, 1, "random", 2**31 - 1, 0.0),
    "many images": (256, 1, 100, "random", 2**31 - 1, 0.05),
    "a thousand classes": (1, 1000, 100, "random", 2**31 - 1, 0.05),
    "one of many": (1, 1, 100_000, "all", 2**31 - 1, 0.0),
    "4000 apart": (1, 1, 4000, "none", 2**31 - 1, 0.0),
    "1000 equal scores": (1, 1, 1000, "equal", 2**31 - 1, 0.0),
}
_IOU = 0.5
#: What a call takes is not memory's time, and some peers take a tenth of a second.
_SETS = 4
#: More boxes than torchvision's batched_nms takes at once.
_MOST_BATCHED = 25_000
_MOST_MASK_BYTES = 2**30


def drawn(rng: Random) -> Case:
    """Return at most 10,000 boxes, and of at most 100,000 scores together."""
    boxes = size(rng, 1, 10_000)
    images = size(rng, 1, min(16, 100_000 // boxes))
    classes = size(rng, 1, min(90, 100_000 // (boxes * images)))
    most, kind = rng.choice((10, 100, 2**31 - 1)), rng.choice(("random", "pixels"))
    return images, classes, boxes, kind, most, rng.choice((0.05, 0.5, 0.9))


def workloads(cases: Mapping[str, Case] = CASES) -> Iterator[Workload]:
    """Yield every case; the bytes to move are those of all boxes and scores."""
    for case, setting in cases.items():
        images, classes, boxes, kind, most, _ = setting
        plugin = NonMaxSuppression(most_boxes=most if most < boxes else None)
        dtypes = (float32, float32, int64, float32, float32)
        nbytes = images * boxes * (16 + 4 * classes)
        yield Workload(
            case, kind, plugin, dtypes, _inputs(setting), compulsory_bytes=nbytes, most_sets=_SETS
        )


def _inputs(setting: Case) -> Callable[[Any, int], list[Any]]:
    images, classes, count, kind, most, score = setting

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
        if kind == "pixels":
            low, high = xp.rint(low), xp.rint(high)
        scores = rng.random((images, classes, count), dtype=xp.float32)
        if kind == "equal":
            scores = xp.full_like(scores, 0.5)
        numbers = [xp.array([number]) for number in (most, _IOU, score)]
        return [xp.concatenate([low, high], axis=-1), scores, *numbers]

    return make


def _torchvision(
    plugin: Plugin, inputs: Sequence[DeviceTensor], outputs: Sequence[DeviceTensor]
) -> TimedCall:
    """Call nms, or batched_nms, which ignore the limit: it cuts off what they return."""
    ops, torch = torchvision_ops(), torch_on_stream_of(inputs)
    boxes, scores, most, _, threshold = (tensor.torch() for tensor in inputs)
    images, classes, _ = scores.shape
    if scores.numel() > _MOST_BATCHED and images * classes > 1:
        raise NotOffered("it goes through so many boxes of classes one class at a time")
    limit = int(most)

    def one_class() -> Any:
        above = torch.nonzero(scores[0, 0] > threshold)[:, 0]
        kept = above[ops.nms(boxes[0][above], scores[0, 0][above], _IOU)[:limit]]
        return torch.nn.functional.pad(kept[:, None], (2, 0))

    def many() -> Any:
        image, group, box = torch.nonzero(scores > threshold, as_tuple=True)
        segment = image * classes + group
        kept = ops.batched_nms(boxes[image, box], scores[image, group, box], segment, _IOU)
        kept = kept[torch.sort(segment[kept], stable=True).indices]
        firsts = torch.searchsorted(segment[kept], segment[kept])
        kept = kept[torch.arange(len(kept), device="cuda") - firsts < limit]
        return torch.stack([image[kept], group[kept], box[kept]], 1)

    return many if images * classes > 1 else one_class


_PLAIN = """
typedef unsigned long long Word;
__global__ void masks(Word* mask, const float4* boxes, const long long* order, const int* counts,
                      int n, int classes, float threshold) {
    const int segment = blockIdx.z, count = counts[segment];
    const int row = blockIdx.y * 64 + threadIdx.x, words = (n + 63) / 64, first = blockIdx.x * 64;
    if (blockIdx.x < blockIdx.y || first >= count) return;
    __shared__ float4 columns[64];
    boxes += 1LL * (segment / classes) * n;
    order += 1LL * segment * n;
    if (first + threadIdx.x < count) columns[threadIdx.x] = boxes[order[first + threadIdx.x]];
    __syncthreads();
    if (row >= count) return;
    const float4 a = boxes[order[row]];
    Word bits = 0;
    for (int i = 0; i < 64 && first + i < count; ++i) {
        const float4 b = columns[i];
        const float w = fmaxf(fminf(a.z, b.z) - fmaxf(a.x, b.x), 0.0f);
        const float h = fmaxf(fminf(a.w, b.w) - fmaxf(a.y, b.y), 0.0f);
        const float both = (a.z - a.x) * (a.w - a.y) + (b.z - b.x) * (b.w - b.y) - w * h;
        if (first + i > row && w * h / both > threshold) bits |= 1ull << i;
    }
    mask[(1LL * segment * n + row) * words + blockIdx.x] = bits;
}
__global__ void walk(long long* lists, int* chosen, const Word* mask, const long long* order,
                     const int* counts, int n, long long most) {
    extern __shared__ Word out[];
    const int segment = blockIdx.x, words = (n + 63) / 64;
    for (int word = threadIdx.x; word < words; word += blockDim.x) out[word] = 0;
    int listed = 0;
    for (int i = 0; i < counts[segment] && listed < most; ++i) {
        __syncthreads();
        const bool is_kept = !(out[i / 64] >> i % 64 & 1);
        __syncthreads();
        if (!is_kept) continue;
        if (threadIdx.x == 0) lists[1LL * segment * n + listed] = order[1LL * segment * n + i];
        ++listed;
        for (int word = i / 64 + threadIdx.x; word < words; word += blockDim.x) {
            out[word] |= mask[(1LL * segment * n + i) * words + word];
        }
    }
    if (threadIdx.x == 0) chosen[segment] = listed;
}
__global__ void write(long long* indices, int* selected, const long long* lists, const int* chosen,
                      int n, int classes) {
    const int segment = blockIdx.x;
    int first = 0;
    for (int i = 0; i < segment; ++i) first += chosen[i];
    for (int i = threadIdx.x; i < chosen[segment]; i += blockDim.x) {
        indices[3LL * (first + i)] = segment / classes;
        indices[3LL * (first + i) + 1] = segment % classes;
        indices[3LL * (first + i) + 2] = lists[1LL * segment * n + i];
    }
    if (threadIdx.x == 0 && segment + 1 == gridDim.x) *selected = first + chosen[segment];
}
"""


@cache
def _room(*sizes: int) -> list[Any]:
    """Return memory for so many 64-bit numbers each, which all calls use in turn."""
    import cupy

    return [cupy.empty(size, np.uint64) for size in sizes]


def _plain(
    plugin: Plugin, inputs: Sequence[DeviceTensor], outputs: Sequence[DeviceTensor]
) -> TimedCall:
    """Sort with torch, compare all pairs, go through the masks in a block a class, write."""
    torch = torch_on_stream_of(inputs)
    boxes, scores, most, _, threshold = (tensor.torch() for tensor in inputs)
    images, classes, count = scores.shape
    segments, words = images * classes, -(-count // 64)
    if segments * count * words * 8 > _MOST_MASK_BYTES:
        raise NotOffered("its masks take gigabytes")
    masks, walk, write = (plain_kernel(_PLAIN, name) for name in ("masks", "walk", "write"))
    mask, lists, chosen = _room(segments * count * words, segments * count, segments)
    limit, iou = np.int64(int(most)), np.float32(_IOU)
    n, of_image = np.int32(count), np.int32(classes)
    indices, selected = outputs[0].pointer, outputs[1].pointer

    def call() -> None:
        is_above = scores > threshold
        counts = is_above.sum(-1, dtype=torch.int32)
        above = torch.where(is_above, scores, -torch.inf)
        order = torch.sort(above, descending=True, stable=True).indices
        known = (order.data_ptr(), counts.data_ptr(), n)
        grid = (words, words, segments)
        masks(grid, (64,), (mask, boxes.data_ptr(), *known, of_image, iou))
        walk((segments,), (256,), (lists, chosen, mask, *known, limit), shared_mem=8 * words)
        write((segments,), (256,), (indices, selected, lists, chosen, n, of_image))

    return call


PEERS = (Peer("torchvision", _torchvision), Peer("plain kernel", _plain))


if __name__ == "__main__":
    raise SystemExit(run_bench(NonMaxSuppression, __file__))
