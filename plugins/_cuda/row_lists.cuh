// Rows of updates reduced into rows of data: a list of update rows for each output row, then each output row written
// once. Lists are made of positions; -1 ends one. rows.py has the host's part.

#pragma once

#include "reduce.cuh"

// The state of a rows launch in its workspace: 0xff bytes mean untouched.
constexpr int UNTOUCHED = -1, LISTED_ELSEWHERE = -2;
struct RowState {
    int is_uniform;  // UNTOUCHED while every row of indices is constant
    int has_long_list;  // UNTOUCHED while no output row has more updates than one group should walk
};

constexpr int LONGEST_LIST = 256;  // a longer one is left to atomics, which many threads can do at once

// Combine each output row with its list of update rows; LANES threads for each of its pieces of so many elements, which
// the grid's second dimension counts. A row is a multiple of VECTOR bytes. A row with a long list keeps its data, whichever of its pieces
// come before and after the one that finds out first.
template <typename T, Reduction R, int LANES, int VECTOR = 16>
__global__ void gather_rows(T* __restrict__ output, const T* __restrict__ data, const T* __restrict__ updates,
                            RowState* state, int* heads, const int* __restrict__ next, int rows, int inner,
                            int piece) {
    using Accumulator = typename AccumulatorOf<T>::type;
    constexpr int N = VECTOR > sizeof(T) ? VECTOR / sizeof(T) : 1;
    const int lane = threadIdx.x % LANES;
    const long long row = blockIdx.x * static_cast<long long>(blockDim.x / LANES) + threadIdx.x / LANES;
    if (row >= rows) return;
    const int head = state->is_uniform == UNTOUCHED ? heads[row] : -1;
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
