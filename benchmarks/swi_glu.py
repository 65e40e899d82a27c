"""SwiGLU, torch and torch.compile, on a GPU.

    python benchmarks/swi_glu.py

which is ``pluginkit bench SwiGLU --peers benchmarks/swi_glu.py`` with the results written to
benchmarks/results.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from random import Random
from typing import Any

from drawn_sizes import sizes
from peers import Function, bind_torch, compiled, run_bench

from pluginkit import float16, float32
from pluginkit.bench.workload import Peer, Workload
from pluginkit.contract.tensors import DeviceTensor
from pluginkit.plugins.swi_glu import SwiGLU

#: The number of tokens, and the size of gate and up.
CASES = {
    "prompt": (4096, 14_336),
    "odd": (4096, 11_007),
    "one row": (1, 14_336),
    "short rows": (2**20, 7),
}
HOSTILE = {
    "one column": (2**22, 1),
    "one odd row": (1, 2**23 - 1),
    "seven": (7, 1_000_003),
    "few": (3, 5),
    "34 of 113": (34, 113),
    "11008": (2048, 11_008),
    "halves of 33": (2**18, 33),
}


def drawn(rng: Random) -> tuple[int, int]:
    """Return rows of at most 2^24 elements together."""
    rows, size = sizes(rng, 2, 2**24)
    return rows, size


def workloads(cases: Mapping[str, tuple[int, int]] = CASES) -> Iterator[Workload]:
    """Yield every case of a pair and of halves, in two types."""
    for case, (rows, size) in cases.items():
        for dtype in (float16, float32):
            pair = [(rows, size), (rows, size)]
            first_rows = (slice(16),)
            yield Workload(case, "pair", SwiGLU(), (dtype, dtype), _inputs(*pair), first_rows)
            halves = SwiGLU().with_inputs("gate")
            yield Workload(case, "halves", halves, (dtype,), _inputs((rows, 2 * size)), first_rows)


def _inputs(*shapes: tuple[int, int]) -> Callable[[Any, int], list[Any]]:
    def make(xp: Any, seed: int) -> list[Any]:
        rng = xp.random.default_rng(seed)
        return [rng.random(shape, dtype=xp.float32) * 8 - 4 for shape in shapes]

    return make


def _torch(plugin: SwiGLU, inputs: Sequence[DeviceTensor]) -> Function:
    from torch.nn.functional import silu

    def function(*given: Any) -> Any:
        gate, up = given if len(given) == 2 else given[0].chunk(2, -1)
        return silu(gate) * up

    return function


PEERS = (
    Peer("torch", bind_torch(_torch)),
    Peer("torch.compile", bind_torch(compiled(_torch))),
)


if __name__ == "__main__":
    raise SystemExit(run_bench(SwiGLU, __file__))
