// SegmentReduce: reduce the rows of x that edges name into the rows of y. There are two methods:
//
//   scan   for few edges: a block for each row of y looks at all edges (scan.cu)
//   sort   make_keys writes the row of y of each edge; radix_sort.cu sorts the edges by it, stably, unless they are in
//          order; reduce_edges reduces runs of equal keys, each read once and in order; zero_rows writes the rows of y
//          without an edge
//
// A warp takes WARP sorted items and the runs that begin there. It ends a run of up to WARP items itself. Of a longer
// one each warp reduces its part to a new item, and reduce_items does the same with the new items, of which there are
// 2 for each WARP, until a warp holds all. So no row of y waits for another, however many edges it has, and the order of
// each sum depends on the number of its edges and their place alone.

#include "vectors.cuh"

using pluginkit::HEADER;  // from launches.py

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
    int edge[2 * WARP];
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

// Write the keys of the warp's two new items: its parts of the long run that went on and of the one that goes on. An item
// between others of its run that has no value keeps the key, so that the run stays one.
__device__ __forceinline__ void write_new_keys(const Runs& runs, unsigned here, unsigned after, unsigned* new_keys,
                                               int* are_new, int warp, unsigned none) {
    const unsigned last_here = __shfl_sync(ALL, here, WARP - 1), next = __shfl_sync(ALL, after, 0);
    if (threadIdx.x % WARP != 0 || blockIdx.y != 0) return;
    const bool goes_through = runs.has_tail && runs.tail_key == last_here && next == last_here;
    new_keys[2 * warp] = runs.has_tail ? runs.tail_key : none;
    new_keys[2 * warp + 1] = runs.has_head ? runs.head_key : goes_through ? runs.tail_key | NO_VALUE : none;
    if (runs.has_tail || runs.has_head) *are_new = 1;
}

// The sizes of a launch: its items, the rows of y and their elements, the floats of a new item, and the lanes of a run.
struct Sizes {
    int items, rows, inner, stride, lanes_log2;
};

// Where reduced runs go: rows of y, or new items.
template <typename T> struct Target {
    T* y;
    unsigned char* touched;  // for each row of y, whether it has items
    float* new_items;        // HEADER floats, the first with the count of edges; the elements of a row; padding
    unsigned* new_keys;
    int* are_new;  // set if there are new items with values
    Sizes sizes;
    float initial;
};

// Reduce the listed runs. LANES lanes take one run; `reduce(total, first, last, at)` reduces the items of a run and
// returns how many edges they stand for.
template <Aggregate A, int N, bool VECTOR_STORE, typename T, typename Reduce>
__device__ __forceinline__ void reduce_runs(const Target<T>& target, const RunList& list, const Runs& runs,
                                            unsigned here, int warp, Reduce reduce) {
    const int lane = threadIdx.x % WARP, lanes_log2 = target.sizes.lanes_log2, lanes = 1 << lanes_log2;
    const int at = (blockIdx.y * WARP + lane % lanes) * N;
    const int groups = WARP >> lanes_log2;
    for (int base = 0; base < runs.count; base += groups) {
        const int run = base + (lane >> lanes_log2);
        const bool is_mine = run < runs.count;
        const int first = is_mine ? list.first[run] : 0;
        const unsigned key = __shfl_sync(ALL, here, first) & ~NO_VALUE;
        if (!is_mine || at >= target.sizes.inner) continue;
        const int last = list.last[run];
        float total[N];
#pragma unroll
        for (int n = 0; n < N; ++n) total[n] = identity<A>();
        const int count = reduce(total, first, last, at);
        const bool is_tail = run == 0 && runs.has_tail, is_head = run == runs.count - 1 && runs.has_head;
        if (is_tail || is_head) {
            float* item = target.new_items + (2LL * warp + !is_tail) * target.sizes.stride;
            if (at == 0) item[0] = __int_as_float(count);
#pragma unroll
            for (int n = 0; n < N; ++n) item[HEADER + at + n] = total[n];
            if (at + N >= target.sizes.inner) {  // the next launch reads the padding, too
                for (int n = at + N; n < target.sizes.stride - HEADER; ++n) item[HEADER + n] = 0.0f;
            }
            continue;
        }
#pragma unroll
        for (int n = 0; n < N; ++n) total[n] = result_of<A>(total[n], count, target.initial);
        T* y = target.y + static_cast<long long>(key) * target.sizes.inner + at;
        if constexpr (VECTOR_STORE) {
            store(y, total);
        } else {
#pragma unroll
            for (int n = 0; n < N; ++n) {
                if (at + n < target.sizes.inner) y[n] = static_cast<T>(total[n]);
            }
        }
        if (at == 0) target.touched[key] = 1;
    }
}

__device__ __forceinline__ unsigned key_at(const unsigned* keys, int item, int items) {
    return item < 0 ? BEFORE_ALL : item < items ? keys[item] : AFTER_ALL;
}

