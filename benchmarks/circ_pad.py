"""CircPad and torch's circular pad, on a GPU.

    python benchmarks/circ_pad.py

which is ``pluginkit bench CircPad --peers benchmarks/circ_pad.py`` with the results written to
benchmarks/results.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from random import Random
from typing import Any

from drawn_sizes import size, sizes
from peers import bind_torch, compiled, run_bench

from pluginkit import float16, float32
from pluginkit.bench.workload import Peer, Workload
from pluginkit.contract.tensors import DeviceTensor
from pluginkit.plugins.circ_pad import CircPad

#: The shape of x, and the pads of its last two axes: the begins, then the ends.
Case = tuple[tuple[int, ...], tuple[int, ...]]
CASES: dict[str, Case] = {
    "images": ((8, 64, 256, 256), (4, 4, 4, 4)),
    "odd sizes": ((8, 63, 127, 131), (1, 1, 2, 2)),
    "one small image": ((1, 64, 32, 32), (1, 1, 1, 1)),
}
HOSTILE: dict[str, Case] = {
    "one column": ((8, 64, 4096, 1), (1, 1, 1, 1)),
    "tiny planes": ((64, 512, 7, 7), (7, 7, 7, 7)),
    "columns only": ((8, 64, 256, 256), (0, 3, 0, 0)),
    "rows only": ((8, 64, 128, 128), (3, 0, 3, 0)),
    "rows of 4": ((64, 30, 206, 2), (2, 1, 2, 1)),
    "one column more": ((3, 9774, 2, 8), (0, 0, 0, 1)),
    "one row more": ((2, 21, 11778, 1), (1, 0, 0, 0)),
    "no pads": ((66, 256, 1, 64), (0, 0, 0, 0)),
    "one long row": ((1, 1, 1, 2**23), (0, 5, 0, 5)),
}


def drawn(rng: Random) -> Case:
    """Return planes of at most 2^23 elements together, and pads of at most 16."""
    shape = sizes(rng, 4, 2**23)
    return shape, tuple(size(rng, 0, min(side, 16)) for side in shape[2:] * 2)


def workloads(cases: Mapping[str, Case] = CASES) -> Iterator[Workload]:
    """Yield every case in two types."""
    for case, (shape, pads) in cases.items():
        for dtype in (float32, float16):
            yield Workload(case, "wrap", CircPad(pads=pads), (dtype,), _inputs(shape))


def _inputs(shape: tuple[int, ...]) -> Callable[[Any, int], list[Any]]:
    return lambda xp, seed: [xp.random.default_rng(seed).random(shape, dtype=xp.float32) - 0.5]


def _torch(plugin: Any, inputs: Sequence[DeviceTensor]) -> Callable[..., Any]:
    import torch

    top, left, bottom, right = plugin.pads
    return lambda x: torch.nn.functional.pad(x, (left, right, top, bottom), mode="circular")


PEERS = (Peer("torch", bind_torch(_torch)), Peer("torch.compile", bind_torch(compiled(_torch))))


if __name__ == "__main__":
    raise SystemExit(run_bench(CircPad, __file__))
