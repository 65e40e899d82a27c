"""ScatterND beside torch and cupy, on a GPU.

    python benchmarks/scatter_nd.py

which is ``pluginkit bench ScatterND --peers benchmarks/scatter_nd.py`` with the results written to
benchmarks/results.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from math import prod
from pathlib import Path
from typing import Any

from pluginkit import Plugin, bfloat16, float16, float32, int64
from pluginkit.bench.workload import Call, NotOffered, Peer, Workload
from pluginkit.plugins.scatter_nd import ScatterND
from pluginkit.tensors import DeviceTensor

#: data, indices; what is cut out for the comparison with the reference.
CASES: dict[str, tuple[tuple[int, ...], tuple[int, ...], tuple[slice, ...]]] = {
    "gnn": ((1_000_000, 64), (4_000_000, 1), (slice(None), slice(None, None, 63))),
    "gnn of odd rows": ((1_000_000, 33), (4_000_000, 1), (slice(None), slice(None, None, 32))),
    "pillars": ((2, 512, 512, 64), (60_000, 3), ()),
    "points": ((4096, 4096), (4096, 1024, 2), ()),
    "mid3d": ((32, 128, 1024), (32, 128, 2), ()),
    "small": ((8, 512), (8, 1), ()),
}
REDUCTIONS = ("none", "add", "mul", "max", "min")


def workloads() -> Iterator[Workload]:
    """Every case, type and reduction."""
    for case, (_, _, sample) in CASES.items():
        for dtype in (float32, float16, bfloat16):
            for reduction in REDUCTIONS:
                plugin, types = ScatterND(reduction=reduction), (dtype, int64, dtype)
                arrays = _inputs(case, reduction)
                yield Workload(case, reduction, plugin, types, arrays, sample)


def _inputs(case: str, reduction: str) -> Callable[[Any, int], list[Any]]:
    data_shape, (*count, depth), _ = CASES[case]
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

#: From data, indices and updates to a new array.
Function = Callable[[Any, Any, Any], Any]


def _rows(data: Any, indices: Any, updates: Any) -> tuple[Any, Any, Any]:
    """A copy of data and the updates as matrices, and the row that each tuple names."""
    depth = indices.shape[-1]
    sizes, inner = data.shape[:depth], prod(data.shape[depth:])
    rows = indices[..., 0]
    for dim in range(1, depth):
        rows = rows * sizes[dim] + indices[..., dim]
    return data.clone().view(-1, inner), rows.reshape(-1), updates.reshape(-1, inner)


def _index_put(torch: Any, reduction: str) -> Function:
    """The operator itself; it has no other reductions."""
    if reduction not in ("none", "add"):
        raise NotOffered(f"no {reduction}")
    is_sum = reduction == "add"

    def function(data: Any, indices: Any, updates: Any) -> Any:
        return torch.index_put(data, indices.unbind(-1), updates, accumulate=is_sum)

    return function


def _index_reduce(torch: Any, reduction: str) -> Function:
    """On rows, by the functions that take one index a row."""
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


def _scatter_reduce(torch: Any, reduction: str) -> Function:
    """On rows, by the functions that take one index an element; here they share memory."""
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


@cache
def _compiled(reduction: str, shapes: tuple[tuple[int, ...], ...], dtype: Any) -> Function:
    import torch

    torch._dynamo.config.recompile_limit = torch._dynamo.config.accumulated_recompile_limit = 1000
    make = _index_put if reduction in ("none", "add") else _scatter_reduce
    compiled: Function = torch.compile(make(torch, reduction), dynamic=False)
    return compiled


def _torch(make: Callable[[Any, str], Function]) -> Callable[..., Call]:
    def bind(
        plugin: Plugin, inputs: Sequence[DeviceTensor], outputs: Sequence[DeviceTensor]
    ) -> Call:
        import torch

        torch.cuda.set_stream(torch.cuda.ExternalStream(inputs[0].stream))
        function = make(torch, plugin.reduction)  # type: ignore[attr-defined]
        tensors = [tensor.torch() for tensor in inputs]
        return lambda: function(*tensors)

    return bind


def _torch_compiled(
    plugin: Plugin, inputs: Sequence[DeviceTensor], outputs: Sequence[DeviceTensor]
) -> Call:
    def make(torch: Any, reduction: str) -> Function:
        shapes = tuple(tensor.shape for tensor in inputs)
        return _compiled(reduction, shapes, inputs[0].dtype)

    return _torch(make)(plugin, inputs, outputs)


def _cupy(plugin: Plugin, inputs: Sequence[DeviceTensor], outputs: Sequence[DeviceTensor]) -> Call:
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
    Peer("torch index_put", _torch(_index_put)),
    Peer("torch index_reduce", _torch(_index_reduce)),
    Peer("torch scatter_reduce", _torch(_scatter_reduce)),
    Peer("torch.compile", _torch_compiled),
    Peer("cupy", _cupy),
)


def main() -> int:
    """Measure, and write benchmarks/results/scatter_nd.{json,html,png}."""
    from pluginkit.cli.main import main as pluginkit

    results = Path(__file__).parent / "results" / "scatter_nd"
    files = [f"--{kind}={results.with_suffix('.' + kind)}" for kind in ("json", "html", "png")]
    return pluginkit(["bench", "ScatterND", f"--peers={__file__}", *files, *sys.argv[1:]])


if __name__ == "__main__":
    raise SystemExit(main())
