// Sums of rows to which several edges of a warp lead.

#pragma once

#include "../_cuda/overlap.cuh"
#include "vectors.cuh"

using pluginkit::MANY_MEETING;  // from added_edges.py

template <int N> __device__ __forceinline__ void add_vector(float* y, const float (&total)[N]) {
#if __CUDA_ARCH__ >= 900
    if constexpr (N == 4) {
        atomicAdd(reinterpret_cast<float4*>(y), make_float4(total[0], total[1], total[2], total[3]));
        return;
    }
    if constexpr (N == 2) {
        atomicAdd(reinterpret_cast<float2*>(y), make_float2(total[0], total[1]));
        return;
    }
#endif
#pragma unroll
    for (int n = 0; n < N; ++n) atomicAdd(y + n, total[n]);
}

// Return whether another lane has the same key. A lane looks at some only: a key that many have is found all the same.
__device__ __forceinline__ bool meets_in_warp(unsigned key) {
    bool meets = false;
#pragma unroll
    for (int step = 1; step < WARP; step *= 2) meets |= key == __shfl_xor_sync(ALL, key, step);
    return meets;
}

// Add up the values of all lanes.
template <int N> __device__ __forceinline__ void sum_over_warp(float (&total)[N]) {
#pragma unroll
    for (int step = WARP / 2; step > 0; step /= 2) {
#pragma unroll
        for (int n = 0; n < N; ++n) total[n] += __shfl_xor_sync(ALL, total[n], step);
    }
}

// Add up the values of neighbouring lanes that have one key, of which only the first keeps it. Return whether there are any.
template <int N> __device__ __forceinline__ bool add_neighbours(unsigned& key, float (&total)[N], unsigned none) {
    const int lane = threadIdx.x % WARP;
    const unsigned before = __shfl_up_sync(ALL, key, 1);
    const unsigned starts = __ballot_sync(ALL, lane == 0 || key != before || key == none);
    if (starts == ALL) return false;
    const unsigned later = lane == WARP - 1 ? 0 : starts >> (lane + 1);
    const int end = later == 0 ? WARP : lane + __ffs(later);
#pragma unroll
    for (int step = 1; step < WARP; step *= 2) {
#pragma unroll
        for (int n = 0; n < N; ++n) {
            const float other = __shfl_down_sync(ALL, total[n], step);
            if (lane + step < end) total[n] += other;
        }
    }
    if ((starts >> lane & 1) == 0) key = none;
    return true;
}

// Add up edges, each by the lane that takes its whole row, whose neighbours take the next ones. A warp takes many edges one
// after the other, loads EACH of a lane at once, adds up those of neighbours that lead to one row, and keeps the sum of a row to
// which several edges lead until another has more. It looks for these among the first of TOGETHER edges of a lane: what meets
// often is found soon, and other warps of the block learn of it. `kept` becomes the row whose sum the lanes still have parts of,
// or `none`.
template <Weights W, int EACH, int TOGETHER, int N, typename I, typename Add>
__device__ __forceinline__ void add_in_turn(const Edges<float>& edges, const I* destinations, const I* sources, int count,
                                            int rows, int nodes, const Add& add, unsigned& kept, float (&kept_total)[N]) {
    constexpr Aggregate A = Aggregate::add;
    const int lane = threadIdx.x % WARP;
    const unsigned none = kept;
    const int step = gridDim.x * blockDim.x;
    I destination[EACH] = {}, source[EACH] = {};
    int factor[EACH] = {};
    const auto load = [&](int first) {
#pragma unroll
        for (int i = 0; i < EACH; ++i) {
            const int edge = first + i * step;
            if (edge >= count) return;
            destination[i] = __ldcs(destinations + edge);
            if (sources != nullptr) source[i] = __ldcs(sources + edge);
            if constexpr (W != Weights::none) factor[i] = weighted_edge(edges.weights, edges.widths.heads, edge);
        }
    };
    __shared__ unsigned found;
    if (threadIdx.x == 0) found = none;
    int first = blockIdx.x * blockDim.x + threadIdx.x;
    load(first);
    __syncthreads();
    for (; first - lane < count; first += EACH * step) {
        unsigned keys[EACH];
        float totals[EACH][N] = {};
#pragma unroll
        for (int i = 0; i < EACH; ++i) {
            const int edge = first + i * step;
            int row = -1, node = -1;
            if (edge < count) {
                row = row_of(destination[i], rows);
                node = sources == nullptr ? edge : row_of(source[i], nodes);
            }
            keys[i] = row >= 0 && node >= 0 ? row : none;
            if (keys[i] < none) reduce_vector<A, W>(totals[i], vector_of<W, N>(edges, node, factor[i], 0));
        }
        load(first + EACH * step);  // on their way while these are added
        wait_for_earlier_launches();

#pragma unroll
        for (int begin = 0; begin < EACH; begin += TOGETHER) {
            const auto keep = [&] {  // each lane for itself
#pragma unroll
                for (int i = begin; i < begin + TOGETHER; ++i) {
                    if (keys[i] != kept || kept == none) continue;
#pragma unroll
                    for (int n = 0; n < N; ++n) kept_total[n] += totals[i][n];
                    keys[i] = none;
                }
            };
            if (kept == none) kept = __shfl_sync(ALL, *static_cast<volatile unsigned*>(&found), 0);
            keep();
            if (add_neighbours(keys[begin], totals[begin], none)) {
#pragma unroll
                for (int i = begin + 1; i < begin + TOGETHER; ++i) add_neighbours(keys[i], totals[i], none);
            }
            const unsigned meeting = __ballot_sync(ALL, meets_in_warp(keys[begin]) && keys[begin] < none);
            if (meeting != 0) {
                const unsigned other = __shfl_sync(ALL, keys[begin], __ffs(meeting) - 1);
                if (kept == none || __popc(__ballot_sync(ALL, keys[begin] == other)) >= MANY_MEETING) {
                    sum_over_warp(kept_total);
                    if (lane == 0 && kept < none) add(kept, kept_total);
                    if (lane == 0 && kept == none) atomicExch(&found, other);
#pragma unroll
                    for (int n = 0; n < N; ++n) kept_total[n] = 0;
                    kept = other;
                    keep();
                }
            }
#pragma unroll
            for (int i = begin; i < begin + TOGETHER; ++i) {
                if (keys[i] < none) add(keys[i], totals[i]);
            }
        }
    }
}
