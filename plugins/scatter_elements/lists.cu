// Lists of single elements, deterministic: each output element has a list of updates, which is sorted before the updates
// are combined. The ordered_rows variant leaves irregular rows to it, and with Reduction::none it needs no more.

#include "../_cuda/reduce.cuh"
#include "../_cuda/row_lists.cuh"
#include "places.cuh"
#include "sorted_list.cuh"

constexpr int NO_UPDATE = UNTOUCHED;  // an empty list, and the end of one

// After the ordered_rows variant: whether it has done everything, as usual. There is no state if nothing came before.
__device__ __forceinline__ bool is_done(const RowState* state) {
    return state != nullptr && state->has_irregular_row == UNTOUCHED;
}

// Empty the lists of all elements, if they are needed.
__global__ void empty_heads(int* heads, unsigned int count, const RowState* state) {
    if (is_done(state)) return;
    const unsigned int step = gridDim.x * blockDim.x;
    for (unsigned int at = blockIdx.x * blockDim.x + threadIdx.x; at < count; at += min(step, count - at)) heads[at] = NO_UPDATE;
}

// Add each update to the list of its output element, or if there are targets only those of irregular rows. With
// KEEP_LAST only the last one is kept.
template <typename Tind, int RANK, bool KEEP_LAST>
__global__ void link_elements(const Tind* __restrict__ indices, int* heads, int* next, unsigned int count,
                              unsigned int axis_size, unsigned int axis_stride,
                              Geometry<unsigned int, RANK> geometry, const RowState* state,
                              const int* __restrict__ targets) {
    if (is_done(state)) return;
    const unsigned int step = gridDim.x * blockDim.x;
    for (unsigned int at = blockIdx.x * blockDim.x + threadIdx.x; at < count; at += min(step, count - at)) {
        if (targets != nullptr && targets[at / axis_stride] != IRREGULAR) continue;
        const int place = place_of(indices[at], static_cast<int>(axis_size));
        if (place < 0) continue;
        const unsigned int target = geometry.target(place * axis_stride, at);
        if constexpr (KEEP_LAST) atomicMax(heads + target, static_cast<int>(at));
        else next[at] = atomicExch(heads + target, static_cast<int>(at));
    }
}

// Combine each output element with its list of updates, in the order of their positions. `data` may be the output.
template <typename T, Reduction R>
__global__ void gather_elements(T* output, const T* data, const T* __restrict__ updates,
                                const int* __restrict__ heads, int* next, unsigned int total, const RowState* state) {
    if (is_done(state)) return;
    using Accumulator = typename AccumulatorOf<T>::type;
    const unsigned int step = gridDim.x * blockDim.x;
    for (unsigned int at = blockIdx.x * blockDim.x + threadIdx.x; at < total; at += min(step, total - at)) {
        int listed = heads[at];
        if (listed < 0 && data == output) continue;
        auto sum = static_cast<Accumulator>(data[at]);
        if constexpr (R == Reduction::none) {
            if (listed >= 0) sum = static_cast<Accumulator>(updates[listed]);
        } else {
            if (listed >= 0) listed = sorted_list<int, NO_UPDATE>(listed, next);
            for (; listed >= 0; listed = next[listed]) {
                sum = reduced<R>(sum, static_cast<Accumulator>(updates[listed]));
            }
        }
        output[at] = static_cast<T>(sum);
    }
}
