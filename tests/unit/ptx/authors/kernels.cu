// Kernels as people write them, one idea each: run(out, in, n) on words.

#include <cooperative_groups.h>
#include <cooperative_groups/reduce.h>
#include <cooperative_groups/scan.h>
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_fp8.h>
#include <cuda/atomic>
#include <mma.h>

namespace cg = cooperative_groups;
typedef unsigned u32;

// A tile's sum by cooperative groups, collected by a block's first thread.
extern "C" __global__ void groups_reduce(u32* out, const u32* in, int n) {
    cg::thread_block block = cg::this_thread_block();
    cg::thread_block_tile<32> tile = cg::tiled_partition<32>(block);
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    u32 sum = cg::reduce(tile, i < n ? in[i] : 0u, cg::plus<u32>());
    __shared__ u32 sums[32];
    if (tile.thread_rank() == 0) sums[tile.meta_group_rank()] = sum;
    cg::sync(block);
    if (block.thread_rank() == 0) {
        u32 total = 0;
        for (int t = 0; t < tile.meta_group_size(); ++t) total += sums[t];
        out[blockIdx.x] = total;
    }
}

// An inclusive scan of each tile of 8.
extern "C" __global__ void groups_scan(u32* out, const u32* in, int n) {
    auto tile = cg::tiled_partition<8>(cg::this_thread_block());
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    u32 sum = cg::inclusive_scan(tile, i < n ? in[i] : 0u);
    if (i < n) out[i] = sum;
}

// One atomic for all lanes that want to append (warp-aggregated).
extern "C" __global__ void aggregated(u32* out, const u32* in, int n) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n && in[i] % 3 == 0) {
        cg::coalesced_group active = cg::coalesced_threads();
        u32 first;
        if (active.thread_rank() == 0) first = atomicAdd(out, active.num_threads());
        first = active.shfl(first, 0);
        out[1 + first + active.thread_rank()] = in[i];
    }
}

// A block's exclusive scan: warps by shuffles, their sums by the first warp.
extern "C" __global__ void __launch_bounds__(128) block_scan(u32* out, const u32* in, int n) {
    __shared__ u32 warps[4];
    int i = threadIdx.x, lane = i & 31;
    u32 own = i < n ? in[i] : 0, sum = own;
#pragma unroll
    for (int step = 1; step < 32; step *= 2) {
        u32 below = __shfl_up_sync(~0u, sum, step);
        if (lane >= step) sum += below;
    }
    if (lane == 31) warps[i / 32] = sum;
    __syncthreads();
    if (i < 4) {
        u32 total = warps[i];
        for (int step = 1; step < 4; step *= 2) {
            u32 below = __shfl_up_sync(0xFu, total, step, 4);
            if (i >= step) total += below;
        }
        warps[i] = total;
    }
    __syncthreads();
    if (i < n) out[i] = sum - own + (i / 32 ? warps[i / 32 - 1] : 0);
}

// A bitonic sort in dynamic shared memory that holds keys and places.
extern "C" __global__ void sort_pairs(u32* out, const u32* in, int n) {
    extern __shared__ __align__(8) unsigned char memory[];
    u32* keys = reinterpret_cast<u32*>(memory);
    unsigned short* places = reinterpret_cast<unsigned short*>(keys + blockDim.x);
    int i = threadIdx.x;
    keys[i] = i < n ? __ldg(in + i) : ~0u, places[i] = i;
    __syncthreads();
    for (int width = 2; width <= blockDim.x; width *= 2) {
        for (int step = width / 2; step; step /= 2) {
            int other = i ^ step;
            if (other > i && (keys[i] > keys[other]) == !(i & width)) {
                u32 key = keys[i];
                unsigned short place = places[i];
                keys[i] = keys[other], places[i] = places[other];
                keys[other] = key, places[other] = place;
            }
            __syncthreads();
        }
    }
    if (i < n) out[i] = keys[i], out[n + i] = places[i];
}

// Constant memory, indexed by each thread, and a function that is not inlined.
__constant__ u32 TABLE[4] = {3, 1, 4, 1};
__device__ __noinline__ u32 looked_up(u32 value, const u32* table) {
    return table[value & 3] + (value >> 2);
}
extern "C" __global__ void constants(u32* out, const u32* in, int n) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) out[i] = looked_up(in[i], TABLE);
}

// A function called in a loop, which calls another, through a struct that it returns.
struct Range { u32 low, high; };
__device__ __noinline__ Range widened(Range range, u32 value) {
    return {min(range.low, value), max(range.high, value)};
}
__device__ __noinline__ Range range_of(const u32* in, int begin, int end) {
    Range range = {~0u, 0};
    for (int i = begin; i < end; ++i) range = widened(range, in[i]);
    return range;
}
extern "C" __global__ void ranges(u32* out, const u32* in, int n) {
    int i = threadIdx.x;
    if (i * 8 >= n) return;
    Range range = range_of(in, i * 8, min(n, i * 8 + 8));
    out[2 * i] = range.low, out[2 * i + 1] = range.high;
}

