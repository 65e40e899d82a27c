// Where the rows lie of which the k largest elements are wanted, and the keys that stand for elements: unsigned, in the
// wanted order with the largest first; NaN counts as largest.

#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>

template <int BYTES> struct UnsignedOf;
template <> struct UnsignedOf<1> { using type = unsigned char; };
template <> struct UnsignedOf<2> { using type = unsigned short; };
template <> struct UnsignedOf<4> { using type = unsigned int; };
template <> struct UnsignedOf<8> { using type = unsigned long long; };

template <typename T> struct Traits {
    using Key = typename UnsignedOf<sizeof(T)>::type;
    static constexpr bool IS_INTEGER = true;
};
template <> struct Traits<float> {
    using Key = unsigned int;
    static constexpr bool IS_INTEGER = false;
    static constexpr Key INFINITE = 0x7f800000;
};
template <> struct Traits<__half> {
    using Key = unsigned short;
    static constexpr bool IS_INTEGER = false;
    static constexpr Key INFINITE = 0x7c00;
};
template <> struct Traits<__nv_bfloat16> {
    using Key = unsigned short;
    static constexpr bool IS_INTEGER = false;
    static constexpr Key INFINITE = 0x7f80;
};

// The key of a value's bits.
template <bool LARGEST, typename T>
__device__ __forceinline__ typename Traits<T>::Key key_of(typename Traits<T>::Key bits) {
    using Key = typename Traits<T>::Key;
    constexpr Key SIGN = static_cast<Key>(Key{1} << (8 * sizeof(Key) - 1));
    if constexpr (Traits<T>::IS_INTEGER) {
        bits = static_cast<Key>(bits ^ SIGN);
    } else {
        const Key magnitude = static_cast<Key>(bits & ~SIGN);
        if (magnitude == 0) bits = 0;  // -0.0 equals 0.0
        bits = static_cast<Key>(bits & SIGN ? ~bits : bits | SIGN);
        if (magnitude > Traits<T>::INFINITE) bits = static_cast<Key>(~Key{0});  // NaN
    }
    return LARGEST ? bits : static_cast<Key>(~bits);
}

// Element i of row r is at x[r / inner * x_step + r % inner + i * inner], and likewise in y.
struct Rows {
    long long inner;
    long long x_step;
    long long y_step;
    long long size;      // elements of a row
    long long k;         // elements that are wanted of each
    long long segment;   // elements of a segment
    long long segments;  // of a row
};

// What a block works on: a row or one segment of it. CONTIGUOUS says that its elements are neighbours.
template <typename T, bool CONTIGUOUS> struct Source {
    using Key = typename Traits<T>::Key;
    const Key* values;
    long long stride;
    int first;  // index of its first element
    int size;

    __device__ __forceinline__ Key bits(int i) const { return __ldg(CONTIGUOUS ? values + i : values + i * stride); }
};

template <typename T, bool CONTIGUOUS>
__device__ Source<T, CONTIGUOUS> source_of(const T* x, const Rows& rows, long long row, long long segment) {
    const long long first = segment * rows.segment, size = min(rows.segment, rows.size - first);
    const long long offset = row / rows.inner * rows.x_step + row % rows.inner + first * rows.inner;
    const auto* values = reinterpret_cast<const typename Traits<T>::Key*>(x) + offset;
    return {values, rows.inner, static_cast<int>(first), static_cast<int>(size)};
}

// Where the results of a row go.
template <typename T> struct Target {
    typename Traits<T>::Key* values;
    long long* indices;
    long long stride;

    __device__ __forceinline__ void write(int j, typename Traits<T>::Key bits, int place) const {
        values[j * stride] = bits;
        indices[j * stride] = place;
    }
};

template <typename T>
__device__ Target<T> target_of(T* y, long long* indices, const Rows& rows, long long row) {
    const long long offset = row / rows.inner * rows.y_step + row % rows.inner;
    return {reinterpret_cast<typename Traits<T>::Key*>(y) + offset, indices + offset, rows.inner};
}
