"""CUDA C++ kernels with mbarriers, and with copies that they track."""

import numpy as np

from tests.unit.ptx.cuda_cases import WORDS, CudaCase

#: mbarriers and bulk copies as functions, since NVRTC may have no headers of them.
PRIMITIVES = r"""
typedef unsigned long long u64;
__device__ unsigned at(const void* p) { return (unsigned)__cvta_generic_to_shared(p); }
__device__ void init(u64* b, unsigned n) {
    asm volatile("mbarrier.init.shared.b64 [%0], %1;" :: "r"(at(b)), "r"(n) : "memory");
}
__device__ void inval(u64* b) {
    asm volatile("mbarrier.inval.shared.b64 [%0];" :: "r"(at(b)) : "memory");
}
__device__ u64 arrive(u64* b) {
    u64 state;
    asm volatile("mbarrier.arrive.shared.b64 %0, [%1];" : "=l"(state) : "r"(at(b)) : "memory");
    return state;
}
__device__ u64 arrive(u64* b, unsigned n) {
    u64 state;
    asm volatile("mbarrier.arrive.release.cta.shared::cta.b64 %0, [%1], %2;"
                 : "=l"(state) : "r"(at(b)), "r"(n) : "memory");
    return state;
}
__device__ void arrive_drop(u64* b) {
    asm volatile("mbarrier.arrive_drop.shared.b64 _, [%0];" :: "r"(at(b)) : "memory");
}
__device__ u64 arrive_without_completion(u64* b, unsigned n) {
    u64 state;
    asm volatile("mbarrier.arrive.noComplete.shared.b64 %0, [%1], %2;"
                 : "=l"(state) : "r"(at(b)), "r"(n) : "memory");
    return state;
}
__device__ void arrive_expect_tx(u64* b, unsigned n) {
    asm volatile("mbarrier.arrive.expect_tx.shared.b64 _, [%0], %1;"
                 :: "r"(at(b)), "r"(n) : "memory");
}
__device__ void expect_tx(u64* b, unsigned n) {
    asm volatile("mbarrier.expect_tx.relaxed.cta.shared::cta.b64 [%0], %1;"
                 :: "r"(at(b)), "r"(n) : "memory");
}
__device__ void complete_tx(u64* b, unsigned n) {
    asm volatile("mbarrier.complete_tx.relaxed.cta.shared::cta.b64 [%0], %1;"
                 :: "r"(at(b)), "r"(n) : "memory");
}
__device__ unsigned pending(u64 state) {
    unsigned count;
    asm volatile("mbarrier.pending_count.b64 %0, %1;" : "=r"(count) : "l"(state));
    return count;
}
__device__ bool test_wait(u64* b, u64 state) {
    unsigned done;
    asm volatile("{.reg .pred p; mbarrier.test_wait.shared.b64 p, [%1], %2; selp.b32 %0, 1, 0, p;}"
                 : "=r"(done) : "r"(at(b)), "l"(state) : "memory");
    return done;
}
__device__ bool test_parity(u64* b, unsigned parity) {
    unsigned done;
    asm volatile("{.reg .pred p; mbarrier.test_wait.parity.shared.b64 p, [%1], %2; "
                 "selp.b32 %0, 1, 0, p;}" : "=r"(done) : "r"(at(b)), "r"(parity) : "memory");
    return done;
}
__device__ void wait(u64* b, unsigned parity) {
    asm volatile("{\n.reg .pred p;\nretry:\n"
                 "mbarrier.try_wait.parity.acquire.cta.shared::cta.b64 p, [%0], %1, 0x989680;\n"
                 "@p bra done;\nbra retry;\ndone:\n}" :: "r"(at(b)), "r"(parity) : "memory");
}
__device__ void copy_16(void* to, const void* from) {
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" :: "r"(at(to)), "l"(from) : "memory");
}
__device__ void arrive_after_copies(u64* b) {
    asm volatile("cp.async.mbarrier.arrive.shared.b64 [%0];" :: "r"(at(b)) : "memory");
}
__device__ void arrive_after_copies_noinc(u64* b) {
    asm volatile("cp.async.mbarrier.arrive.noinc.shared.b64 [%0];" :: "r"(at(b)) : "memory");
}
__device__ void load_bulk(void* to, const void* from, unsigned n, u64* b) {
    asm volatile("cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes "
                 "[%0], [%1], %2, [%3];"
                 :: "r"(at(to)), "l"(from), "r"(n), "r"(at(b)) : "memory");
}
__device__ void store_bulk(void* to, const void* from, unsigned n) {
    asm volatile("cp.async.bulk.global.shared::cta.bulk_group [%0], [%1], %2;"
                 :: "l"(to), "r"(at(from)), "r"(n) : "memory");
}
__device__ void commit_bulk() { asm volatile("cp.async.bulk.commit_group;" ::: "memory"); }
__device__ void wait_bulk_read() { asm volatile("cp.async.bulk.wait_group.read 0;" ::: "memory"); }
__device__ void wait_bulk() { asm volatile("cp.async.bulk.wait_group 0;" ::: "memory"); }
__device__ void fence_proxies() {
    asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
}
"""
HEAD = 'extern "C" __global__ void run(unsigned* out, const unsigned* in, int n) {\n'
ASYNCHRONOUS_CASES = []


def source_of(body):
    return f"{PRIMITIVES}{HEAD}{body}\n}}\n"


