// Where slices are in memory, and their keys.

#pragma once

#include "../_cuda/ordered_keys.cuh"

// Element e of slice s is at x[(e / inner * count + s) * inner + e % inner].
struct Slices {
    int count;
    int elements;  // elements of a slice
    int inner;     // how many of them are contiguous
    int words;     // keys of a slice

    // Return where element i of a tensor of `total` slices is in x, whose slice `slice_at` gives.
    template <typename SliceAt> __device__ __forceinline__ int place(int i, int total, const SliceAt& slice_at) const {
        const int row = i / inner, outer = row / total;
        return (outer * count + slice_at(row - outer * total)) * inner + i - row * inner;
    }
};

// Return the key of word number `item` of all slices, made of keys less `lowest`.
template <typename T, typename Key>
__device__ __forceinline__ Key slice_key(const Bits<T>* __restrict__ x, const Slices& slices, Bits<T> lowest,
                                         int item) {
    constexpr int PER_KEY = sizeof(Key) / sizeof(T);
    if (slices.elements == 1) return static_cast<Bits<T>>(key_of<T>(x[item]) - lowest);
    const int slice = item / slices.words, first = item % slices.words * PER_KEY;
    const int end = min(first + PER_KEY, slices.elements);
    Key key = 0;
    for (int element = first; element < end; ++element) {
        const int outer = element / slices.inner;
        const int row = (outer * slices.count + slice) * slices.inner;
        if constexpr (PER_KEY > 1) key <<= 8 * sizeof(T);
        key |= static_cast<Bits<T>>(key_of<T>(x[row + element - outer * slices.inner]) - lowest);
    }
    return key;
}
