// Reduce rows of updates into rows of data: link_rows, or a similar kernel, adds every row of updates to the list of
// its output row and notes which row that is; gather_rows writes each output row once. A list is linked by row
// positions; a negative one ends it. reduce_long_lists then takes the rows of long lists, which one group of threads
// would walk for too long, and divides them among many. row_lists.py is the host side.

#pragma once

#include "reduce.cuh"

using pluginkit::EMPTY_BYTE, pluginkit::STATE_BYTES, pluginkit::VECTOR_BYTES, pluginkit::WARP_LANES;  // from row_lists.py

// The initial value of every int in the workspace: the state is untouched, and the lists are empty.
constexpr int UNTOUCHED = static_cast<int>(EMPTY_BYTE * 0x01010101u);
// A head: the list is long, and the row is a copy of its data so far.
constexpr int LISTED_ELSEWHERE = UNTOUCHED - 1;
// Targets: the row of updates goes to no row of data, or its elements go to different ones.
constexpr int NO_TARGET = UNTOUCHED, IRREGULAR = UNTOUCHED - 1;
static_assert(UNTOUCHED < 0 && LISTED_ELSEWHERE < 0, "no position in a list");

struct RowState {
    int has_irregular_row;  // UNTOUCHED while every row of indices is constant
    int has_long_list;      // UNTOUCHED while no list is longer than LONGEST_LIST
    int sampled_irregular;  // UNTOUCHED plus the irregular rows among those that one in SAMPLING warps looks at
};
static_assert(sizeof(RowState) <= STATE_BYTES);

constexpr int LONGEST_LIST = 128;

// The threads of a warp that work together: LANES of them, which take a row.
template <int LANES> struct LaneGroup {
    int lane = threadIdx.x % LANES;
    int shift = threadIdx.x % WARP_LANES / LANES * LANES;
    unsigned int members = (LANES == WARP_LANES ? ~0u : (1u << LANES % WARP_LANES) - 1) << shift;

    // Return a bit for each lane of the group where the condition holds.
    __device__ __forceinline__ unsigned int vote(bool condition) const {
        return (__ballot_sync(members, condition) & members) >> shift;
    }

    __device__ __forceinline__ int from(int value, int source) const {
        return __shfl_sync(members, value, source, LANES);
    }
};

// Return the vector of a row of updates that begins at element `at`.
template <typename T, int N>
__device__ __forceinline__ Pack<T, N> load_row(const T* updates, long long row, int inner, int at) {
    return load_once(reinterpret_cast<const Pack<T, N>*>(updates + row * inner + at));
}

// Combine each output row with its list of update rows. The grid's second dimension counts pieces of a row, each of
// `piece` elements and LANES threads. A row is a multiple of VECTOR bytes. A row with a long list becomes a copy of its
// data, in every piece, whichever piece first finds that the list is long.
template <typename T, Reduction R, int LANES, int VECTOR>
__global__ void gather_rows(T* __restrict__ output, const T* __restrict__ data, const T* __restrict__ updates,
                            RowState* state, int* heads, const int* __restrict__ next, int rows, int inner,
                            int piece) {
    using Accumulator = typename AccumulatorOf<T>::type;
    constexpr int N = VECTOR > sizeof(T) ? VECTOR / sizeof(T) : 1;
    const int lane = threadIdx.x % LANES;
    const long long row = blockIdx.x * static_cast<long long>(blockDim.x / LANES) + threadIdx.x / LANES;
    if (row >= rows) return;
    const int head = *static_cast<volatile int*>(heads + row);  // another piece may write it
    bool is_long = false;
    const int begin = blockIdx.y * piece, end = min(inner, begin + piece);
    for (int at = begin + lane * N; at < end; at += LANES * N) {
        const auto original = load_once(reinterpret_cast<const Pack<T, N>*>(data + row * inner + at));
        auto result = original;
        if constexpr (R == Reduction::none) {
            if (head >= 0) {
                result = load_row<T, N>(updates, head, inner, at);
            }
        } else if (head >= 0) {
            Accumulator sum[N];
#pragma unroll
            for (int n = 0; n < N; ++n) sum[n] = static_cast<Accumulator>(original.value[n]);
            // While one row of updates is on its way, the next one of the list is found and asked for.
            auto update = load_row<T, N>(updates, head, inner, at);
            int listed = next[head], walked = 1;
            for (; listed >= 0 && walked < LONGEST_LIST; ++walked) {
                const auto following = load_row<T, N>(updates, listed, inner, at);
                listed = next[listed];
#pragma unroll
                for (int n = 0; n < N; ++n) sum[n] = reduced<R>(sum[n], static_cast<Accumulator>(update.value[n]));
                update = following;
            }
#pragma unroll
            for (int n = 0; n < N; ++n) sum[n] = reduced<R>(sum[n], static_cast<Accumulator>(update.value[n]));
            is_long = listed >= 0;
            if (!is_long) {
#pragma unroll
                for (int n = 0; n < N; ++n) result.value[n] = static_cast<T>(sum[n]);
            }
        }
        store_once(reinterpret_cast<Pack<T, N>*>(output + row * inner + at), result);
    }
    if (!is_long || lane != 0) return;
    *static_cast<volatile int*>(heads + row) = LISTED_ELSEWHERE;
    state->has_long_list = 1;
}

