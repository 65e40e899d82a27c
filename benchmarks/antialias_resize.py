"""AntialiasResize and torch's interpolate(antialias=True), on a GPU.

    python benchmarks/antialias_resize.py

which is ``pluginkit bench AntialiasResize --peers benchmarks/antialias_resize.py`` with the results
written to benchmarks/results.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from random import Random
from typing import Any

from drawn_sizes import sizes
from peers import bind_torch, run_bench

from pluginkit import float16, float32, int64
from pluginkit.bench.workload import NotOffered, Peer, TimedCall, Workload
from pluginkit.contract.tensors import DeviceTensor
from pluginkit.plugins.antialias_resize import AntialiasResize

#: The shape of x, the sizes, and the attributes.
Case = tuple[tuple[int, ...], tuple[int, int], dict[str, Any]]
CASES: dict[str, Case] = {
    "a quarter": ((8, 3, 1024, 1024), (256, 256), {}),
    "odd sizes": ((4, 3, 1283, 1919), (384, 574), {}),
    "thumbnail": ((1, 3, 4096, 4096), (64, 64), {}),
    "to one pixel": ((8, 64, 256, 256), (1, 1), {}),
    "many channels": ((8, 256, 64, 64), (32, 32), {}),
    "twice": ((8, 64, 128, 128), (256, 256), {}),
    "tiny images": ((4096, 16, 8, 8), (3, 3), {}),
    "one small image": ((1, 3, 256, 256), (224, 224), {}),
    "one channel": ((64, 1, 512, 512), (200, 200), {}),
    "channels last": ((8, 512, 512, 32), (256, 256), {"axes": (1, 2)}),
    "a line": ((64, 1, 1, 262144), (1, 65536), {}),
}
HOSTILE: dict[str, Case] = {
    "prime": ((3, 7, 1009, 1013), (503, 499), {}),
    "from one pixel": ((8, 64, 1, 1), (64, 64), {}),
    "tall": ((1, 1, 100_000, 3), (1000, 3), {}),
    "nearly the same": ((4, 3, 1024, 1024), (1023, 1023), {}),
    "wide": ((1, 3, 16, 200_000), (8, 3000), {}),
    "enlarged 8 times": ((1, 3, 256, 256), (2048, 2048), {}),
    "small images": ((256, 16, 32, 32), (24, 24), {}),
}

#: The cases that are measured in float16 and with the cubic filter, too.
MORE = ("a quarter", "twice", "channels last")


def drawn(rng: Random) -> Case:
    """Return images of at most 2^23 pixels, each side 8 times shorter to twice as long."""
    shape = sizes(rng, 4, 2**23)
    height, width = (max(1, round(side * 2 ** rng.uniform(-3, 1))) for side in shape[2:])
    return shape, (height, width), {}


def workloads(cases: Mapping[str, Case] = CASES) -> Iterator[Workload]:
    """Yield every case with the linear filter, and some with the cubic one and in float16."""
    for case, (shape, resized, attributes) in cases.items():
        for mode, dtype in (("linear", float32), ("linear", float16), ("cubic", float32)):
            if case in CASES and case not in MORE and (mode, dtype) != ("linear", float32):
                continue
            plugin = AntialiasResize(
                mode=mode,  # type: ignore[arg-type]  # one of two strings
                exclude_outside=True,
                cubic_coeff_a=-0.5,
                **attributes,
            )
            channels = [slice(1) if axis == 0 else slice(None) for axis in range(len(shape))]
            channels[1 if plugin.axes == (-2, -1) else -1] = slice(1)
            first = tuple(channels)
            sample = {"x": first, "y": first}
            yield Workload(case, mode, plugin, (dtype, int64), _inputs(shape, resized), sample)


def _inputs(shape: tuple[int, ...], resized: tuple[int, int]) -> Callable[[Any, int], list[Any]]:
    return lambda xp, seed: [
        xp.random.default_rng(seed).random(shape, dtype=xp.float32) - 0.5,
        xp.asarray(resized),
    ]


@cache
def _resize(mode: str, is_last: bool, resized: tuple[int, int]) -> Callable[..., Any]:
    import torch

    def resize(x: Any, *_: Any) -> Any:
        x = x.permute(0, 3, 1, 2) if is_last else x
        y = torch.nn.functional.interpolate(x, resized, mode=mode, antialias=True)
        return y.permute(0, 2, 3, 1).contiguous() if is_last else y

    return resize


@cache
def _compiled(*arguments: Any) -> Callable[..., Any]:
    import torch

    torch._dynamo.config.recompile_limit = 1000
    return torch.compile(_resize(*arguments), dynamic=False)


def _bind(function: Callable[..., Any]) -> Callable[..., Any]:
    def bind(
        plugin: Any, inputs: Sequence[DeviceTensor], outputs: Sequence[DeviceTensor]
    ) -> TimedCall:
        mode = {"linear": "bilinear", "cubic": "bicubic"}[plugin.mode]
        resized = tuple(outputs[0].shape[axis] for axis in plugin.axes)
        arguments = mode, plugin.axes == (1, 2), resized
        try:
            _resize(*arguments)(inputs[0].torch())
        except RuntimeError as error:  # its weights do not fit into shared memory
            raise NotOffered("it does not reduce the size so much") from error
        return bind_torch(lambda plugin, inputs: function(*arguments))(plugin, inputs, outputs)

    return bind


PEERS = (
    Peer("torch", _bind(_resize)),
    Peer("torch.compile", _bind(_compiled)),
)


if __name__ == "__main__":
    raise SystemExit(run_bench(AntialiasResize, __file__))