// The largest float, by compare-and-swap, since there is no atomicMax of floats.
__device__ void max_into(float* target, float value) {
    int* bits = reinterpret_cast<int*>(target);
    int seen = *bits;
    while (__int_as_float(seen) < value) {
        int expected = seen;
        seen = atomicCAS(bits, expected, __float_as_int(value));
        if (seen == expected) break;
    }
}
extern "C" __global__ void largest(u32* out, const u32* in, int n) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) max_into(reinterpret_cast<float*>(out), static_cast<float>(in[i]) * 0.5f);
}

// Packed halves and bfloat16s.
extern "C" __global__ void packed(u32* out, const u32* in, int n) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n) return;
    __half2 h = __floats2half2_rn(in[i] * 0.25f, in[i] * -0.5f);
    h = __hfma2(h, __float2half2_rn(1.5f), __halves2half2(__float2half(1.0f), __float2half(2.0f)));
    h = __hmax2(h, __float2half2_rn(0.0f));
    __nv_bfloat162 b = __floats2bfloat162_rn(in[i] * 0.25f, in[i] * -0.5f);
    b = __hmul2(__hadd2(b, b), __float2bfloat162_rn(3.0f));
    float2 hf = __half22float2(h), bf = __bfloat1622float2(b);
    out[4 * i] = __float_as_uint(hf.x), out[4 * i + 1] = __float_as_uint(hf.y);
    out[4 * i + 2] = __float_as_uint(bf.x), out[4 * i + 3] = __float_as_uint(bf.y);
}

// Lanes with equal keys find each other, and sum by redux.
extern "C" __global__ void matched(u32* out, const u32* in, int n) {
    int i = threadIdx.x;
    u32 key = in[i] % 5;
    u32 peers = __match_any_sync(~0u, key);
    u32 sum = __reduce_add_sync(peers, in[i]);
    u32 even = __ballot_sync(~0u, in[i] % 2 == 0);
    if (__ffs(peers) - 1 == (i & 31)) out[key] = sum;
    if (i == 0) out[5] = even, out[6] = __reduce_max_sync(1u, in[0]);
}

// libcu++'s atomics, of a block and of the device.
extern "C" __global__ void atomic_refs(u32* out, const u32* in, int n) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    __shared__ u32 local;
    if (threadIdx.x == 0) local = 0;
    __syncthreads();
    cuda::atomic_ref<u32, cuda::thread_scope_block> sum(local);
    if (i < n) sum.fetch_add(in[i], cuda::memory_order_relaxed);
    __syncthreads();
    cuda::atomic_ref<u32, cuda::thread_scope_device> total(out[0]);
    if (threadIdx.x == 0) total.fetch_add(local, cuda::memory_order_acq_rel);
}

// A lock with a back-off by nanosleep, around a plain counter.
extern "C" __global__ void locked(u32* out, const u32* in, int n) {
    if (threadIdx.x == 0) {
        unsigned wait = 8;
        while (atomicCAS(out + 1, 0u, 1u) != 0u) {
            __nanosleep(wait);
            if (wait < 256) wait *= 2;
        }
        __threadfence();
        out[0] += in[blockIdx.x];
        __threadfence();
        atomicExch(out + 1, 0u);
    }
}

// A lock by acquire and release.
extern "C" __global__ void locked_by_ref(u32* out, const u32* in, int n) {
    if (threadIdx.x == 0) {
        cuda::atomic_ref<u32, cuda::thread_scope_device> lock(out[1]);
        while (lock.exchange(1, cuda::memory_order_acquire)) __nanosleep(20);
        out[0] += in[blockIdx.x];
        lock.store(0, cuda::memory_order_release);
    }
}

// Asynchronous copies of two tiles ahead.
__device__ void begin_copy(u32* target, const u32* source) {
    unsigned to = static_cast<unsigned>(__cvta_generic_to_shared(target));
    asm volatile("cp.async.ca.shared.global [%0], [%1], 4;" ::"r"(to), "l"(source) : "memory");
}
extern "C" __global__ void pipelined(u32* out, const u32* in, int n) {
    __shared__ u32 tiles[2][64];
    int i = threadIdx.x, count = n / 64;
    u32 sum = 0;
    begin_copy(&tiles[0][i], in + i);
    asm volatile("cp.async.commit_group;" ::: "memory");
    for (int t = 0; t < count; ++t) {
        if (t + 1 < count) begin_copy(&tiles[(t + 1) & 1][i], in + (t + 1) * 64 + i);
        asm volatile("cp.async.commit_group;" ::: "memory");
        asm volatile("cp.async.wait_group 1;" ::: "memory");
        __syncthreads();
        sum += tiles[t & 1][63 - i];
        __syncthreads();
    }
    out[i] = sum;
}

