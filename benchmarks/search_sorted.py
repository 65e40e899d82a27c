"""SearchSorted and its peers, on a GPU.

    python benchmarks/search_sorted.py

which is ``pluginkit bench SearchSorted --peers benchmarks/search_sorted.py`` with the results
written to benchmarks/results.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from random import Random
from typing import Any

from drawn_sizes import size
from peers import bind_torch, run_bench

from pluginkit import DType, float16, float32, int64
from pluginkit.bench.workload import NotOffered, Peer, TimedCall, Workload
from pluginkit.contract.tensors import DeviceTensor
from pluginkit.plugins.search_sorted import SearchSorted

#: The shapes of sequences and of values.
Case = tuple[tuple[int, ...], tuple[int, ...]]
CASES: dict[str, Case] = {
    "16 boundaries": ((16,), (1 << 24,)),
    "1000 boundaries": ((1000,), (1 << 24,)),
    "1000 and 100": ((1000,), (100,)),
    "1000 and 65536": ((1000,), (1 << 16,)),
    "one long sequence": ((1 << 20,), (1 << 22,)),
    "few values": ((1 << 24,), (1000,)),
    "rows": ((4096, 512), (4096, 512)),
    "short rows": ((1 << 20, 9), (1 << 20, 6)),
}
HOSTILE: dict[str, Case] = {
    "rows of 2": ((2**20, 2), (2**20, 1)),
    "eight long": ((8, 2**20), (8, 2**18)),
    "one boundary": ((1,), (2**24,)),
    "16 million, and 4": ((2**24,), (2**22,)),
    "one of a long row": ((1000, 10_000), (1000, 1)),
    "many of few": ((4, 16), (4, 2**22)),
    "100,000 and 2^20": ((100_000,), (2**20,)),
    "a million, and half more": ((1_000_000,), (1_500_000,)),
    "eight, 32768 of each": ((8, 152_504), (8, 32_768)),
}
#: How values of the long sequence are drawn, beside evenly.
KINDS = ("sorted", "all equal", "few distinct", "equal elements", "with NaN")


def drawn(rng: Random) -> Case:
    """Return a sequence and values, or rows of both, of at most 2^23 elements each."""
    rows = rng.choice((1, size(rng, 1, 2**20)))
    length, values = size(rng, 1, 2**23 // rows), size(rng, 1, 2**23 // rows)
    return ((length,), (values,)) if rows == 1 else ((rows, length), (rows, values))


def workloads(cases: Mapping[str, Case] = CASES) -> Iterator[Workload]:
    """Yield every case, hostile values of the long sequence, and other types."""
    plugin, narrow = SearchSorted(right=True), SearchSorted(out_int32=True)
    for case, setting in cases.items():
        for kind in ("even", *(KINDS if case == "one long sequence" else ())):
            yield _workload(case, setting, kind, plugin, float32)
        if case not in CASES or case == "1000 boundaries":
            yield _workload(case, setting, "even", plugin, float16)
            yield _workload(case, setting, "out_int32", narrow, float32)
        if case not in CASES or case == "one long sequence":
            yield _workload(case, setting, "even", plugin, int64)


def _workload(case: str, setting: Case, kind: str, plugin: SearchSorted, dtype: DType) -> Workload:
    """Return a workload, of which the first values, or rows, are compared."""
    is_single = len(setting[0]) == 1
    names = ("values", "y") if is_single else ("sorted_sequence", "values", "y")
    sample = {name: (slice(1000),) for name in names}
    return Workload(case, kind, plugin, (dtype, dtype), _inputs(setting, kind), sample)


def _inputs(setting: Case, kind: str) -> Callable[[Any, int], list[Any]]:
    of_sequence, of_values = setting

    def make(xp: Any, seed: int) -> list[Any]:
        rng = xp.random.default_rng(seed)
        # Multiples of 1/4, of which float16 has as many as it needs.
        sequence = rng.integers(-4000, 4000, of_sequence, dtype=xp.int32).astype(xp.float32) / 4
        values = rng.standard_normal(of_values, dtype=xp.float32) * 300
        if kind == "sorted":
            values = xp.sort(values)
        elif kind == "all equal":
            values[...] = 7.25
        elif kind == "few distinct":
            values = xp.round(values / 200) * 200
        elif kind == "equal elements":
            sequence[...] = 7.25
        elif kind == "with NaN":
            values[::3] = xp.nan
        return [xp.sort(sequence, axis=-1), values]

    return make


def _torch(plugin: Any, inputs: Sequence[DeviceTensor]) -> Callable[..., Any]:
    import torch

    return lambda sequence, values: torch.searchsorted(
        sequence, values, right=plugin.right, out_int32=plugin.out_int32
    )


def _bind_cupy(
    plugin: Any, inputs: Sequence[DeviceTensor], outputs: Sequence[DeviceTensor]
) -> TimedCall:
    import cupy

    sequence, values = (each.cupy() for each in inputs)
    if sequence.ndim > 1 or plugin.out_int32:
        raise NotOffered("cupy.searchsorted takes one sequence, and returns int64")
    side = "right" if plugin.right else "left"
    return lambda: cupy.searchsorted(sequence, values, side)


PEERS = (Peer("torch", bind_torch(_torch)), Peer("cupy", _bind_cupy))


if __name__ == "__main__":
    raise SystemExit(run_bench(SearchSorted, __file__))
