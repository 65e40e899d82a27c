// The elements variant: each thread takes an update and reduces it into a copy of data with an atomic.
//
// Each variant has its own source: this one, tile.cu, ordered_tile.cu, column.cu, rows.cu, ordered_rows.cu and lists.cu;
// variants.py chooses one for a shape. The others read data once and write the output once; they combine the updates of
// an element in the accumulator's type and round once.

#include "../_cuda/reduce.cuh"
#include "places.cuh"

// Offset is an unsigned type that holds the number of updates and of output elements.
template <typename T, typename Tind, Reduction R, typename Offset, int RANK>
__global__ void scatter_elements(T* __restrict__ output, const Tind* __restrict__ indices,
                                 const T* __restrict__ updates, Offset count, Offset total, Offset axis_size,
                                 Offset axis_stride, Geometry<Offset, RANK> geometry) {
    const Offset element = static_cast<Offset>(blockIdx.x) * blockDim.x + threadIdx.x;
    if (element >= count) return;
    long long index = indices[element];
    if (index < 0) index += axis_size;
    if (index < 0 || index >= static_cast<long long>(axis_size)) return;
    const Offset target = geometry.target(static_cast<Offset>(index) * axis_stride, element);
    reduce_one<R>(output, target, total, updates[element]);
}
