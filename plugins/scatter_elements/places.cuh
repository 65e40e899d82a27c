// Find the place in data that an update goes to.

#pragma once

// The updates' dimensions, neighbours merged where data allows it, outermost first; and how far one step along each of
// them moves in data. The stride along the axis is 0, since there the index decides.
template <typename Offset, int RANK> struct Geometry {
    Offset size[RANK];
    Offset stride[RANK];

    // Return `start` plus how far an update lies from the first one.
    __device__ __forceinline__ Offset target(Offset start, Offset update) const {
        Offset rest = update;
#pragma unroll
        for (int dim = RANK - 1; dim > 0; --dim) {
            const Offset outer = rest / size[dim];
            start += (rest - outer * size[dim]) * stride[dim];
            rest = outer;
        }
        return start + rest * stride[0];
    }
};

// Return the cell or row that an index means, or -1 when it is out of range.
template <typename Tind> __device__ __forceinline__ int place_of(Tind index, int size) {
    const long long wide = index < 0 ? static_cast<long long>(index) + size : index;
    return wide >= 0 && wide < size ? static_cast<int>(wide) : -1;
}
