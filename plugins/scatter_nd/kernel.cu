// ScatterND: each tuple of indices names a row of data, and each update is a row. There are two methods:
//
//   in place   a thread reduces one element of an update, or a word of several, into a copy of data
//   lists      each output row has a list of its update rows and is written once: no atomics on values, no separate
//              copy, one rounding. Rows with very long lists are reduced in place.

#include "../_cuda/reduce.cuh"
#include "../_cuda/row_lists.cuh"

using pluginkit::MAX_DEPTH, pluginkit::WORD_BYTES;  // from launches.py

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

// Reduce all elements of an aligned word at once.
template <Reduction R, typename T>
__device__ void reduce_word(T* target, Pack<T, WORD_BYTES / sizeof(T)> update) {
    using Word = Pack<T, WORD_BYTES / sizeof(T)>;
    static_assert(sizeof(Word) == sizeof(unsigned int));
    if constexpr (R == Reduction::none) {
        *reinterpret_cast<Word*>(target) = update;
    } else if constexpr (R == Reduction::add && sizeof(T) == 2) {
        using Pair = typename PairOf<T>::type;
        atomicAdd(reinterpret_cast<Pair*>(target), *reinterpret_cast<const Pair*>(&update));
    } else {
        unsigned int* address = reinterpret_cast<unsigned int*>(target);
        unsigned int seen = *address;
        while (true) {
            const unsigned int expected = seen;
            Word both = *reinterpret_cast<const Word*>(&expected);
#pragma unroll
            for (int n = 0; n < WORD_BYTES / sizeof(T); ++n) both.value[n] = reduced<R>(both.value[n], update.value[n]);
            const unsigned int wanted = *reinterpret_cast<const unsigned int*>(&both);
            if (wanted == expected) return;
            seen = atomicCAS(address, expected, wanted);
            if (seen == expected) return;
        }
    }
}

// Offset is an unsigned type that holds the number of updates and of output elements. `inner` is the number of elements
// of a row, `total` that of data. WORD: T is narrower than a word, and rows are multiples of one. If heads is given,
// the lists have been combined before, and this kernel does the rows with long ones. Usually there are none, so a small
// grid does it in strides.
template <typename T, Reduction R, typename Offset, bool WORD>
__global__ void scatter_in_place(T* __restrict__ output, const long long* __restrict__ indices,
                                 const T* __restrict__ updates, Offset count, Offset inner, Offset total, int depth,
                                 Sizes<Offset> sizes, const RowState* state, const int* heads) {
    constexpr int N = WORD && sizeof(T) < WORD_BYTES ? WORD_BYTES / sizeof(T) : 1;
    if (state != nullptr && state->has_long_list == UNTOUCHED) return;
    const Offset packs = inner / N, step = static_cast<Offset>(gridDim.x) * blockDim.x;
    for (Offset at = static_cast<Offset>(blockIdx.x) * blockDim.x + threadIdx.x; at < count * packs; at += step) {
        const Offset update_row = at / packs;
        Offset row;
        if (!find_row(indices + update_row * depth, depth, sizes, row)) continue;
        if (heads != nullptr && heads[row] != LISTED_ELSEWHERE) continue;
        const Offset target = row * inner + (at - update_row * packs) * N;
        if constexpr (N > 1) {
            reduce_word<R>(output + target, reinterpret_cast<const Pack<T, N>*>(updates)[at]);
        } else if constexpr (R == Reduction::add && sizeof(T) == 2) {
            if ((target | 1) < total) add_to_pair(output + target, updates[at]);
            else reduce_into<R>(output + target, updates[at]);
        } else {
            reduce_into<R>(output + target, updates[at]);
        }
    }
}

// Add each row of updates to the list of its output row. With KEEP_LAST only the last one is kept.
template <bool KEEP_LAST>
__global__ void link_tuples(const long long* __restrict__ indices, int* heads, int* next, unsigned int count, int depth,
                            Sizes<unsigned int> sizes) {
    const unsigned int update_row = blockIdx.x * blockDim.x + threadIdx.x;
    if (update_row >= count) return;
    unsigned int row;
    if (!find_row(indices + static_cast<long long>(update_row) * depth, depth, sizes, row)) return;
    if constexpr (KEEP_LAST) atomicMax(heads + row, static_cast<int>(update_row));
    else next[update_row] = atomicExch(heads + row, static_cast<int>(update_row));
}
