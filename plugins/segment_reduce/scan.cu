// For few edges, in one launch. A block takes some rows of y: each warp looks at some of all edges and lists those that lead to
// the block's rows in their order; then a warp reduces each row. Where that would take long for one row, all warps share it:
// each takes a part of the lists, and the parts are combined in order.

#include "vectors.cuh"

using pluginkit::LONG_ROW, pluginkit::PLACE_BITS, pluginkit::SCAN_BYTES, pluginkit::SCAN_ROWS,
    pluginkit::SCAN_THREADS;  // from launches.py

constexpr int SCAN_WARPS = SCAN_THREADS / WARP, MOST_ELEMENTS = 8;
constexpr int BATCH = 12, ROWS_AT_ONCE = 4;  // destinations, and rows of x, that a lane loads at once
static_assert(WARP % ROWS_AT_ONCE == 0);

// The block's edges of a row that a warp has found and not yet reduced: the rows of x that they read, and their weights as
// `vector_of` takes them.
struct Found {
    int node[2 * WARP], factor[2 * WARP];
};

// Shared memory; `listed`, with each warp's list, follows it.
struct Scan {
    // Of each warp: what it finds, and then its part of a row.
    union {
        Found found;
        float total[MOST_ELEMENTS * WARP];
    } warps[SCAN_WARPS];
    // Where a block has few edges, those of all warps in their order.
    int node[SCAN_THREADS], factor[SCAN_THREADS];
    unsigned char row[SCAN_THREADS];
};
static_assert(sizeof(Scan) == SCAN_BYTES);

// Reduce found edges, some rows of x at once. All lanes call this.
template <Aggregate A, Weights W, typename T, int N>
__device__ __forceinline__ void reduce_found(float (&total)[N], const Edges<T>& edges, const Found& found, int count, int at) {
    if (at >= edges.widths.inner) return;
    for (int begin = 0; begin < count; begin += ROWS_AT_ONCE) {
        EdgeVector<T, N> given[ROWS_AT_ONCE];
#pragma unroll
        for (int i = 0; i < ROWS_AT_ONCE; ++i) {
            const int place = begin + i, factor = W != Weights::none ? found.factor[place] : 0;
            if (place < count) given[i] = vector_of<W, N>(edges, found.node[place], factor, at);
        }
#pragma unroll
        for (int i = 0; i < ROWS_AT_ONCE; ++i) {
            if (begin + i < count) reduce_vector<A, W>(total, given[i]);
        }
    }
}

// Reduce those of `count` edges that lead to a row of the block, and return how many there are. `resolve(place, node, factor)`
// tells what an edge reads if it leads there.
template <Aggregate A, Weights W, typename T, int N, typename Resolve>
__device__ __forceinline__ int reduce_listed(float (&total)[N], const Edges<T>& edges, Found& found, int count, int at,
                                             Resolve resolve) {
    const int lane = threadIdx.x % WARP;
    int all = 0, waiting = 0;
    for (int first = 0; first < count; first += WARP) {
        int node = -1, factor = 0;
        if (first + lane < count) resolve(first + lane, node, factor);
        const unsigned mine = __ballot_sync(ALL, node >= 0);
        if (node >= 0) {
            const int place = waiting + __popc(mine & ((1u << lane) - 1));
            found.node[place] = node;
            if constexpr (W != Weights::none) found.factor[place] = factor;
        }
        all += __popc(mine), waiting += __popc(mine);
        __syncwarp();
        if (waiting < WARP && first + WARP < count) continue;
        reduce_found<A, W>(total, edges, found, waiting, at);
        waiting = 0;
        __syncwarp();
    }
    return all;
}

