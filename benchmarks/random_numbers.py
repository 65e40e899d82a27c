"""RandomNumbers and torch's generators, on a GPU.

    python benchmarks/random_numbers.py

which is ``pluginkit bench RandomNumbers --peers benchmarks/random_numbers.py`` with the results
written to benchmarks/results. No two generators draw the same numbers, so that all of them are
multiplied by 0, by a factor that no compiler knows, and give what is added to them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from random import Random
from typing import Any

from drawn_sizes import size
from peers import Function, bind_torch, compiled, run_bench, torch_on_stream_of

from pluginkit import Plugin, float32, int64
from pluginkit.bench.workload import Peer, TimedCall, Workload
from pluginkit.contract.tensors import DeviceTensor
from pluginkit.plugins.random_numbers import RandomNumbers

#: How many numbers.
CASES = {"a layer": 2**23, "odd": 2**20 + 3, "few": 1000}
HOSTILE = {"many": 2**26, "one": 1, "odd and few": 100_003, "fewer": 11_183}
OFFSET = 0.5


def drawn(rng: Random) -> int:
    """Return at most 2^25."""
    return size(rng, 1, 2**25)


def workloads(cases: Mapping[str, int] = CASES) -> Iterator[Workload]:
    """Yield every case of both distributions, with a seed and without."""
    for case, count in cases.items():
        for distribution in ("uniform", "normal"):
            for seed in (1, None):
                plugin = RandomNumbers(seed=seed, distribution=distribution)
                variant = distribution if seed else f"{distribution}, no seed"
                yield Workload(case, variant, plugin, (float32, int64), _inputs(count))


def _inputs(count: int) -> Callable[[Any, int], list[Any]]:
    return lambda xp, _: [xp.asarray([0, OFFSET], xp.float32), xp.asarray([count])]


def _torch(
    plugin: Plugin, inputs: Sequence[DeviceTensor], outputs: Sequence[DeviceTensor]
) -> TimedCall:
    torch_on_stream_of(inputs)
    assert isinstance(plugin, RandomNumbers)  # noqa: S101  # for the type checker
    y = outputs[0].torch()
    if plugin.distribution == "normal":
        return lambda: y.normal_(OFFSET, 0.0)
    return lambda: y.uniform_(OFFSET, OFFSET)


def _compiled_torch(
    plugin: Plugin, inputs: Sequence[DeviceTensor], outputs: Sequence[DeviceTensor]
) -> TimedCall:
    count = outputs[0].shape[0]

    def make(plugin: Any, inputs: Sequence[DeviceTensor]) -> Function:
        import torch

        draw = torch.randn if plugin.distribution == "normal" else torch.rand
        return lambda affine: draw(count, device="cuda") * affine[0] + affine[1]

    return bind_torch(compiled(make))(plugin, inputs, outputs)


PEERS = (Peer("torch", _torch), Peer("torch.compile", _compiled_torch))


if __name__ == "__main__":
    raise SystemExit(run_bench(RandomNumbers, __file__))
