"""SelectiveScan, torch, Triton and a plain kernel, on a GPU.

    python benchmarks/selective_scan.py

which is ``pluginkit bench SelectiveScan --peers benchmarks/selective_scan.py`` with the results
written to benchmarks/results.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from random import Random
from typing import Any

import numpy as np
from drawn_sizes import size
from peers import Function, bind_torch, plain_kernel, run_bench

from pluginkit import Plugin, bfloat16, float16, float32
from pluginkit.bench.workload import NotOffered, Peer, TimedCall, Workload
from pluginkit.contract.tensors import DeviceTensor
from pluginkit.plugins.selective_scan import SelectiveScan


@dataclass(frozen=True)
class Setting:
    """The sizes of a case. Without heads each channel is one, as in Mamba."""

    items: int
    channels: int
    length: int
    states: int = 16
    heads: int | None = None


CASES = {
    "130m": Setting(1, 1536, 2048),
    "8 texts": Setting(8, 1536, 2048),
    "2.8b": Setting(1, 5120, 2048),
    "few channels": Setting(1, 64, 8192),
    "odd": Setting(2, 1537, 2047),
    "images": Setting(64, 384, 196),
    "one step": Setting(64, 5120, 1),
    "Mamba 2": Setting(1, 1536, 2048, 128, 24),
}
HOSTILE = {
    "few channels, long": Setting(1, 16, 2**15),
    "one state": Setting(2, 1536, 1000, 1),
    "64 states": Setting(1, 512, 1024, 64),
    "17 steps": Setting(8, 1536, 17),
    "Mamba 2, small heads": Setting(2, 512, 1000, 64, 32),
    "two channels": Setting(1, 2, 428),
    "short texts": Setting(1, 100, 100),
    "4 states, short": Setting(10, 2000, 30, 4),
    "one step of heads": Setting(1, 1024, 1, 1, 64),
    "8 steps of heads": Setting(4, 1536, 8, 1, 24),
}
#: The types of a case that is measured in others than float16.
TYPES = {"130m": (float32, float16, bfloat16), "odd": (float32, float16)}
#: Some channels of one item are few enough for the reference.
_CHANNELS = 32
_SOME = (slice(0, 1), slice(0, _CHANNELS))
#: The longest text for which torch's loop, of five kernels a step, is timed.
_LONGEST_LOOP = 256


def drawn(rng: Random) -> Setting:
    """Return at most 2048 channels and 2^23 elements, with and without heads."""
    channels, length = size(rng, 1, 2048), size(rng, 1, 4096)
    items = size(rng, 1, max(1, min(16, 2**23 // (channels * length))))
    width = rng.choice((1, 1, 16, 64))
    heads = None if width == 1 else size(rng, 1, 2048 // width)
    states = rng.choice((1, 4, 16, 16, 64))
    return Setting(items, channels if heads is None else heads * width, length, states, heads)


def workloads(cases: Mapping[str, Setting] = CASES) -> Iterator[Workload]:
    """Yield every case in its types, with all optional inputs but a first state."""
    for case, setting in cases.items():
        for dtype in TYPES.get(case, (float16,) if case in CASES else (float16, float32)):
            plugin = SelectiveScan(delta_softplus=True).with_inputs(
                *("u", "delta", "A", "B", "C", "D", "z", "delta_bias")
            )
            wide = float32
            dtypes = (dtype, dtype, wide, dtype, dtype, wide, dtype, wide)
            yield Workload(case, "gated", plugin, dtypes, _inputs(setting), _sample(setting))


def _sample(setting: Setting) -> dict[str, tuple[slice, ...]]:
    """Cut channels, and the heads that they belong to."""
    width = setting.channels // (setting.heads or setting.channels)
    heads = slice(0, -(-_CHANNELS // width))
    channels = slice(0, heads.stop * width)
    cuts: dict[str, tuple[slice, ...]] = dict.fromkeys(("B", "C"), (slice(0, 1),))
    cuts |= dict.fromkeys(("u", "z", "out", "last_state"), (slice(0, 1), channels))
    return (
        cuts | {"delta": (slice(0, 1), heads)} | dict.fromkeys(("A", "D", "delta_bias"), (heads,))
    )


def _inputs(setting: Setting) -> Callable[[Any, int], list[Any]]:
    def make(xp: Any, seed: int) -> list[Any]:
        rng = xp.random.default_rng(seed)
        items, channels, length = setting.items, setting.channels, setting.length
        heads = setting.heads or channels

        def drawn(*sizes: int) -> Any:
            return rng.random(sizes, dtype=xp.float32) * 2 - 1

        matrix = (items, length, 1, setting.states)
        columns = setting.states if setting.heads is None else 1
        decay = -xp.broadcast_to(xp.arange(1, columns + 1, dtype=xp.float32), (heads, columns))
        return [
            drawn(items, channels, length),
            drawn(items, heads, length),
            xp.ascontiguousarray(decay),
            *(drawn(*matrix), drawn(*matrix) / setting.states),
            *(drawn(heads), drawn(items, channels, length), drawn(heads) - 3),
        ]

    return make


# Peers.


def _torch(plugin: Any, inputs: Sequence[DeviceTensor]) -> Function:
    """Return what transformers computes without a kernel of its own."""
    from torch import exp, matmul, stack
    from torch.nn.functional import silu, softplus

    channels, length = inputs[0].shape[1:]
    if inputs[1].shape[1] != channels:
        raise NotOffered("a head for each channel")
    if length > _LONGEST_LOOP:
        raise NotOffered(f"a loop of {length} steps")

    def scan(u: Any, delta: Any, a: Any, b: Any, c: Any, d: Any, z: Any, bias: Any) -> Any:
        step = softplus(delta + bias.to(delta.dtype)[:, None])
        kept = exp(a[None, :, None, :] * step[..., None])
        given = step[..., None] * b[:, :, 0][:, None].float() * u[..., None].float()
        state = 0
        outs = []
        for time in range(length):
            state = kept[:, :, time] * state + given[:, :, time]
            outs.append(matmul(state.to(u.dtype), c[:, time, 0, :, None])[..., 0])
        y = stack(outs, dim=-1) + u * d[:, None]
        return (y * silu(z)).to(u.dtype)

    return scan


@cache
def _triton_kernel() -> Any:
    import triton
    import triton.language as tl

    globals().update(tl=tl)  # where the compiler looks names up

    @triton.jit
    def combined(kept, state, kept_after, state_after):
        return kept * kept_after, kept_after * state + state_after

    globals().update(combined=combined)

    @triton.jit
    def kernel(
        out, last, u, delta, a, b, c, d, z, bias, channels, length,
        states: tl.constexpr, steps: tl.constexpr,
    ):  # fmt: skip
        row = tl.program_id(0).to(tl.int64)
        item, channel = row // channels, row % channels
        state = tl.arange(0, states)
        decay = tl.load(a + channel * states + state) * 1.44269504
        shift, skip = tl.load(bias + channel), tl.load(d + channel)
        carried = tl.zeros((states,), tl.float32)
        for start in range(0, length, steps):
            time = start + tl.arange(0, steps)
            is_inside = time < length
            x = tl.load(u + row * length + time, mask=is_inside, other=0).to(tl.float32)
            step = tl.load(delta + row * length + time, mask=is_inside, other=0).to(tl.float32)
            step += shift
            step = tl.where(step > 20, step, tl.log(1 + tl.exp(step)))
            step = tl.where(is_inside, step, 0)
            at = (item * length + time)[:, None] * states + state[None]
            matrix = tl.load(b + at, mask=is_inside[:, None], other=0).to(tl.float32)
            read = tl.load(c + at, mask=is_inside[:, None], other=0).to(tl.float32)
            kept = tl.exp2(step[:, None] * decay[None])
            given = (step * x)[:, None] * matrix
            passed, every = tl.associative_scan((kept, given), 0, combined)
            every += passed * carried[None]
            carried = tl.sum(tl.where(tl.arange(0, steps)[:, None] == steps - 1, every, 0), 0)
            y = tl.sum(every * read, 1) + skip * x
            gate = tl.load(z + row * length + time, mask=is_inside, other=0).to(tl.float32)
            tl.store(out + row * length + time, y * gate * tl.sigmoid(gate), mask=is_inside)
        tl.store(last + row * states + state, carried)

    return kernel


def _triton(plugin: Any, inputs: Sequence[DeviceTensor]) -> Function:
    """Return a scan by tl.associative_scan, with a program for each channel."""
    import torch

    (items, channels, length), states = inputs[0].shape, inputs[3].shape[3]
    if inputs[1].shape[1] != channels:
        raise NotOffered("a head for each channel")
    kernel = _triton_kernel()

    def scan(u: Any, *others: Any) -> Any:
        out = torch.empty_like(u)
        last = torch.empty((items, channels, states), device="cuda")
        kernel[(items * channels,)](
            out, last, u, *others, channels, length, states=states, steps=64
        )
        return out, last

    return scan


_PLAIN = r"""
#include <cuda_bf16.h>
#include <cuda_fp16.h>
template <typename T, int STATES>
__global__ void plain(T* out, float* last, const T* u, const T* delta, const float* a, const T* b,
                      const T* c, const float* d, const T* z, const float* bias, int rows,
                      int channels, int length, int heads, int columns) {
    const int row = blockIdx.x * blockDim.x + threadIdx.x;
    if (row >= rows) return;
    const int item = row / channels, head = row % channels / (channels / heads);
    float state[STATES] = {};
    for (int t = 0; t < length; ++t) {
        const long long at = (long long)row * length + t;
        const float x = static_cast<float>(u[at]), gate = static_cast<float>(z[at]);
        float step = static_cast<float>(delta[((long long)item * heads + head) * length + t]);
        step += bias[head];
        step = step > 20 ? step : log1pf(expf(step));
        float y = d[head] * x;
        for (int s = 0; s < STATES; ++s) {
            const long long of_state = ((long long)item * length + t) * STATES + s;
            const float decay = a[head * columns + (columns == 1 ? 0 : s)];
            state[s] = expf(step * decay) * state[s] + step * x * static_cast<float>(b[of_state]);
            y += state[s] * static_cast<float>(c[of_state]);
        }
        out[at] = static_cast<T>(y * gate / (1 + expf(-gate)));
    }
    for (int s = 0; s < STATES; ++s) last[(long long)row * STATES + s] = state[s];
}
"""


def _plain(
    plugin: Plugin, inputs: Sequence[DeviceTensor], outputs: Sequence[DeviceTensor]
) -> TimedCall:
    """Launch a thread for each channel, which walks through time by itself."""
    states, heads, columns = inputs[3].shape[3], inputs[1].shape[1], inputs[2].shape[1]
    kernel = plain_kernel(_PLAIN, f"plain<{inputs[0].dtype.cpp}, {states}>")
    items, channels, length = inputs[0].shape
    sizes = (items * channels, channels, length, heads, columns)
    pointers = [tensor.pointer for tensor in (*outputs, *inputs)]
    arguments = (*pointers, *map(np.int32, sizes))
    return lambda: kernel((-(-sizes[0] // 64),), (64,), arguments)


PEERS = (
    Peer("torch", bind_torch(_torch)),
    Peer("Triton", bind_torch(_triton)),
    Peer("plain kernel", _plain),
)


if __name__ == "__main__":
    raise SystemExit(run_bench(SelectiveScan, __file__))