// Reduce sorted edges. A value is a row of x, or an edge if sources or weights need it.
template <typename T, typename I, Aggregate A, int VECTOR, bool WEIGHTED>
__global__ void __launch_bounds__(THREADS)
    reduce_edges(T* __restrict__ y, unsigned char* touched, float* new_items, unsigned* new_keys, int* are_new,
                 Sizes sizes, float initial, const T* __restrict__ x, const T* __restrict__ weights, Widths widths,
                 const I* __restrict__ sources, const State* state, const unsigned* given_keys,
                 const int* given_values, const unsigned* sorted_keys, const int* sorted_values, int nodes) {
    const Target<T> target{y, touched, new_items, new_keys, are_new, sizes, initial};
    const Edges<T> edges{x, weights, widths};
    constexpr int N = VECTOR > sizeof(T) ? VECTOR / sizeof(T) : 1;
    __shared__ RunList lists[WARPS];
    const unsigned* __restrict__ keys = state->is_unsorted ? sorted_keys : given_keys;
    const int* __restrict__ values = state->is_unsorted ? sorted_values : given_values;
    const int warp = blockIdx.x * WARPS + threadIdx.x / WARP, lane = threadIdx.x % WARP, base = warp * WARP;
    if (base >= sizes.items) return;
    RunList& list = lists[threadIdx.x / WARP];
    const unsigned here = key_at(keys, base + lane, sizes.items), after = key_at(keys, base + WARP + lane, sizes.items);
    const unsigned before = key_at(keys, base - WARP + lane, sizes.items);
    const Runs runs = list_runs(list, before, here, after, target.sizes.rows);
    write_new_keys(runs, here, after, target.new_keys, target.are_new, warp, target.sizes.rows);
#pragma unroll
    for (int half = 0; half < 2; ++half) {
        const int place = half * WARP + lane;
        if (base + place < sizes.items && (half == 0 ? here : after) < target.sizes.rows) {
            const int value = values[base + place];
            if constexpr (WEIGHTED) {
                list.edge[place] = value;
                list.row[place] = sources == nullptr ? value : row_of(sources[value], nodes);
            } else {
                list.row[place] = value;
            }
        }
    }
    __syncwarp();
    reduce_runs<A, N, true>(
        target, list, runs, here, warp, [&](float(&total)[N], int first, int last, int at) {
            for (int place = first; place < last; place += UNROLLED) {
                EdgeVector<T, N> given[UNROLLED];
#pragma unroll
                for (int i = 0; i < UNROLLED; ++i) {
                    if (place + i < last) {
                        const int edge = WEIGHTED ? list.edge[place + i] : 0;
                        given[i] = vector_of<WEIGHTED, N>(edges, list.row[place + i], edge, at);
                    }
                }
#pragma unroll
                for (int i = 0; i < UNROLLED; ++i) {
                    if (place + i < last) reduce_vector<A, WEIGHTED>(total, given[i]);
                }
            }
            return last - first;
        });
}

// Reduce the items that a launch before made of long runs, if it made any.
template <typename T, Aggregate A>
__global__ void __launch_bounds__(THREADS)
    reduce_items(T* __restrict__ y, unsigned char* touched, float* new_items, unsigned* new_keys, int* are_new,
                 Sizes sizes, float initial, const int* are_given, const unsigned* __restrict__ keys,
                 const float* __restrict__ values) {
    const Target<T> target{y, touched, new_items, new_keys, are_new, sizes, initial};
    constexpr int N = 4;
    __shared__ RunList lists[WARPS];
    if (*are_given == 0) return;
    const int warp = blockIdx.x * WARPS + threadIdx.x / WARP, lane = threadIdx.x % WARP, base = warp * WARP;
    if (base >= sizes.items) return;
    RunList& list = lists[threadIdx.x / WARP];
    const unsigned marked = key_at(keys, base + lane, sizes.items), marked_after = key_at(keys, base + WARP + lane, sizes.items);
    const unsigned here = marked & ~NO_VALUE, after = marked_after & ~NO_VALUE;
    const unsigned before = key_at(keys, base - WARP + lane, sizes.items) & ~NO_VALUE;
    const Runs runs = list_runs(list, before, here, after, target.sizes.rows);
    write_new_keys(runs, here, after, target.new_keys, target.are_new, warp, target.sizes.rows);
    list.row[lane] = marked == here ? base + lane : -1;
    list.row[WARP + lane] = marked_after == after ? base + WARP + lane : -1;
    __syncwarp();
    reduce_runs<A, N, false>(
        target, list, runs, here, warp, [&](float(&total)[N], int first, int last, int at) {
            int count = 0;
            for (int place = first; place < last; place += UNROLLED) {
                EdgeVector<float, N> given[UNROLLED];
                int counts[UNROLLED];
                bool is_given[UNROLLED];
#pragma unroll
                for (int i = 0; i < UNROLLED; ++i) {
                    const int item = place + i < last ? list.row[place + i] : -1;
                    is_given[i] = item >= 0;
                    if (!is_given[i]) continue;
                    const float* value = values + static_cast<long long>(item) * target.sizes.stride;
                    counts[i] = __float_as_int(value[0]);
                    given[i].pack = *reinterpret_cast<const Pack<float, N>*>(value + HEADER + at);
                }
#pragma unroll
                for (int i = 0; i < UNROLLED; ++i) {
                    if (!is_given[i]) continue;
                    count += counts[i];
                    reduce_vector<A, false>(total, given[i]);
                }
            }
            return count;
        });
}

// Write zeros to the rows of y without items. A warp looks at WARP rows.
template <typename T, int VECTOR>
__global__ void __launch_bounds__(THREADS)
    zero_rows(T* __restrict__ y, const unsigned char* __restrict__ touched, int rows, int inner) {
    constexpr int N = VECTOR > sizeof(T) ? VECTOR / sizeof(T) : 1;
    const int lane = threadIdx.x % WARP;
    const long long base = (blockIdx.x * static_cast<long long>(WARPS) + threadIdx.x / WARP) * WARP;
    unsigned empty = __ballot_sync(ALL, base + lane < rows && touched[base + lane] == 0);
    for (; empty != 0; empty &= empty - 1) {
        T* row = y + (base + __ffs(empty) - 1) * inner;
        for (int at = lane * N; at < inner; at += WARP * N) {
            const float zeros[N] = {};
            store(row + at, zeros);
        }
    }
}
