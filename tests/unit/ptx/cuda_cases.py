"""CUDA C++ kernels whose threads diverge, synchronise, wait and exchange, with their results."""

import ctypes
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

WORDS = (np.arange(1000, dtype=np.uint64) * 2654435761 % 2**32).astype(np.uint32)


@dataclass(frozen=True)
class CudaCase:
    """A kernel ``run(out, in, n)`` on 32-bit words; ``expected`` returns the output words."""

    name: str
    source: str
    grid: int
    block: int
    out_words: int
    expected: Callable[[], list[int]]
    words: np.ndarray = field(default_factory=lambda: WORDS)


CUDA_CASES: list[CudaCase] = []
_HEAD = 'extern "C" __global__ void run(unsigned* out, const unsigned* in, int n) {\n'


def _case(body, grid, block, out_words, before=""):
    """Add a case; the decorated function returns the expected words."""

    def note(expected):
        source = f"{before}\n{_HEAD}{body}\n}}\n"
        name = expected.__name__
        CUDA_CASES.append(CudaCase(name, source, grid, block, out_words, expected))
        return expected

    return note


@_case(
    """
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    unsigned sum = 0;
    for (int outer = 0; outer < i % 7; ++outer) {
        for (int inner = 0; inner < (i + outer) % 5; ++inner) {
            if ((inner ^ i) & 1) continue;
            sum += in[(outer * 31 + inner * 17 + i) % n];
        }
        if (sum % 11 == 3) break;
    }
    out[i] = sum;
    """,
    4, 96, 384,
)  # fmt: skip
def nested_loops_with_different_trip_counts():
    found = []
    for i in range(384):
        total = 0
        for outer in range(i % 7):
            for inner in range((i + outer) % 5):
                if not (inner ^ i) & 1:
                    total = (total + int(WORDS[(outer * 31 + inner * 17 + i) % 1000])) % 2**32
            if total % 11 == 3:
                break
        found.append(total)
    return found


