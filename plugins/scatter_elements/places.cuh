// Find the element of data that an update goes to.

#pragma once

#include "../_cuda/device.cuh"

// The updates' dimensions, outermost first, adjacent ones merged if data allows it, and their strides in data. The
// stride along the axis is 0, since there the index decides.
template <typename Offset, int RANK> struct Geometry {
    Offset size[RANK];
    Offset stride[RANK];

    // Return `start` plus the offset of an update in data, without its index along the axis.
    __device__ __forceinline__ Offset target(Offset start, Offset update) const {
        Offset rest = update;
#pragma unroll
        for (int dim = RANK - 1; dim > 0; --dim) {
            if (rest < size[dim]) return start + rest * stride[dim];  // so are all updates of vectors
            const Offset outer = rest / size[dim];
            start += (rest - outer * size[dim]) * stride[dim];
            rest = outer;
        }
        return start + rest * stride[0];
    }
};

// Return an index counted from 0, or -1 if it is out of range.
template <typename Tind> __device__ __forceinline__ int place_of(Tind index, int size) {
    const Tind place = index < 0 ? index + size : index;
    return static_cast<Bits<Tind>>(place) < static_cast<Bits<Tind>>(size) ? static_cast<int>(place) : -1;
}
