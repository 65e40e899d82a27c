// Add edges to rows of y that the launch before clears, for sums of float32 whose bits may differ from run to run, without a
// sort of all edges. A warp adds each of its edges by itself, or if several seem to lead to the same row, sorts them and adds
// once to each row. Where edges are few, `shares` warps look at the same ones and take different ones.

#include "../_cuda/overlap.cuh"
#include "meeting.cuh"
#include "runs.cuh"

using pluginkit::FEW_ALONE;  // from added_edges.py

// Where edges are few, so many of a warp may meet in a row.
constexpr int FEW_MEETING = 4;
// In fewer rows more edges meet.
constexpr int MEETING_ROWS = 8;

// Sort numbers over the warp, the least into lane 0.
__device__ __forceinline__ unsigned sorted_over_warp(unsigned mine) {
    const int lane = threadIdx.x % WARP;
#pragma unroll
    for (int size = 2; size <= WARP; size *= 2) {
#pragma unroll
        for (int step = size / 2; step > 0; step /= 2) {
            const unsigned other = __shfl_xor_sync(ALL, mine, step);
            const bool takes_least = ((lane & step) == 0) == ((lane & size) == 0);
            mine = takes_least ? min(mine, other) : max(mine, other);
        }
    }
    return mine;
}

// Add the edges of all lanes, each to the row of y that its key names.
template <int N, Weights W>
__device__ __forceinline__ void add_each(float* y, const Edges<float>& edges, unsigned key, int node, int factor,
                                         unsigned rows, int lanes_log2, int share, int shares) {
    const int lane = threadIdx.x % WARP, inner = edges.widths.inner;
    const int at = (blockIdx.y * WARP + lane % (1 << lanes_log2)) * N, step = shares * (WARP >> lanes_log2);
    for (int base = share * (WARP >> lanes_log2); base < WARP; base += UNROLLED * step) {
        EdgeVector<float, N> given[UNROLLED];
        unsigned row[UNROLLED];
#pragma unroll
        for (int i = 0; i < UNROLLED; ++i) {
            const int from = base + i * step + (lane >> lanes_log2);
            row[i] = __shfl_sync(ALL, key, from);
            const int own = __shfl_sync(ALL, node, from), weight = W != Weights::none ? __shfl_sync(ALL, factor, from) : 0;
            if (from >= WARP || at >= inner) row[i] = rows;
            if (row[i] < rows) given[i] = vector_of<W, N>(edges, own, weight, at);
        }
        wait_for_earlier_launches();
#pragma unroll
        for (int i = 0; i < UNROLLED; ++i) {
            float total[N] = {};
            if (row[i] >= rows) continue;
            reduce_vector<Aggregate::add, W>(total, given[i]);
            add_vector(y + static_cast<long long>(row[i]) * inner + at, total);
        }
    }
}

