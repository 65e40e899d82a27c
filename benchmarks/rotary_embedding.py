"""RotaryEmbedding, torch and torch.compile, on a GPU.

    python benchmarks/rotary_embedding.py

which is ``pluginkit bench RotaryEmbedding --peers benchmarks/rotary_embedding.py`` with the results
written to benchmarks/results.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from random import Random
from typing import Any

from drawn_sizes import size, sizes
from peers import Function, bind_torch, compiled, run_bench

from pluginkit import float16, float32
from pluginkit.bench.workload import Peer, Workload
from pluginkit.contract.tensors import DeviceTensor
from pluginkit.plugins.rotary_embedding import RotaryEmbedding

#: The shape of x, the columns of the tables, and the attributes.
Case = tuple[tuple[int, ...], int, dict[str, bool]]
CASES: dict[str, Case] = {
    "prompt": ((4, 32, 2048, 128), 128, {}),
    "interleaved": ((4, 32, 2048, 128), 64, {"interleaved": True, "whole": False}),
    "partial": ((4, 32, 2048, 80), 32, {}),
    "odd": ((4, 32, 2048, 66), 66, {}),
    "many heads": ((1, 4096, 64, 64), 32, {"whole": False}),
    "one row": ((1, 32, 1, 128), 128, {}),
}
HOSTILE: dict[str, Case] = {
    "decode batch": ((64, 32, 1, 128), 128, {}),
    "long prompt of one head": ((1, 1, 100_003, 64), 64, {}),
    "heads of 256": ((2, 8, 2047, 256), 256, {}),
    "heads of 80 whole": ((1, 32, 4096, 80), 80, {}),
    "40 columns": ((1, 16, 4096, 72), 40, {}),
    "tiny": ((1, 1, 3, 2), 2, {}),
    "20 of 44": ((4, 167, 5, 44), 20, {}),
    "items of one row": ((20_000, 1, 1, 64), 64, {}),
    "one pair of 61": ((16, 1, 333, 122), 2, {}),
    "one head of 75": ((700, 1, 9, 75), 20, {}),
    "interleaved whole": ((2, 32, 2048, 64), 64, {"interleaved": True}),
    "4 of 6": ((2268, 2, 186, 6), 4, {}),
    "2 of 4, one row": ((128, 3366, 1, 4), 2, {}),
}


def drawn(rng: Random) -> Case:
    """Return heads of at most 256 elements, of which some pairs turn, and 2^23 elements in all."""
    pairs = size(rng, 1, 128)
    turned = size(rng, 1, pairs)
    shape = (*sizes(rng, 3, 2**23 // (2 * pairs)), 2 * pairs)
    halves: dict[str, bool] = {"interleaved": rng.random() < 0.5, "whole": False}
    return (shape, turned, halves) if rng.random() < 0.5 else (shape, 2 * turned, {})


def workloads(cases: Mapping[str, Case] = CASES) -> Iterator[Workload]:
    """Yield every case in two types."""
    for case, (shape, columns, attributes) in cases.items():
        for dtype in (float16, float32):
            table = (shape[0], shape[2], columns)
            plugin = RotaryEmbedding(**attributes)
            heads = (slice(None), slice(2))
            sample = {"x": heads, "y": heads}
            yield Workload(case, "", plugin, (dtype,) * 3, _inputs(shape, table, table), sample)


def _inputs(*shapes: tuple[int, ...]) -> Callable[[Any, int], list[Any]]:
    def make(xp: Any, seed: int) -> list[Any]:
        rng = xp.random.default_rng(seed)
        return [rng.random(shape, dtype=xp.float32) * 2 - 1 for shape in shapes]

    return make


def _torch(plugin: RotaryEmbedding, inputs: Sequence[DeviceTensor]) -> Function:
    """Compute as transformers does: with rotate_half of Llama, or with adjacent pairs of GPT-J."""
    import torch

    columns = inputs[1].shape[-1] * (1 if plugin.whole else 2)

    def whole(table: Any) -> Any:
        if plugin.whole:
            return table.unsqueeze(1)
        if plugin.interleaved:
            return table.repeat_interleave(2, -1).unsqueeze(1)
        return torch.cat([table, table], -1).unsqueeze(1)

    def turned(x: Any) -> Any:
        if plugin.interleaved:
            return torch.stack([-x[..., 1::2], x[..., ::2]], -1).flatten(-2)
        return torch.cat([-x[..., columns // 2 :], x[..., : columns // 2]], -1)

    def function(x: Any, cos: Any, sin: Any) -> Any:
        rotated, rest = x[..., :columns], x[..., columns:]
        y = rotated * whole(cos) + turned(rotated) * whole(sin)
        return torch.cat([y, rest], -1) if rest.shape[-1] else y

    return function


PEERS = (
    Peer("torch", bind_torch(_torch)),
    Peer("torch.compile", bind_torch(compiled(_torch))),
)


if __name__ == "__main__":
    raise SystemExit(run_bench(RotaryEmbedding, __file__))
