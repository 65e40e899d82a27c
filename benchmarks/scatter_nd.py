"""ScatterND, torch and cupy, on a GPU.

    python benchmarks/scatter_nd.py

which is ``pluginkit bench ScatterND --peers benchmarks/scatter_nd.py`` with the results written to
benchmarks/results.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from math import prod
from random import Random
from typing import Any

from drawn_sizes import size, sizes
from peers import Function, bind_torch, compiled, run_bench

from pluginkit import Plugin, bfloat16, float16, float32, int64
from pluginkit.bench.workload import NotOffered, Peer, TimedCall, Workload
from pluginkit.contract.tensors import DeviceTensor
from pluginkit.plugins.scatter_nd import ScatterND

#: data, indices; and the part that is compared with the reference.
Case = tuple[tuple[int, ...], tuple[int, ...], tuple[slice, ...]]
CASES: dict[str, Case] = {
    "gnn": ((1_000_000, 64), (4_000_000, 1), (slice(None), slice(None, None, 63))),
    "gnn of odd rows": ((1_000_000, 33), (4_000_000, 1), (slice(None), slice(None, None, 32))),
    "pillars": ((2, 512, 512, 64), (60_000, 3), ()),
    "points": ((4096, 4096), (4096, 1024, 2), ()),
    "mid3d": ((32, 128, 1024), (32, 128, 2), ()),
    "small": ((8, 512), (8, 1), ()),
}
HOSTILE: dict[str, Case] = {
    "wide rows": ((1000, 50_000), (300, 1), (slice(None), slice(None, None, 50))),
    "wide odd rows": ((1000, 20_001), (300, 1), (slice(None), slice(None, None, 50))),
    "one cell": ((4096, 4096), (1, 2), ()),
    "odd rows of 3": ((2**18, 3), (2**18, 1), ()),
    "five deep": ((16, 16, 16, 16, 16), (2**18, 5), ()),
    "rows of 5, few": ((100_003, 5), (1000, 1), ()),
}
REDUCTIONS = ("none", "add", "mul", "max", "min")


def drawn(rng: Random) -> Case:
    """Return at most 2^22 elements of rank 1 to 4, and at most 2^18 updates in tuples."""
    data = sizes(rng, rng.randint(1, 4), 2**22)
    depth = rng.randint(1, len(data))
    return data, (size(rng, 1, max(1, 2**18 // prod(data[depth:]))), depth), ()


def workloads(cases: Mapping[str, Case] = CASES) -> Iterator[Workload]:
    """Yield every case, type and reduction."""
    for case, setting in cases.items():
        for dtype in (float32, float16, bfloat16):
            for reduction in REDUCTIONS:
                plugin, types = ScatterND(reduction=reduction), (dtype, int64, dtype)
                arrays, sample = _inputs(setting, reduction), setting[2]
                yield Workload(case, reduction, plugin, types, arrays, sample)


def _inputs(setting: Case, reduction: str) -> Callable[[Any, int], list[Any]]:
    data_shape, (*count, depth), _ = setting
    sizes, slice_shape = data_shape[:depth], data_shape[depth:]

    def make(xp: Any, seed: int) -> list[Any]:
        rng = xp.random.default_rng(seed)
        draw = lambda sizes: rng.random(sizes, dtype=xp.float32)  # noqa: E731
        rows = rng.integers(0, prod(sizes), prod(count))
        indices = xp.stack(xp.unravel_index(rows, sizes), -1).reshape(*count, depth)
        shape = (*count, *slice_shape)
        if reduction == "none":  # the same value for the same target, so that any winner is right
            values = draw((prod(sizes), prod(slice_shape)))
            updates = values[rows].reshape(shape)
        elif reduction == "mul":
            updates = draw(shape) * 0.5 + 0.75
        else:
            updates = draw(shape) * 2 - 1
        return [draw(data_shape) * 2 - 1, indices, updates]

    return make


# Peers.


def _rows(data: Any, indices: Any, updates: Any) -> tuple[Any, Any, Any]:
    """Return a copy of data and the updates as matrices, and the row of each tuple."""
    depth = indices.shape[-1]
    sizes, inner = data.shape[:depth], prod(data.shape[depth:])
    rows = indices[..., 0]
    for dim in range(1, depth):
        rows = rows * sizes[dim] + indices[..., dim]
    return data.clone().view(-1, inner), rows.reshape(-1), updates.reshape(-1, inner)


def _index_put(plugin: ScatterND, inputs: Sequence[DeviceTensor]) -> Function:
    """Use index_put, the same operation; it has no other reductions."""
    import torch

    reduction = plugin.reduction
    if reduction not in ("none", "add"):
        raise NotOffered(f"no {reduction}")
    is_sum = reduction == "add"

    def function(data: Any, indices: Any, updates: Any) -> Any:
        return torch.index_put(data, indices.unbind(-1), updates, accumulate=is_sum)

    return function


def _index_reduce(plugin: ScatterND, inputs: Sequence[DeviceTensor]) -> Function:
    """Work on rows with the functions that take one index for each row."""
    reduction = plugin.reduction
    names = {"mul": "prod", "max": "amax", "min": "amin"}

    def function(data: Any, indices: Any, updates: Any) -> Any:
        output, rows, values = _rows(data, indices, updates)
        if reduction == "none":
            output.index_copy_(0, rows, values)
        elif reduction == "add":
            output.index_add_(0, rows, values)
        else:
            output.index_reduce_(0, rows, values, names[reduction])
        return output.view(data.shape)

    return function


def _scatter_reduce(plugin: ScatterND, inputs: Sequence[DeviceTensor]) -> Function:
    """Work on rows with the functions that take one index for each element, expanded."""
    reduction = plugin.reduction
    names = {"add": "sum", "mul": "prod", "max": "amax", "min": "amin"}

    def function(data: Any, indices: Any, updates: Any) -> Any:
        output, rows, values = _rows(data, indices, updates)
        places = rows[:, None].expand_as(values)
        if reduction == "none":
            output.scatter_(0, places, values)
        else:
            output.scatter_reduce_(0, places, values, names[reduction])
        return output.view(data.shape)

    return function


def _quickest(plugin: ScatterND, inputs: Sequence[DeviceTensor]) -> Function:
    """Use the one of the above that is fastest with torch.compile."""
    make = _index_put if plugin.reduction in ("none", "add") else _scatter_reduce
    return make(plugin, inputs)


def _cupy(
    plugin: Plugin, inputs: Sequence[DeviceTensor], outputs: Sequence[DeviceTensor]
) -> TimedCall:
    import cupyx

    reduction = plugin.reduction  # type: ignore[attr-defined]
    if inputs[0].dtype is bfloat16:
        raise NotOffered("no bfloat16")
    if reduction == "mul":
        raise NotOffered("no scatter_mul")
    data, indices, updates = (tensor.cupy() for tensor in inputs)
    output = outputs[0].cupy()
    target = tuple(indices[..., dim] for dim in range(indices.shape[-1]))
    if reduction == "none":

        def write() -> None:
            output[...] = data
            output[target] = updates

        return write
    scatter = getattr(cupyx, f"scatter_{reduction}")

    def reduce() -> None:
        output[...] = data
        scatter(output, target, updates)

    return reduce


PEERS = (
    Peer("torch index_put", bind_torch(_index_put)),
    Peer("torch index_reduce", bind_torch(_index_reduce)),
    Peer("torch scatter_reduce", bind_torch(_scatter_reduce)),
    Peer("torch.compile", bind_torch(compiled(_quickest))),
    Peer("cupy", _cupy),
)


if __name__ == "__main__":
    raise SystemExit(run_bench(ScatterND, __file__))
