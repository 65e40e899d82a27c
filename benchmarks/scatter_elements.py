"""ScatterElements, torch, cupy and a plain kernel, on a GPU.

    python benchmarks/scatter_elements.py

which is ``pluginkit bench ScatterElements --peers benchmarks/scatter_elements.py`` with the results
written to benchmarks/results.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from math import prod
from random import Random
from typing import Any

from drawn_sizes import size, sizes
from peers import Function, bind_torch, compiled, plain_kernel, run_bench

from pluginkit import Plugin, bfloat16, float16, float32, int32, int64
from pluginkit.bench.workload import NotOffered, Peer, TimedCall, Workload
from pluginkit.contract.tensors import DeviceTensor
from pluginkit.plugins.scatter_elements import ScatterElements

#: data, updates, axis; and the part that is compared with the reference.
Case = tuple[tuple[int, ...], tuple[int, ...], int, tuple[slice, ...]]
CASES: dict[str, Case] = {
    "gnn": ((1_000_000, 64), (4_000_000, 64), 0, (slice(None), slice(None, None, 63))),
    "rows4k": ((4096, 4096), (4096, 1024), 1, (slice(None, None, 273),)),
    "mid3d": ((32, 128, 1024), (32, 128, 1024), 1, (slice(None, None, 31),)),
    "small": ((8, 512), (8, 512), 1, ()),
}
HOSTILE: dict[str, Case] = {
    "tall, of one": ((2**20, 1), (2**20, 1), 0, ()),
    "few into many": ((2**22,), (100,), 0, ()),
    "odd middle": ((64, 257, 129), (64, 257, 129), 1, (slice(4),)),
    "rows of 3": ((2**20, 3), (2**20, 3), 1, (slice(2**16),)),
    "rows of 33": ((2**15, 33), (2**15, 33), 1, (slice(2**12),)),
    "one into each row": ((5112, 424), (5112, 1), 1, ()),
    "few rows of many": ((3, 2**20), (5, 2**20), 0, (slice(None), slice(None, None, 61))),
    "rows of 8, mixed": ((100_000, 8), (400_000, 8), 0, (slice(None), slice(1))),
    "odd rows, mixed": ((3536, 201), (7340, 201), 0, (slice(None), slice(8))),
    "few wide rows, mixed": ((64, 52, 16), (2785, 52, 16), 0, (slice(None), slice(4))),
    "many into short rows": ((128, 24, 2), (128, 1024, 2), 1, ()),
    "one row into one": ((1, 3_488_456), (1, 3_488_456), 0, ()),
    "few into one long": ((10_806,), (32,), 0, ()),
    "many into few columns": ((8, 208), (4035, 208), 0, ()),
    "many into few columns, one row unused": ((8, 208), (4035, 208), 0, ()),
    "many into few": ((16, 64), (2**18, 64), 0, (slice(None), slice(2))),
}
REDUCTIONS = ("none", "add", "mul", "max", "min")


def drawn(rng: Random) -> Case:
    """Return at most 2^23 elements of rank 1 to 3, and at most 2^22 updates along any axis."""
    data = sizes(rng, rng.randint(1, 3), 2**23)
    axis = rng.randrange(len(data))
    others = prod(data) // data[axis]
    updates = list(data)
    updates[axis] = size(rng, 1, max(1, 2**22 // others))
    # Sums of many elements are the reference's most costly: so many are compared.
    cut, whole = 1 if axis == 0 else 0, prod(updates)
    sample = [slice(None)] * len(data)
    if len(data) > 1:
        sample[cut] = slice(max(1, 2**18 * data[cut] // whole))
    return data, tuple(updates), axis, tuple(sample)


def workloads(cases: Mapping[str, Case] = CASES) -> Iterator[Workload]:
    """Yield every case, type and reduction with int64 indices; int32 and deterministic for some."""
    for case, setting in cases.items():
        for dtype in (float32, float16, bfloat16):
            for reduction in REDUCTIONS:
                yield _workload(case, setting, dtype, reduction)
            for reduction in ("none", "add"):
                yield _workload(case, setting, dtype, reduction, index=int32)
        for reduction in ("none", "add"):
            yield _workload(case, setting, float32, reduction, deterministic=True)


def _workload(
    case: str,
    setting: Case,
    dtype: Any,
    reduction: str,
    index: Any = int64,
    deterministic: bool = False,
) -> Workload:
    _, _, axis, sample = setting
    plugin = ScatterElements(axis=axis, reduction=reduction, deterministic=deterministic)
    variant = reduction + ", int32" * (index is int32) + ", deterministic" * deterministic
    arrays = _inputs(setting, reduction, case == "gnn", case.endswith("unused"))
    return Workload(case, variant, plugin, (dtype, index, dtype), arrays, sample)


def _inputs(
    setting: Case, reduction: str, is_by_rows: bool, has_unused: bool
) -> Callable[[Any, int], list[Any]]:
    data_shape, shape, axis, _ = setting

    def make(xp: Any, seed: int) -> list[Any]:
        rng = xp.random.default_rng(seed)
        draw = lambda sizes: rng.random(sizes, dtype=xp.float32)  # noqa: E731
        size = data_shape[axis]
        if is_by_rows:  # one node for all features of an edge
            nodes = rng.integers(0, size, shape[0])
            indices = xp.ascontiguousarray(xp.broadcast_to(nodes[:, None], shape))
        else:
            indices = rng.integers(0, size - has_unused, shape)
        if reduction == "none":  # the same value for the same target, so that any winner is right
            updates = xp.take_along_axis(draw(data_shape), indices, axis)
        elif reduction == "mul":
            updates = draw(shape) * 0.5 + 0.75
        else:
            updates = draw(shape) * 2 - 1
        return [draw(data_shape) * 2 - 1, indices, updates]

    return make


# Peers.


def _refuse_variants(plugin: Plugin, inputs: Sequence[DeviceTensor]) -> None:
    if plugin.deterministic:  # type: ignore[attr-defined]
        raise NotOffered("no deterministic result")
    if inputs[1].dtype is int32:
        raise NotOffered("int64 indices only")


_TORCH = {"add": "sum", "mul": "prod", "max": "amax", "min": "amin"}


def _torch(plugin: ScatterElements, inputs: Sequence[DeviceTensor]) -> Function:
    import torch

    _refuse_variants(plugin, inputs)
    axis, reduction = plugin.axis, plugin.reduction
    if reduction == "none":
        return lambda data, indices, updates: torch.scatter(data, axis, indices, updates)
    reduce = _TORCH[reduction]
    return lambda data, indices, updates: torch.scatter_reduce(data, axis, indices, updates, reduce)


def _cupy(
    plugin: Plugin, inputs: Sequence[DeviceTensor], outputs: Sequence[DeviceTensor]
) -> TimedCall:
    import cupy
    import cupyx

    _refuse_variants(plugin, inputs)
    if inputs[0].dtype is bfloat16:
        raise NotOffered("no bfloat16")
    if plugin.reduction == "mul":  # type: ignore[attr-defined]
        raise NotOffered("no scatter_mul")
    data, indices, updates = (tensor.cupy() for tensor in inputs)
    output, shape, axis = outputs[0].cupy(), inputs[1].shape, plugin.axis  # type: ignore[attr-defined]
    places: list[Any] = list(cupy.ogrid[tuple(slice(n) for n in shape)])
    places[axis] = indices
    target = tuple(places)
    if plugin.reduction == "none":  # type: ignore[attr-defined]

        def call() -> None:
            output[...] = data
            output[target] = updates

        return call
    scatter = getattr(cupyx, f"scatter_{plugin.reduction}")  # type: ignore[attr-defined]

    def reduce() -> None:
        output[...] = data
        scatter(output, target, updates)

    return reduce


_SOURCE = r"""
#include <cuda_bf16.h>
#include <cuda_fp16.h>
enum Reduction { none, add, mul, max_of, min_of };
template <int BYTES> struct Word;
template <> struct Word<2> { using type = unsigned short; };
template <> struct Word<4> { using type = unsigned int; };

