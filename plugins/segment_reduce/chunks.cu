// For some edges, which few rows share, in two launches after the counts of runs are cleared. A block of sort_chunks sorts a
// chunk of successive edges by the row of y that they lead to, stably. The edges of a row in a chunk are a run: it goes into
// one of the row's slots, and a long one is reduced to a partial row at once. gather_chunks then puts the runs of a row in
// the order of their chunks, and reduces them. Of a row with more runs than slots a block finds them in the sorted chunks.
// Where most rows have no edge, y is zeros before, and sort_chunks lists the rows that have some.

#include "../_cuda/overlap.cuh"
#include "runs.cuh"

using pluginkit::CHUNK, pluginkit::LEAST_GROUP, pluginkit::MOST_CHUNKS, pluginkit::MOST_LONG, pluginkit::SHORT_RUN,
    pluginkit::SLOTS;  // from launches.py

constexpr int AT_ONCE = 2;  // partial rows that a lane loads
constexpr int CHUNK_WARPS = CHUNK / WARP, MOST_GROUPS = THREADS / LEAST_GROUP, SLOTS_EACH = SLOTS / LEAST_GROUP;
static_assert(WARPS == 8);
constexpr int WARPS_LOG2 = 3;
static_assert(THREADS <= MOST_GROUPS * SLOTS, "what the runs of so many chunks have fits into the list");
static_assert(MOST_CHUNKS <= (1u << 31) / (2 * CHUNK) / CHUNK, "the number of a run has 32 bits");
static_assert(MOST_LONG * (SHORT_RUN + 1) <= CHUNK && CHUNK < (MOST_LONG + 1) * (SHORT_RUN + 1));

// A run of edges, in one number. Runs of a row compare as their chunks do.
struct Run {
    int chunk, start, length;
    __device__ static Run decoded(unsigned code) {
        return {static_cast<int>(code / CHUNK / (2 * CHUNK)), static_cast<int>(code / (2 * CHUNK) % CHUNK),
                static_cast<int>(code % (2 * CHUNK))};
    }
    __device__ unsigned code() const { return (chunk * CHUNK + start) * 2 * CHUNK + length; }
    __device__ bool is_long() const { return length > SHORT_RUN; }
    // The edges that gather_chunks reads; of a long run it reads the partial row.
    __device__ int edges() const { return is_long() ? 0 : length; }
};

// Return the number over the block, smallest first. `exchanged` is free afterwards once all threads have met.
__device__ __forceinline__ unsigned sorted_over_chunk(unsigned mine, unsigned (*exchanged)[CHUNK]) {
    const int thread = threadIdx.x;
    int side = 0;
    for (int size = 2; size <= CHUNK; size *= 2) {
        for (int step = size / 2; step > 0; step /= 2) {
            unsigned other;
            if (step < WARP) {
                other = __shfl_xor_sync(ALL, mine, step);
            } else {
                exchanged[side][thread] = mine;
                __syncthreads();
                other = exchanged[side][thread ^ step];
                side ^= 1;
            }
            const bool takes_least = ((thread & step) == 0) == ((thread & size) == 0);
            mine = takes_least ? min(mine, other) : max(mine, other);
        }
    }
    return mine;
}

// Return the place after the last one of the run that begins at `place`. There is a bit for each place where one begins.
__device__ __forceinline__ int end_of_run(const unsigned* starts, int place) {
    int warp = place / WARP;
    const unsigned later = place % WARP == WARP - 1 ? 0 : starts[warp] >> (place % WARP + 1);
    if (later != 0) return place + __ffs(later);
    while (++warp < CHUNK_WARPS) {
        if (starts[warp] != 0) return warp * WARP + __ffs(starts[warp]) - 1;
    }
    return CHUNK;
}

template <int N> __device__ __forceinline__ void copy_floats(float* to, const float* from) {
    constexpr int M = N % 4 == 0 ? 4 : 1;
#pragma unroll
    for (int n = 0; n < N; n += M) {
        *reinterpret_cast<Pack<float, M>*>(to + n) = *reinterpret_cast<const Pack<float, M>*>(from + n);
    }
}

