// The elements variant: each thread takes an update and reduces it into a copy of data with an atomic.
//
// Each variant has its own source: this one, tile.cu, column.cu, rows.cu and lists.cu; variants.py chooses one for a
// shape. The other four read data once and write the output once; they combine the updates of an element in the
// accumulator's type and round once.

#include "../_cuda/reduce.cuh"
#include "../_cuda/row_lists.cuh"
#include "places.cuh"

// Offset is an unsigned type that holds the number of updates and of output elements. If heads is given, rows.cu has
// run before, and this kernel does the rest: everything, or the rows with long lists. Usually that is nothing, so a
// small grid does it in strides: starting a million blocks that only return would take longer.
template <typename T, typename Tind, Reduction R, typename Offset, int RANK>
__global__ void scatter_elements(T* __restrict__ output, const Tind* __restrict__ indices,
                                 const T* __restrict__ updates, Offset count, Offset total, Offset axis_size,
                                 Offset axis_stride, Geometry<Offset, RANK> geometry, const RowState* state,
                                 const int* heads) {
    if (state != nullptr && state->is_uniform == UNTOUCHED && state->has_long_list == UNTOUCHED) return;
    const Offset first = static_cast<Offset>(blockIdx.x) * blockDim.x + threadIdx.x;
    for (Offset element = first; element < count; element += static_cast<Offset>(gridDim.x) * blockDim.x) {
        long long index = indices[element];
        if (index < 0) index += axis_size;
        if (index < 0 || index >= static_cast<long long>(axis_size)) continue;
        const Offset target = geometry.target(static_cast<Offset>(index) * axis_stride, element);
        if (state != nullptr && state->is_uniform == UNTOUCHED && heads[target / axis_stride] != LISTED_ELSEWHERE) {
            continue;
        }
        if constexpr (R == Reduction::add && sizeof(T) == 2) {
            if ((target | 1) < total) {
                add_to_pair(output + target, updates[element]);
                continue;
            }
        }
        reduce_into<R>(output + target, updates[element]);
    }
}
