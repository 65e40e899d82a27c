"""Unique, torch and cupy, on a GPU.

    python benchmarks/unique.py

which is ``pluginkit bench Unique --peers benchmarks/unique.py`` with the results written to
benchmarks/results. The peers always sort; torch returns no indices. Only their Y is compared.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from math import expm1, prod
from typing import Any

from peers import Function, bind_torch, run_bench

from pluginkit import Plugin, float16, float32, int8, int32, int64
from pluginkit.bench.workload import NotOffered, Peer, TimedCall, Workload
from pluginkit.contract.dtypes import DType
from pluginkit.contract.tensors import DeviceTensor
from pluginkit.plugins.unique import Unique

#: The shape, the type, the axis, whether sorted, and how many different elements or slices occur.
CASES: dict[str, tuple[tuple[int, ...], DType, int | None, bool, int]] = {
    "labels": ((16_777_216,), int32, None, True, 1000),
    "identifiers": ((16_777_216,), int64, None, True, 2_000_000),
    "all different": ((16_777_216,), int32, None, True, 2**31 - 1),
    "values": ((4096, 4096), float32, None, True, 1_000_000),
    "values of float16": ((4096, 4096), float16, None, True, 10_000),
    "classes": ((8, 1024, 1024), int8, None, True, 100),
    "first places": ((16_777_216,), int32, None, False, 1_000_000),
    "voxels": ((1_000_000, 3), int32, 0, True, 200_000),
    "voxels of batches": ((1_000_000, 4), int64, 0, True, 200_000),
    "edges": ((2, 4_000_000), int64, 1, True, 3_000_000),
    "long slices": ((4096, 1024), float32, 0, True, 3000),
    "small": ((8400,), int32, None, True, 80),
}


def workloads() -> Iterator[Workload]:
    """Yield every case; the bytes to move are x, an index for each slice, and the results."""
    for case, (shape, dtype, axis, is_sorted, distinct) in CASES.items():
        count = prod(shape) if axis is None else shape[axis]
        found = round(-distinct * expm1(-count / distinct))  # as many as are likely drawn
        slice_bytes = prod(shape) // count * dtype.itemsize
        nbytes = prod(shape) * dtype.itemsize + count * int64.itemsize
        nbytes += found * (slice_bytes + 2 * int64.itemsize)
        plugin, arrays = Unique(axis=axis, sorted=is_sorted), _inputs(case)
        order = "sorted" if is_sorted else "as found"
        yield Workload(case, order, plugin, (dtype,), arrays, compulsory_bytes=nbytes)


def _inputs(case: str) -> Callable[[Any, int], list[Any]]:
    shape, dtype, axis, _, distinct = CASES[case]

    def make(xp: Any, seed: int) -> list[Any]:
        rng = xp.random.default_rng(seed)
        if axis is None:
            drawn = rng.integers(0, distinct, shape)
            return [drawn - distinct // 2 if dtype is not float16 else drawn / 16]
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


def _cupy(
    plugin: Plugin, inputs: Sequence[DeviceTensor], outputs: Sequence[DeviceTensor]
) -> TimedCall:
    import cupy

    assert isinstance(plugin, Unique)  # noqa: S101  # for the type checker
    if not plugin.sorted:
        raise NotOffered("it always sorts")
    if plugin.axis is not None:
        raise NotOffered("along an axis it compares slices from Python, for hours")
    x = inputs[0].cupy()

    def call() -> Any:
        return cupy.unique(x, return_index=True, return_inverse=True, return_counts=True)[0]

    return call


PEERS = (Peer("torch", bind_torch(_torch)), Peer("cupy", _cupy))


if __name__ == "__main__":
    raise SystemExit(run_bench(Unique, __file__))
