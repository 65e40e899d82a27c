// The column variant: a thread takes one column. It has an accumulator for each element along the axis in shared memory
// and applies the updates in order, without atomics. A warp takes COLUMNS columns.

#include "../_cuda/reduce.cuh"
#include "places.cuh"

using pluginkit::COLUMNS, pluginkit::COLUMN_WARPS;  // from launches.py

// DEPTH: the loads of a thread in flight. A block of one warp has many registers.
template <typename T, typename Tind, Reduction R, int DEPTH>
__global__ void __launch_bounds__(COLUMNS * COLUMN_WARPS)
    scatter_column(T* __restrict__ output, const T* __restrict__ data, const Tind* __restrict__ indices,
                   const T* __restrict__ updates, int axis_size, int count, int inner, int warps) {
    using Accumulator = typename AccumulatorOf<T>::type;
    constexpr int AT_ONCE = 2;  // updates whose sums a thread waits for together
    extern __shared__ int4 shared[];
    const int own = threadIdx.x / COLUMNS, lane = threadIdx.x % COLUMNS;
    const int warp = blockIdx.x * (blockDim.x / COLUMNS) + own, of_outer = (inner + COLUMNS - 1) / COLUMNS;
    const int column = warp % of_outer * COLUMNS + lane;
    if (warp >= warps || column >= inner) return;
    Accumulator* sums = reinterpret_cast<Accumulator*>(shared) + own * axis_size * COLUMNS + lane;
    const long long outer = warp / of_outer;
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
        for (int d = 0; d < DEPTH; d += AT_ONCE) {
            int cell[AT_ONCE];
            Accumulator each[AT_ONCE], sum[AT_ONCE];
#pragma unroll
            for (int k = 0; k < AT_ONCE; ++k) {
                cell[k] = place_of(index[d + k], d + k < left ? axis_size : 0);
                each[k] = static_cast<Accumulator>(update[d + k]);
                if (d + k + DEPTH < left) load_update(d + k);
                if (R != Reduction::none && cell[k] >= 0) sum[k] = sums[cell[k] * COLUMNS];
            }
#pragma unroll
            for (int k = 0; k < AT_ONCE; ++k) {
#pragma unroll
                for (int before = 0; before < k; ++before) {
                    if (cell[before] == cell[k]) sum[k] = sum[before];
                }
                if (cell[k] < 0) continue;
                if constexpr (R == Reduction::none) sum[k] = each[k];
                else sum[k] = reduced<R>(sum[k], each[k]);
                sums[cell[k] * COLUMNS] = sum[k];
            }
        }
    }
#pragma unroll 8
    for (int cell = 0; cell < axis_size; ++cell) {
        output[static_cast<long long>(cell) * inner] = static_cast<T>(sums[cell * COLUMNS]);
    }
}
