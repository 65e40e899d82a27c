// NonZero in three launches, none of which waits for the host:
//
//   count_non_zero   each block counts the non-zero elements of its tile
//   place_tiles      one block turns the counts into positions, and writes their sum, the size output
//   write_indices    each block lists its tile's non-zero elements in shared memory, then writes their coordinates
//
// The rows of the output are `count` elements apart, so that everything is counted before anything is written, and x is
// read twice.

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include "../_cuda/device.cuh"

// From __init__.py.
using pluginkit::BYTE_THREAD_BYTES, pluginkit::MAX_RANK, pluginkit::THREAD_BYTES, pluginkit::THREADS;

constexpr int WARPS = THREADS / 32;
constexpr int LOAD_BYTES = 16;

// A thread takes one run of elements, with all its loads in flight. For one-byte types the run is shorter, so that the
// list of a tile fits into shared memory.
template <typename T> constexpr int LOADS = (sizeof(T) == 1 ? BYTE_THREAD_BYTES : THREAD_BYTES) / LOAD_BYTES;
template <typename T> constexpr int PER_THREAD = LOADS<T> * LOAD_BYTES / static_cast<int>(sizeof(T));

struct Shape {
    long long dims[MAX_RANK];
};

template <typename T> __device__ __forceinline__ bool is_non_zero(T value) {
    if constexpr (sizeof(T) == 2) {
        return static_cast<float>(value) != 0.0f;  // NaN counts, as in numpy; -0.0 does not
    } else {
        return value != static_cast<T>(0);
    }
}

// Return one bit for each of the thread's elements: whether it is not zero.
template <typename T> __device__ __forceinline__ unsigned flags_of(const T* __restrict__ x, long long size) {
    constexpr int COUNT = PER_THREAD<T>;
    const long long first = (static_cast<long long>(blockIdx.x) * THREADS + threadIdx.x) * COUNT;
    alignas(LOAD_BYTES) T values[COUNT];
    unsigned flags = 0;
    if (first + COUNT <= size) {
#pragma unroll
        for (int load = 0; load < LOADS<T>; ++load) {
            reinterpret_cast<uint4*>(values)[load] = __ldg(reinterpret_cast<const uint4*>(x + first) + load);
        }
#pragma unroll
        for (int i = 0; i < COUNT; ++i) flags |= static_cast<unsigned>(is_non_zero(values[i])) << i;
    } else {
        for (int i = 0; first + i < size; ++i) flags |= static_cast<unsigned>(is_non_zero(x[first + i])) << i;
    }
    return flags;
}

// Return the sum of `value` over the threads before this one; set `total` to the sum over the block.
template <typename Sum> __device__ __forceinline__ Sum exclusive_sum(Sum value, Sum& total) {
    __shared__ Sum sums[WARPS];
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    const Sum inclusive = inclusive_sum_over_warp(value);
    if (lane == 31) sums[warp] = inclusive;
    __syncthreads();
    Sum before = 0;
    total = 0;
#pragma unroll
    for (int i = 0; i < WARPS; ++i) {
        before += i < warp ? sums[i] : 0;
        total += sums[i];
    }
    __syncthreads();
    return before + inclusive - value;
}

template <typename T>
__global__ void count_non_zero(long long* __restrict__ tiles, const T* __restrict__ x, long long size) {
    int total;
    exclusive_sum(__popc(flags_of(x, size)), total);
    if (threadIdx.x == 0) tiles[blockIdx.x] = total;
}

template <typename Size> __global__ void place_tiles(long long* __restrict__ tiles, Size* count, long long size) {
    long long before = 0;
    for (long long base = 0; base < size; base += THREADS) {
        const long long tile = base + threadIdx.x;
        long long total;
        const long long place = exclusive_sum(tile < size ? tiles[tile] : 0, total);
        if (tile < size) tiles[tile] = before + place;
        before += total;
    }
    if (threadIdx.x == 0) *count = static_cast<Size>(before);
}

// Offset is an unsigned type that holds the number of elements of x.
template <typename T, typename Size, typename Offset, int RANK>
__global__ void write_indices(long long* __restrict__ indices, const T* __restrict__ x,
                              const long long* __restrict__ tiles, const Size* __restrict__ count, long long size,
                              Shape shape) {
    constexpr int TILE = THREADS * PER_THREAD<T>;
    __shared__ unsigned short listed[TILE];
    unsigned flags = flags_of(x, size);
    int total;
    int place = exclusive_sum(__popc(flags), total);
    for (; flags; flags &= flags - 1) {
        listed[place++] = static_cast<unsigned short>(threadIdx.x * PER_THREAD<T> + __ffs(flags) - 1);
    }
    __syncthreads();
    const long long row = *count;
    const Offset first = static_cast<Offset>(blockIdx.x) * TILE;
    for (int i = threadIdx.x; i < total; i += THREADS) {
        long long* target = indices + tiles[blockIdx.x] + i;
        Offset rest = first + listed[i];
#pragma unroll
        for (int dim = RANK - 1; dim > 0; --dim) {
            const Offset outer = rest / static_cast<Offset>(shape.dims[dim]);
            target[dim * row] = rest - outer * static_cast<Offset>(shape.dims[dim]);
            rest = outer;
        }
        target[0] = rest;
    }
}
