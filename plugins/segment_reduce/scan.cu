#include "vectors.cuh"

constexpr int BATCH = 4;  // indices that a thread loads at once

// A block reduces the edges of one row of y. Each warp looks at a part of all edges; the parts are combined in order.
template <typename T, typename I, Aggregate A, int VECTOR, bool WEIGHTED>
__global__ void __launch_bounds__(THREADS)
    scan_edges(T* __restrict__ y, const T* __restrict__ x, const T* __restrict__ weights, Widths widths,
               const I* __restrict__ destinations, const I* __restrict__ sources, int count, int rows, int nodes,
               float initial) {
    const Edges<T> edges{x, weights, widths};
    constexpr int N = VECTOR > sizeof(T) ? VECTOR / sizeof(T) : 1;
    __shared__ float totals[WARPS][WARP * N];
    __shared__ int counts[WARPS];
    const int lane = threadIdx.x % WARP, warp = threadIdx.x / WARP, row = blockIdx.x;
    const int at = (blockIdx.y * WARP + lane) * N, part = (count + WARPS - 1) / WARPS;
    const int end = min(count, (warp + 1) * part);
    float total[N];
#pragma unroll
    for (int n = 0; n < N; ++n) total[n] = identity<A>();
    int found = 0;
    for (int begin = warp * part; begin < end; begin += BATCH * WARP) {
        bool is_row[BATCH];
#pragma unroll
        for (int batch = 0; batch < BATCH; ++batch) {
            const int edge = begin + batch * WARP + lane;
            is_row[batch] = edge < end && row_of(destinations[edge], rows) == row;
        }
#pragma unroll
        for (int batch = 0; batch < BATCH; ++batch) {
            const int edge = begin + batch * WARP + lane;
            int source = -1, weight = 0;
            if (is_row[batch]) {
                source = sources == nullptr ? edge : row_of(sources[edge], nodes);
                if constexpr (WEIGHTED) weight = weighted_edge(weights, widths.heads, edge);
            }
            unsigned mine = __ballot_sync(ALL, source >= 0);
            found += __popc(mine);
            while (mine != 0) {
                EdgeVector<T, N> given[UNROLLED];
                bool is_given[UNROLLED];
#pragma unroll
                for (int i = 0; i < UNROLLED; ++i) {
                    is_given[i] = mine != 0;
                    const int from = is_given[i] ? __ffs(mine) - 1 : 0;
                    const int node = __shfl_sync(ALL, source, from);
                    const int factor = WEIGHTED ? __shfl_sync(ALL, weight, from) : 0;
                    if (is_given[i] && at < edges.widths.inner) {
                        given[i] = vector_of<WEIGHTED, N>(edges, node, factor, at);
                    }
                    mine &= mine - 1;
                }
#pragma unroll
                for (int i = 0; i < UNROLLED; ++i) {
                    if (is_given[i] && at < edges.widths.inner) reduce_vector<A, WEIGHTED>(total, given[i]);
                }
            }
        }
    }
#pragma unroll
    for (int n = 0; n < N; ++n) totals[warp][n * WARP + lane] = total[n];
    if (lane == 0) counts[warp] = found;
    __syncthreads();
    if (warp != 0 || at >= edges.widths.inner) return;
    int all = 0;
    for (int other = 0; other < WARPS; ++other) {
        all += counts[other];
        if (other == 0) continue;
#pragma unroll
        for (int n = 0; n < N; ++n) total[n] = reduced<REDUCTION<A>>(total[n], totals[other][n * WARP + lane]);
    }
#pragma unroll
    for (int n = 0; n < N; ++n) total[n] = all == 0 ? 0.0f : result_of<A>(total[n], all, initial);
    store(y + static_cast<long long>(row) * edges.widths.inner + at, total);
}
