"""TopK, torch, and a kernel with a threshold in shared memory, on a GPU.

    python benchmarks/top_k.py

which is ``pluginkit bench TopK --peers benchmarks/top_k.py`` with the results written to
benchmarks/results. Elements are drawn from a normal distribution, or as DRAWN says.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from math import prod
from pathlib import Path
from random import Random
from typing import Any

from drawn_sizes import size, sizes
from peers import plain_kernel, run_bench, torch_on_stream_of

from pluginkit import Plugin, bfloat16, float16, float32, int64
from pluginkit.bench.workload import NotOffered, Peer, TimedCall, Workload
from pluginkit.contract.tensors import DeviceTensor
from pluginkit.plugins.top_k import TopK

#: The shape of x, and k.
Case = tuple[tuple[int, ...], int]
CASES: dict[str, Case] = {
    "vocabulary": ((1024, 50257), 50),
    "anchors": ((8, 268569), 1000),
    "queries": ((64, 8400), 300),
    "beyond 3840": ((8, 268569), 4000),
    "proposals": ((8, 268569), 12000),
    "1024 of many": ((256, 262144), 1024),
    "one row": ((1, 128256), 50),
    "one long row": ((1, 2**22), 1024),
    "many short rows": ((65536, 257), 8),
    "many rows of 2048": ((16384, 2048), 8),
    "all of 64": ((65536, 64), 64),
    "100 of 300": ((10_000, 300), 100),
    "all equal": ((1024, 50257), 50),
    "ascending": ((1024, 50257), 50),
    "descending": ((1024, 50257), 50),
    "few different": ((1024, 50257), 50),
    "smallest beside NaN": ((1024, 50257), 50),
}
HOSTILE: dict[str, Case] = {
    "3 of 16": ((2**20, 16), 3),
    "1 of a very long": ((1, 2**23 - 1), 1),
    "all of 4097": ((2048, 4097), 4097),
    "100,000 of a million": ((1, 1_000_000), 100_000),
    "1 of each": ((1024, 131_072), 1),
    "1630 of 3916": ((301, 3916), 1630),
    "1 of 34072": ((124, 34_072), 1),
    "5 of 1000": ((1, 1000), 5),
    "2000 of 50257": ((512, 50_257), 2000),
    "64 of 892": ((7145, 892), 64),
    "200 of 600": ((20_000, 600), 200),
    "100 of 2000": ((5000, 2000), 100),
}
#: The case that is measured in bfloat16 as well; it takes as long as float16.
BFLOAT16 = "vocabulary"


def drawn(rng: Random) -> Case:
    """Return rows of at most 2^24 elements together, and any k up to 4096."""
    shape = sizes(rng, 2, 2**24)
    return shape, size(rng, 1, min(shape[1], 4096))


def workloads(cases: Mapping[str, Case] = CASES) -> Iterator[Workload]:
    """Yield every case and type, and both tactics where they differ."""
    for case, setting in cases.items():
        shape, k = setting
        for dtype in (float32, float16, bfloat16)[: 3 if case == BFLOAT16 else 2]:
            results = prod(shape[:-1]) * k * (dtype.itemsize + int64.itemsize)
            nbytes = prod(shape) * dtype.itemsize + results
            differ = case in CASES and shape[0] <= 132 and k <= 4096
            for tactic in TopK.tactics if differ else TopK.tactics[:1]:
                plugin = TopK(largest=not case.startswith("smallest")).with_tactic(tactic)
                types, arrays = (dtype, int64), _inputs(setting, case)
                yield Workload(case, tactic, plugin, types, arrays, (slice(16),), nbytes)


#: What is made of normally drawn numbers.
DRAWN: dict[str, Callable[[Any, Any], Any]] = {
    "all equal": lambda xp, drawn: xp.full_like(drawn, 0.5),
    "ascending": lambda xp, drawn: xp.sort(drawn),
    "descending": lambda xp, drawn: -xp.sort(drawn),
    "few different": lambda xp, drawn: xp.round(drawn),
    "smallest beside NaN": lambda xp, drawn: xp.where(drawn > 1, xp.nan, drawn),
}


def _inputs(setting: Case, case: str) -> Callable[[Any, int], list[Any]]:
    shape, k = setting

    def make(xp: Any, seed: int) -> list[Any]:
        x = xp.random.default_rng(seed).standard_normal(shape, dtype=xp.float32)
        return [DRAWN[case](xp, x) if case in DRAWN else x, xp.asarray([k])]

    return make


def _k(outputs: Sequence[DeviceTensor]) -> int:
    return outputs[0].shape[-1]


def _torch(
    plugin: Plugin, inputs: Sequence[DeviceTensor], outputs: Sequence[DeviceTensor]
) -> TimedCall:
    assert isinstance(plugin, TopK)  # noqa: S101  # for the type checker
    torch = torch_on_stream_of(inputs)
    x, k, largest = inputs[0].torch(), _k(outputs), plugin.largest
    # Its order of equal elements is open, so that indices are not compared.
    return lambda: torch.topk(x, k, largest=largest)[:1]


#: The C++ types of the threshold kernel.
ELEMENT_TYPES = {float32: "float", float16: "__half", bfloat16: "__nv_bfloat16"}


def _threshold(
    plugin: Plugin, inputs: Sequence[DeviceTensor], outputs: Sequence[DeviceTensor]
) -> TimedCall:
    import cupy

    assert isinstance(plugin, TopK)  # noqa: S101  # for the type checker
    x, k = inputs[0], _k(outputs)
    if not plugin.largest:
        raise NotOffered("it takes the largest")
    if k > 1024:
        raise NotOffered("shared memory holds twice 1024")
    source = Path(__file__).with_name("top_k_threshold.cu").read_text()
    kernel = plain_kernel(source, f"threshold_top_k<{ELEMENT_TYPES[x.dtype]}>")
    rows, size = x.shape
    # Of equal elements it may take others, so that indices are not compared.
    values = cupy.empty((rows, k), f"u{x.dtype.itemsize}")
    pointers = [cupy.uint64(each) for each in (values.data.ptr, outputs[1].pointer, x.pointer)]
    stream = cupy.cuda.ExternalStream(x.stream)

    def call() -> Any:
        with stream:
            kernel((rows,), (512,), (*pointers, cupy.int32(size), cupy.int32(k)))
        return (values,)

    return call


PEERS = (Peer("torch", _torch), Peer("threshold kernel", _threshold))


if __name__ == "__main__":
    raise SystemExit(run_bench(TopK, __file__))
