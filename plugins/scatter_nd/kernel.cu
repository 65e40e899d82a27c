// ScatterND: each tuple of indices names a row of data, and each update is a row. There are three methods:
//
//   few        each thread takes a vector of data and looks at all tuples, at most one for each lane of a warp
//   in place   a thread reduces one element of an update, or a vector of several, into a copy of data
//   lists      each output row has a list of its update rows and is written once: no atomics on values, no separate
//              copy, one rounding. Many threads share what is left of long lists.

#include "../_cuda/overlap.cuh"
#include "../_cuda/reduce.cuh"
#include "../_cuda/row_lists.cuh"
#include "tuples.cuh"

using pluginkit::LINKED;  // from launches.py

// Combine each vector of data with its updates. A row has `width` vectors, and there are at most WARP_LANES tuples, of
// which the last one wins with Reduction::none.
template <typename T, Reduction R, int VECTOR>
__global__ void combine_few(T* __restrict__ output, const T* __restrict__ data, const long long* __restrict__ indices,
                            const T* __restrict__ updates, int count, int depth, Sizes<unsigned int> sizes,
                            unsigned int vectors, unsigned int width) {
    using Accumulator = typename AccumulatorOf<T>::type;
    constexpr int N = VECTOR > sizeof(T) ? VECTOR / sizeof(T) : 1;
    const int lane = threadIdx.x % WARP_LANES;
    const unsigned int vector = min(blockIdx.x * blockDim.x + threadIdx.x, vectors - 1), row = vector / width;
    auto result = load_once(reinterpret_cast<const Pack<T, N>*>(data) + vector);
    unsigned int named = 0;
    if (lane >= count || !find_row(indices + lane * depth, depth, sizes, named)) named = ~0u;  // no row
    unsigned int tuples = 0;  // a bit for each that names the row
    for (int first = 0; first < count; first += UPDATES_AT_ONCE) {
#pragma unroll
        for (int tuple = first; tuple < first + UPDATES_AT_ONCE; ++tuple) {
            tuples |= static_cast<unsigned int>(__shfl_sync(~0u, named, tuple) == row) << tuple;
        }
    }
    const auto load_update = [&](unsigned int tuple) {
        return load_once(reinterpret_cast<const Pack<T, N>*>(updates) + tuple * width + vector % width);
    };
    if constexpr (R == Reduction::none) {
        if (tuples != 0) result = load_update(WARP_LANES - 1 - __clz(tuples));
    } else if (tuples != 0) {
        Accumulator sum[N];
#pragma unroll
        for (int n = 0; n < N; ++n) sum[n] = static_cast<Accumulator>(result.value[n]);
        while (tuples != 0) {
            Pack<T, N> update[UPDATES_AT_ONCE];
            bool is_update[UPDATES_AT_ONCE];
#pragma unroll
            for (int k = 0; k < UPDATES_AT_ONCE; ++k) {
                is_update[k] = tuples != 0;
                if (is_update[k]) update[k] = load_update(__ffs(tuples) - 1);
                tuples &= tuples - 1;
            }
#pragma unroll
            for (int k = 0; k < UPDATES_AT_ONCE; ++k) {
                if (!is_update[k]) continue;
#pragma unroll
                for (int n = 0; n < N; ++n) {
                    sum[n] = reduced<R>(sum[n], static_cast<Accumulator>(update[k].value[n]));
                }
            }
        }
#pragma unroll
        for (int n = 0; n < N; ++n) result.value[n] = static_cast<T>(sum[n]);
    }
    reinterpret_cast<Pack<T, N>*>(output)[vector] = result;
}

// Reduce each element of the updates into a copy of data, or each pack of VECTOR bytes, of which a row is a multiple.
// Offset is an unsigned type that holds the number of updates and of output elements. `inner` is the number of elements
// of a row, `total` that of data.
template <typename T, Reduction R, typename Offset, int VECTOR>
__global__ void scatter_in_place(T* __restrict__ output, const long long* __restrict__ indices,
                                 const T* __restrict__ updates, Offset count, Offset inner, Offset total, int depth,
                                 Sizes<Offset> sizes) {
    constexpr int N = VECTOR > sizeof(T) ? VECTOR / sizeof(T) : 1;
    const Offset packs = inner / N, at = static_cast<Offset>(blockIdx.x) * blockDim.x + threadIdx.x;
    if (at >= count * packs) return;
    const auto update = load_once(reinterpret_cast<const Pack<T, N>*>(updates) + at);  // while indices are on their way
    const Offset update_row = at / packs;
    Offset row;
    if (!find_row(indices + update_row * depth, depth, sizes, row)) return;
    wait_for_earlier_launches();
    const Offset target = row * inner + (at - update_row * packs) * N;
    if constexpr (N == 1) reduce_one<R>(output, target, total, update.value[0]);
    else reduce_pack<R>(output + target, update);
}

// Link each row of updates into the list of its output row, up to LINKED of them by each thread. With KEEP_LAST only the
// last one is kept.
template <bool KEEP_LAST>
__global__ void link_tuples(const long long* __restrict__ indices, int* __restrict__ heads, int* __restrict__ next,
                            int* __restrict__ targets, unsigned int count, int depth, Sizes<unsigned int> sizes) {
    const unsigned int first = blockIdx.x * blockDim.x + threadIdx.x, step = gridDim.x * blockDim.x;
    int target[LINKED], following[LINKED];
#pragma unroll
    for (int k = 0; k < LINKED; ++k) {
        const unsigned int update = first + k * step;
        unsigned int row;
        const bool is_inside = update < count && find_row(indices + static_cast<long long>(update) * depth, depth, sizes, row);
        target[k] = is_inside ? static_cast<int>(row) : NO_TARGET;
    }
    if constexpr (KEEP_LAST) {
#pragma unroll
        for (int k = 0; k < LINKED; ++k) {
            if (target[k] >= 0) atomicMax(heads + target[k], static_cast<int>(first + k * step));
        }
    } else {
        link_updates(heads, static_cast<int>(first), static_cast<int>(step), target, following);
#pragma unroll
        for (int k = 0; k < LINKED; ++k) {
            const unsigned int update = first + k * step;
            if (update >= count) continue;
            targets[update] = target[k];
            next[update] = following[k];
        }
    }
}
