// The elements variant: each thread takes an update and reduces it into a copy of data with an atomic.
//
// Each variant has its own source: this one, tile.cu, ordered_tile.cu, column.cu, slab.cu, last.cu, rows.cu, ordered_rows.cu and
// lists.cu; variants.py chooses one for a shape. The others read data once and write the output once; they combine the updates of
// an element in the accumulator's type and round once.

#include "../_cuda/overlap.cuh"
#include "../_cuda/reduce.cuh"
#include "places.cuh"

// Offset is an unsigned type that holds the number of updates and of output elements. A thread takes VECTOR bytes of updates,
// or one if VECTOR is 1; what lies inside the axis is a multiple. Where their indices are equal, it reduces them at once.
template <typename T, typename Tind, Reduction R, typename Offset, int RANK, int VECTOR>
__global__ void scatter_elements(T* __restrict__ output, const Tind* __restrict__ indices,
                                 const T* __restrict__ updates, Offset count, Offset total, Offset axis_size,
                                 Offset axis_stride, Geometry<Offset, RANK> geometry) {
    constexpr int N = VECTOR > sizeof(T) ? VECTOR / sizeof(T) : 1;
    const Offset first = (static_cast<Offset>(blockIdx.x) * blockDim.x + threadIdx.x) * N;
    if (first >= count) return;
    const auto index = *reinterpret_cast<const Pack<Tind, N>*>(indices + first);
    const auto update = *reinterpret_cast<const Pack<T, N>*>(updates + first);
    const Offset begin = geometry.target(0, first);
    bool are_equal = N > 1;
#pragma unroll
    for (int n = 1; n < N; ++n) are_equal &= index.value[n] == index.value[0];
    wait_for_earlier_launches();
#pragma unroll
    for (int n = 0; n < N; ++n) {
        long long place = index.value[n];
        if (place < 0) place += axis_size;
        if (place < 0 || place >= static_cast<long long>(axis_size)) continue;
        const Offset target = begin + static_cast<Offset>(place) * axis_stride + n;
        if (are_equal) return reduce_pack<R>(output + target, update);
        reduce_one<R>(output, target, total, update.value[n]);
    }
}
