"""Values that one block hands to another: what publishes them, and what only seems to.

Plain values are reported as races. Values that every access handles atomically, or as volatile, do
not race; a missing fence then shows in results, where the writes come late.
"""

from __future__ import annotations

from pluginkit import Fill, Launch, int64
from tests.plugincheck.planted_bugs.corpus import (
    BLOCK,
    Total,
    blocks_for,
    cuda,
    planted,
    planted_in_results,
)
from tests.plugincheck.planted_bugs.grid_race_bugs import CHAIN, Chain

VOLATILE_CHAIN = {"flag": "volatile", "carry": "volatile"}


@planted_in_results("sanitizer")
class VolatileCarryWithoutFence(Chain):
    """Flag and carry are volatile: they do not race, but the flag may be seen first."""

    kernel = cuda(CHAIN % (VOLATILE_CHAIN | {"release": "", "acquire": "__threadfence();"}))


#: A chain whose flag is written and read by inline PTX, and whose carry lane 1 writes.
ASM_CHAIN = """
__global__ void chain(float* y, const float* x, int* flags, float* carries, int n) {
    __shared__ float carry;
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (threadIdx.x < 32) {
        float sum = 0.0f;
        if (blockIdx.x > 0) {
            int seen = 0;
            do {
                asm volatile("ld.%(load)s.gpu.b32 %%0, [%%1];"
                             : "=r"(seen) : "l"(flags + blockIdx.x - 1) : "memory");
            } while (seen == 0);
            %(acquire)s
            sum = carries[blockIdx.x - 1] + 1.0f;
        }
        __syncwarp();
        if (threadIdx.x == 1) carries[blockIdx.x] = sum;
        %(meet)s
        %(release)s
        if (threadIdx.x == 0) {
            carry = sum;
            asm volatile("st.%(store)s.gpu.b32 [%%0], 1;"
                         :: "l"(flags + blockIdx.x) : "memory");
        }
    }
    __syncthreads();
    if (i < n) y[i] = x[i] + carry;
}
"""
RELEASED = {
    "load": "acquire", "store": "release", "acquire": "", "release": "", "meet": "__syncwarp();",
}  # fmt: skip
RELAXED = {
    "load": "relaxed",
    "store": "relaxed",
    "acquire": "__threadfence();",
    "release": "__threadfence();",
    "meet": "__syncwarp();",
}


@planted("race")
class FlagReleasedByAnotherLane(Chain):
    """Lane 0 releases the flag, but nothing orders lane 1's carry before that."""

    kernel = cuda(ASM_CHAIN % (RELEASED | {"meet": ""}))


@planted("race")
class FlagReleasedAndReadRelaxed(Chain):
    """The flag is released, and read without acquiring."""

    kernel = cuda(ASM_CHAIN % (RELEASED | {"load": "relaxed"}))


@planted("race")
class FlagRelaxedAndAcquired(Chain):
    """The flag is acquired, and nothing released it."""

    kernel = cuda(ASM_CHAIN % (RELEASED | {"store": "relaxed"}))


@planted("race")
class SyncwarpForAFence(Chain):
    """``__syncwarp`` orders the lanes for each other, not for another block."""

    kernel = cuda(ASM_CHAIN % (RELAXED | {"release": ""}))


class Counted(Total, abstract=True):
    """All threads add to a total; the block that counts itself last moves it to y."""

    def workspace_bytes(self, x):
        return 8

    def launches(self, x, y, workspace):
        args = (y, x, workspace.first(4), workspace.at(4), int64(x.size))
        return Fill(workspace.first(8), 0), Launch(self.kernel, blocks_for(x), BLOCK, args)


COUNTED = """
__global__ void total(float* y, const float* x, float* sum, unsigned* done, long long n) {
    __shared__ bool is_last;
    long long i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) atomicAdd(sum, x[i]);
    %(fence)s
    %(barrier)s
    if (threadIdx.x == 0) is_last = atomicAdd(done, 1) == gridDim.x - 1;
    __syncthreads();
    if (is_last && threadIdx.x == 0) y[0] = atomicExch(sum, 0.0f);
}
"""


@planted_in_results("sanitizer")
class CountedBeforeTheAdditionsArrive(Counted):
    """Atomics alone, so nothing races; but without a fence the count may be seen first."""

    kernel = cuda(COUNTED % {"fence": "", "barrier": "__syncthreads();"})


@planted_in_results("sanitizer")
class CountedBeforeTheBlockIsDone(Counted):
    """The first thread counts its block while slower warps have still to add."""

    kernel = cuda(COUNTED % {"fence": "__threadfence();", "barrier": ""})
