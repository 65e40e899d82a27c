"""AddRMSNorm beside torch, on a GPU.

    python benchmarks/rms_norm.py

which is ``pluginkit bench AddRMSNorm --peers benchmarks/rms_norm.py`` with the results written to
benchmarks/results. Bytes that must be moved: both inputs read, both outputs written, the weight
read once.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from pluginkit import Plugin, bfloat16, float16, float32
from pluginkit.bench.workload import Call, Peer, Workload
from pluginkit.plugins.rms_norm import AddRMSNorm
from pluginkit.tensors import DeviceTensor

#: Tokens and their size: prompts, and one step of a few sequences.
CASES = {
    "prompt": (8192, 4096),
    "prompt of 5120": (4096, 5120),
    "prompt, odd": (8192, 4097),
    "heads": (262_144, 128),
    "step": (8, 4096),
}


def workloads() -> Iterator[Workload]:
    """Every case in every type; 16-bit types also with a float32 weight, as Gemma has."""
    for case, shape in CASES.items():
        for dtype in (float16, bfloat16, float32):
            for weight_type in dict.fromkeys((dtype, float32)):
                types = (dtype, dtype, weight_type)
                variant = f"{weight_type.name} weight"
                yield Workload(case, variant, AddRMSNorm(), types, _inputs(shape))


def _inputs(shape: tuple[int, int]) -> Callable[[Any, int], list[Any]]:
    def make(xp: Any, seed: int) -> list[Any]:
        rng = xp.random.default_rng(seed)
        sizes = (shape, shape, shape[1:])
        return [rng.random(size, dtype=xp.float32) * 4 - 2 for size in sizes]

    return make


# Peers.

#: From x, residual and weight to y and the sum.
Function = Callable[[Any, Any, Any], tuple[Any, Any]]


def _fused_norm(epsilon: float) -> Function:
    """The norm of torch itself; its weight has the type of x, or else takes part in float32."""
    from torch.nn.functional import rms_norm

    def function(x: Any, residual: Any, weight: Any) -> tuple[Any, Any]:
        total = x + residual
        wide = total.to(weight.dtype)
        return rms_norm(wide, weight.shape, weight, epsilon).to(x.dtype), total

    return function


def _as_transformers(epsilon: float) -> Function:
    """As LlamaRMSNorm and GemmaRMSNorm compute, operator by operator."""
    import torch

    def function(x: Any, residual: Any, weight: Any) -> tuple[Any, Any]:
        total = x + residual
        wide = total.to(torch.float32)
        wide = wide * torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + epsilon)
        return (weight * wide.to(weight.dtype)).to(x.dtype), total

    return function


@cache
def _compiled(epsilon: float, shape: tuple[int, ...], dtype: Any, weight_type: Any) -> Function:
    import torch

    torch._dynamo.config.recompile_limit = torch._dynamo.config.accumulated_recompile_limit = 1000
    compiled: Function = torch.compile(_as_transformers(epsilon), dynamic=False)
    return compiled


def _torch(make: Callable[[AddRMSNorm, Sequence[DeviceTensor]], Function]) -> Callable[..., Call]:
    def bind(
        plugin: Plugin, inputs: Sequence[DeviceTensor], outputs: Sequence[DeviceTensor]
    ) -> Call:
        import torch

        torch.cuda.set_stream(torch.cuda.ExternalStream(inputs[0].stream))
        function = make(plugin, inputs)  # type: ignore[arg-type]
        tensors = [tensor.torch() for tensor in inputs]
        return lambda: function(*tensors)

    return bind


PEERS = (
    Peer("torch rms_norm", _torch(lambda plugin, _: _fused_norm(plugin.epsilon))),
    Peer("torch, spelled out", _torch(lambda plugin, _: _as_transformers(plugin.epsilon))),
    Peer(
        "torch.compile",
        _torch(
            lambda plugin, inputs: _compiled(
                plugin.epsilon, inputs[0].shape, inputs[0].dtype, inputs[2].dtype
            )
        ),
    ),
)


def main() -> int:
    """Measure, and write benchmarks/results/rms_norm.{json,html,png}."""
    from pluginkit.cli.main import main as pluginkit

    results = Path(__file__).parent / "results" / "rms_norm"
    files = [f"--{kind}={results.with_suffix('.' + kind)}" for kind in ("json", "html", "png")]
    return pluginkit(["bench", "AddRMSNorm", f"--peers={__file__}", *files, *sys.argv[1:]])


if __name__ == "__main__":
    raise SystemExit(main())
