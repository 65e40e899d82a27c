// SegmentReduce: reduce the rows of x that edges name into the rows of y. There are four methods:
//
//   add    for few elements, sums of float32 whose bits may differ from run to run (add.cu, add_single.cu)
//   scan   for few edges: a block for some rows of y looks at all edges (scan.cu)
//   chunks for some edges, of which rows have few, or most rows none: blocks sort a part of the edges each (chunks.cu)
//   sort   make_keys writes the row of y of each edge; radix_sort.cu sorts the edges by it, stably, unless they are in
//          order; reduce_edges reduces runs of equal keys, each read once and in order; zero_rows writes the rows of y
//          without an edge
//
// A warp takes WARP sorted items and the runs that begin there. It ends a run of up to WARP items itself. Of a longer
// one each warp reduces its part to a new item, and reduce_items does the same with the new items, of which there are
// 2 for each WARP, until a warp holds all. So no row of y waits for another, however many edges it has, and the order of
// each sum depends on the number of its edges and their place alone.

#include "../_cuda/overlap.cuh"
#include "runs.cuh"

using pluginkit::HEADER, pluginkit::SPREAD, pluginkit::SPREAD_ELEMENTS;  // from launches.py

// Write the keys of the warp's two new items: its parts of the long run that went on and of the one that goes on. An item
// between others of its run that has no value keeps the key, so that the run stays one.
__device__ __forceinline__ void write_new_keys(const Runs& runs, unsigned here, unsigned after, unsigned* new_keys,
                                               int* are_new, int warp, unsigned none) {
    const unsigned last_here = __shfl_sync(ALL, here, WARP - 1), next = __shfl_sync(ALL, after, 0);
    if (threadIdx.x % WARP != 0 || blockIdx.y != 0) return;
    const bool goes_through = runs.has_tail && runs.tail_key == last_here && next == last_here;
    new_keys[2 * warp] = runs.has_tail ? runs.tail_key : none;
    new_keys[2 * warp + 1] = runs.has_head ? runs.head_key : goes_through ? runs.tail_key | NO_VALUE : none;
    if (runs.has_head) *are_new = 1;  // every long run has one head, and may have very many tails
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

// Reduce the listed runs to rows of y, or to new items if they are parts of long ones. A lane has N elements, STEP apart.
template <Aggregate A, int N, int STEP, bool VECTOR_STORE, typename T, typename Reduce>
__device__ __forceinline__ void reduce_to_target(const Target<T>& target, const RunList& list, const Runs& runs,
                                                 unsigned here, int warp, Reduce reduce) {
    const int inner = target.sizes.inner;
    reduce_runs<A, N, STEP>(
        list, runs.count, here, target.sizes.lanes_log2, inner, 0, 1, reduce,
        [&](int run, unsigned key, float(&total)[N], int count, int at) {
            const bool is_tail = run == 0 && runs.has_tail, is_head = run == runs.count - 1 && runs.has_head;
            if (is_tail || is_head) {
                float* item = target.new_items + (2LL * warp + !is_tail) * target.sizes.stride;
                if (at == 0) item[0] = __int_as_float(count);
                constexpr int M = N % 4 == 0 ? 4 : 1;
#pragma unroll
                for (int n = 0; n < N; n += M) {
                    const int element = at + n * STEP;
                    if (STEP > 1 && element >= inner) break;
                    *reinterpret_cast<Pack<float, M>*>(item + HEADER + element) =
                        *reinterpret_cast<const Pack<float, M>*>(total + n);
                    if (element + M < inner) continue;  // the next launch reads the padding, too
                    for (int i = element + M; i < target.sizes.stride - HEADER; ++i) item[HEADER + i] = 0.0f;
                }
                return;
            }
#pragma unroll
            for (int n = 0; n < N; ++n) total[n] = result_of<A>(total[n], count, target.initial);
            T* y = target.y + static_cast<long long>(key) * inner + at;
            if constexpr (VECTOR_STORE) {
                store(y, total);
            } else {
#pragma unroll
                for (int n = 0; n < N; ++n) {
                    if (at + n * STEP < inner) y[n * STEP] = static_cast<T>(total[n]);
                }
            }
            if (at == 0) target.touched[key] = 1;
        });
}

__device__ __forceinline__ unsigned key_at(const unsigned* keys, int item, int items) {
    return item < 0 ? BEFORE_ALL : item < items ? keys[item] : AFTER_ALL;
}

// How many blocks of reduce_edges a multiprocessor has at once, where so few registers are enough; 0: as many as it has.
template <typename T, int VECTOR, Weights W>
constexpr int RESIDENT = VECTOR == 16 && (W == Weights::none || (W == Weights::column && sizeof(T) == 4)) ? 5 : 0;

// Reduce sorted edges. Lanes read vectors, or if VECTOR is SPREAD elements that are WARP apart.
template <typename T, Aggregate A, int VECTOR, Weights W>
__global__ void __launch_bounds__(THREADS, RESIDENT<T, VECTOR, W>)
    reduce_edges(T* __restrict__ y, unsigned char* touched, float* new_items, unsigned* new_keys, int* are_new,
                 Sizes sizes, float initial, const T* __restrict__ x, const T* __restrict__ weights, Widths widths,
                 const State* state, const unsigned* given_keys, const EdgeValue<W>* given_values,
                 const unsigned* sorted_keys, const EdgeValue<W>* sorted_values) {
    const Target<T> target{y, touched, new_items, new_keys, are_new, sizes, initial};
    const Edges<T> edges{x, weights, widths};
    constexpr int N = VECTOR == SPREAD ? SPREAD_ELEMENTS : VECTOR > sizeof(T) ? VECTOR / sizeof(T) : 1;
    constexpr int STEP = VECTOR == SPREAD ? WARP : 1;
    __shared__ RunList lists[WARPS];
    let_next_launch_begin();
    wait_for_earlier_launches();
    const unsigned* __restrict__ keys = state->is_unsorted ? sorted_keys : given_keys;
    const EdgeValue<W>* __restrict__ values = state->is_unsorted ? sorted_values : given_values;
    const int warp = blockIdx.x * WARPS + threadIdx.x / WARP, lane = threadIdx.x % WARP, base = warp * WARP;
    if (base >= sizes.items) return;
    RunList& list = lists[threadIdx.x / WARP];
    const unsigned here = key_at(keys, base + lane, sizes.items), after = key_at(keys, base + WARP + lane, sizes.items);
    const unsigned before = key_at(keys, base - WARP + lane, sizes.items);
    // Loaded at once, before it is known which of the items are needed.
    int row[2] = {}, edge[2] = {};
#pragma unroll
    for (int half = 0; half < 2; ++half) {
        const int item = base + half * WARP + lane;
        if (item >= sizes.items) break;
        if constexpr (W != Weights::none) {
            row[half] = values[item].x, edge[half] = values[item].y;
        } else {
            row[half] = values[item];
        }
    }
    const Runs runs = list_runs(list, before, here, after, target.sizes.rows);
    write_new_keys(runs, here, after, target.new_keys, target.are_new, warp, target.sizes.rows);
#pragma unroll
    for (int half = 0; half < 2; ++half) {
        list.row[half * WARP + lane] = row[half];
        if constexpr (W != Weights::none) list.edge[half * WARP + lane] = edge[half];
    }
    __syncwarp();
    reduce_to_target<A, N, STEP, STEP == 1>(
        target, list, runs, here, warp, [&](float(&total)[N], int first, int last, int at) {
            return reduce_edges_of<A, W, STEP>(edges, list, total, first, last, at);
        });
}

// Reduce the items that a launch before made of long runs, if it made any.
template <typename T, Aggregate A>
__global__ void __launch_bounds__(THREADS)
    reduce_items(T* __restrict__ y, unsigned char* touched, float* new_items, unsigned* new_keys, int* are_new,
                 Sizes sizes, float initial, const int* are_given, const unsigned* keys, const float* values) {
    const Target<T> target{y, touched, new_items, new_keys, are_new, sizes, initial};
    constexpr int N = 4;
    __shared__ RunList lists[WARPS];
    let_next_launch_begin();
    wait_for_earlier_launches();
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
    reduce_to_target<A, N, 1, false>(
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
                    reduce_vector<A, Weights::none>(total, given[i]);
                }
            }
            return count;
        });
}

// Write zeros to the rows of y without items. A warp looks at WARP rows.
template <typename T, int VECTOR>
__global__ void __launch_bounds__(THREADS)
    zero_rows(T* __restrict__ y, const unsigned char* touched, int rows, int inner) {
    constexpr int N = VECTOR > sizeof(T) ? VECTOR / sizeof(T) : 1;
    wait_for_earlier_launches();
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
