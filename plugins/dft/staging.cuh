// Short rows of x and y go through shared memory as they lie in memory, so that neighbouring threads read and write neighbours
// there.

#pragma once

#include "../_cuda/async_copies.cuh"
#include "elements.cuh"
#include "stockham.cuh"

using pluginkit::STAGED;  // from shapes.py

// Return whether x goes through shared memory: a row's threads would read less than a sector, and the rows of a warp lie in too
// many lines of the cache for each of its reads. A large prime radix leaves no registers for it.
template <int LANES, int... RADICES> __device__ constexpr bool is_staged(Load load, int itemsize) {
    if (load == Load::WORKSPACE || load == Load::MIRRORED || LANES > STAGED) return false;
    for (const int radix : {RADICES...}) {
        if (radix > 24 && factor_of(radix) == radix) return false;
    }
    return (RADICES * ...) * (load == Load::REAL ? 1 : 2) * itemsize > 64;
}

// Return whether y does: a row's threads would write less than a sector, and half a spectrum's rows begin anywhere in one.
__device__ constexpr bool is_staged(Store store, int lanes) {
    return store != Store::WORKSPACE && lanes <= (store == Store::UNFOLDED ? 31 : STAGED);
}

// Return how many numbers of a row are an element, which is read or written at once.
__device__ constexpr int elements_each(Load load) { return load == Load::PAIRS ? 2 : 1; }
__device__ constexpr int elements_each(Store store) { return store == Store::PAIRS ? 2 : 1; }

// Return the most elements of a row.
__device__ constexpr int most_elements(Load load, int points) { return load == Load::FOLDED ? points + 1 : points; }
__device__ constexpr int most_elements(Store store, int points) { return store == Store::UNFOLDED ? points + 1 : points; }

// An element in memory: one real number, or two.
template <bool IS_REAL, typename T> struct ElementOf {
    using Type = Complex<T>;
};
template <typename T> struct ElementOf<true, T> {
    using Type = T;
};

// Rows of at most MOST elements, of which a block has PER_BLOCK, with LANES threads for each.
template <bool IS_USED_, typename Element, int MOST, int LANES, int PER_BLOCK> struct Staging {
    static constexpr bool IS_USED = IS_USED_;
    static constexpr int PITCH = MOST | 1;  // rows begin in different banks
    static constexpr int FLOATS = IS_USED ? 2 * PITCH * PER_BLOCK : 0;

    Element* shared;
    int elements;  // of a row
    bool is_used;  // whether these fit

    __device__ __forceinline__ Staging(float* shared, int elements)
        : shared(reinterpret_cast<Element*>(shared)), elements(elements), is_used(IS_USED && elements <= MOST) {}

    // Return a row in shared memory. Rows of fewer elements than MOST have no gaps.
    template <typename T> __device__ __forceinline__ T* row(int number) const {
        return reinterpret_cast<T*>(shared + number * (elements == MOST ? PITCH : elements));
    }

    // Read `rows` rows, of which x has the first one in row `first`, and write them to y. Those of a whole block are copied by
    // vectors, which pass through no registers.
    template <typename T> __device__ __forceinline__ void read(const T* x, long long first, int rows) const {
        const Element* const from = reinterpret_cast<const Element*>(x) + first * elements;
        if (IS_DENSE && elements == MOST && rows == PER_BLOCK) {
            for (int i = threadIdx.x; i < BYTES / 16; i += THREADS) {
                const int to = static_cast<int>(__cvta_generic_to_shared(shared)) + i * 16;
                copy_to_shared(to, reinterpret_cast<const uint4*>(from) + i);
            }
            wait_for_copies();
        } else {
            copy(rows, [&](int i) { return from[i]; }, [&](int i, Element element) { shared[place(i)] = element; });
        }
        __syncthreads();
    }
    template <typename T> __device__ __forceinline__ void write(T* y, long long first, int rows) const {
        Element* const to = reinterpret_cast<Element*>(y) + first * elements;
        __syncthreads();
        copy(rows, [&](int i) { return shared[place(i)]; }, [&](int i, Element element) { to[i] = element; });
    }

    // Do so with few registers.
    template <typename T> __device__ __forceinline__ void write_some(T* y, long long first, int rows) const {
        Element* const to = reinterpret_cast<Element*>(y) + first * elements;
        __syncthreads();
#pragma unroll 4
        for (int i = threadIdx.x; i < rows * elements; i += THREADS) to[i] = shared[place(i)];
    }

  private:
    static constexpr int BYTES = PER_BLOCK * MOST * static_cast<int>(sizeof(Element)), THREADS = LANES * PER_BLOCK;
    // Whether all rows lie in shared memory as they do in memory, in whole vectors, and whole warps read whole lines of them.
    static constexpr bool IS_DENSE = PITCH == MOST && BYTES % 16 == 0 && THREADS % 32 == 0;

    // Return where element i of all rows is in shared memory.
    __device__ __forceinline__ int place(int i) const { return elements == MOST ? i + i / MOST * (PITCH - MOST) : i; }

    // Copy neighbours: each thread gets all of its elements before it puts the first.
    template <typename Get, typename Put> __device__ __forceinline__ void copy(int rows, Get get, Put put) const {
        constexpr int EACH = (MOST + LANES - 1) / LANES;
        Element held[EACH];
#pragma unroll
        for (int k = 0; k < EACH; ++k) {
            const int i = threadIdx.x + k * THREADS;
            if (i < rows * elements) held[k] = get(i);
        }
#pragma unroll
        for (int k = 0; k < EACH; ++k) {
            const int i = threadIdx.x + k * THREADS;
            if (i < rows * elements) put(i, held[k]);
        }
    }
};
