// ScatterND: each tuple of indices names a row of data, and each update is a row. There are two methods:
//
//   in place   a thread reduces one element of an update, or a vector of several, into a copy of data
//   lists      each output row has a list of its update rows and is written once: no atomics on values, no separate
//              copy, one rounding. Many threads share the rows of a long list.

#include "../_cuda/reduce.cuh"
#include "../_cuda/row_lists.cuh"

using pluginkit::COPIES, pluginkit::MAX_DEPTH;  // from launches.py

// The dimensions of data that a tuple indexes.
template <typename Offset> struct Sizes { Offset size[MAX_DEPTH]; };

// Return whether the tuple lies inside data; set `row` to the row that it names.
template <typename Offset>
__device__ __forceinline__ bool find_row(const long long* tuple, int depth, const Sizes<Offset>& sizes, Offset& row) {
    bool is_inside = true;
    row = 0;
#pragma unroll
    for (int d = 0; d < MAX_DEPTH; ++d) {
        if (d < depth) {
            long long index = tuple[d];
            if (index < 0) index += sizes.size[d];
            is_inside &= index >= 0 && index < static_cast<long long>(sizes.size[d]);
            row = row * sizes.size[d] + static_cast<Offset>(index);
        }
    }
    return is_inside;
}

// Reduce each element of the updates into a copy of data, or each pack of VECTOR bytes, of which a row is a multiple.
// Offset is an unsigned type that holds the number of updates and of output elements. `inner` is the number of elements
// of a row, `total` that of data.
template <typename T, Reduction R, typename Offset, int VECTOR>
__global__ void scatter_in_place(T* __restrict__ output, const long long* __restrict__ indices,
                                 const T* __restrict__ updates, Offset count, Offset inner, Offset total, int depth,
                                 Sizes<Offset> sizes) {
    constexpr int N = VECTOR > sizeof(T) ? VECTOR / sizeof(T) : 1;
    const Offset packs = inner / N, at = static_cast<Offset>(blockIdx.x) * blockDim.x + threadIdx.x;
    if (at >= count * packs) return;
    const Offset update_row = at / packs;
    Offset row;
    if (!find_row(indices + update_row * depth, depth, sizes, row)) return;
    const Offset target = row * inner + (at - update_row * packs) * N;
    const auto update = load_once(reinterpret_cast<const Pack<T, N>*>(updates) + at);
    if constexpr (N == 1) reduce_one<R>(output, target, total, update.value[0]);
    else reduce_pack<R>(output + target, update);
}

// Copy bytes, COPIES vectors for each thread and the last bytes one by one. What is copied stays in the L2 cache, where
// atomics need it next.
__global__ void copy_bytes(char* __restrict__ output, const char* __restrict__ data, unsigned long long nbytes) {
    constexpr int VECTOR = sizeof(int4);
    const unsigned long long first = static_cast<unsigned long long>(blockIdx.x) * blockDim.x * COPIES + threadIdx.x;
    const unsigned long long vectors = nbytes / VECTOR;
    int4 held[COPIES];
#pragma unroll
    for (int k = 0; k < COPIES; ++k) {
        const int4* source = reinterpret_cast<const int4*>(data) + first + k * blockDim.x;
        if (first + k * blockDim.x < vectors) held[k] = __ldcs(source);
    }
#pragma unroll
    for (int k = 0; k < COPIES; ++k) {
        if (first + k * blockDim.x < vectors) reinterpret_cast<int4*>(output)[first + k * blockDim.x] = held[k];
    }
    if (first < nbytes % VECTOR) output[vectors * VECTOR + first] = data[vectors * VECTOR + first];
}

// Add each row of updates to the list of its output row. With KEEP_LAST only the last one is kept.
template <bool KEEP_LAST>
__global__ void link_tuples(const long long* __restrict__ indices, int* heads, int* next, int* targets,
                            unsigned int count, int depth, Sizes<unsigned int> sizes) {
    const unsigned int update_row = blockIdx.x * blockDim.x + threadIdx.x;
    if (update_row >= count) return;
    unsigned int row;
    const bool is_inside = find_row(indices + static_cast<long long>(update_row) * depth, depth, sizes, row);
    if constexpr (KEEP_LAST) {
        if (is_inside) atomicMax(heads + row, static_cast<int>(update_row));
    } else {
        targets[update_row] = is_inside ? static_cast<int>(row) : NO_TARGET;
        if (is_inside) next[update_row] = atomicExch(heads + row, static_cast<int>(update_row));
    }
}
