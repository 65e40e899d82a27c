"""Mistakes that only another order shows: strong writes without a fence, delayed warps."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from pluginkit import ptx
from tests.unit.ptx.run_case import compiled

SEEDS = range(8)

#: Block 0 passes a value to block 1: DATA, FENCE and FLAG differ. The consumer is correct.
HANDED = """
extern "C" __global__ void run(unsigned* out, unsigned* data, unsigned* flag) {
    if (blockIdx.x == 0) {
        if (threadIdx.x == 0) {
            DATA
            FENCE
            FLAG
        }
    } else if (threadIdx.x == 0) {
        while (WAIT) {}
        __threadfence();
        out[0] = READ;
    }
}
"""
VOLATILE = {
    "DATA": "*(volatile unsigned*)data = 42;",
    "FENCE": "__threadfence();",
    "FLAG": "*(volatile unsigned*)flag = 1;",
    "WAIT": "*(volatile unsigned*)flag == 0",
    "READ": "*(volatile unsigned*)data",
}
RELAXED = VOLATILE | {
    "DATA": 'asm volatile("st.relaxed.gpu.u32 [%0], 42;" :: "l"(data) : "memory");',
    "FLAG": "atomicExch(flag, 1);",
    "WAIT": "atomicAdd(flag, 0) == 0",
    "READ": "atomicAdd(data, 0)",
}
ADDED = RELAXED | {"DATA": "atomicAdd(data, 42);"}
RELEASED = VOLATILE | {
    "DATA": "atomicAdd(data, 42);",
    "FENCE": "",
    "FLAG": 'asm volatile("st.release.gpu.u32 [%0], 1;" :: "l"(flag) : "memory");',
}
OF_THE_BLOCK = ADDED | {"FENCE": 'asm volatile("bar.warp.sync 1;" ::: "memory");'}

#: A block's warps add to a total; the block that counts itself last takes it.
COUNTED = """
extern "C" __global__ void run(unsigned* out, unsigned* total, unsigned* done) {
    __shared__ bool is_last;
    atomicAdd(total, threadIdx.x);
    FENCE
    BARRIER
    if (threadIdx.x == 0) is_last = atomicAdd(done, 1) == gridDim.x - 1;
    __syncthreads();
    if (is_last && threadIdx.x == 0) out[0] = atomicExch(total, 0);
}
"""
FENCED = {"FENCE": "__threadfence();", "BARRIER": "__syncthreads();"}
BLOCKS, THREADS = 8, 128


@cache
def module(text: str, changed: tuple[tuple[str, str], ...]) -> ptx.PtxModule:
    for name, code in changed:
        text = text.replace(name, code)
    return ptx.parse(compiled(text))


def outputs(text: str, parts: dict[str, str], grid: int, block: int) -> list[int]:
    """Return the output in ascending order and for each seed; there must be no finding."""
    found = []
    for seed in (None, *SEEDS):
        memory = ptx.Memory()
        out = memory.buffer("out", np.zeros(1, np.uint32), "inout")
        data = memory.buffer("data", np.zeros(1, np.uint32), "inout")
        flag = memory.buffer("flag", np.zeros(1, np.uint32), "inout")
        result = module(text, tuple(parts.items())).launch(
            "run", grid, block, [out, data, flag], memory=memory, seed=seed
        )
        assert not result.findings
        found.append(int(out.array(np.uint32)[0]))
    return found


@pytest.mark.parametrize("parts", [VOLATILE, RELAXED, ADDED, RELEASED], ids=range(4))
def test_fenced_writes_arrive(parts) -> None:
    assert set(outputs(HANDED, parts, 2, 32)) == {42}


@pytest.mark.parametrize(
    "parts",
    [VOLATILE | {"FENCE": ""}, RELAXED | {"FENCE": ""}, ADDED | {"FENCE": ""}, OF_THE_BLOCK],
    ids=["volatile", "relaxed", "added", "warp barrier"],
)
def test_strong_writes_without_a_fence_are_late_but_do_not_race(parts) -> None:
    plain, *others = outputs(HANDED, parts, 2, 32)
    assert plain == 42
    assert 0 in others


def test_the_last_block_sees_all_additions() -> None:
    total = BLOCKS * sum(range(THREADS))
    assert set(outputs(COUNTED, FENCED, BLOCKS, THREADS)) == {total}


@pytest.mark.parametrize("missing", FENCED)
def test_the_last_block_may_miss_additions_without_a_barrier(missing) -> None:
    total = BLOCKS * sum(range(THREADS))
    plain, *others = outputs(COUNTED, FENCED | {missing: ""}, BLOCKS, THREADS)
    assert plain == total
    assert others[0] < total  # an order that the check always runs
    assert sum(other < total for other in others) >= 4


def test_all_writes_are_made_in_the_end() -> None:
    text = """
    extern "C" __global__ void run(unsigned* out, unsigned* data, unsigned* flag) {
        atomicAdd(out, 1);
    }
    """
    assert set(outputs(text, {}, 4, 64)) == {256}


REDUCED = """
extern "C" __global__ void run(unsigned* out, unsigned* data, unsigned* flag) {
    __shared__ volatile unsigned sums[64];
    unsigned t = threadIdx.x;
    sums[t] = t;
    sums[t + 32] = 0;
    for (int d = 16; d > 0; d /= 2) { MEET sums[t] += sums[t + d]; MEET }
    if (t == 0) out[0] = sums[0];
}
"""


def test_lanes_that_only_volatile_keeps_in_step_diverge() -> None:
    text = REDUCED.replace(
        "sums[t] += sums[t + d];", "unsigned s = sums[t + d]; MEET sums[t] += s;"
    )
    assert set(outputs(text, {"MEET": "__syncwarp();"}, 1, 32)) == {496}
    memory = ptx.Memory()
    words = [memory.buffer(name, np.zeros(1, np.uint32), "inout") for name in ("o", "d", "f")]
    launch = module(REDUCED, (("MEET", ""),)).launch
    result = launch("run", 1, 32, words, memory=memory, seed=0)
    assert result.findings or words[0].array(np.uint32)[0] != 496