template <int R, typename T> __device__ void reduce(T* target, T update) {
    if constexpr (R == none) *target = update;
    else if constexpr (R == add) atomicAdd(target, update);
    else {
        using W = typename Word<sizeof(T)>::type;
        W* address = reinterpret_cast<W*>(target);
        W seen = *address, expected;
        do {
            expected = seen;
            const float old = static_cast<float>(*reinterpret_cast<const T*>(&expected));
            const float u = static_cast<float>(update);
            const float both = R == mul ? old * u : R == max_of ? fmaxf(old, u) : fminf(old, u);
            const T value = static_cast<T>(both);
            seen = atomicCAS(address, expected, *reinterpret_cast<const W*>(&value));
        } while (seen != expected);
    }
}

template <typename T, typename Tind, int R>
__global__ void plain(T* output, const Tind* indices, const T* updates, long long count,
                      long long axis_size, long long axis_updates, long long inner) {
    const long long i = blockIdx.x * static_cast<long long>(blockDim.x) + threadIdx.x;
    if (i >= count) return;
    const long long outer = i / (axis_updates * inner);
    reduce<R>(output + (outer * axis_size + indices[i]) * inner + i % inner, updates[i]);
}
"""
_VECTORS = r"""
#include <cuda_bf16.h>
#include <cuda_fp16.h>
template <typename T, int N> struct alignas(sizeof(T) * N) Vector { T value[N]; };

