"""AddRMSNorm and torch, on a GPU.

    python benchmarks/rms_norm.py

which is ``pluginkit bench AddRMSNorm --peers benchmarks/rms_norm.py`` with the results written to
benchmarks/results. ``--dtypes float16 --json FILE`` and the like measure it in parts. The bytes to
move: both inputs are read, both outputs written, and the weight read once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from random import Random
from typing import Any

from drawn_sizes import sizes
from peers import MAX_AUTOTUNE, Function, bind_torch, compiled, run_bench

from pluginkit import bfloat16, float16, float32
from pluginkit.bench.workload import NotOffered, Peer, Workload
from pluginkit.contract.tensors import DeviceTensor
from pluginkit.plugins.add_rms_norm import AddRMSNorm

#: The number of tokens and their size: prompts, and one step of a few sequences.
CASES = {
    "prompt": (8192, 4096),
    "prompt of 5120": (4096, 5120),
    "prompt, odd": (8192, 4097),
    "heads": (262_144, 128),
    "step": (8, 4096),
}
HOSTILE = {
    "rows of 24": (2**20, 24),
    "rows of 56": (65_536, 56),
    "1255 of 1860": (1255, 1860),
    "heads of 80": (262_144, 80),
    "heads of 256": (131_072, 256),
    "rows of 257": (131_072, 257),
    "100 of 5000": (100, 5000),
    "one giant": (1, 2**22),
    "13824": (2048, 13_824),
    "241 of 74": (241, 74),
    "36629 of 10": (36_629, 10),
}
#: The elements of a row that one Triton program takes.
_MOST_OF_TRITON = 16384


def drawn(rng: Random) -> tuple[int, int]:
    """Return rows of at most 2^24 elements together."""
    rows, size = sizes(rng, 2, 2**24)
    return rows, size


def workloads(cases: Mapping[str, tuple[int, int]] = CASES) -> Iterator[Workload]:
    """Yield every case in every type; 16-bit types also with a float32 weight, as in Gemma."""
    for case, shape in cases.items():
        for dtype in (float16, bfloat16, float32):
            for weight_type in dict.fromkeys((dtype, float32)):
                types = (dtype, dtype, weight_type)
                variant = f"{weight_type.name} weight"
                rows = dict.fromkeys(("x", "residual", "y", "total"), (slice(16),))
                yield Workload(case, variant, AddRMSNorm(), types, inputs_of(shape), rows)


def inputs_of(shape: tuple[int, int]) -> Callable[[Any, int], list[Any]]:
    """Return what makes the inputs of a shape."""

    def make(xp: Any, seed: int) -> list[Any]:
        rng = xp.random.default_rng(seed)
        sizes = (shape, shape, shape[1:])
        return [rng.random(size, dtype=xp.float32) * 4 - 2 for size in sizes]

    return make


# Peers.


def _fused_norm(plugin: AddRMSNorm, inputs: Sequence[DeviceTensor]) -> Function:
    """Use torch's own norm; a weight of another type than x is multiplied in float32."""
    from torch.nn.functional import rms_norm

    epsilon = plugin.epsilon

    def function(x: Any, residual: Any, weight: Any) -> tuple[Any, Any]:
        total = x + residual
        wide = total.to(weight.dtype)
        return rms_norm(wide, weight.shape, weight, epsilon).to(x.dtype), total

    return function


def _as_transformers(plugin: AddRMSNorm, inputs: Sequence[DeviceTensor]) -> Function:
    """Compute operator by operator, as LlamaRMSNorm and GemmaRMSNorm do."""
    import torch

    epsilon = plugin.epsilon

    def function(x: Any, residual: Any, weight: Any) -> tuple[Any, Any]:
        total = x + residual
        wide = total.to(torch.float32)
        wide = wide * torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + epsilon)
        return (weight * wide.to(weight.dtype)).to(x.dtype), total

    return function


def _triton(plugin: AddRMSNorm, inputs: Sequence[DeviceTensor]) -> Function:
    """A program for each row, as in Triton's tutorials and in Liger."""
    if inputs[0].shape[-1] > _MOST_OF_TRITON:
        raise NotOffered("rows of up to 16384 elements")
    from add_norm_triton import add_norm

    epsilon = plugin.epsilon
    return lambda x, residual, weight: add_norm(x, residual, weight, None, epsilon)


PEERS = (
    Peer("torch rms_norm", bind_torch(_fused_norm)),
    Peer("torch, spelled out", bind_torch(_as_transformers)),
    Peer("torch.compile", bind_torch(compiled(_as_transformers))),
    Peer("max-autotune", bind_torch(compiled(_as_transformers, mode=MAX_AUTOTUNE))),
    Peer("Triton", bind_torch(_triton)),
)


if __name__ == "__main__":
    raise SystemExit(run_bench(AddRMSNorm, __file__))
