// For few edges, in one launch. A block takes some rows of y: it looks at all edges, lists those that lead to its rows in their
// order, and reduces each row's. A warp reduces a row, or where many edges lead to the block's rows, all warps do: then each
// takes a part of the list, and the parts are combined in order.

#include "vectors.cuh"

using pluginkit::SCAN_BYTES, pluginkit::SCAN_THREADS;  // from launches.py

constexpr int SCAN_WARPS = SCAN_THREADS / WARP;
constexpr int BATCH = 12, ROWS_AT_ONCE = 8;  // destinations, and rows of x, that a lane loads at once

// The rows of x that listed edges read, and their weights as `vector_of` takes them.
struct Resolved {
    int node[SCAN_THREADS], factor[SCAN_THREADS];
};

// Reduce the listed edges from `first` to `last` that lead to a row of the block, and return how many there are.
// `resolve(place, node, factor)` tells what an edge reads.
template <Aggregate A, bool WEIGHTED, typename T, int N, typename Resolve>
__device__ __forceinline__ int reduce_listed(float (&total)[N], const Edges<T>& edges, const unsigned* listed, int first, int last,
                                             unsigned row, int at, Resolve resolve) {
    const int lane = threadIdx.x % WARP;
    int found = 0;
    for (; first < last; first += WARP) {
        const int place = first + lane;
        int node = -1, factor = 0;
        if (place < last && listed[place] >> 16 == row) resolve(place, node, factor);
        unsigned mine = __ballot_sync(ALL, node >= 0);
        found += __popc(mine);
        while (mine != 0) {
            EdgeVector<T, N> given[ROWS_AT_ONCE];
            bool is_given[ROWS_AT_ONCE];
#pragma unroll
            for (int i = 0; i < ROWS_AT_ONCE; ++i) {
                const int from = mine != 0 ? __ffs(mine) - 1 : 0;
                const int own = __shfl_sync(ALL, node, from), weight = WEIGHTED ? __shfl_sync(ALL, factor, from) : 0;
                is_given[i] = mine != 0 && at < edges.widths.inner;
                if (is_given[i]) given[i] = vector_of<WEIGHTED, N>(edges, own, weight, at);
                mine &= mine - 1;
            }
#pragma unroll
            for (int i = 0; i < ROWS_AT_ONCE; ++i) {
                if (is_given[i]) reduce_vector<A, WEIGHTED>(total, given[i]);
            }
        }
    }
    return found;
}

