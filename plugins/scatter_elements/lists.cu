// The lists variant, which is deterministic for any shape: each output element has a list of updates, which is sorted
// before the updates are combined.

#include "../_cuda/reduce.cuh"
#include "places.cuh"
#include "sorted_list.cuh"

using pluginkit::EMPTY_BYTE;  // from launches.py

constexpr int NO_UPDATE = static_cast<int>(EMPTY_BYTE * 0x01010101u);  // an empty list, and the end of one

// Add each update to the list of its output element.
template <typename Tind, int RANK>
__global__ void link_elements(const Tind* __restrict__ indices, int* heads, int* next, unsigned int count,
                              unsigned int axis_size, unsigned int axis_stride,
                              Geometry<unsigned int, RANK> geometry) {
    const unsigned int element = blockIdx.x * blockDim.x + threadIdx.x;
    if (element >= count) return;
    const int place = place_of(indices[element], static_cast<int>(axis_size));
    if (place < 0) return;
    const unsigned int target = geometry.target(place * axis_stride, element);
    next[element] = atomicExch(heads + target, static_cast<int>(element));
}

// Combine each output element with its list of updates, in the order of their positions.
template <typename T, Reduction R>
__global__ void gather_elements(T* __restrict__ output, const T* __restrict__ data, const T* __restrict__ updates,
                                const int* __restrict__ heads, int* next, unsigned int total) {
    using Accumulator = typename AccumulatorOf<T>::type;
    const unsigned int element = blockIdx.x * blockDim.x + threadIdx.x;
    if (element >= total) return;
    int listed = heads[element];
    auto sum = static_cast<Accumulator>(data[element]);
    if (listed >= 0) listed = sorted_list<int, NO_UPDATE>(listed, next);
    for (; listed >= 0; listed = next[listed]) {
        const auto update = static_cast<Accumulator>(updates[listed]);
        if constexpr (R == Reduction::none) sum = update;
        else sum = reduced<R>(sum, update);
    }
    output[element] = static_cast<T>(sum);
}