// Sort the edges of a chunk, and reduce its long runs. `counts` becomes the number of each row's runs, and `runs` the first
// of them; `touched` the number of rows with edges and then these, unless it is null; `keys` the rows of y of sorted edges,
// and `values` what these read; `partials` rows of `stride` floats.
template <typename T, typename I, Aggregate A, int VECTOR, Weights W>
__global__ void __launch_bounds__(CHUNK)
    sort_chunks(int* counts, int* touched, unsigned* __restrict__ runs, unsigned* __restrict__ keys,
                EdgeValue<W>* __restrict__ values, float* __restrict__ partials, const T* __restrict__ x,
                const T* __restrict__ weights, Widths widths, const I* __restrict__ destinations,
                const I* __restrict__ sources, int count, int rows, int nodes, int stride, int lanes_log2) {
    constexpr int N = VECTOR > sizeof(T) ? VECTOR / sizeof(T) : 1;
    __shared__ unsigned exchanged[2][CHUNK], starts[CHUNK_WARPS], long_starts[CHUNK_WARPS];
    __shared__ int given[CHUNK], given_factor[W == Weights::none ? 1 : CHUNK];
    __shared__ RunList lists[CHUNK_WARPS];
    __shared__ __align__(16) float tails[CHUNK_WARPS][N * WARP];
    const Edges<T> edges{x, weights, widths};
    const int thread = threadIdx.x, lane = thread % WARP, warp = thread / WARP, inner = widths.inner;
    const int edge = blockIdx.x * CHUNK + thread;
    let_next_launch_begin();
    int row = -1, node = -1, factor = 0;
    if (edge < count) {
        row = row_of(destinations[edge], rows);
        node = sources == nullptr ? edge : row_of(sources[edge], nodes);
        if constexpr (W != Weights::none) factor = weighted_edge(weights, widths.heads, edge);
    }
    given[thread] = node;
    if constexpr (W != Weights::none) given_factor[thread] = factor;
    const unsigned key = row >= 0 && node >= 0 ? row : rows;
    const unsigned sorted = sorted_over_chunk(key * CHUNK + thread, exchanged), here = sorted / CHUNK;
    const int from = sorted % CHUNK;

    // The runs.
    __syncthreads();
    exchanged[0][thread] = here;
    __syncthreads();
    const bool begins = thread == 0 || exchanged[0][thread - 1] != here;
    const unsigned begin_here = __ballot_sync(ALL, begins);
    if (lane == 0) starts[warp] = begin_here;
    __syncthreads();
    const int end = begins ? end_of_run(starts, thread) : 0;
    const bool is_run = begins && here < rows;
    const Run run{static_cast<int>(blockIdx.x), thread, end - thread};
    const bool is_long = is_run && run.is_long();
    const unsigned long_here = __ballot_sync(ALL, is_long);
    if (lane == 0) long_starts[warp] = long_here;
    __syncthreads();
    int partial = blockIdx.x * MOST_LONG;  // of the warp's first long run
    for (int other = 0; other < warp; ++other) partial += __popc(long_starts[other]);
    const int long_before = __popc(long_here & ((1u << lane) - 1));

    wait_for_earlier_launches();
    if (blockIdx.y == 0) {
        const int read = is_long ? partial + long_before : given[from];
        keys[edge] = here;
        if constexpr (W != Weights::none) {
            values[edge] = make_int2(read, given_factor[from]);
        } else {
            values[edge] = read;
        }
        if (is_run) {
            const int slot = atomicAdd(counts + here, 1);
            if (slot == 0 && touched != nullptr) touched[1 + atomicAdd(touched, 1)] = here;
            if (slot < SLOTS) runs[static_cast<long long>(here) * SLOTS + slot] = run.code();
        }
    }

    // Each warp reduces what it has of long runs. The part of one that began in a warp before is left to that warp.
    const int first_start = begin_here == 0 ? WARP : __ffs(begin_here) - 1;
    bool has_tail = false;
    if (first_start > 0) {  // never in the first warp
        int before = warp - 1;
        while (starts[before] == 0) --before;
        const int start = before * WARP + WARP - 1 - __clz(starts[before]);
        has_tail = long_starts[before] >> (start % WARP) & 1;
    }
    const int first_element = blockIdx.y * WARP * N, long_count = __popc(long_here);
    if (long_count != 0 || has_tail) {
        RunList& list = lists[warp];
        if (lane == 0 && has_tail) list.first[0] = 0, list.last[0] = static_cast<unsigned char>(first_start);
        if (is_long) {
            list.first[has_tail + long_before] = static_cast<unsigned char>(lane);
            list.last[has_tail + long_before] = static_cast<unsigned char>(min(end - warp * WARP, WARP));
        }
        list.row[lane] = given[from];
        if constexpr (W != Weights::none) list.edge[lane] = given_factor[from];
        __syncwarp();
        reduce_runs<A, N>(
            list, has_tail + long_count, here, lanes_log2, inner, 0, 1,
            [&](float(&total)[N], int first, int last, int at) {
                return reduce_edges_of<A, W>(edges, list, total, first, last, at);
            },
            [&](int number, unsigned, float(&total)[N], int, int at) {
                float* const own_partial = partials + static_cast<long long>(partial + number - has_tail) * stride + at;
                copy_floats<N>(number == 0 && has_tail ? tails[warp] + at - first_element : own_partial, total);
            });
    }
    __syncthreads();
    if (long_count == 0) return;
    const int last_end = __shfl_sync(ALL, end, WARP - 1 - __clz(long_here)), at = first_element + lane * N;
    if (last_end <= (warp + 1) * WARP || at >= inner) return;
    float* const whole = partials + static_cast<long long>(partial + long_count - 1) * stride + at;
    float total[N], part[N];
    copy_floats<N>(total, whole);
    for (int other = warp + 1; other * WARP < last_end; ++other) {
        copy_floats<N>(part, tails[other] + lane * N);
#pragma unroll
        for (int n = 0; n < N; ++n) total[n] = reduced<REDUCTION<A>>(total[n], part[n]);
    }
    copy_floats<N>(whole, total);
}

