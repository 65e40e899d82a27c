"""Cholesky and torch.linalg, on a GPU.

    python benchmarks/cholesky.py

which is ``pluginkit bench Cholesky --peers benchmarks/cholesky.py`` with the results written to
benchmarks/results.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from drawn_matrices import CASES, HOSTILE, SAMPLE, drawn
from peers import bind_torch, run_bench

from pluginkit import float32
from pluginkit.bench.workload import Peer, Workload
from pluginkit.contract.tensors import DeviceTensor
from pluginkit.plugins.cholesky import Cholesky

#: What many blocks take, beside the matrices of the other benchmarks.
LARGE = {
    "one of 128": (1, 128, 128),
    "one of 512": (1, 512, 512),
    "one of 1000": (1, 1000, 1000),
    "several large matrices": (16, 512, 512),
}
#: The cases of which the upper triangle is measured, too.
_UPPER = ("filters", "blocks")
__all__ = ["HOSTILE", "PEERS", "drawn", "workloads"]


def workloads(
    cases: Mapping[str, tuple[int, int, int]] = CASES | LARGE,
) -> Iterator[Workload]:
    """Yield every case in float32, the only type of the peer, and some of the upper triangle."""
    for case, shape in cases.items():
        yield Workload(case, "lower", Cholesky(), (float32,), _draw(shape), SAMPLE)
        if case in _UPPER or case not in CASES | LARGE:
            yield Workload(case, "upper", Cholesky(upper=True), (float32,), _draw(shape), SAMPLE)


def _draw(shape: tuple[int, int, int]) -> Callable[[Any, int], list[Any]]:
    def make(xp: Any, seed: int) -> list[Any]:
        rng = xp.random.default_rng(seed)
        root = rng.standard_normal(shape, dtype=xp.float32) / (2 * shape[-1] ** 0.5)
        return [root @ root.swapaxes(-1, -2) + xp.eye(shape[-1], dtype=xp.float32)]

    return make


def _torch(plugin: Any, inputs: Sequence[DeviceTensor]) -> Callable[..., Any]:
    import torch

    def factor(matrices: Any) -> Any:
        found = torch.linalg.cholesky_ex(matrices, upper=plugin.upper)
        return found.L.contiguous(), found.info

    return factor


PEERS = (Peer("torch", bind_torch(_torch)),)


if __name__ == "__main__":
    raise SystemExit(run_bench(Cholesky, __file__))