def _case(body, grid, block, out_words):
    def note(expected):
        ASYNCHRONOUS_CASES.append(
            CudaCase(expected.__name__, source_of(body), grid, block, out_words, expected)
        )
        return expected

    return note


@_case(
    """
    __shared__ u64 b;
    if (threadIdx.x == 0) {
        init(&b, 4);
        out[0] = test_parity(&b, 1); out[1] = test_parity(&b, 0);
        u64 first = arrive(&b);
        out[2] = pending(first); out[3] = test_wait(&b, first);
        out[4] = pending(arrive_without_completion(&b, 2));
        out[5] = pending(arrive(&b));
        out[6] = test_wait(&b, first); out[7] = test_parity(&b, 0); out[8] = test_parity(&b, 1);
        u64 second = arrive(&b, 4);
        out[9] = pending(second); out[10] = test_wait(&b, second); out[11] = test_parity(&b, 1);
        arrive_drop(&b);
        out[12] = pending(arrive(&b, 3));
        out[13] = pending(arrive(&b, 3)); out[14] = test_parity(&b, 1);
        expect_tx(&b, 64);
        u64 third = arrive(&b, 3);
        out[15] = test_wait(&b, third);
        complete_tx(&b, 48); out[16] = test_wait(&b, third);
        complete_tx(&b, 16); out[17] = test_wait(&b, third);
        inval(&b);
    }
    """,
    1, 32, 18,
)  # fmt: skip
def states_of_an_mbarrier():
    return [1, 0, 4, 0, 3, 1, 1, 1, 0, 4, 1, 1, 3, 3, 1, 0, 0, 1]


@_case(
    """
    __shared__ u64 full[2], empty[2];
    __shared__ __align__(16) unsigned tiles[2][32];
    if (threadIdx.x == 0)
        for (int s = 0; s < 2; ++s) { init(&full[s], 32); init(&empty[s], 64); }
    __syncthreads();
    const unsigned* from = in + blockIdx.x * 224;
    if (threadIdx.x < 32) {
        for (int t = 0; t < 7; ++t) {
            int s = t % 2, round = t / 2;
            wait(&empty[s], round % 2 ^ 1);
            tiles[s][threadIdx.x] = from[t * 32 + threadIdx.x];
            arrive(&full[s]);
        }
    } else {
        unsigned sum = 0;
        for (int t = 0; t < 7; ++t) {
            int s = t % 2, round = t / 2;
            wait(&full[s], round % 2);
            sum += tiles[s][(threadIdx.x + t) % 32] * (t + 1);
            arrive(&empty[s]);
        }
        out[blockIdx.x * 64 + threadIdx.x - 32] = sum;
    }
    """,
    3, 96, 192,
)  # fmt: skip
def a_producer_and_two_consumers():
    tiles = WORDS[:672].reshape(3, 7, 32).astype(np.uint64)
    return [
        sum(int(tiles[block, t, (i + t) % 32]) * (t + 1) for t in range(7)) % 2**32
        for block in range(3)
        for i in range(64)
    ]


@_case(
    """
    __shared__ u64 counted, added;
    __shared__ __align__(16) unsigned tile[2][256];
    if (threadIdx.x == 0) { init(&counted, 64); init(&added, 64); }
    __syncthreads();
    copy_16(&tile[0][threadIdx.x * 4], in + threadIdx.x * 4);
    arrive_after_copies_noinc(&counted);
    copy_16(&tile[1][threadIdx.x * 4], in + 256 + threadIdx.x * 4);
    arrive_after_copies(&added);
    arrive(&added);
    wait(&counted, 0);
    unsigned sum = 0;
    for (int i = 0; i < 4; ++i) sum += tile[0][255 - threadIdx.x * 4 - i] * (i + 1);
    wait(&added, 0);
    for (int i = 0; i < 4; ++i) sum += tile[1][255 - threadIdx.x * 4 - i] * (i + 5);
    out[threadIdx.x] = sum;
    """,
    1, 64, 64,
)  # fmt: skip
def copies_that_mbarriers_track():
    words = WORDS.astype(np.uint64).tolist()
    return [
        sum(words[255 - 4 * t - i] * (i + 1) + words[511 - 4 * t - i] * (i + 5) for i in range(4))
        % 2**32
        for t in range(64)
    ]


@_case(
    """
    __shared__ u64 full;
    __shared__ __align__(128) unsigned tile[128];
    if (threadIdx.x == 0) { init(&full, 1); fence_proxies(); }
    __syncthreads();
    for (int t = 0; t < 3; ++t) {
        const int at = (blockIdx.x * 3 + t) * 128;
        if (threadIdx.x == 0) {
            arrive_expect_tx(&full, 512);
            load_bulk(tile, in + at, 256, &full);
            load_bulk(tile + 64, in + at + 64, 256, &full);
        }
        wait(&full, t % 2);
        tile[threadIdx.x] = tile[threadIdx.x] * 3 + t;
        fence_proxies();
        __syncthreads();
        if (threadIdx.x == 0) {
            store_bulk(out + at, tile, 512);
            commit_bulk();
            wait_bulk_read();
        }
        __syncthreads();
    }
    if (threadIdx.x == 0) wait_bulk();
    """,
    2, 128, 768,
)  # fmt: skip
def bulk_copies_there_and_back():
    words = WORDS[:768].astype(np.uint64)
    return ((words * 3 + np.arange(768) // 128 % 3) % 2**32).tolist()
