// The column variant: a thread takes one column. It has an accumulator for each element along the axis in shared memory
// and applies the updates in order, without atomics. A block is a warp.

#include "../_cuda/reduce.cuh"
#include "places.cuh"

using pluginkit::COLUMNS;  // of a block, from launches.py

template <typename T, typename Tind, Reduction R>
__global__ void __launch_bounds__(COLUMNS)
    scatter_column(T* __restrict__ output, const T* __restrict__ data, const Tind* __restrict__ indices,
                   const T* __restrict__ updates, int axis_size, int count, int inner) {
    using Accumulator = typename AccumulatorOf<T>::type;
    constexpr int DEPTH = sizeof(T) == 8 ? 16 : 32;  // loads in flight; a block of one warp has many registers
    extern __shared__ int4 shared[];
    Accumulator* sums = reinterpret_cast<Accumulator*>(shared) + threadIdx.x;
    const int blocks = (inner + COLUMNS - 1) / COLUMNS;
    const int column = blockIdx.x % blocks * COLUMNS + threadIdx.x;
    if (column >= inner) return;
    const long long outer = blockIdx.x / blocks;
    data += outer * axis_size * inner + column;
    output += outer * axis_size * inner + column;
    indices += outer * count * inner + column;
    updates += outer * count * inner + column;

    T value[DEPTH], update[DEPTH];
    Tind index[DEPTH];
    const auto load_value = [&](int d) {
        value[d] = *data;
        data += inner;
    };
    const auto load_update = [&](int d) {
        index[d] = __ldcs(indices);
        update[d] = *updates;
        indices += inner;
        updates += inner;
    };
#pragma unroll
    for (int d = 0; d < DEPTH; ++d) {
        if (d < axis_size) load_value(d);
    }
#pragma unroll
    for (int d = 0; d < DEPTH; ++d) {  // on their way while the sums begin as data
        if (d < count) load_update(d);
    }
    for (int begin = 0; begin < axis_size; begin += DEPTH) {
        const int left = axis_size - begin;
#pragma unroll
        for (int d = 0; d < DEPTH; ++d) {
            if (d < left) sums[(begin + d) * COLUMNS] = static_cast<Accumulator>(value[d]);
            if (d + DEPTH < left) load_value(d);
        }
    }
    for (int begin = 0; begin < count; begin += DEPTH) {
        const int left = count - begin;
#pragma unroll
        for (int d = 0; d < DEPTH; ++d) {
            const int cell = place_of(index[d], d < left ? axis_size : 0);
            const auto each = static_cast<Accumulator>(update[d]);
            if (d + DEPTH < left) load_update(d);
            if (cell < 0) continue;
            Accumulator& sum = sums[cell * COLUMNS];
            if constexpr (R == Reduction::none) sum = each;
            else sum = reduced<R>(sum, each);
        }
    }
#pragma unroll 8
    for (int cell = 0; cell < axis_size; ++cell) {
        output[static_cast<long long>(cell) * inner] = static_cast<T>(sums[cell * COLUMNS]);
    }
}