// Reduce the rows of updates that belong to long lists, atomically. A group of LANES threads takes a stretch of
// `stretch` rows of updates, a multiple of LANES, and a vector of each. It combines rows with the same target before it
// reduces them into the output, so that few atomics meet there even if one row of data gets most of the updates.
template <typename T, Reduction R, int LANES, int VECTOR>
__device__ void reduce_long_lists(T* __restrict__ output, const T* __restrict__ updates,
                                  const int* __restrict__ heads, const int* __restrict__ targets, int rows, int inner,
                                  int stretch) {
    using Accumulator = typename AccumulatorOf<T>::type;
    constexpr int N = VECTOR > sizeof(T) ? VECTOR / sizeof(T) : 1;
    const LaneGroup<LANES> group;
    const long long first = (blockIdx.x * static_cast<long long>(blockDim.x / LANES) + threadIdx.x / LANES) * stretch;
    for (int begin = blockIdx.y * LANES * N; begin < inner; begin += gridDim.y * LANES * N) {
        const int at = begin + group.lane * N;
        const bool is_inside = at < inner;
        Accumulator sum[N];
        int held = NO_TARGET;  // the target of the sum
        const auto flush = [&] {
            if (held == NO_TARGET || !is_inside) return;
            Pack<T, N> total;
#pragma unroll
            for (int n = 0; n < N; ++n) total.value[n] = static_cast<T>(sum[n]);
            reduce_pack<R>(output + static_cast<long long>(held) * inner + at, total);
        };
        for (long long window = first; window < min(first + stretch, static_cast<long long>(rows)); window += LANES) {
            int target = window + group.lane < rows ? targets[window + group.lane] : NO_TARGET;
            if (target >= 0 && heads[target] != LISTED_ELSEWHERE) target = NO_TARGET;
            unsigned int rest = group.vote(target >= 0);
            while (rest != 0) {
                unsigned int same = group.vote(target >= 0 && target == held) & rest;
                bool is_first = same == 0;
                if (is_first) {
                    flush();
                    held = group.from(target, __ffs(rest) - 1);
                    same = group.vote(target == held);
                }
                rest &= ~same;
                for (; same != 0; same &= same - 1) {
                    if (!is_inside) continue;
                    const auto update = load_row<T, N>(updates, window + __ffs(same) - 1, inner, at);
#pragma unroll
                    for (int n = 0; n < N; ++n) {
                        const auto value = static_cast<Accumulator>(update.value[n]);
                        sum[n] = is_first ? value : reduced<R>(sum[n], value);
                    }
                    is_first = false;
                }
            }
        }
        flush();
    }
}

// The same as a kernel.
template <typename T, Reduction R, int LANES, int VECTOR>
__global__ void finish_long_lists(T* __restrict__ output, const T* __restrict__ updates, const RowState* state,
                                  const int* __restrict__ heads, const int* __restrict__ targets, int rows, int inner,
                                  int stretch) {
    if (state->has_long_list == UNTOUCHED) return;
    reduce_long_lists<T, R, LANES, VECTOR>(output, updates, heads, targets, rows, inner, stretch);
}
