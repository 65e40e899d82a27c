// SearchSorted: each value is searched for by halving, with the steps of torch's kernel, so that results are the same also
// where a sequence is not sorted or has NaN. The steps form a tree: of n elements the middle one is asked first, then the
// middle one of either half.
//
//   search_in_tree  many values in one sequence: a block keeps the upper levels of the tree in shared memory, level by level,
//                   so that lanes which ask for different elements of a level find them in different banks. It keeps where
//                   ranges begin up to FINE levels above the last of these, and halves from there
//   search_in_rows  some values, or few in each of many sequences: a thread takes one or several, whose loads overlap
//   search_by_warps few values: a warp takes one, and asks for the elements of WARP_LEVELS levels at once

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include "../_cuda/division.cuh"

// From launches.py.
using pluginkit::FINE, pluginkit::LEVELS, pluginkit::THREADS, pluginkit::TREE_ITEMS, pluginkit::TREE_THREADS,
    pluginkit::WARP_LEVELS;

// Floats of 16 bits are compared as float32.
template <typename T> struct Compared { using type = T; };
template <> struct Compared<__half> { using type = float; };
template <> struct Compared<__nv_bfloat16> { using type = float; };

// The elements among which the place of a value is.
struct Range {
    int begin;
    int end;

    __device__ __forceinline__ bool is_open() const { return begin < end; }
    __device__ __forceinline__ int middle() const { return (static_cast<unsigned int>(begin) + end) / 2; }
    // Keep the part behind the middle, or that before it.
    __device__ __forceinline__ void halve(bool is_behind) {
        const int at = middle();
        begin = is_behind ? at + 1 : begin, end = is_behind ? end : at;
    }
    // Go down to a node of the tree; the children of node i are 2i and 2i + 1, and the root is 1.
    __device__ __forceinline__ void descend(int node) {
        for (int level = 30 - __clz(node); level >= 0 && is_open(); --level) halve(node >> level & 1);
    }
};

// Whether the value's place is behind an element; behind all for NaN.
template <bool RIGHT, typename C> __device__ __forceinline__ bool is_behind(C value, C element) {
    return RIGHT ? !(element > value) : !(element >= value);
}

// The values [batch, row_values], and the sequences [batch, size], or a single one if `stride` is 0.
struct Shapes {
    long long count;  // of values
    long long stride;
    long long size;
    Divisor row_values;
};

// Search in sequences of `size` elements until the ranges are empty. Elements are read where a range is empty, too, so that
// no branch keeps the reads apart: then halving changes nothing.
template <bool RIGHT, typename T, typename C, int ITEMS>
__device__ __forceinline__ void search(const T* const (&sequence)[ITEMS], int size, const C (&value)[ITEMS],
                                       Range (&range)[ITEMS]) {
    bool is_open = false;
#pragma unroll
    for (int i = 0; i < ITEMS; ++i) is_open |= range[i].is_open();
    while (is_open) {
        C element[ITEMS];
#pragma unroll
        for (int i = 0; i < ITEMS; ++i) element[i] = static_cast<C>(__ldg(sequence[i] + min(range[i].middle(), size - 1)));
        is_open = false;
#pragma unroll
        for (int i = 0; i < ITEMS; ++i) {
            range[i].halve(is_behind<RIGHT>(value[i], element[i]) & range[i].is_open());
            is_open |= range[i].is_open();
        }
    }
}

