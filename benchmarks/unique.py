"""Unique, torch, and CUB's sort and scan, on a GPU.

    python benchmarks/unique.py

which is ``pluginkit bench Unique --peers benchmarks/unique.py`` with the results written to
benchmarks/results. The peers always sort; torch returns no indices, and of its results only Y is
compared. Elements are drawn evenly, in a random order, or as DRAWN says.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from ctypes import c_int, c_size_t, c_void_p
from math import expm1, log, prod
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
from drawn_sizes import size
from peers import Function, bind_torch, nvcc_library, run_bench

from pluginkit import Plugin, float16, float32, int8, int32, int64
from pluginkit.bench.workload import NotOffered, Peer, TimedCall, Workload
from pluginkit.contract.dtypes import DType
from pluginkit.contract.tensors import DeviceTensor
from pluginkit.plugins.unique import Unique

#: The shape, the type, the axis, whether sorted, and how many different elements or slices occur.
Case = tuple[tuple[int, ...], DType, int | None, bool, int]
CASES: dict[str, Case] = {
    "labels": ((16_777_216,), int32, None, True, 1000),
    "scattered labels": ((8_388_608,), int32, None, True, 1000),
    "identifiers": ((16_777_216,), int64, None, True, 2_000_000),
    "hashes": ((8_388_608,), int64, None, True, 2**62),
    "all different": ((16_777_216,), int32, None, True, 2**31 - 1),
    "one value": ((8_388_608,), int32, None, True, 1),
    "sorted already": ((8_388_608,), int32, None, True, 1_000_000),
    "power law": ((8_388_608,), int32, None, True, 2_000_000),
    "one long run": ((8_388_608,), int64, None, True, 2_000_000),
    "values": ((4096, 4096), float32, None, True, 1_000_000),
    "first places": ((16_777_216,), int32, None, False, 1_000_000),
    "voxels": ((1_000_000, 3), int32, 0, True, 200_000),
    "voxels of batches": ((1_000_000, 4), int64, 0, True, 200_000),
    "edges": ((2, 4_000_000), int64, 1, True, 3_000_000),
    "long slices": ((4096, 1024), float32, 0, True, 3000),
    "small": ((8400,), int32, None, True, 80),
    "few": ((4000,), int32, None, True, 2**31 - 1),
    "one": ((1,), int32, None, True, 2),
    "values of float16": ((4096, 4096), float16, None, True, 10_000),
    "classes": ((8, 1024, 1024), int8, None, True, 100),
}
HOSTILE: dict[str, Case] = {
    "two values": ((2**22,), int64, None, True, 2),
    "few rows, long": ((8, 2**18), float32, 0, True, 5),
    "single columns": ((1_000_000, 1), int32, 0, True, 200_000),
    "4000": ((4000,), int64, None, True, 4000),
    "4392": ((4392,), int32, None, True, 4392),
    "100,000": ((100_000,), int64, None, True, 30_000),
    "a million floats": ((1_000_000,), float32, None, True, 1_000_000),
    "rows of 7": ((200_000, 7), int32, 0, True, 1000),
}


def drawn(rng: Random) -> Case:
    """Return at most 2^22 elements, or rows of at most 8, of any number of different ones."""
    dtype, count = rng.choice((int32, int64, float32)), size(rng, 1, 2**22)
    distinct = size(rng, 1, 2 * count)
    if rng.random() < 0.7:
        return (count,), dtype, None, True, distinct
    columns = rng.randint(1, 8)
    rows = -(-count // (4 * columns))
    return (rows, columns), dtype, 0, True, min(distinct, 2 * rows)


def _scattered(xp: Any, drawn: Any, distinct: int) -> Any:
    return (drawn * 2_654_435_761 + 1) % 2**32 - 2**31  # over all of int32


def _power_law(xp: Any, drawn: Any, distinct: int) -> Any:
    """Return value v about 1 / v times as often as value 1."""
    return xp.exp(drawn / distinct * log(distinct)).astype(xp.int64)


def _one_long_run(xp: Any, drawn: Any, distinct: int) -> Any:
    return xp.where(drawn % 10 != 0, 7, drawn)


#: What is made of evenly drawn numbers from 0 to ``distinct`` - 1.
DRAWN: dict[str, Callable[[Any, Any, int], Any]] = {
    "scattered labels": _scattered,
    "sorted already": lambda xp, drawn, distinct: xp.sort(drawn),
    "power law": _power_law,
    "one long run": _one_long_run,
}


def _found(case: str, count: int, distinct: int) -> int:
    """Return how many of ``distinct`` elements are likely drawn."""
    if case == "power law":
        value = np.arange(1, distinct)
        chance = np.log1p(1 / value) / log(distinct)
        return round(float(-np.expm1(-count * chance).sum()))
    if case == "one long run":
        count, distinct = count // 10, distinct // 10
    return round(-distinct * expm1(-count / distinct))


def workloads(cases: Mapping[str, Case] = CASES) -> Iterator[Workload]:
    """Yield every case; the bytes to move are x, an index for each slice, and the results."""
    for case, setting in cases.items():
        shape, dtype, axis, is_sorted, distinct = setting
        count = prod(shape) if axis is None else shape[axis]
        found = _found(case, count, distinct)
        slice_bytes = prod(shape) // count * dtype.itemsize
        nbytes = prod(shape) * dtype.itemsize + count * int64.itemsize
        nbytes += found * (slice_bytes + 2 * int64.itemsize)
        plugin, arrays = Unique(axis=axis, sorted=is_sorted), _inputs(setting, case)
        order = "sorted" if is_sorted else "as found"
        yield Workload(case, order, plugin, (dtype,), arrays, compulsory_bytes=nbytes)


def _inputs(setting: Case, case: str) -> Callable[[Any, int], list[Any]]:
    shape, dtype, axis, _, distinct = setting

    def make(xp: Any, seed: int) -> list[Any]:
        rng = xp.random.default_rng(seed)
        if axis is None:
            numbers = rng.integers(0, distinct, shape)
            if case in DRAWN:
                return [DRAWN[case](xp, numbers, distinct)]
            return [numbers - distinct // 2 if dtype is not float16 else numbers / 16]
        rest = prod(shape) // shape[axis]
        slices = rng.integers(0, 1000, (distinct, rest))
        chosen = slices[rng.integers(0, distinct, shape[axis])]
        return [xp.ascontiguousarray(chosen if axis == 0 else chosen.T).reshape(shape)]

    return make


def _torch(plugin: Unique, inputs: Sequence[DeviceTensor]) -> Function:
    import torch

    if not plugin.sorted:
        raise NotOffered("it always sorts")

    def function(x: Any) -> Any:
        found, _inverse, _counts = torch.unique(
            x, sorted=True, return_inverse=True, return_counts=True, dim=plugin.axis
        )
        return found

    return function


#: The C++ types of CUB's peer.
ELEMENT_TYPES = {
    int8: "int8_t",
    int32: "int",
    int64: "long long",
    float16: "__half",
    float32: "float",
}


def _cub(
    plugin: Plugin, inputs: Sequence[DeviceTensor], outputs: Sequence[DeviceTensor]
) -> TimedCall:
    import cupy

    assert isinstance(plugin, Unique)  # noqa: S101  # for the type checker
    if not plugin.sorted:
        raise NotOffered("it always sorts")
    if plugin.axis is not None:
        raise NotOffered("it has no keys of several words")
    source = Path(__file__).with_name("unique_cub.cu")
    library = nvcc_library(source, f"-DELEMENT_TYPE={ELEMENT_TYPES[inputs[0].dtype]}")
    items = c_int(inputs[0].size)
    library.memory_bytes.restype = c_size_t
    nbytes = c_size_t(library.memory_bytes(items))
    memory = cupy.empty(nbytes.value, cupy.uint8)
    tensors = [c_void_p(tensor.pointer) for tensor in (*outputs, *inputs)]
    rest = (c_void_p(memory.data.ptr), nbytes, items, c_void_p(inputs[0].stream))

    def call() -> None:
        status = library.unique(*tensors, *rest)
        if status or memory is None:  # which the call keeps alive
            raise RuntimeError(f"CUDA error {status}")

    return call


PEERS = (
    Peer("torch", bind_torch(_torch)),
    Peer("CUB sort and scan", _cub),
)


if __name__ == "__main__":
    raise SystemExit(run_bench(Unique, __file__))
