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
    constexpr int DEPTH = sizeof(T) == 8 ? 32 : 64;  // updates in flight; a block of one warp has many registers
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

    Tind index[DEPTH];
    T update[DEPTH];
#pragma unroll
    for (int d = 0; d < DEPTH; ++d) {
        if (d < count) {
            index[d] = __ldcs(indices + static_cast<long long>(d) * inner);
            update[d] = updates[static_cast<long long>(d) * inner];
        }
    }
#pragma unroll 32
    for (int cell = 0; cell < axis_size; ++cell) {
        sums[cell * COLUMNS] = static_cast<Accumulator>(data[static_cast<long long>(cell) * inner]);
    }
    for (int begin = 0; begin < count; begin += DEPTH) {
#pragma unroll
        for (int d = 0; d < DEPTH; ++d) {
            const int position = begin + d, ahead = position + DEPTH;
            const int cell = position < count ? place_of(index[d], axis_size) : -1;
            const auto value = static_cast<Accumulator>(update[d]);
            if (ahead < count) {
                index[d] = __ldcs(indices + static_cast<long long>(ahead) * inner);
                update[d] = updates[static_cast<long long>(ahead) * inner];
            }
            if (cell < 0) continue;
            Accumulator& sum = sums[cell * COLUMNS];
            if constexpr (R == Reduction::none) sum = value;
            else sum = reduced<R>(sum, value);
        }
    }
#pragma unroll 32
    for (int cell = 0; cell < axis_size; ++cell) {
        output[static_cast<long long>(cell) * inner] = static_cast<T>(sums[cell * COLUMNS]);
    }
}