// `row_blocks` blocks share the values of a row, each one tile of them after the other.
template <typename T, typename Index, bool RIGHT>
__global__ void __launch_bounds__(TREE_THREADS, 2048 / TREE_THREADS)
    search_in_tree(Index* __restrict__ y, const T* __restrict__ sequences, const T* __restrict__ values, Shapes shapes,
                   int row_blocks) {
    using C = typename Compared<T>::type;
    constexpr int MOST = sizeof(C) > 4 ? LEVELS - 1 : LEVELS, TILE = TREE_THREADS * TREE_ITEMS;
    __shared__ C tree[1 << MOST];
    __shared__ int begins[(1 << (MOST - FINE)) + 1];  // of ranges; an element is between two of them
    const long long row = blockIdx.x / row_blocks;
    const T* sequence = sequences + row * shapes.stride;
    y += row * shapes.row_values.count, values += row * shapes.row_values.count;
    const int size = static_cast<int>(shapes.size);
    // Levels without a gap, and not more elements than values.
    const int own = static_cast<int>(min(shapes.row_values.count / row_blocks, 1LL << MOST));
    const int levels = min(31 - __clz(size + 1), 31 - __clz(own)), coarse = min(levels, MOST - FINE);
    for (int node = 1 + threadIdx.x; node < 2 << coarse; node += TREE_THREADS) {
        Range range = {0, size};
        range.descend(node);
        if (node < 1 << coarse) {
            tree[node] = static_cast<C>(sequence[range.middle()]);
            continue;
        }
        begins[node - (1 << coarse)] = range.begin;
#pragma unroll
        for (int below = 1; below < 1 << FINE; ++below) {  // a node of the part of the tree whose root is `node`
            const int level = 31 - __clz(below);
            if (coarse + level >= levels) continue;
            Range part = range;
            part.descend(below);
            tree[(node << level) + below - (1 << level)] = static_cast<C>(sequence[part.middle()]);
        }
    }
    if (threadIdx.x == 0) begins[1 << coarse] = size + 1;
    __syncthreads();
    const T* all[TREE_ITEMS];
#pragma unroll
    for (int i = 0; i < TREE_ITEMS; ++i) all[i] = sequence;
    const long long step = static_cast<long long>(row_blocks) * TILE;
    for (long long first = blockIdx.x % row_blocks * TILE + threadIdx.x; first < shapes.row_values.count; first += step) {
        C value[TREE_ITEMS];
        int node[TREE_ITEMS];
        Range range[TREE_ITEMS];
#pragma unroll
        for (int i = 0; i < TREE_ITEMS; ++i) {
            const long long at = first + i * TREE_THREADS;
            value[i] = at < shapes.row_values.count ? static_cast<C>(values[at]) : C(0);
            node[i] = 1;
        }
        for (int level = 0; level < levels; ++level) {
#pragma unroll
            for (int i = 0; i < TREE_ITEMS; ++i) node[i] = 2 * node[i] + is_behind<RIGHT>(value[i], tree[node[i]]);
        }
#pragma unroll
        for (int i = 0; i < TREE_ITEMS; ++i) {
            const int* begin = begins + (node[i] >> (levels - coarse)) - (1 << coarse);
            range[i] = {begin[0], begin[1] - 1};
            for (int level = levels - coarse - 1; level >= 0; --level) range[i].halve(node[i] >> level & 1);
        }
        search<RIGHT>(all, size, value, range);
#pragma unroll
        for (int i = 0; i < TREE_ITEMS; ++i) {
            const long long at = first + i * TREE_THREADS;
            if (at < shapes.row_values.count) y[at] = static_cast<Index>(range[i].begin);
        }
    }
}

template <typename T, typename Index, bool RIGHT, int ITEMS>
__global__ void __launch_bounds__(TREE_THREADS)
    search_in_rows(Index* __restrict__ y, const T* __restrict__ sequences, const T* __restrict__ values, Shapes shapes) {
    using C = typename Compared<T>::type;
    const long long first = static_cast<long long>(blockIdx.x) * blockDim.x * ITEMS + threadIdx.x;
    C value[ITEMS];
    Range range[ITEMS];
    const T* sequence[ITEMS];
#pragma unroll
    for (int i = 0; i < ITEMS; ++i) {
        const long long at = min(first + i * blockDim.x, shapes.count - 1);
        value[i] = static_cast<C>(values[at]);
        range[i] = {0, static_cast<int>(shapes.size)};
        long long row = at;
        shapes.row_values.split(row);
        sequence[i] = sequences + row * shapes.stride;
        asm volatile("" : "+l"(sequence[i]));  // or the compiler multiplies again in each step of the search
    }
    search<RIGHT>(sequence, static_cast<int>(shapes.size), value, range);
#pragma unroll
    for (int i = 0; i < ITEMS; ++i) {
        if (first + i * blockDim.x < shapes.count) y[first + i * blockDim.x] = static_cast<Index>(range[i].begin);
    }
}

template <typename T, typename Index, bool RIGHT>
__global__ void __launch_bounds__(THREADS)
    search_by_warps(Index* __restrict__ y, const T* __restrict__ sequences, const T* __restrict__ values, Shapes shapes) {
    using C = typename Compared<T>::type;
    const long long at = static_cast<long long>(blockIdx.x) * (THREADS / 32) + threadIdx.x / 32;
    const int lane = threadIdx.x % 32;
    if (at >= shapes.count) return;
    long long row = at;
    shapes.row_values.split(row);
    const T* sequence = sequences + row * shapes.stride;
    const C value = static_cast<C>(values[at]);
    Range range = {0, static_cast<int>(shapes.size)};
    while (range.is_open()) {
        Range own = range;
        own.descend(lane + 1);
        const bool is_asked = lane < (1 << WARP_LEVELS) - 1 && own.is_open();
        const bool is_right = is_asked && is_behind<RIGHT>(value, static_cast<C>(__ldg(sequence + own.middle())));
        const unsigned answers = __ballot_sync(~0u, is_right);
        for (int node = 1; node < 1 << WARP_LEVELS && range.is_open();) {
            const int answer = answers >> (node - 1) & 1;
            range.halve(answer);
            node = 2 * node + answer;
        }
    }
    if (lane == 0) y[at] = static_cast<Index>(range.begin);
}
