// The last variant, for Reduction::none where each element of data has many updates: a block takes some columns along the axis,
// and reads their indices from the last one back, only until it knows the last update of each element.

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include "../_cuda/division.cuh"
#include "places.cuh"

using pluginkit::SLAB_BLOCK, pluginkit::SLAB_LOADS;  // from slabs.py

// `columns` is how many of `inner` columns a block takes.
template <typename T, typename Tind>
__global__ void __launch_bounds__(SLAB_BLOCK)
    scatter_last(T* __restrict__ output, const T* __restrict__ data, const Tind* __restrict__ indices,
                 const T* __restrict__ updates, int axis_size, int count, int inner, Divisor columns) {
    extern __shared__ int4 shared[];
    volatile int* const last = reinterpret_cast<int*>(shared);  // the last update of each cell along the axis, or -1
    const int width = columns.count, groups = (inner + width - 1) / width;
    const int first_column = blockIdx.x % groups * width, own_columns = min(width, inner - first_column);
    const long long outer = blockIdx.x / groups;
    data += outer * axis_size * inner + first_column;
    output += outer * axis_size * inner + first_column;
    indices += outer * count * inner + first_column;
    updates += outer * count * inner + first_column;
    const int step = blockDim.x, cells = axis_size * width, positions = count * width;
    for (int cell = threadIdx.x; cell < cells; cell += step) {
        int row = cell;
        last[cell] = columns.split(row) < own_columns ? -1 : 0;  // those without a column need no update
    }
    __syncthreads();
    int wanted = threadIdx.x;  // the first cell of this thread that may have no update yet
    for (int begin = threadIdx.x, any = 1; any; begin += SLAB_LOADS * step) {
        Tind index[SLAB_LOADS];
        int row[SLAB_LOADS], column[SLAB_LOADS];
#pragma unroll
        for (int k = 0; k < SLAB_LOADS; ++k) {
            const int position = begin + k * step;
            int before_last = position;
            column[k] = columns.split(before_last);
            row[k] = position < positions && column[k] < own_columns ? count - 1 - before_last : -1;
            if (row[k] >= 0) index[k] = indices[static_cast<long long>(row[k]) * inner + column[k]];
        }
#pragma unroll
        for (int k = 0; k < SLAB_LOADS; ++k) {
            const int place = place_of(index[k], row[k] < 0 ? 0 : axis_size);
            if (place < 0) continue;
            const int cell = place * width + column[k];
            if (last[cell] < row[k]) atomicMax(const_cast<int*>(last) + cell, row[k]);
        }
        __syncthreads();
        while (wanted < cells && last[wanted] >= 0) wanted += step;
        const bool is_left = begin - static_cast<int>(threadIdx.x) + SLAB_LOADS * step < positions;
        any = __syncthreads_or(wanted < cells) && is_left;
    }
    for (int cell = threadIdx.x; cell < cells; cell += step) {
        int row = cell;
        const int column = columns.split(row);
        if (column >= own_columns) continue;
        const long long at = static_cast<long long>(row) * inner + column;
        const int update = last[cell];
        output[at] = update < 0 ? data[at] : updates[static_cast<long long>(update) * inner + column];
    }
}