// What is read for a row of y: the edges of its short runs, which read rows of x with factors as vector_of takes them, and
// the partial rows of its long ones.
template <Weights W> struct Items {
    int* row;
    int* factor;
    int* partial;

    // List what a run reads from a place on.
    __device__ __forceinline__ void list(const EdgeValue<W>* values, const Run& run, int place, int partial_place) const {
        const EdgeValue<W>* const first = values + run.chunk * CHUNK + run.start;
        if constexpr (W != Weights::none) {
            if (run.is_long()) partial[partial_place] = first->x;
            for (int i = 0; i < run.edges(); ++i) row[place + i] = first[i].x, factor[place + i] = first[i].y;
        } else {
            if (run.is_long()) partial[partial_place] = *first;
            for (int i = 0; i < run.edges(); ++i) row[place + i] = first[i];
        }
    }

    // Reduce the edges from first to last.
    template <Aggregate A, int N, typename T>
    __device__ __forceinline__ void reduce_edges(float (&total)[N], const Edges<T>& edges, int first, int last,
                                                 int at) const {
        for (int place = first; place < last; place += UNROLLED) {
            EdgeVector<T, N> given[UNROLLED];
#pragma unroll
            for (int i = 0; i < UNROLLED; ++i) {
                const int own_factor = W != Weights::none && place + i < last ? factor[place + i] : 0;
                if (place + i < last) given[i] = vector_of<W, N>(edges, row[place + i], own_factor, at);
            }
#pragma unroll
            for (int i = 0; i < UNROLLED; ++i) {
                if (place + i < last) reduce_vector<A, W>(total, given[i]);
            }
        }
    }

    // Reduce the partial rows from first to last, of `stride` floats each.
    template <Aggregate A, int N>
    __device__ __forceinline__ void reduce_partials(float (&total)[N], const float* partials, int stride, int first,
                                                    int last, int at) const {
        for (int place = first; place < last; place += AT_ONCE) {
            float given[AT_ONCE][N];
#pragma unroll
            for (int i = 0; i < AT_ONCE; ++i) {
                if (place + i < last) {
                    copy_floats<N>(given[i], partials + static_cast<long long>(partial[place + i]) * stride + at);
                }
            }
#pragma unroll
            for (int i = 0; i < AT_ONCE; ++i) {
                if (place + i >= last) break;
#pragma unroll
                for (int n = 0; n < N; ++n) total[n] = reduced<REDUCTION<A>>(total[n], given[i][n]);
            }
        }
    }
};

