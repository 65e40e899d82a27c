// The runs of equal keys among the items of a warp, and how its lanes share them.

#pragma once

#include "vectors.cuh"

// The runs of a warp's items. Positions count from the warp's first item, and reach into the next warp's.
struct Runs {
    int count;      // of the runs in `first` and `last`
    bool has_tail;  // the first of them belongs to a long run that began before
    bool has_head;  // the last of them belongs to a long run that goes on
    unsigned tail_key, head_key;
};

struct RunList {
    unsigned char first[WARP + 1], last[WARP + 1];
    int row[2 * WARP];   // what an item reads: a row of x, or -1 for an item without a value
    int edge[2 * WARP];  // the edge, or with one column of weights the bits of its weight
};

// List the runs that a warp reduces: those that begin in it and have up to WARP items, and its parts of longer ones. Keys
// from `end` on name no row of y.
__device__ __forceinline__ Runs list_runs(RunList& list, unsigned before, unsigned here, unsigned after, unsigned end) {
    const int lane = threadIdx.x % WARP;
    const unsigned last_before = __shfl_sync(ALL, before, WARP - 1), last_here = __shfl_sync(ALL, here, WARP - 1);
    unsigned previous = __shfl_up_sync(ALL, before, 1);
    const unsigned starts_before = __ballot_sync(ALL, before != previous) & ~1u;
    previous = __shfl_up_sync(ALL, here, 1);
    const unsigned starts = __ballot_sync(ALL, here != (lane == 0 ? last_before : previous));
    previous = __shfl_up_sync(ALL, after, 1);
    const unsigned starts_after = __ballot_sync(ALL, after != (lane == 0 ? last_here : previous));
    const unsigned long long both = static_cast<unsigned long long>(starts_after) << WARP | starts;
    constexpr int FAR = 3 * WARP;

    // The run that goes on from before, if it is long.
    const int tail_end = both == 0 ? FAR : __ffsll(both) - 1;
    const int tail_start = starts_before == 0 ? -WARP : -1 - __clz(starts_before);
    Runs runs;
    runs.tail_key = __shfl_sync(ALL, here, 0);
    runs.has_tail = (starts & 1) == 0 && tail_end - tail_start > WARP && runs.tail_key < end;

    // The run that begins at this lane.
    const bool is_start = starts >> lane & 1;
    const unsigned long long later = both >> lane >> 1;
    const int run_end = later == 0 ? FAR : lane + __ffsll(later);
    const bool is_long = is_start && run_end - lane > WARP;
    const unsigned listed = __ballot_sync(ALL, is_start && here < end);
    const unsigned long_ones = __ballot_sync(ALL, is_long && here < end);
    runs.has_head = long_ones != 0;
    runs.head_key = last_here;
    runs.count = runs.has_tail + __popc(listed);
    if (lane == 0 && runs.has_tail) {
        list.first[0] = 0;
        list.last[0] = static_cast<unsigned char>(min(tail_end, WARP));
    }
    if (listed >> lane & 1) {
        const int place = runs.has_tail + __popc(listed & ((1u << lane) - 1));
        list.first[place] = static_cast<unsigned char>(lane);
        list.last[place] = static_cast<unsigned char>(is_long ? WARP : run_end);
    }
    return runs;
}

// Reduce the listed runs: `reduce(total, first, last, at)` reduces the items from first to last and returns how many edges
// they stand for, and `finish(run, key, total, count, at)` writes the whole run. LANES lanes take the elements of a row, so
// that several runs are reduced at once. Where there are fewer runs, several groups of lanes share one. Of `shares` warps
// with the same list this one is number `share`.
template <Aggregate A, int N, int STEP = 1, typename Reduce, typename Finish>
__device__ __forceinline__ void reduce_runs(const RunList& list, int count, unsigned here, int lanes_log2, int inner,
                                            int share, int shares, Reduce reduce, Finish finish) {
    const int lane = threadIdx.x % WARP, lanes = 1 << lanes_log2;
    const int at = blockIdx.y * WARP * N + lane % lanes * (STEP == 1 ? N : 1);
    int parts_log2 = 0;
    while ((max(count, 1) << (parts_log2 + 1 + lanes_log2)) <= WARP) ++parts_log2;
    const int part = lane >> lanes_log2 & ((1 << parts_log2) - 1), at_once = WARP >> (lanes_log2 + parts_log2);
    for (int base = share * at_once; base < count; base += shares * at_once) {
        const int run = base + (lane >> (lanes_log2 + parts_log2));
        const bool is_mine = run < count && at < inner;
        const int first = run < count ? list.first[run] : 0, last = run < count ? list.last[run] : 0;
        const unsigned key = __shfl_sync(ALL, here, first);
        float total[N];
#pragma unroll
        for (int n = 0; n < N; ++n) total[n] = identity<A>();
        int edges = 0;
        if (is_mine) {
            const int length = last - first;
            edges = reduce(total, first + (length * part >> parts_log2), first + (length * (part + 1) >> parts_log2), at);
        }
        for (int step = lanes; step < lanes << parts_log2; step *= 2) {
            edges += __shfl_xor_sync(ALL, edges, step);
#pragma unroll
            for (int n = 0; n < N; ++n) {
                const float other = __shfl_xor_sync(ALL, total[n], step);
                total[n] = lane & step ? reduced<REDUCTION<A>>(other, total[n]) : reduced<REDUCTION<A>>(total[n], other);
            }
        }
        if (is_mine && part == 0) finish(run, key, total, edges, at);
    }
}

// Reduce the items of a run that are edges.
template <Aggregate A, Weights W, int STEP = 1, int N, typename T>
__device__ __forceinline__ int reduce_edges_of(const Edges<T>& edges, const RunList& list, float (&total)[N], int first,
                                               int last, int at) {
    for (int place = first; place < last; place += UNROLLED) {
        EdgeVector<T, N> given[UNROLLED];
#pragma unroll
        for (int i = 0; i < UNROLLED; ++i) {
            if (place + i < last) {
                const int edge = W != Weights::none ? list.edge[place + i] : 0;
                given[i] = vector_of<W, N, STEP>(edges, list.row[place + i], edge, at);
            }
        }
#pragma unroll
        for (int i = 0; i < UNROLLED; ++i) {
            if (place + i < last) reduce_vector<A, W>(total, given[i]);
        }
    }
    return last - first;
}
