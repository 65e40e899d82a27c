"""TopK, torch and cupy's full sort, on a GPU.

    python benchmarks/top_k.py

which is ``pluginkit bench TopK --peers benchmarks/top_k.py`` with the results written to
benchmarks/results.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from math import prod
from typing import Any

from peers import run_bench, torch_on_stream_of

from pluginkit import Plugin, bfloat16, float16, float32, int64
from pluginkit.bench.workload import NotOffered, Peer, TimedCall, Workload
from pluginkit.contract.tensors import DeviceTensor
from pluginkit.plugins.top_k import TopK

#: The shape of x, and k.
CASES: dict[str, tuple[tuple[int, ...], int]] = {
    "vocabulary": ((1024, 50257), 50),
    "anchors": ((8, 268569), 1000),
    "queries": ((64, 8400), 300),
    "beyond 3840": ((8, 268569), 4000),
    "proposals": ((8, 268569), 12000),
}


def workloads() -> Iterator[Workload]:
    """Yield every case and type, with both tactics if k elements fit into shared memory."""
    for case, (shape, k) in CASES.items():
        for dtype in (float32, float16, bfloat16):
            results = prod(shape[:-1]) * k * (dtype.itemsize + int64.itemsize)
            nbytes = prod(shape) * dtype.itemsize + results
            for tactic in TopK.tactics if k <= 4096 else TopK.tactics[:1]:
                plugin, types = TopK().with_tactic(tactic), (dtype, int64)
                arrays = _inputs(shape, k)
                yield Workload(case, tactic, plugin, types, arrays, compulsory_bytes=nbytes)


def _inputs(shape: tuple[int, ...], k: int) -> Callable[[Any, int], list[Any]]:
    def make(xp: Any, seed: int) -> list[Any]:
        x = xp.random.default_rng(seed).standard_normal(shape, dtype=xp.float32)
        return [x, xp.asarray([k])]

    return make


def _k(outputs: Sequence[DeviceTensor]) -> int:
    return outputs[0].shape[-1]


def _torch(
    plugin: Plugin, inputs: Sequence[DeviceTensor], outputs: Sequence[DeviceTensor]
) -> TimedCall:
    torch = torch_on_stream_of(inputs)
    x, k = inputs[0].torch(), _k(outputs)
    # Its order of equal elements is open, so that indices are not compared.
    return lambda: torch.topk(x, k)[:1]


def _sort(
    plugin: Plugin, inputs: Sequence[DeviceTensor], outputs: Sequence[DeviceTensor]
) -> TimedCall:
    import cupy

    if inputs[0].dtype is bfloat16:
        raise NotOffered("no bfloat16")
    x, k = inputs[0].cupy(), _k(outputs)
    return lambda: cupy.ascontiguousarray(-cupy.sort(-x)[:, :k])


PEERS = (Peer("torch", _torch), Peer("cupy sort", _sort))


if __name__ == "__main__":
    raise SystemExit(run_bench(TopK, __file__))