__device__ void add(float* target, const Vector<float, 4>& update) {
    atomicAdd(reinterpret_cast<float4*>(target), *reinterpret_cast<const float4*>(&update));
}
__device__ void add(__half* target, const Vector<__half, 8>& update) {
    const auto bits = *reinterpret_cast<const uint4*>(&update);
    asm volatile("red.global.add.noftz.v4.f16x2 [%0], {%1, %2, %3, %4};"
                 ::"l"(target), "r"(bits.x), "r"(bits.y), "r"(bits.z), "r"(bits.w) : "memory");
}
__device__ void add(__nv_bfloat16* target, const Vector<__nv_bfloat16, 8>& update) {
    const auto bits = *reinterpret_cast<const uint4*>(&update);
    asm volatile("red.global.add.noftz.v4.bf16x2 [%0], {%1, %2, %3, %4};"
                 ::"l"(target), "r"(bits.x), "r"(bits.y), "r"(bits.z), "r"(bits.w) : "memory");
}

template <typename T, typename Tind, int N>
__global__ void vectors(T* output, const Tind* indices, const T* updates, long long count,
                        long long axis_size, long long axis_updates, long long inner) {
    const long long i = (blockIdx.x * static_cast<long long>(blockDim.x) + threadIdx.x) * N;
    if (i >= count) return;
    const auto update = *reinterpret_cast<const Vector<T, N>*>(updates + i);
    const auto index = *reinterpret_cast<const Vector<Tind, N>*>(indices + i);
    bool is_one = true;
    for (int n = 1; n < N; ++n) is_one &= index.value[n] == index.value[0];
    T* base = output + i / (axis_updates * inner) * axis_size * inner + i % inner;
    if (is_one) return add(base + index.value[0] * inner, update);
    for (int n = 0; n < N; ++n) atomicAdd(base + index.value[n] * inner + n, update.value[n]);
}
"""
_NUMBERS = {"none": 0, "add": 1, "mul": 2, "max": 3, "min": 4}


def _plain(
    plugin: Plugin, inputs: Sequence[DeviceTensor], outputs: Sequence[DeviceTensor]
) -> TimedCall:
    """Copy data, and make one atomic operation for each update, as NVIDIA's plugin does."""
    if plugin.deterministic:  # type: ignore[attr-defined]
        raise NotOffered("no deterministic result")
    data, indices, _ = inputs
    axis = plugin.axis  # type: ignore[attr-defined]
    reduction = _NUMBERS[plugin.reduction]  # type: ignore[attr-defined]
    expression = f"plain<{data.dtype.cpp}, {indices.dtype.cpp}, {reduction}>"
    kernel = plain_kernel(_SOURCE, expression)
    return _copy_and_launch(kernel, axis, inputs, outputs)


def _vectors(
    plugin: Plugin, inputs: Sequence[DeviceTensor], outputs: Sequence[DeviceTensor]
) -> TimedCall:
    """Copy data, and add 16 bytes with one atomic operation where their indices are equal."""
    data, indices, _ = inputs
    axis, width = plugin.axis, 16 // data.dtype.itemsize  # type: ignore[attr-defined]
    if plugin.deterministic or plugin.reduction != "add":  # type: ignore[attr-defined]
        raise NotOffered("sums in any order only")
    if prod(data.shape[axis + 1 :]) % width:
        raise NotOffered("rows of whole vectors only")
    expression = f"vectors<{data.dtype.cpp}, {indices.dtype.cpp}, {width}>"
    kernel = plain_kernel(_VECTORS, expression)
    return _copy_and_launch(kernel, axis, inputs, outputs, width)


def _copy_and_launch(
    kernel: Any,
    axis: int,
    inputs: Sequence[DeviceTensor],
    outputs: Sequence[DeviceTensor],
    width: int = 1,
) -> TimedCall:
    import cupy
    import numpy as np

    data, indices, updates = inputs
    inner, count = prod(data.shape[axis + 1 :]), updates.size
    numbers = map(np.int64, (count, data.shape[axis], updates.shape[axis], inner))
    arguments = (outputs[0].pointer, indices.pointer, updates.pointer, *numbers)
    copy, kind = cupy.cuda.runtime.memcpyAsync, cupy.cuda.runtime.memcpyDeviceToDevice
    grid = (-(-count // (256 * width)),)

    def call() -> None:
        copy(outputs[0].pointer, data.pointer, data.nbytes, kind, data.stream)
        kernel(grid, (256,), arguments)

    return call


PEERS = (
    Peer("torch", bind_torch(_torch)),
    Peer("torch.compile", bind_torch(compiled(_torch))),
    Peer("cupy", _cupy),
    Peer("plain RawKernel", _plain),
    Peer("vector RawKernel", _vectors),
)


if __name__ == "__main__":
    raise SystemExit(run_bench(ScatterElements, __file__))