// Return the first place of a chunk whose key is not less.
__device__ __forceinline__ int lower_bound(const unsigned* keys, unsigned key) {
    int place = 0;
#pragma unroll
    for (int step = CHUNK / 2; step > 0; step /= 2) {
        if (keys[place + step - 1] < key) place += step;
    }
    return place + (keys[place] < key);
}

// What sort_chunks writes is not __restrict__: the compiler would read it before it waits for that launch.
template <typename T, Aggregate A, int VECTOR, Weights W>
__global__ void __launch_bounds__(THREADS, sizeof(T) == 4 ? 5 : 0)
    gather_chunks(T* __restrict__ y, const int* counts, const int* touched, const unsigned* runs, const unsigned* keys,
                  const EdgeValue<W>* values, const float* partials, const T* __restrict__ x,
                  const T* __restrict__ weights, Widths widths, int rows, int chunks, float initial, int stride,
                  int group_log2, int lanes_log2) {
    constexpr int N = VECTOR > sizeof(T) ? VECTOR / sizeof(T) : 1, LISTED = MOST_GROUPS * SLOTS * SHORT_RUN;
    __shared__ int listed[LISTED], factors[W == Weights::none ? 1 : LISTED], long_ones[MOST_GROUPS * SLOTS];
    __shared__ int crowded[MOST_GROUPS], crowded_count, of_warps[3][WARPS];
    __shared__ __align__(16) float parts[WARPS][N * WARP];
    const Edges<T> edges{x, weights, widths};
    const int inner = widths.inner, group_size = 1 << group_log2, group = threadIdx.x >> group_log2;
    const int member = threadIdx.x % group_size, first_element = blockIdx.y * WARP * N;
    if (threadIdx.x == 0) crowded_count = 0;
    __syncthreads();
    wait_for_earlier_launches();
    const auto finish = [&](int row, float(&total)[N], int count, int at) {
        if (at >= inner) return;
#pragma unroll
        for (int n = 0; n < N; ++n) total[n] = count == 0 ? 0.0f : result_of<A>(total[n], count, initial);
        store(y + static_cast<long long>(row) * inner + at, total);
    };

    // Rows with many runs are often near each other: the rows of a block are far from each other.
    int row = group * gridDim.x + blockIdx.x;
    if (touched != nullptr) row = row < touched[0] ? touched[1 + row] : rows;
    const int found = row < rows ? counts[row] : 0;
    if (row < rows && found <= SLOTS) {
        const unsigned mask = group_size == WARP ? ALL : ((1u << group_size) - 1) << (threadIdx.x % WARP - member);
        unsigned own[SLOTS_EACH];
        int place[SLOTS_EACH] = {}, long_place[SLOTS_EACH] = {}, read = 0, long_count = 0, count = 0;
#pragma unroll
        for (int k = 0; k < SLOTS_EACH; ++k) {
            const int slot = member + k * group_size;
            own[k] = slot < found ? runs[static_cast<long long>(row) * SLOTS + slot] : 0;
        }
        for (int slot = 0; slot < found; ++slot) {
            unsigned code = 0;
#pragma unroll
            for (int k = 0; k < SLOTS_EACH; ++k) {
                if (slot / group_size == k) code = __shfl_sync(mask, own[k], slot % group_size, group_size);
            }
            const Run run = Run::decoded(code);
#pragma unroll
            for (int k = 0; k < SLOTS_EACH; ++k) {
                if (code < own[k]) place[k] += run.edges(), long_place[k] += run.is_long();
            }
            read += run.edges(), long_count += run.is_long(), count += run.length;
        }
        const int base = group * SLOTS * SHORT_RUN;
        const Items<W> list{listed + base, factors + (W == Weights::none ? 0 : base), long_ones + group * SLOTS};
#pragma unroll
        for (int k = 0; k < SLOTS_EACH; ++k) {
            if (own[k] != 0) list.list(values, Run::decoded(own[k]), place[k], long_place[k]);
        }
        __syncwarp(mask);
        const int at = first_element + member * N;
        float total[N];
#pragma unroll
        for (int n = 0; n < N; ++n) total[n] = identity<A>();
        if (at < inner) {
            list.template reduce_edges<A>(total, edges, 0, read, at);
            list.template reduce_partials<A>(total, partials, stride, 0, long_count, at);
        }
        finish(row, total, count, at);
    } else if (row < rows && member == 0) {
        crowded[atomicAdd(&crowded_count, 1)] = row;
    }
    __syncthreads();

    // The block shares each of the other rows, of which a thread looks into a chunk at a time.
    const int lane = threadIdx.x % WARP, warp = threadIdx.x / WARP, lanes = 1 << lanes_log2, parts_log2 = 5 - lanes_log2;
    const int part = lane >> lanes_log2, at = first_element + lane % lanes * N;
    const Items<W> list{listed, factors, long_ones};
    for (int number = 0; number < crowded_count; ++number) {
        const unsigned crowded_row = crowded[number];
        float total[N];
#pragma unroll
        for (int n = 0; n < N; ++n) total[n] = identity<A>();
        int count = 0;
        for (int first_chunk = 0; first_chunk < chunks; first_chunk += THREADS) {
            Run run{first_chunk + static_cast<int>(threadIdx.x), 0, 0};
            if (run.chunk < chunks) {
                run.start = lower_bound(keys + run.chunk * CHUNK, crowded_row);
                run.length = lower_bound(keys + run.chunk * CHUNK, crowded_row + 1) - run.start;
            }
            const int own[] = {run.edges(), run.is_long(), run.length};
            int up_to[3], before[3] = {}, all[3] = {};
#pragma unroll
            for (int k = 0; k < 3; ++k) {
                up_to[k] = inclusive_sum_over_warp(own[k]);
                if (lane == WARP - 1) of_warps[k][warp] = up_to[k];
            }
            __syncthreads();
#pragma unroll
            for (int k = 0; k < 3; ++k) {
                for (int other = 0; other < WARPS; ++other) {
                    if (other < warp) before[k] += of_warps[k][other];
                    all[k] += of_warps[k][other];
                }
            }
            count += all[2];
            list.list(values, run, before[0] + up_to[0] - own[0], before[1] + up_to[1] - own[1]);
            __syncthreads();
            const int share = warp << parts_log2 | part, shares_log2 = WARPS_LOG2 + parts_log2;
            const auto from = [&](int items, int number) { return items * number >> shares_log2; };
            if (at < inner) {
                list.template reduce_edges<A>(total, edges, from(all[0], share), from(all[0], share + 1), at);
                list.template reduce_partials<A>(total, partials, stride, from(all[1], share), from(all[1], share + 1), at);
            }
            __syncthreads();
        }
        for (int step = lanes; step < WARP; step *= 2) {
#pragma unroll
            for (int n = 0; n < N; ++n) {
                const float other = __shfl_xor_sync(ALL, total[n], step);
                total[n] = lane & step ? reduced<REDUCTION<A>>(other, total[n]) : reduced<REDUCTION<A>>(total[n], other);
            }
        }
        if (part == 0) copy_floats<N>(parts[warp] + lane * N, total);
        __syncthreads();
        if (warp == 0 && part == 0) {
            for (int other = 1; other < WARPS; ++other) {
#pragma unroll
                for (int n = 0; n < N; ++n) total[n] = reduced<REDUCTION<A>>(total[n], parts[other][lane * N + n]);
            }
            finish(crowded_row, total, count, at);
        }
        __syncthreads();
    }
}