// The list has the number of a row, among the block's, in the high half, and the edge in the low one.
template <typename T, typename I, Aggregate A, int VECTOR, bool WEIGHTED>
__global__ void __launch_bounds__(SCAN_THREADS, 1)
    scan_edges(T* __restrict__ y, const T* __restrict__ x, const T* __restrict__ weights, Widths widths,
               const I* __restrict__ destinations, const I* __restrict__ sources, int count, int rows, int nodes, float initial,
               int rows_each) {
    constexpr int N = VECTOR > sizeof(T) ? VECTOR / sizeof(T) : 1;
    using Totals = float[SCAN_WARPS][WARP * N];
    static_assert(sizeof(Totals) <= SCAN_BYTES && sizeof(Resolved) <= SCAN_BYTES);
    extern __shared__ int4 shared[];  // one of both, which are needed at different times, and then the list
    Resolved& resolved = *reinterpret_cast<Resolved*>(shared);
    Totals& totals = *reinterpret_cast<Totals*>(shared);
    unsigned* const listed = reinterpret_cast<unsigned*>(shared + SCAN_BYTES / sizeof(int4));
    __shared__ int counts[SCAN_WARPS];
    const Edges<T> edges{x, weights, widths};
    const int lane = threadIdx.x % WARP, warp = threadIdx.x / WARP, at = (blockIdx.y * WARP + lane) * N;
    const int first_row = blockIdx.x * rows_each, own_rows = min(rows_each, rows - first_row);

    // Each warp looks at some sets of WARP edges. Lane i keeps which lanes found one in set i.
    const int sets = (count + SCAN_THREADS - 1) / SCAN_THREADS, first_edge = warp * sets * WARP + lane;
    const auto row_from = [&](int edge) { return static_cast<unsigned>(row_of(destinations[edge], rows) - first_row); };
    unsigned mine = 0;
    for (int begin = 0; begin < sets; begin += BATCH) {
        unsigned row[BATCH];
#pragma unroll
        for (int i = 0; i < BATCH; ++i) {
            const int edge = first_edge + (begin + i) * WARP;
            row[i] = begin + i < sets && edge < count ? row_from(edge) : ~0u;
        }
#pragma unroll
        for (int i = 0; i < BATCH; ++i) {
            const unsigned found = __ballot_sync(ALL, row[i] < own_rows);
            if (lane == begin + i) mine = found;
        }
    }
    int sum = __popc(mine);
#pragma unroll
    for (int step = 1; step < WARP; step *= 2) sum += __shfl_xor_sync(ALL, sum, step);
    if (lane == 0) counts[warp] = sum;
    __syncthreads();
    int place = 0, all = 0;
    for (int other = 0; other < SCAN_WARPS; ++other) {
        if (other < warp) place += counts[other];
        all += counts[other];
    }
    for (unsigned todo = __ballot_sync(ALL, mine != 0); todo != 0; todo &= todo - 1) {
        const int set = __ffs(todo) - 1, edge = first_edge + set * WARP;
        const unsigned found = __shfl_sync(ALL, mine, set);
        if (found >> lane & 1) listed[place + __popc(found & ((1u << lane) - 1))] = row_from(edge) << 16 | edge;
        place += __popc(found);
    }
    __syncthreads();

    const auto look_up = [&](int edge, int& node, int& factor) {
        node = sources == nullptr ? edge : row_of(sources[edge], nodes);
        if constexpr (WEIGHTED) factor = weighted_edge(weights, widths.heads, edge);
    };
    const bool is_shared = all > SCAN_THREADS;  // whether all warps share a row
    if (threadIdx.x < all && !is_shared) {
        look_up(listed[threadIdx.x] & 0xffff, resolved.node[threadIdx.x], resolved.factor[threadIdx.x]);
    }
    __syncthreads();
    const int part = is_shared ? (all + SCAN_WARPS - 1) / SCAN_WARPS : all;
    const int first = is_shared ? min(warp * part, all) : 0, last = min(first + part, all);
    for (int row = is_shared ? 0 : warp; row < own_rows; row += is_shared ? 1 : SCAN_WARPS) {
        float total[N];
#pragma unroll
        for (int n = 0; n < N; ++n) total[n] = identity<A>();
        int found = reduce_listed<A, WEIGHTED>(total, edges, listed, first, last, row, at, [&](int place, int& node, int& factor) {
            if (is_shared) {
                look_up(listed[place] & 0xffff, node, factor);
            } else {
                node = resolved.node[place], factor = resolved.factor[place];
            }
        });
        if (is_shared) {
            if (lane == 0) counts[warp] = found;
#pragma unroll
            for (int n = 0; n < N; ++n) totals[warp][n * WARP + lane] = total[n];
            __syncthreads();
            for (int other = 1; other < SCAN_WARPS && warp == 0; ++other) {
                found += counts[other];
#pragma unroll
                for (int n = 0; n < N; ++n) total[n] = reduced<REDUCTION<A>>(total[n], totals[other][n * WARP + lane]);
            }
        }
        if (at < widths.inner && (warp == 0 || !is_shared)) {
#pragma unroll
            for (int n = 0; n < N; ++n) total[n] = found == 0 ? 0.0f : result_of<A>(total[n], found, initial);
            store(y + static_cast<long long>(first_row + row) * widths.inner + at, total);
        }
        if (is_shared) __syncthreads();
    }
}
