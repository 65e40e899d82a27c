// Address the rows of a TopK, and convert elements to unsigned keys. The largest key belongs to the first result: the
// largest element, or the smallest.

#pragma once

#include "../_cuda/ordered_keys.cuh"

// Return the key of a value, given its bits. NaN counts as the largest value.
template <bool LARGEST, typename T> __device__ __forceinline__ Bits<T> wanted_key_of(Bits<T> bits) {
    const Bits<T> key = key_of<T>(bits);
    return LARGEST ? key : static_cast<Bits<T>>(~key);
}

template <bool FLOATING, typename T> struct ComparedAs { using type = float; };
template <typename T> struct ComparedAs<false, T> { using type = T; };

// A test that costs less than a key. It passes all values whose keys are at least a given one; with LARGEST also any NaN,
// since NaN is not smaller than anything.
template <bool LARGEST, typename T> struct Threshold {
    using Compared = typename ComparedAs<INFINITY_BITS<T> != 0, T>::type;
    Compared limit;
    bool passes_all;

    __device__ explicit Threshold(Bits<T> key)
        : limit(compared(bits_of_key<T>(LARGEST ? key : static_cast<Bits<T>>(~key)))), passes_all(limit != limit) {}
    static __device__ __forceinline__ Compared compared(Bits<T> bits) {
        return static_cast<Compared>(*reinterpret_cast<const T*>(&bits));
    }
    __device__ __forceinline__ bool passes(Bits<T> bits) const {
        const Compared value = compared(bits);
        return LARGEST ? !(value < limit) : value <= limit || passes_all;
    }
};

// Element i of row r is at x[r / inner * x_step + r % inner + i * inner], and likewise in y.
struct Rows {
    long long inner;
    long long x_step;
    long long y_step;
    long long size;      // elements of a row
    long long k;         // results of each row
    long long segment;   // elements of a segment
    long long segments;  // segments of a row
};

// What a block reads: a row, or one segment of it. CONTIGUOUS: the elements of a row are contiguous in memory.
template <typename T, bool CONTIGUOUS> struct Source {
    using Key = Bits<T>;
    const Key* values;
    long long stride;
    int first;  // index in the row of the first element
    int size;

    __device__ __forceinline__ Key bits(int i) const { return __ldg(CONTIGUOUS ? values + i : values + i * stride); }
};

template <typename T, bool CONTIGUOUS>
__device__ Source<T, CONTIGUOUS> source_of(const T* x, const Rows& rows, long long row, long long segment) {
    const long long first = segment * rows.segment, size = min(rows.segment, rows.size - first);
    const long long offset = row / rows.inner * rows.x_step + row % rows.inner + first * rows.inner;
    const auto* values = reinterpret_cast<const Bits<T>*>(x) + offset;
    return {values, rows.inner, static_cast<int>(first), static_cast<int>(size)};
}

// Where a block writes the results of a row.
template <typename T> struct Target {
    Bits<T>* values;
    long long* indices;
    long long stride;

    __device__ __forceinline__ void write(int j, Bits<T> bits, int place) const {
        values[j * stride] = bits;
        indices[j * stride] = place;
    }
};

template <typename T>
__device__ Target<T> target_of(T* y, long long* indices, const Rows& rows, long long row) {
    const long long offset = row / rows.inner * rows.y_step + row % rows.inner;
    return {reinterpret_cast<Bits<T>*>(y) + offset, indices + offset, rows.inner};
}
