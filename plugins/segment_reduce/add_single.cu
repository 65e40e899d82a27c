// The method add of add.cu for rows of one element to which many edges lead: a block keeps the sums of the first rows in shared
// memory.

#include "meeting.cuh"

using pluginkit::SINGLE_LOADS, pluginkit::SINGLE_THREADS;  // from added_edges.py

template <typename I, Weights W, int TOGETHER>
__global__ void __launch_bounds__(SINGLE_THREADS)
    add_single_elements(float* __restrict__ y, const float* __restrict__ x, const float* __restrict__ weights, Widths widths,
                        const I* __restrict__ destinations, const I* __restrict__ sources, int count, int rows, int nodes,
                        int shared_rows) {
    extern __shared__ int4 shared[];
    float* const sums = reinterpret_cast<float*>(shared);
    const Edges<float> edges{x, weights, widths};
    const auto add = [&](unsigned row, const float(&total)[1]) {
        if (row < shared_rows) atomicAdd(sums + row, total[0]);
        else atomicAdd(y + row, total[0]);
    };
    for (int row = threadIdx.x; row < shared_rows; row += SINGLE_THREADS) sums[row] = 0;
    __syncthreads();
    const unsigned none = rows;
    unsigned kept = none;
    float kept_total[1] = {};
    add_in_turn<W, SINGLE_LOADS, TOGETHER>(edges, destinations, sources, count, rows, nodes, add, kept, kept_total);
    sum_over_warp(kept_total);
    wait_for_earlier_launches();
    if (threadIdx.x % WARP == 0 && kept < none) add(kept, kept_total);
    __syncthreads();
    constexpr int N = 4;
    for (int row = threadIdx.x * N; row < shared_rows; row += SINGLE_THREADS * N) {
        if (row + N > shared_rows) {
            for (int last = row; last < shared_rows; ++last) atomicAdd(y + last, sums[last]);
            break;
        }
        float total[N];
#pragma unroll
        for (int n = 0; n < N; ++n) total[n] = sums[row + n];
        // A block has edges of few rows, where these are many: an addition of zeros costs as much as one of sums.
        const bool has_sums = total[0] != 0 || total[1] != 0 || total[2] != 0 || total[3] != 0;
        if (has_sums) add_vector(y + row, total);
    }
}
