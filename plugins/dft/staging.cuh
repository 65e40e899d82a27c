// Short rows of y go through shared memory as they lie in memory, so that neighbouring threads write neighbours there.

#pragma once

#include "elements.cuh"

// Return whether y goes through shared memory: a row's threads would write less than a sector, and half a spectrum's rows begin
// anywhere in one.
__device__ constexpr bool is_staged(Store store, int lanes) {
    return store != Store::WORKSPACE && lanes < (store == Store::UNFOLDED ? 32 : 4);
}

// Return how many numbers of a row are an element, which is read or written at once.
__device__ constexpr int elements_each(Store store) { return store == Store::PAIRS ? 2 : 1; }

// Return the most elements of a row.
__device__ constexpr int most_elements(Store store, int points) { return store == Store::UNFOLDED ? points + 1 : points; }

// Copy neighbours: each thread reads all of its elements, at most MOST, before it writes the first.
template <int MOST, int THREADS, typename Element>
__device__ __forceinline__ void copy(Element* to, const Element* from, int count) {
    Element held[MOST];
#pragma unroll
    for (int i = 0; i < MOST; ++i) {
        const int at = threadIdx.x + i * THREADS;
        if (at < count) held[i] = from[at];
    }
#pragma unroll
    for (int i = 0; i < MOST; ++i) {
        const int at = threadIdx.x + i * THREADS;
        if (at < count) to[at] = held[i];
    }
}

// Rows of at most MOST elements, of which a block has PER_BLOCK, with LANES threads for each.
template <bool IS_USED_, int MOST, int LANES, int PER_BLOCK> struct Staging {
    static constexpr bool IS_USED = IS_USED_;
    static constexpr int FLOATS = IS_USED ? 2 * MOST * PER_BLOCK : 0, EACH = (MOST + LANES - 1) / LANES;

    __device__ static __forceinline__ bool fits(int elements) { return IS_USED && elements <= MOST; }

    // Write the rows in shared memory to y.
    template <Store STORE, typename T>
    __device__ static __forceinline__ void write(T* y, const float* shared, long long first, int rows, int made) {
        const int elements = made / elements_each(STORE);
        __syncthreads();
        move<STORE == Store::REAL>(y, first * elements, reinterpret_cast<const T*>(shared), 0, rows * elements);
    }

    // Copy `count` elements, of one real number or of two.
    template <bool IS_REAL, typename T>
    __device__ static __forceinline__ void move(T* to, long long to_first, const T* from, long long from_first, int count) {
        if constexpr (IS_REAL) {
            copy<EACH, LANES * PER_BLOCK>(to + to_first, from + from_first, count);
        } else {
            copy<EACH, LANES * PER_BLOCK>(reinterpret_cast<Complex<T>*>(to) + to_first,
                                          reinterpret_cast<const Complex<T>*>(from) + from_first, count);
        }
    }
};
