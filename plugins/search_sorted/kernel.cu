// SearchSorted: each value is searched for by halving, with the steps of torch's kernel, so that results are the same also
// where a sequence is not sorted or has NaN. A thread takes several values at once, whose loads overlap.
//
// The steps form a tree: of n elements the middle one is asked first, then the middle one of either half. Where many values
// are looked up in one sequence, a block keeps the upper LEVELS of the tree in shared memory, level by level, so that lanes
// which ask for different elements of a level find them in different banks.

#include <cuda_bf16.h>
#include <cuda_fp16.h>

using pluginkit::ITEMS, pluginkit::LEVELS, pluginkit::THREADS;  // from __init__.py

// Floats of 16 bits are compared as float32.
template <typename T> struct Compared { using type = T; };
template <> struct Compared<__half> { using type = float; };
template <> struct Compared<__nv_bfloat16> { using type = float; };

// The elements among which the place of a value is.
struct Range {
    int begin;
    int end;

    __device__ __forceinline__ bool is_open() const { return begin < end; }
    __device__ __forceinline__ int middle() const { return begin + (end - begin) / 2; }
    // Keep the part behind the middle, or that before it.
    __device__ __forceinline__ void halve(bool is_behind) { (is_behind ? begin : end) = middle() + is_behind; }
};

// Whether the value's place is behind an element; behind all for NaN.
template <bool RIGHT, typename T> __device__ __forceinline__ bool is_behind(T value, T element) {
    return RIGHT ? !(element > value) : !(element >= value);
}

// Values [batch, row_values] are looked up in sequences [batch, size], or in a single one if `sequence_stride` is 0. With TREE
// a block takes `rounds` times THREADS * ITEMS values of one row, of which each has `row_blocks` blocks; otherwise it takes as
// many of all values.
template <typename T, typename Index, bool RIGHT, bool TREE>
__global__ void __launch_bounds__(THREADS)
    search_sorted(Index* __restrict__ y, const T* __restrict__ sequences, const T* __restrict__ values, long long count,
                  long long row_values, long long sequence_stride, int size, int row_blocks, int rounds) {
    using C = typename Compared<T>::type;
    __shared__ C tree[TREE ? 1 << LEVELS : 1];
    long long first = static_cast<long long>(blockIdx.x) * rounds * THREADS * ITEMS, end = count;
    const T* sequence = sequences;
    if (TREE) {
        const long long row = blockIdx.x / row_blocks;
        first = row * row_values + static_cast<long long>(blockIdx.x % row_blocks) * rounds * THREADS * ITEMS;
        end = min((row + 1) * row_values, first + static_cast<long long>(rounds) * THREADS * ITEMS);
        sequence += row * sequence_stride;
        for (int node = 1 + threadIdx.x; node < 1 << LEVELS; node += THREADS) {
            Range range = {0, size};
            for (int level = 30 - __clz(node); level >= 0 && range.is_open(); --level) range.halve(node >> level & 1);
            if (range.is_open()) tree[node] = static_cast<C>(sequence[range.middle()]);
        }
        __syncthreads();
    }
    for (int round = 0; round < rounds; ++round, first += THREADS * ITEMS) {
        C value[ITEMS];
        Range range[ITEMS];
        const T* own[ITEMS];
#pragma unroll
        for (int i = 0; i < ITEMS; ++i) {
            const long long at = first + i * THREADS + threadIdx.x;
            const bool is_there = at < end;
            value[i] = is_there ? static_cast<C>(values[at]) : C(0);
            range[i] = {0, is_there ? size : 0};
            own[i] = TREE || sequence_stride == 0 || !is_there ? sequence : sequence + at / row_values * sequence_stride;
        }
        if (TREE) {
            int node[ITEMS];
#pragma unroll
            for (int i = 0; i < ITEMS; ++i) node[i] = 1;
            for (int level = 0; level < LEVELS && size >> level > 0; ++level) {
#pragma unroll
                for (int i = 0; i < ITEMS; ++i) {
                    if (!range[i].is_open()) continue;
                    const bool is_right = is_behind<RIGHT>(value[i], tree[node[i]]);
                    range[i].halve(is_right);
                    node[i] = 2 * node[i] + is_right;
                }
            }
        }
        bool is_open = true;
        while (is_open) {
            is_open = false;
#pragma unroll
            for (int i = 0; i < ITEMS; ++i) {
                if (!range[i].is_open()) continue;
                range[i].halve(is_behind<RIGHT>(value[i], static_cast<C>(own[i][range[i].middle()])));
                is_open = is_open || range[i].is_open();
            }
        }
#pragma unroll
        for (int i = 0; i < ITEMS; ++i) {
            const long long at = first + i * THREADS + threadIdx.x;
            if (at < end) y[at] = static_cast<Index>(range[i].begin);
        }
    }
}
