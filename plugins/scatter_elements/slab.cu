// The slab variant, for an axis that is not the last dimension: a block takes some columns of data along the axis, or all
// columns of one outer index or more. It has a sum for each of their elements in shared memory, into which its threads reduce
// updates by atomics; threads beside each other take columns beside each other.

#include "../_cuda/division.cuh"
#include "cells.cuh"
#include "places.cuh"

using pluginkit::SLAB_BLOCK, pluginkit::SLAB_LOADS;  // from slabs.py

// `columns` is how many of `inner` columns a block takes, `slabs` how many outer indices, of `outer` in all: one unless it
// takes all columns.
template <typename T, typename Tind, Reduction R>
__global__ void __launch_bounds__(SLAB_BLOCK)
    scatter_slab(T* __restrict__ output, const T* __restrict__ data, const Tind* __restrict__ indices,
                 const T* __restrict__ updates, int axis_size, Divisor count, int inner, Divisor columns, int slabs, int outer) {
    using Sum = typename SumOf<T>::type;
    extern __shared__ int4 shared[];
    Sum* const sums = reinterpret_cast<Sum*>(shared);
    const int width = columns.count, groups = (inner + width - 1) / width;
    const int first_column = blockIdx.x % groups * width, first = blockIdx.x / groups * slabs;
    const int present = min(slabs, outer - first), own_columns = min(width, inner - first_column);
    const int rows = present * static_cast<int>(count.count);
    const long long start = static_cast<long long>(first) * inner;
    data += start * axis_size + first_column;
    output += start * axis_size + first_column;
    indices += start * count.count + first_column;
    updates += start * count.count + first_column;
    Tind index[SLAB_LOADS];
    T update[SLAB_LOADS];
    int row[SLAB_LOADS], column[SLAB_LOADS];
    const int step = blockDim.x, last = rows * width;
    const auto load = [&](int begin) {
#pragma unroll
        for (int k = 0; k < SLAB_LOADS; ++k) {
            row[k] = begin + k * step;
            column[k] = columns.split(row[k]);
            if (column[k] >= own_columns) row[k] = rows;
            if (row[k] >= rows) continue;
            const long long at = static_cast<long long>(row[k]) * inner + column[k];
            index[k] = __ldcs(indices + at);
            update[k] = updates[at];
        }
    };
    // Return where a sum's element is, or -1 if there is none.
    const auto offset_of = [&](int cell) {
        const int column = columns.split(cell);
        return column < own_columns ? static_cast<long long>(cell) * inner + column : -1;
    };
    const int cells = present * axis_size * width;
    load(threadIdx.x);  // on their way while the sums begin as data
#pragma unroll 4
    for (int place = threadIdx.x; place < cells; place += step) {
        const long long at = offset_of(place);
        if (at >= 0) sums[place] = static_cast<Sum>(data[at]);
    }
    __syncthreads();
    for (int begin = threadIdx.x; begin < last; begin += SLAB_LOADS * step) {
        int cell[SLAB_LOADS];
        Sum value[SLAB_LOADS];
#pragma unroll
        for (int k = 0; k < SLAB_LOADS; ++k) {
            const int place = place_of(index[k], row[k] < rows ? axis_size : 0);
            int slab = row[k];
            if (slabs > 1) count.split(slab);
            else slab = 0;
            cell[k] = place < 0 ? place : (slab * axis_size + place) * width + column[k];
            value[k] = static_cast<Sum>(update[k]);
        }
        load(begin + SLAB_LOADS * step);
#pragma unroll
        for (int k = 0; k < SLAB_LOADS; ++k) {
            if (cell[k] >= 0) reduce_into<R>(sums + cell[k], value[k]);
        }
    }
    __syncthreads();
#pragma unroll 4
    for (int place = threadIdx.x; place < cells; place += step) {
        const long long at = offset_of(place);
        if (at >= 0) output[at] = static_cast<T>(sums[place]);
    }
}