template <typename I, int VECTOR, Weights W>
__global__ void __launch_bounds__(THREADS)
    add_edges(float* __restrict__ y, const float* __restrict__ x, const float* __restrict__ weights, Widths widths,
              const I* __restrict__ destinations, const I* __restrict__ sources, int count, int rows, int nodes,
              int lanes_log2, int shares) {
    constexpr int N = VECTOR > sizeof(float) ? VECTOR / sizeof(float) : 1;
    constexpr Aggregate A = Aggregate::add;
    __shared__ RunList lists[WARPS];
    RunList& list = lists[threadIdx.x / WARP];
    const int lane = threadIdx.x % WARP, warp = blockIdx.x * WARPS + threadIdx.x / WARP;
    const int edge = warp / shares * WARP + lane;
    const Edges<float> edges{x, weights, widths};
    int row = -1, node = -1, factor = 0;
    if (edge < count) {
        row = row_of(destinations[edge], rows);
        node = sources == nullptr ? edge : row_of(sources[edge], nodes);
        if constexpr (W != Weights::none) factor = weighted_edge(weights, widths.heads, edge);
    }
    const unsigned key = row >= 0 && node >= 0 ? row : rows;
    // Edges that are very few wait for each other less long than for a sort.
    const bool is_alone = count <= (rows < MEETING_ROWS ? FEW_ALONE / 2 : FEW_ALONE);
    if (is_alone || __popc(__ballot_sync(ALL, meets_in_warp(key) && key < rows)) <= (shares > 1 ? FEW_MEETING : 0)) {
        add_each<N, W>(y, edges, key, node, factor, rows, lanes_log2, warp % shares, shares);
        return;
    }
    wait_for_earlier_launches();
    const unsigned sorted = sorted_over_warp(key * WARP + lane), here = sorted / WARP;
    list.row[lane] = __shfl_sync(ALL, node, sorted % WARP);
    list.edge[lane] = __shfl_sync(ALL, factor, sorted % WARP);
    const unsigned previous = __shfl_up_sync(ALL, here, 1);
    const unsigned starts = __ballot_sync(ALL, lane == 0 || here != previous);
    const unsigned listed = starts & __ballot_sync(ALL, here < rows);
    if (listed >> lane & 1) {
        const int place = __popc(listed & ((1u << lane) - 1));
        const unsigned later = lane == WARP - 1 ? 0 : starts >> (lane + 1);
        list.first[place] = static_cast<unsigned char>(lane);
        list.last[place] = static_cast<unsigned char>(later == 0 ? WARP : lane + __ffs(later));
    }
    __syncwarp();
    reduce_runs<A, N>(
        list, __popc(listed), here, lanes_log2, widths.inner, warp % shares, shares,
        [&](float(&total)[N], int first, int last, int at) {
            return reduce_edges_of<A, W>(edges, list, total, first, last, at);
        },
        [&](int, unsigned key, float(&total)[N], int, int at) {
            add_vector(y + static_cast<long long>(key) * widths.inner + at, total);
        });
}

// Where a lane takes the whole row of an edge.
template <typename I, int VECTOR, Weights W>
__global__ void __launch_bounds__(THREADS)
    add_narrow_edges(float* __restrict__ y, const float* __restrict__ x, const float* __restrict__ weights, Widths widths,
                     const I* __restrict__ destinations, const I* __restrict__ sources, int count, int rows, int nodes) {
    constexpr int N = VECTOR > sizeof(float) ? VECTOR / sizeof(float) : 1;
    __shared__ unsigned kept_keys[WARPS];
    __shared__ float kept_totals[WARPS][N];
    const int lane = threadIdx.x % WARP, warp = threadIdx.x / WARP;
    const Edges<float> edges{x, weights, widths};
    const unsigned none = rows;
    const auto add = [&](unsigned row, const float(&total)[N]) { add_vector(y + static_cast<long long>(row) * N, total); };
    unsigned kept = none;
    float kept_total[N] = {};
    add_in_turn<W, 1, 1>(edges, destinations, sources, count, rows, nodes, add, kept, kept_total);
    // The warps of a block add what they kept of one row together.
    sum_over_warp(kept_total);
    wait_for_earlier_launches();
    if (lane == 0) {
        kept_keys[warp] = kept;
#pragma unroll
        for (int n = 0; n < N; ++n) kept_totals[warp][n] = kept_total[n];
    }
    __syncthreads();
    if (threadIdx.x >= WARPS || kept_keys[threadIdx.x] == none) return;
    for (int other = 0; other < WARPS; ++other) {
        if (other == threadIdx.x || kept_keys[other] != kept_keys[threadIdx.x]) continue;
        if (other < threadIdx.x) return;
#pragma unroll
        for (int n = 0; n < N; ++n) kept_totals[threadIdx.x][n] += kept_totals[other][n];
    }
    add(kept_keys[threadIdx.x], kept_totals[threadIdx.x]);
}