@_case(
    """
    __shared__ unsigned tile[128];
    int i = blockIdx.x * 128 + threadIdx.x;
    if (threadIdx.x >= 96) return;
    tile[threadIdx.x] = in[i];
    __syncthreads();
    out[i] = tile[95 - threadIdx.x];
    """,
    3, 128, 384,
)  # fmt: skip
def whole_warps_end_before_a_barrier():
    return [int(WORDS[i // 128 * 128 + 95 - i % 128]) if i % 128 < 96 else 0 for i in range(384)]


@_case(
    """
    int lane = threadIdx.x % 32;
    unsigned value = in[threadIdx.x];
    unsigned found = 0;
    if (lane < 20) {
        unsigned mask = __activemask();
        found = __shfl_sync(0xFFFFF, value, (lane + 1) % 20) ^ __popc(mask & 0xFFFFF);
    } else {
        found = __shfl_sync(0xFFF00000, value, 31);
    }
    __syncwarp();
    out[threadIdx.x] = found + __shfl_xor_sync(0xFFFFFFFF, found, 16);
    """,
    1, 64, 64,
)  # fmt: skip
def warps_diverge_shuffle_and_meet_again():
    found = []
    for i in range(64):
        lane, base = i % 32, i // 32 * 32
        if lane < 20:
            found.append(int(WORDS[base + (lane + 1) % 20]) ^ 20)
        else:
            found.append(int(WORDS[base + 31]))
    return [(found[i] + found[i ^ 16]) % 2**32 for i in range(64)]


@_case(
    """
    int i = threadIdx.x;
    unsigned v = in[i];
    unsigned all = 0xFFFFFFFF;
    unsigned* row = out + i * 12;
    row[0] = __shfl_up_sync(all, v, 3);
    row[1] = __shfl_down_sync(all, v, 5);
    row[2] = __shfl_xor_sync(all, v, 7);
    row[3] = __shfl_sync(all, v, 40);
    row[4] = __shfl_up_sync(all, v, 3, 8);
    row[5] = __shfl_down_sync(all, v, 5, 8);
    row[6] = __shfl_sync(all, v, 11, 8);
    row[7] = __ballot_sync(all, v & 1);
    row[8] = __any_sync(all, v > 4200000000u) | __all_sync(all, v > 0) << 1;
    row[9] = __match_any_sync(all, v % 3);
    int same;
    row[10] = __match_all_sync(all, v >> 31, &same) + same;
    row[11] = __reduce_add_sync(all, v) ^ __reduce_max_sync(all, v) ^ __reduce_xor_sync(all, v);
    """,
    1, 64, 768,
)  # fmt: skip
def every_warp_operation():
    found = []
    for i in range(64):
        lane, base = i % 32, i // 32 * 32
        warp = [int(WORDS[base + other]) for other in range(32)]
        part = lane // 8 * 8
        found.append(warp[lane - 3] if lane >= 3 else warp[lane])
        found.append(warp[lane + 5] if lane + 5 < 32 else warp[lane])
        found.append(warp[lane ^ 7])
        found.append(warp[8])
        found.append(warp[lane - 3] if lane - 3 >= part else warp[lane])
        found.append(warp[lane + 5] if lane + 5 < part + 8 else warp[lane])
        found.append(warp[part + 3])
        found.append(sum((v & 1) << k for k, v in enumerate(warp)))
        found.append(int(any(v > 4200000000 for v in warp)) | int(all(warp)) << 1)
        found.append(sum(1 << k for k, v in enumerate(warp) if v % 3 == warp[lane] % 3))
        same = len({v >> 31 for v in warp}) == 1
        found.append(0xFFFFFFFF + 1 if same else 0)
        xor = 0
        for v in warp:
            xor ^= v
        found.append(sum(warp) % 2**32 ^ max(warp) ^ xor)
    return [word % 2**32 for word in found]


@_case(
    """
    __shared__ unsigned bins[16];
    int i = blockIdx.x * 128 + threadIdx.x;
    if (threadIdx.x < 16) bins[threadIdx.x] = 0;
    __syncthreads();
    if (i < n) atomicAdd(&bins[in[i] % 16], 1u);
    __syncthreads();
    if (threadIdx.x < 16) atomicAdd(&out[threadIdx.x], bins[threadIdx.x]);
    if (i < n) {
        atomicMax(&out[16], in[i]);
        atomicMin(&out[17], ~in[i]);
        atomicXor(&out[18], in[i]);
        atomicInc(&out[19], 6);
        atomicDec(&out[20], 4);
        atomicOr(&out[21], in[i] & 0xF0F0);
        atomicCAS(&out[22], 0u, in[0] | 1u);
    }
    """,
    8, 128, 23,
)  # fmt: skip
def atomics_of_many_threads():
    bins = [sum(int(v) % 16 == b for v in WORDS) for b in range(16)]
    xor, ored = 0, 0
    up = down = 0
    for v in map(int, WORDS):
        xor ^= v
        ored |= v & 0xF0F0
        up = 0 if up >= 6 else up + 1
        down = 4 if down == 0 or down > 4 else down - 1
    return [*bins, int(WORDS.max()), 0, xor, up, down, ored, int(WORDS[0]) | 1]


@_case(
    """
    int i = threadIdx.x;
    if (i % 3 == 0) {
        while (true) {
            if (atomicCAS(&out[0], 0u, 1u) == 0u) {
                __threadfence();
                unsigned old = *(volatile unsigned*)&out[1];
                *(volatile unsigned*)&out[1] = old * 3 + 1;
                __threadfence();
                atomicExch(&out[0], 0u);
                break;
            }
        }
    }
    """,
    2, 64, 2,
)  # fmt: skip
def a_lock_that_lanes_of_a_warp_contend_for():
    value = 0
    for _ in range(44):
        value = value * 3 + 1
    return [0, value % 2**32]


@_case(
    """
    __shared__ int tile;
    volatile unsigned* told = out;
    if (threadIdx.x == 0) tile = atomicAdd(&out[20], 1u);
    __syncthreads();
    unsigned sum = 0;
    if (threadIdx.x < 32) {
        unsigned own = in[tile * 4] % 100;
        if (threadIdx.x == 0) {
            unsigned before = 0;
            if (tile > 0) {
                do { sum = told[tile - 1]; } while (sum == 0);
                before = sum & 0xFFFF;
            }
            told[tile] = 0x10000 | (before + own);
        }
    }
    """,
    20, 64, 21,
)  # fmt: skip
def blocks_wait_for_the_one_before():
    words, total = [], 0
    for tile in range(20):
        total += int(WORDS[tile * 4]) % 100
        words.append(0x10000 | total)
    return [*words, 20]


@_case(
    """
    __shared__ unsigned tile[64];
    int i = threadIdx.x;
    if (i < 64) {
        tile[i] = in[i];
        asm volatile("bar.sync 1, 64;" ::: "memory");
        unsigned v = tile[63 - i];
        asm volatile("bar.sync 1, 64;" ::: "memory");
        tile[i] = v;
        asm volatile("bar.arrive 2, 128;" ::: "memory");
    } else {
        asm volatile("bar.sync 2, 128;" ::: "memory");
        out[i - 64] = tile[i - 64];
    }
    int low = __syncthreads_count(in[i] % 2);
    int any = __syncthreads_or(in[i] == 0xFFFFFFFF);
    int all = __syncthreads_and(in[i] != 0xFFFFFFFF);
    if (i == 0) out[64] = low | any << 16 | all << 17;
    """,
    1, 128, 65,
)  # fmt: skip
def numbered_and_reducing_barriers():
    return [
        *(int(WORDS[63 - i]) for i in range(64)),
        sum(int(v) % 2 for v in WORDS[:128]) | 1 << 17,
    ]


@_case(
    """
    int i = threadIdx.x;
    unsigned long long table[8];
    for (int k = 0; k < 8; ++k) table[k] = in[(i + k) % n] * 0x100000001ull;
    unsigned pick = in[i] % 8;
    unsigned char* bytes = (unsigned char*)table;
    out[2 * i] = (unsigned)(table[pick] >> 32) ^ bytes[in[i] % 64];
    out[2 * i + 1] = twisted(in[i], i % 5);
    """,
    1, 96, 192,
    before="""
    __device__ __noinline__ unsigned twisted(unsigned x, int times) {
        if (times == 0) return x;
        for (int k = 0; k < times; ++k) x = x * 1664525u + 1013904223u;
        return x ^ x >> 16;
    }
    """,
)  # fmt: skip
def local_arrays_and_calls():
    found = []
    for i in range(96):
        table = [int(WORDS[(i + k) % 1000]) * 0x100000001 for k in range(8)]
        raw = b"".join(v.to_bytes(8, "little") for v in table)
        word = int(WORDS[i])
        found.append((table[word % 8] >> 32) ^ raw[word % 64])
        x = word
        for _ in range(i % 5):
            x = (x * 1664525 + 1013904223) % 2**32
        found.append(x ^ x >> 16 if i % 5 else x)
    return found


@_case(
    """
    int i = threadIdx.x;
    unsigned flag;
    asm("{ .reg .pred p, q; setp.gt.u32 p, %1, %2;\\n"
        "  { .reg .pred p; setp.lt.u32 p, %1, 10; @p bra L; mov.u32 %0, 7; bra M;\\n"
        "  L: mov.u32 %0, 9; M: }\\n"
        "  not.pred q, p; @q add.u32 %0, %0, 100; }"
        : "=r"(flag) : "r"(in[i]), "r"(0x80000000u));
    out[i] = flag + table[in[i] % 4] + (in[i] % 2 ? word : 0);
    """,
    1, 64, 64,
    before="__constant__ unsigned table[4] = {3, 1, 4, 1}; __device__ unsigned word = 1000;",
)  # fmt: skip
def inline_assembly_and_module_variables():
    found = []
    for v in map(int, WORDS[:64]):
        flag = (9 if v < 10 else 7) + (0 if v > 0x80000000 else 100)
        found.append(flag + (3, 1, 4, 1)[v % 4] + (1000 if v % 2 else 0))
    return found


@_case(
    """
    int i = threadIdx.x;
    const uint4 four = reinterpret_cast<const uint4*>(in)[i];
    const unsigned sum = __ldg(in + i) + __ldcg(in + 2 * i);
    reinterpret_cast<uint2*>(out)[i] = make_uint2(four.x ^ four.w, sum);
    switch (in[i] % 6) {
        case 0: out[128 + i] = 5; break;
        case 1: out[128 + i] = 9;
        case 2: out[128 + i] += 1; break;
        case 3: out[128 + i] = __brev(in[i]); break;
        case 4: out[128 + i] = __byte_perm(in[i], ~in[i], 0x5210); break;
        default: out[128 + i] = __funnelshift_l(in[i], 0x55, i); break;
    }
    """,
    1, 64, 192,
)  # fmt: skip
def vectors_caches_and_switches():
    found = []
    for i in range(64):
        found.append(int(WORDS[4 * i]) ^ int(WORDS[4 * i + 3]))
        found.append((int(WORDS[i]) + int(WORDS[2 * i])) % 2**32)
    for i in range(64):
        v = int(WORDS[i])
        both = v.to_bytes(4, "little") + (v ^ 0xFFFFFFFF).to_bytes(4, "little")
        found.append(
            {
                0: 5, 1: 10, 2: 1, 3: int(f"{v:032b}"[::-1], 2),
                4: int.from_bytes(bytes(both[k] for k in (0, 1, 2, 5)), "little"),
                5: (0x55 << 32 | v) << (i % 32) >> 32 & 0xFFFFFFFF,
            }[v % 6]
        )  # fmt: skip
    return found


@_case(
    """
    float total = 0.0f;
    for (int k = 0; k < 50; ++k) {
        total = __fadd_rn(total, __uint2float_rn(in[k * 20 + threadIdx.x]));
    }
    out[threadIdx.x] = __float_as_uint(total);
    """,
    1, 20, 20,
)  # fmt: skip
def sums_of_floats_in_order():
    found = []
    for thread in range(20):
        total = ctypes.c_float(0)
        for k in range(50):
            term = ctypes.c_float(int(WORDS[k * 20 + thread])).value
            total = ctypes.c_float(total.value + term)
        found.append(ctypes.c_uint.from_buffer(total).value)
    return found


@_case(
    """
    int i = threadIdx.x;
    unsigned __int128 a = ((unsigned __int128)in[i] << 96) | ((unsigned __int128)in[i + 1] << 64)
        | ((unsigned __int128)in[i + 2] << 32) | in[i + 3];
    unsigned __int128 b = a * 0x9E3779B97F4A7C15ull - (a >> 3) + in[i + 4];
    for (int k = 0; k < 4; ++k) out[4 * i + k] = (unsigned)(b >> (32 * k));
    """,
    1, 64, 256,
)  # fmt: skip
def integers_of_128_bits():
    found = []
    for i in range(64):
        a = 0
        for k in range(4):
            a = a << 32 | int(WORDS[i + k])
        b = (a * 0x9E3779B97F4A7C15 - (a >> 3) + int(WORDS[i + 4])) % 2**128
        found += [b >> 32 * k & 0xFFFFFFFF for k in range(4)]
    return found
