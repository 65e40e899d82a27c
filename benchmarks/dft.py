"""Dft, cuFFT through torch, and a product with the matrix of the transform, on a GPU.

    python benchmarks/dft.py

which is ``pluginkit bench Dft --peers benchmarks/dft.py`` with the results written to
benchmarks/results.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from random import Random
from typing import Any

from drawn_sizes import size
from peers import bind_torch, run_bench

from pluginkit import float32
from pluginkit.bench.workload import NotOffered, Peer, Workload
from pluginkit.contract.tensors import DeviceTensor
from pluginkit.plugins.dft import Dft

#: Shape of x and the attributes: lengths that are powers of two, smooth, prime, and long.
Case = tuple[tuple[int, ...], dict[str, Any]]
CASES: dict[str, Case] = {
    "speech frames": ((4096, 400, 1), {"length": 400, "onesided": True}),
    "frames of 256": ((16384, 256, 1), {"length": 256, "onesided": True}),
    "frames of 512": ((8192, 512, 1), {"length": 512, "onesided": True}),
    "frames of 1000": ((4096, 1000, 1), {"length": 1000, "onesided": True}),
    "frames of 1024": ((4096, 1024, 1), {"length": 1024, "onesided": True}),
    "8192 points": ((256, 8192, 2), {"length": 8192}),
    "2048 points": ((8192, 2048, 2), {"length": 2048}),
    "1500 points": ((8192, 1500, 2), {"length": 1500}),
    "along columns": ((16, 512, 512, 2), {"length": 512, "axis": 1}),
    "odd": ((4096, 441, 1), {"length": 441, "onesided": True}),
    "short": ((100_000, 64, 2), {"length": 64}),
    "prime": ((4096, 997, 2), {"length": 997}),
    "long": ((64, 65536, 2), {"length": 65536}),
    "long prime": ((64, 65537, 2), {"length": 65537}),
    "one long": ((1, 2**20, 2), {"length": 2**20}),
    "inverse": ((4096, 513, 2), {"length": 1024, "inverse": True, "onesided": True}),
    "one prime": ((1, 4093, 2), {"length": 4093}),
    "one frame": ((1, 400, 1), {"length": 400, "onesided": True}),
}
HOSTILE: dict[str, Case] = {
    "one of 4093": ((1, 4093, 2), {"length": 4093}),
    "sevens": ((100_000, 7, 2), {"length": 7}),
    "pairs": ((2**20, 2, 2), {"length": 2}),
    "one long prime": ((1, 1_000_003, 2), {"length": 1_000_003}),
    "threes inside": ((64, 3, 65536, 2), {"length": 3, "axis": 1}),
    "one of 4096": ((1, 4096, 2), {"length": 4096}),
    "seven of 400": ((7, 400, 1), {"length": 400, "onesided": True}),
    "256 real": ((16384, 256, 1), {"length": 256, "onesided": True}),
    "1000 real": ((4096, 1000, 1), {"length": 1000, "onesided": True}),
    "4096 points": ((4096, 4096, 2), {"length": 4096}),
    "3^11": ((16, 177_147, 2), {"length": 177_147}),
    "23 points": ((91_180, 23, 2), {"length": 23}),
    "13 points": ((161_319, 13, 2), {"length": 13}),
    "19 points": ((110_376, 19, 2), {"length": 19}),
    "23 real": ((182_000, 23, 1), {"length": 23, "onesided": True}),
    "31 real": ((135_300, 31, 1), {"length": 31, "onesided": True}),
    "half of 31": ((135_300, 16, 2), {"length": 31, "inverse": True, "onesided": True}),
    "14 points": ((149_796, 14, 2), {"length": 14}),
    "two of 19": ((55_188, 38, 2), {"length": 38}),
    "three of 11": ((63_550, 33, 2), {"length": 33}),
    "three of 19, real": ((73_584, 57, 1), {"length": 57, "onesided": True}),
    "16 points": ((131_072, 16, 2), {"length": 16}),
    "one of 3000": ((1, 3000, 2), {"length": 3000}),
    "one real of 512": ((1, 512, 1), {"length": 512, "onesided": True}),
    "columns of 1000": ((8, 1000, 333, 2), {"length": 1000, "axis": 1}),
    "60 real": ((69_904, 60, 1), {"length": 60, "onesided": True}),
    "28 points": ((74_898, 28, 2), {"length": 28}),
    "1000 of 31": ((1000, 31, 2), {"length": 31}),
    "one real of 5000": ((1, 5000, 1), {"length": 5000, "onesided": True}),
    "long columns": ((2, 131_072, 16, 2), {"length": 131_072, "axis": 1}),
    "padded": ((4096, 300, 1), {"length": 512, "onesided": True}),
    "64 times 469": ((125, 30_016, 2), {"length": 30_016}),
    "12 times 491": ((128, 5892, 1), {"length": 5892, "onesided": True}),
    "35 times 71": ((296, 2485, 1), {"length": 2485, "onesided": True}),
    "13367 pairs": ((13_367, 2, 2), {"length": 2}),
    "65536 real": ((64, 65536, 1), {"length": 65536, "onesided": True}),
    "3^9 real": ((200, 19_683, 1), {"length": 19_683, "onesided": True}),
    "one real of 3^9": ((1, 19_683, 1), {"length": 19_683, "onesided": True}),
    "3^9 real, both halves": ((200, 19_683, 1), {"length": 19_683}),
}
_MOST_MATRIX = 2**24


def drawn(rng: Random) -> Case:
    """Return signals of at most 2^18 points, and of at most 2^23 together."""
    length = size(rng, 2, 2**18)
    count = size(rng, 1, 2**23 // length)
    if rng.random() < 0.5:
        return (count, length, 1), {"length": length, "onesided": True}
    if rng.random() < 0.5:
        return (count, length, 2), {"length": length, "inverse": rng.random() < 0.5}
    columns = size(rng, 1, count)
    return (count // columns, length, columns, 2), {"length": length, "axis": 1}


def workloads(cases: Mapping[str, Case] = CASES) -> Iterator[Workload]:
    """Yield every case; numbers are scaled so that results are about 1."""
    for case, (shape, attributes) in cases.items():
        plugin = Dft(**attributes)
        sample = (slice(0, 8),) if shape[0] > 8 else ()
        yield Workload(case, "dft", plugin, (float32,), _inputs(shape, attributes), sample)


def _inputs(shape: tuple[int, ...], attributes: dict[str, Any]) -> Callable[[Any, int], list[Any]]:
    scale = attributes["length"] ** (0.5 if attributes.get("inverse") else -0.5)

    def make(xp: Any, seed: int) -> list[Any]:
        x = xp.random.default_rng(seed).standard_normal(shape, dtype=xp.float32) * scale
        if attributes.get("inverse"):  # cuFFT expects that a real signal's spectrum has real ends
            x[:, [0, -1], 1] = 0
        return [x]

    return make


def _cufft(plugin: Any, inputs: Sequence[DeviceTensor]) -> Callable[..., Any]:
    """Call torch.fft, which is cuFFT; it reads the same array, and writes one in the same order."""
    import torch

    axis = plugin.axis % len(inputs[0].shape)

    def transform(x: Any) -> Any:
        if plugin.inverse and plugin.onesided:
            return torch.fft.irfft(torch.view_as_complex(x), plugin.length, axis)[..., None]
        if x.shape[-1] == 1:
            function = torch.fft.rfft if plugin.onesided else torch.fft.fft
            return torch.view_as_real(function(x[..., 0], plugin.length, axis).contiguous())
        function = torch.fft.ifft if plugin.inverse else torch.fft.fft
        numbers = function(torch.view_as_complex(x), plugin.length, axis)
        return torch.view_as_real(numbers.contiguous())

    return transform


def _product(plugin: Any, inputs: Sequence[DeviceTensor]) -> Callable[..., Any]:
    """Multiply by the matrix that ExpandDft would store, without TF32."""
    import torch

    if plugin.inverse or plugin.axis != -2:
        raise NotOffered("it is written for forward transforms along the last axis")
    parts = inputs[0].shape[-1]
    made = plugin.length // 2 + 1 if plugin.onesided else plugin.length
    if plugin.length * parts * made * 2 > _MOST_MATRIX:
        raise NotOffered("its matrix would be too large")
    points = torch.arange(plugin.length, dtype=torch.float64, device="cuda")
    angle = -2 * torch.pi * (torch.outer(points, points[:made]) % plugin.length) / plugin.length
    cos, sin = angle.cos(), angle.sin()
    rows = torch.stack([torch.stack([cos, sin], -1), torch.stack([-sin, cos], -1)], 1)[:, :parts]
    matrix = rows.reshape(plugin.length * parts, made * 2).float()
    return lambda x: (x.flatten(-2) @ matrix).unflatten(-1, (made, 2))


PEERS = (
    Peer("cuFFT through torch", bind_torch(_cufft)),
    Peer("matrix product", bind_torch(_product)),
)


if __name__ == "__main__":
    raise SystemExit(run_bench(Dft, __file__))