// An edge in a list: its place among those that its warp looks at, and before that the number of its row among the block's.
template <typename T, typename I, Aggregate A, int VECTOR, Weights W>
__global__ void __launch_bounds__(SCAN_THREADS, 1)
    scan_edges(T* __restrict__ y, const T* __restrict__ x, const T* __restrict__ weights, Widths widths,
               const I* __restrict__ destinations, const I* __restrict__ sources, int count, int rows, int nodes, float initial,
               int rows_each, int parts_each) {
    constexpr int N = VECTOR > sizeof(T) ? VECTOR / sizeof(T) : 1;
    static_assert(N <= MOST_ELEMENTS);
    extern __shared__ int4 shared[];
    Scan& scan = *reinterpret_cast<Scan*>(shared);
    unsigned short* const listed = reinterpret_cast<unsigned short*>(shared + SCAN_BYTES / sizeof(int4));
    __shared__ int counts[SCAN_WARPS], of_parts[SCAN_WARPS], of_rows[SCAN_ROWS];
    const Edges<T> edges{x, weights, widths};
    const int lane = threadIdx.x % WARP, warp = threadIdx.x / WARP;
    const int first_row = blockIdx.x * rows_each, own_rows = min(rows_each, rows - first_row);
    // Of a row, as many elements as a warp loads at once are a part.
    const int first_part = blockIdx.y * parts_each, all_parts = (widths.inner + WARP * N - 1) / (WARP * N);
    const int parts = min(parts_each, all_parts - first_part);
    Found& found_edges = scan.warps[warp].found;
    if (threadIdx.x < SCAN_ROWS) of_rows[threadIdx.x] = 0;

    // Each warp looks at some sets of WARP edges, and lists what it finds.
    const int sets = (count + SCAN_THREADS - 1) / SCAN_THREADS, each = sets * WARP;
    int own = 0;
    for (int begin = 0; begin < sets; begin += BATCH) {
        unsigned row[BATCH];
#pragma unroll
        for (int i = 0; i < BATCH; ++i) {
            const int edge = warp * each + (begin + i) * WARP + lane;
            row[i] = begin + i < sets && edge < count ? row_of(destinations[edge], rows) - first_row : ~0u;
        }
#pragma unroll
        for (int i = 0; i < BATCH; ++i) {
            const bool is_own = row[i] < own_rows;
            const unsigned found = __ballot_sync(ALL, is_own);
            const int place = own + __popc(found & ((1u << lane) - 1));
            if (is_own) listed[warp * each + place] = row[i] << PLACE_BITS | ((begin + i) * WARP + lane);
            own += __popc(found);
        }
    }
    if (lane == 0) counts[warp] = own;
    __syncthreads();
    int before = 0, all = 0;
    for (int other = 0; other < SCAN_WARPS; ++other) {
        if (other < warp) before += counts[other];
        all += counts[other];
    }

    const auto look_up = [&](int of_warp, unsigned entry, int& node, int& factor) {
        const int edge = of_warp * each + static_cast<int>(entry % (1 << PLACE_BITS));
        node = sources == nullptr ? edge : row_of(sources[edge], nodes);
        if constexpr (W != Weights::none) factor = weighted_edge(weights, widths.heads, edge);
    };
    const bool is_listed = all <= SCAN_THREADS;  // whether what edges read is looked up once
    for (int i = lane; i < own; i += WARP) {
        const unsigned entry = listed[warp * each + i];
        atomicAdd(of_rows + (entry >> PLACE_BITS), 1);
        if (!is_listed) continue;
        scan.row[before + i] = entry >> PLACE_BITS;
        look_up(warp, entry, scan.node[before + i], scan.factor[before + i]);
    }
    __syncthreads();
    // All warps share a row of many edges, one after the other, unless single warps sooner take as many at once.
    int longest = 0, long_rows = 0;
#pragma unroll
    for (int first = 0; first < SCAN_ROWS; first += WARP) {
        const int edges_of_row = first + lane < SCAN_ROWS ? of_rows[first + lane] : 0;
        long_rows += __popc(__ballot_sync(ALL, edges_of_row > LONG_ROW));
        longest = max(longest, edges_of_row);
    }
#pragma unroll
    for (int step = WARP / 2; step > 0; step /= 2) longest = max(longest, __shfl_xor_sync(ALL, longest, step));
    const bool shares = long_rows != 0 && long_rows * LONG_ROW < longest;
    const int most_alone = shares ? LONG_ROW : longest, part = (all + SCAN_WARPS - 1) / SCAN_WARPS;
#pragma unroll 1
    for (int turn = 0; turn <= shares; ++turn) {  // first the rows that a warp takes
        const bool is_shared = turn == 1;
        const int begin = is_shared ? min(warp * part, all) : 0, end = is_shared ? min(begin + part, all) : all;
        for (int item = is_shared ? 0 : warp; item < own_rows * parts; item += is_shared ? 1 : SCAN_WARPS) {
            const int row = item / parts, at = ((first_part + item % parts) * WARP + lane) * N;
            if (of_rows[row] > most_alone != is_shared) continue;
            float total[N];
#pragma unroll
            for (int n = 0; n < N; ++n) total[n] = identity<A>();
            int found = 0;
            if (is_listed) {
                found = reduce_listed<A, W>(total, edges, found_edges, end - begin, at, [&](int place, int& node, int& factor) {
                    place += begin;
                    if (scan.row[place] == row) node = scan.node[place], factor = scan.factor[place];
                });
            } else {
                for (int other = 0, start = 0; other < SCAN_WARPS; start += counts[other++]) {
                    const int first = max(begin - start, 0), last = min(end - start, counts[other]);
                    const unsigned short* const some = listed + other * each + first;
                    found += reduce_listed<A, W>(
                        total, edges, found_edges, last - first, at, [&](int place, int& node, int& factor) {
                            if (some[place] >> PLACE_BITS == row) look_up(other, some[place], node, factor);
                        });
                }
            }
            if (is_shared) {
                if (lane == 0) of_parts[warp] = found;
#pragma unroll
                for (int n = 0; n < N; ++n) scan.warps[warp].total[n * WARP + lane] = total[n];
                __syncthreads();
                for (int other = 1; other < SCAN_WARPS && warp == 0; ++other) {
                    found += of_parts[other];
#pragma unroll
                    for (int n = 0; n < N; ++n) {
                        total[n] = reduced<REDUCTION<A>>(total[n], scan.warps[other].total[n * WARP + lane]);
                    }
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
}
