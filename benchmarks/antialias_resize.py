"""AntialiasResize and torch's interpolate(antialias=True), on a GPU.

    python benchmarks/antialias_resize.py

which is ``pluginkit bench AntialiasResize --peers benchmarks/antialias_resize.py`` with the results
written to benchmarks/results.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from peers import bind_torch, compiled, run_bench

from pluginkit import float16, float32, int64
from pluginkit.bench.workload import NotOffered, Peer, Workload
from pluginkit.contract.tensors import DeviceTensor
from pluginkit.plugins.antialias_resize import AntialiasResize

#: The shape of x, the sizes, and the attributes.
CASES: dict[str, tuple[tuple[int, ...], tuple[int, int], dict[str, Any]]] = {
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


#: The cases that are measured in float16 and with the cubic filter, too.
MORE = ("a quarter", "twice", "channels last")


def workloads() -> Iterator[Workload]:
    """Yield every case with the linear filter, and some with the cubic one and in float16."""
    for case, (shape, sizes, attributes) in CASES.items():
        for mode, dtype in (("linear", float32), ("linear", float16), ("cubic", float32)):
            if case not in MORE and (mode, dtype) != ("linear", float32):
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
            yield Workload(case, mode, plugin, (dtype, int64), _inputs(shape, sizes), sample)


def _inputs(shape: tuple[int, ...], sizes: tuple[int, int]) -> Callable[[Any, int], list[Any]]:
    return lambda xp, seed: [
        xp.random.default_rng(seed).random(shape, dtype=xp.float32) - 0.5,
        xp.asarray(sizes),
    ]


def _torch(plugin: Any, inputs: Sequence[DeviceTensor]) -> Callable[..., Any]:
    import torch

    shape = inputs[0].shape
    sizes = next(sizes for given, sizes, _ in CASES.values() if given == shape)
    mode = {"linear": "bilinear", "cubic": "bicubic"}[plugin.mode]
    is_last = plugin.axes == (1, 2)

    def resize(x: Any, *_: Any) -> Any:
        x = x.permute(0, 3, 1, 2) if is_last else x
        y = torch.nn.functional.interpolate(x, sizes, mode=mode, antialias=True)
        return y.permute(0, 2, 3, 1).contiguous() if is_last else y

    try:
        resize(inputs[0].torch())
    except RuntimeError as error:  # its weights do not fit into shared memory
        raise NotOffered("it does not reduce the size so much") from error
    return resize


PEERS = (
    Peer("torch", bind_torch(_torch)),
    Peer("torch.compile", bind_torch(compiled(_torch))),
)


if __name__ == "__main__":
    raise SystemExit(run_bench(AntialiasResize, __file__))
