// Reduce rows of updates into rows of data: link_rows, or a similar kernel, adds every row of updates to the list of
// its output row, and gather_rows writes each output row once. A list is linked by row positions; a negative one ends
// it. row_lists.py is the host side.

#pragma once

#include "reduce.cuh"

using pluginkit::EMPTY_BYTE, pluginkit::STATE_BYTES, pluginkit::VECTOR_BYTES;  // from row_lists.py

// The initial value of every int in the workspace: the state is untouched, and the lists are empty.
constexpr int UNTOUCHED = static_cast<int>(EMPTY_BYTE * 0x01010101u);
constexpr int LISTED_ELSEWHERE = UNTOUCHED - 1;
static_assert(UNTOUCHED < 0 && LISTED_ELSEWHERE < 0, "no position in a list");

struct RowState {
    int is_uniform;     // UNTOUCHED while every row of indices is constant
    int has_long_list;  // UNTOUCHED while no list is longer than LONGEST_LIST
};
static_assert(sizeof(RowState) <= STATE_BYTES);

constexpr int LONGEST_LIST = 256;  // the rows of a longer list are reduced by atomics, which spread over many threads

// Combine each output row with its list of update rows. The grid's second dimension counts pieces of a row, each of
// `piece` elements and LANES threads. A row is a multiple of VECTOR bytes. A row with a long list becomes a copy of its
// data, in every piece, whichever piece first finds that the list is long.
template <typename T, Reduction R, int LANES, int VECTOR = VECTOR_BYTES>
__global__ void gather_rows(T* __restrict__ output, const T* __restrict__ data, const T* __restrict__ updates,
                            RowState* state, int* heads, const int* __restrict__ next, int rows, int inner,
                            int piece) {
    using Accumulator = typename AccumulatorOf<T>::type;
    constexpr int N = VECTOR > sizeof(T) ? VECTOR / sizeof(T) : 1;
    const int lane = threadIdx.x % LANES;
    const long long row = blockIdx.x * static_cast<long long>(blockDim.x / LANES) + threadIdx.x / LANES;
    if (row >= rows) return;
    const int head = state->is_uniform == UNTOUCHED ? heads[row] : UNTOUCHED;
    bool is_long = false;
    const int begin = blockIdx.y * piece, end = min(inner, begin + piece);
    for (int at = begin + lane * N; at < end; at += LANES * N) {
        const auto original = load_once(reinterpret_cast<const Pack<T, N>*>(data + row * inner + at));
        auto result = original;
        if constexpr (R == Reduction::none) {
            if (head >= 0) {
                const T* update = updates + static_cast<long long>(head) * inner + at;
                result = load_once(reinterpret_cast<const Pack<T, N>*>(update));
            }
        } else if (head >= 0) {
            Accumulator sum[N];
#pragma unroll
            for (int n = 0; n < N; ++n) sum[n] = static_cast<Accumulator>(original.value[n]);
            int listed = head, walked = 0;
            while (listed >= 0 && walked++ < LONGEST_LIST) {
                const T* source = updates + static_cast<long long>(listed) * inner + at;
                listed = next[listed];
                const auto update = load_once(reinterpret_cast<const Pack<T, N>*>(source));
#pragma unroll
                for (int n = 0; n < N; ++n) sum[n] = reduced<R>(sum[n], static_cast<Accumulator>(update.value[n]));
            }
            is_long = listed >= 0;
            if (!is_long) {
#pragma unroll
                for (int n = 0; n < N; ++n) result.value[n] = static_cast<T>(sum[n]);
            }
        }
        store_once(reinterpret_cast<Pack<T, N>*>(output + row * inner + at), result);
    }
    if (!is_long) return;
    __syncwarp(__activemask());  // every lane has read the head
    if (lane == 0) {
        heads[row] = LISTED_ELSEWHERE;
        state->has_long_list = 1;
    }
}