// A whole grid in step.
extern "C" __global__ void grid_in_step(u32* out, const u32* in, int n) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    u32 *arrived = out + n, *raised = out + n + 1;
    if (i < n) out[i] = in[i] * 2;
    __syncthreads();
    if (threadIdx.x == 0) {
        __threadfence();
        if (atomicAdd(arrived, 1) == gridDim.x - 1) atomicExch(raised, 1);
        while (atomicAdd(raised, 0) == 0) __nanosleep(32);
        __threadfence();
    }
    __syncthreads();
    u32 other = i < n ? out[n - 1 - i] : 0;
    if (i < n) out[n + 2 + i] = other;
}

// What is printed, and what is asserted.
extern "C" __global__ void printing(u32* out, const u32* in, int n) {
    if (threadIdx.x == 1) printf("%d of %u: %5.2f %s %c %lld%%\n", n, in[1], 1.5, "text", 'c', -5ll);
    out[threadIdx.x] = 1;
}

// Variables of the module, byte and word accesses, a switch, 64-bit division, a local array.
__device__ u32 counter;
__device__ __noinline__ u32 shuffled(u32 value) {
    u32 parts[8];
    for (int k = 0; k < 8; ++k) parts[(k * 5) & 7] = value >> (4 * k) & 15;
    u32 result = 0;
    for (int k = 0; k < 8; ++k) result |= parts[k] << (4 * k);
    return result;
}
extern "C" __global__ void assorted(u32* out, const u32* in, int n) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n) return;
    u32 value = in[i];
    switch (value % 7) {
        case 0: value = shuffled(value); break;
        case 1: value = __brev(value); break;
        case 2: value = __popc(value) * 1000 + __clz(value); break;
        case 3: value = static_cast<u32>((value * 1000003ull << 20) / (value + 7)); break;
        case 4: value = __byte_perm(value, 0x01020304, 0x5142); break;
        case 5: value = __funnelshift_l(value, ~value, value & 31); break;
        default: value = static_cast<u32>(__umulhi(value, 0x9E3779B9)); break;
    }
    atomicAdd(&counter, 1);
    out[i] = value;
}

// Two 32 x 32 matrices of float16; each of four warps multiplies a quarter, and halves the result.
extern "C" __global__ void tensor_cores(unsigned* out, const unsigned* in, int n) {
    using namespace nvcuda::wmma;
    __shared__ __align__(32) half tile[32 * 48];
    const half *a = (const half*)in, *b = a + 32 * 32;
    for (int i = threadIdx.x; i < 32 * 32; i += blockDim.x) tile[i / 32 * 48 + i % 32] = a[i];
    __syncthreads();
    const int row = threadIdx.x / 64 * 16, column = threadIdx.x / 32 % 2 * 16;
    fragment<accumulator, 16, 16, 16, float> sums;
    fill_fragment(sums, 0.0f);
    for (int k = 0; k < 32; k += 16) {
        fragment<matrix_a, 16, 16, 16, half, row_major> left;
        fragment<matrix_b, 16, 16, 16, half, col_major> right;
        load_matrix_sync(left, tile + row * 48 + k, 48);
        load_matrix_sync(right, b + column * 32 + k, 32);
        mma_sync(sums, left, right, sums);
    }
    for (int i = 0; i < sums.num_elements; ++i) sums.x[i] *= 0.5f;
    store_matrix_sync((float*)out + row * 32 + column, sums, 32, mem_row_major);
}

// Two halves become numbers of eight bits, and their sum a float.
extern "C" __global__ void eight_bits(unsigned* out, const unsigned* in, int n) {
    const float* x = (const float*)in;
    const int i = threadIdx.x, half_of = n / 2;
    if (i >= half_of) return;
    __nv_fp8_e4m3 one(__float2half(x[i])), other(__float2half(x[i + half_of]));
    ((float*)out)[i] = (float)one + (float)other;
}

// The logistic function of two halves at a time, and of those that are no numbers 0.
extern "C" __global__ void logistic_of_halves(unsigned* out, const unsigned* in, int n) {
    const half2 x = ((const half2*)in)[threadIdx.x], one = __float2half2_rn(1.0f);
    const half2 y = h2rcp(__hadd2(one, h2exp(__hneg2(x))));
    const half low = __hisnan(__low2half(x)) ? __float2half(0.0f) : __low2half(y);
    const half high = hrcp(__hadd(__low2half(one), hexp(__hneg(__high2half(x)))));
    ((half2*)out)[threadIdx.x] = __halves2half2(low, high);
}

// The greater of two 16-bit numbers, and the sum of the distances of bytes.
extern "C" __global__ void packed_integers(unsigned* out, const unsigned* in, int n) {
    const unsigned a = in[threadIdx.x], b = in[n / 2 + threadIdx.x];
    out[2 * threadIdx.x] = __vmaxs2(a, b);
    out[2 * threadIdx.x + 1] = __vsadu4(a, b);
}
