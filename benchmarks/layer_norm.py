"""AddLayerNorm, torch and Triton, on a GPU.

    python benchmarks/layer_norm.py

which is ``pluginkit bench AddLayerNorm --peers benchmarks/layer_norm.py`` with the results written
to benchmarks/results. The bytes to move: both inputs are read, both outputs written, and the weight
and the bias read once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from random import Random
from typing import Any

from drawn_sizes import sizes
from peers import Function, bind_torch, compiled, run_bench

from pluginkit import float16, float32
from pluginkit.bench.workload import NotOffered, Peer, Workload
from pluginkit.contract.tensors import DeviceTensor
from pluginkit.plugins.add_layer_norm import AddLayerNorm

#: The number of tokens and their size.
CASES = {
    "prompt": (8192, 4096),
    "vision": (197 * 64, 768),
    "odd": (8192, 1023),
    "one row": (1, 4096),
    "rows of seven": (1 << 20, 7),
    "one column": (1 << 20, 1),
    "long rows": (64, 131_072),
}
HOSTILE = {
    "tiny rows": (2**20, 7),
    "single": (2**20, 1),
    "rows of 33": (262_144, 33),
    "rows of 1000": (16_384, 1000),
    "three long": (3, 100_003),
    "one giant": (1, 2**23),
    "odd middle": (129, 8191),
    "1025": (8192, 1025),
    "two long, odd": (2, 31_989),
    "rows of 71 pairs": (9182, 142),
}
#: The elements of a row that one Triton program takes.
_MOST_OF_TRITON = 16384


def drawn(rng: Random) -> tuple[int, int]:
    """Return rows of at most 2^24 elements together."""
    rows, size = sizes(rng, 2, 2**24)
    return rows, size


def workloads(cases: Mapping[str, tuple[int, int]] = CASES) -> Iterator[Workload]:
    """Yield every case in two types."""
    for case, shape in cases.items():
        for dtype in (float16, float32):
            rows = dict.fromkeys(("x", "residual", "y", "total"), (slice(16),))
            yield Workload(case, "", AddLayerNorm(), (dtype,) * 4, _inputs(shape), rows)


def _inputs(shape: tuple[int, int]) -> Callable[[Any, int], list[Any]]:
    def make(xp: Any, seed: int) -> list[Any]:
        rng = xp.random.default_rng(seed)
        sizes = (shape, shape, shape[1:], shape[1:])
        return [rng.random(size, dtype=xp.float32) * 4 - 2 for size in sizes]

    return make


def _torch(plugin: AddLayerNorm, inputs: Sequence[DeviceTensor]) -> Function:
    from torch.nn.functional import layer_norm

    epsilon = plugin.epsilon

    def function(x: Any, residual: Any, weight: Any, bias: Any) -> tuple[Any, Any]:
        total = x + residual
        return layer_norm(total, weight.shape, weight, bias, epsilon), total

    return function


def _triton(plugin: AddLayerNorm, inputs: Sequence[DeviceTensor]) -> Function:
    if inputs[0].shape[-1] > _MOST_OF_TRITON:
        raise NotOffered("rows of up to 16384 elements")
    from add_norm_triton import add_norm

    epsilon = plugin.epsilon
    return lambda *tensors: add_norm(*tensors, epsilon)


PEERS = (
    Peer("torch", bind_torch(_torch)),
    Peer("torch.compile", bind_torch(compiled(_torch))),
    Peer("Triton", bind_torch(_triton)),
)


if __name__ == "__main__":
    raise SystemExit(run_bench(AddLayerNorm, __file__))
