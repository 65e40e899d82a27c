// The windows of MaxPool, and what is greatest in one. NaN is greater than everything, and of equal elements the first is taken, so
// that the index is that of numpy's argmax.

#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include "../_cuda/division.cuh"
#include "../_cuda/vectors.cuh"

// Along one axis: the sizes of x and y, of a window, the steps between windows and between elements, and the padding before.
struct Axis {
    int size, windows, kernel, stride, dilation, pad;
};

struct Axes {
    Axis z, y, x;
};

// The padding: no element is less.
template <typename T> __device__ __forceinline__ float lowest() {
    return sizeof(T) == 1 ? -128.0f : -__int_as_float(0x7f800000);
}

// Return whether an element is greater than one before it. NaN is the greatest; there is none unless MAY_BE_NAN.
template <bool MAY_BE_NAN> __device__ __forceinline__ bool is_greater(float element, float before) {
    return MAY_BE_NAN ? !(element <= before) && !isnan(before) : element > before;
}

// The greatest element so far, and its place in the plane.
template <typename Offset> struct Best {
    float value;
    Offset place;

    // Take an element that comes after all before it if it is greater.
    template <bool MAY_BE_NAN> __device__ __forceinline__ void take(float other, Offset other_place) {
        if (is_greater<MAY_BE_NAN>(other, value)) value = other, place = other_place;
    }

    // Take the better of two, of equals the first; a negative place is none.
    __device__ __forceinline__ void combine(const Best& other) {
        const bool is_equal = value == other.value || (isnan(value) && isnan(other.value));
        const bool is_better = is_equal ? other.place < place : is_greater<true>(other.value, value);
        if (other.place >= 0 && (place < 0 || is_better)) *this = other;
    }
};

__device__ __forceinline__ bool is_in(const Axis& axis, int at) {
    return static_cast<unsigned int>(at) < static_cast<unsigned int>(axis.size);
}

// Return the first element of a window that is not padding, from where the window begins.
__device__ __forceinline__ int first_inside(const Axis& axis, int first, int dilation) {
    const int at = first < 0 && dilation > 1 ? first + (dilation - 1 - first) / dilation * dilation : max(first, 0);
    return min(at, axis.size - 1);
}

// Return how many elements of a window are not padding, from where it begins and the first of them.
__device__ __forceinline__ int inside(const Axis& axis, int first, int from) {
    const int last = min(first + (axis.kernel - 1) * axis.dilation, axis.size - 1);
    return last < from ? 0 : (last - from) / axis.dilation + 1;
}

// Items are counted without a sign, places in a plane with one: windows may begin before it.
template <typename Offset> struct SignedType { using type = int; };
template <> struct SignedType<unsigned long long> { using type = long long; };
template <typename Offset> using SignedOf = typename SignedType<Offset>::type;

// Return the index of a place in a plane. In ORDER 0 it counts along x first, in ORDER 1 along z.
template <int ORDER, typename Offset>
__device__ __forceinline__ long long index_of(const Axes& axes, Offset plane, SignedOf<Offset> place) {
    const Offset start = plane * axes.z.size * axes.y.size * axes.x.size;
    if (ORDER == 0) return start + place;
    const SignedOf<Offset> line = place / axes.x.size, at_z = line / axes.y.size, at_x = place - line * axes.x.size;
    return start + at_z + (line - at_z * axes.y.size + at_x * axes.y.size) * axes.z.size;
}
