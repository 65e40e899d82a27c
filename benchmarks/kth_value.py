"""KthValue and its peers, on a GPU.

    python benchmarks/kth_value.py

which is ``pluginkit bench KthValue --peers benchmarks/kth_value.py`` with the results written to
benchmarks/results. Elements are drawn from a normal distribution, or as DRAWN says.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from random import Random
from typing import Any

from drawn_sizes import sizes
from peers import bind_torch, run_bench

from pluginkit import float16, float32, int64
from pluginkit.bench.workload import NotOffered, Peer, TimedCall, Workload
from pluginkit.contract.tensors import DeviceTensor
from pluginkit.plugins.kth_value import KthValue

#: The shape of x, its axis, and which share of a row is below each wanted element.
Case = tuple[tuple[int, ...], int, tuple[float, ...]]
CASES: dict[str, Case] = {
    "medians of long rows": ((1024, 50257), -1, (0.5,)),
    "a threshold of long rows": ((1024, 50257), -1, (0.999,)),
    "quartiles": ((1024, 50257), -1, (0.25, 0.5, 0.75)),
    "all equal": ((1024, 50257), -1, (0.5,)),
    "ascending": ((1024, 50257), -1, (0.5,)),
    "few different": ((1024, 50257), -1, (0.5,)),
    "beside NaN": ((1024, 50257), -1, (0.5,)),
    "rows of 2048": ((16384, 2048), -1, (0.5,)),
    "short rows": ((65536, 257), -1, (0.5,)),
    "tiny rows": ((1 << 20, 33), -1, (0.5,)),
    "one short row": ((1, 100), -1, (0.5,)),
    "columns": ((2048, 16384), 0, (0.5,)),
    "few long rows": ((8, 1 << 20), -1, (0.5,)),
    "one long row": ((1, 1 << 24), -1, (0.5,)),
}
HOSTILE: dict[str, Case] = {
    "rows of 9": ((1_000_000, 9), -1, (0.5,)),
    "three long": ((3, 2**22), -1, (0.5,)),
    "minimum": ((1024, 50257), -1, (0.0,)),
    "inside": ((64, 1000, 37), 1, (0.5,)),
    "5000": ((2000, 5000), -1, (0.5,)),
    "columns of few": ((9, 1_000_000), 0, (0.5,)),
    "columns of one": ((1, 496, 960), 0, (0.5,)),
    "few rows of 392": ((27, 392), 1, (0.5,)),
}
#: What is made of normally drawn numbers.
DRAWN: dict[str, Callable[[Any, Any], Any]] = {
    "all equal": lambda xp, drawn: xp.full_like(drawn, 0.5),
    "ascending": lambda xp, drawn: xp.sort(drawn),
    "few different": lambda xp, drawn: xp.round(drawn),
    "beside NaN": lambda xp, drawn: xp.where(drawn > 1, xp.nan, drawn),
}


#: The cases that are measured in float16 as well.
_NARROW = ("medians of long rows", "rows of 2048", "short rows", "one long row")


def drawn(rng: Random) -> Case:
    """Return a shape of at most 2^24 elements, any of its axes, and any place in a row."""
    shape = sizes(rng, rng.randint(1, 3), 2**24)
    return shape, rng.randrange(len(shape)), (rng.random(),)


def workloads(cases: Mapping[str, Case] = CASES) -> Iterator[Workload]:
    """Yield every case in float32, and some in float16."""
    for case, setting in cases.items():
        shape, axis, shares = setting
        for dtype in (float32, float16)[: 1 if case in CASES and case not in _NARROW else 2]:
            rows = (slice(16),) if axis else (slice(None), slice(16))[: len(shape)]
            sample = {"x": rows, "y": rows}
            variant = f"{len(shares)} of a row"
            plugin = KthValue(axis=axis)
            yield Workload(case, variant, plugin, (dtype, int64), _inputs(setting, case), sample)


def _inputs(setting: Case, case: str) -> Callable[[Any, int], list[Any]]:
    shape, axis, shares = setting

    def make(xp: Any, seed: int) -> list[Any]:
        numbers = xp.random.default_rng(seed).standard_normal(shape, dtype=xp.float32)
        x = DRAWN.get(case, lambda xp, drawn: drawn)(xp, numbers)
        return [x, xp.array([int(share * shape[axis]) for share in shares])]

    return make


def _kth_value(plugin: Any, inputs: Sequence[DeviceTensor]) -> Callable[..., Any]:
    position, axis = _position(inputs), plugin.axis
    return lambda x, _: x.kthvalue(position + 1, axis, keepdim=True).values.contiguous()


def _sort(plugin: Any, inputs: Sequence[DeviceTensor]) -> Callable[..., Any]:
    axis = plugin.axis
    return lambda x, positions: x.sort(axis).values.index_select(axis, positions)


def _position(inputs: Sequence[DeviceTensor]) -> int:
    (size,) = inputs[1].shape
    if size > 1:
        raise NotOffered("one element of a row")
    return int(inputs[1].cupy()[0])


def _bind_cupy(
    plugin: Any, inputs: Sequence[DeviceTensor], outputs: Sequence[DeviceTensor]
) -> TimedCall:
    import cupy

    position, axis = _position(inputs), plugin.axis
    if inputs[0].shape[0] > 8:
        raise NotOffered("it sorts; measured on few rows")
    x, wanted = (each.cupy() for each in inputs)
    return lambda: cupy.partition(x, position, axis).take(wanted, axis)


PEERS = (
    Peer("torch.kthvalue", bind_torch(_kth_value)),
    Peer("torch.sort", bind_torch(_sort)),
    Peer("cupy.partition", _bind_cupy),
)


if __name__ == "__main__":
    raise SystemExit(run_bench(KthValue, __file__))
