// Products of all types that the kernels of CumProd take. Those of floats have an exponent apart, so that no product of
// some elements overflows or vanishes where the product of all of them does not.

#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include <cuda/std/type_traits>

// mantissa * 2^exponent. The exponent is 0 as long as the mantissa is far from overflow, which saves its part of the work.
struct FloatProduct {
    float mantissa;
    int exponent;

    static constexpr float LEAST = 0x1p-60f, MOST = 0x1p60f;
    // Far beyond every float, so that rows of any length leave room for one more sum.
    static constexpr int MOST_EXPONENT = 1 << 29;

    __device__ __forceinline__ static int sum(int a, int b) { return min(max(a + b, -MOST_EXPONENT), MOST_EXPONENT); }

    __device__ __forceinline__ FloatProduct normalised() const {
        if (mantissa == 0.0f || !isfinite(mantissa)) return {mantissa, 0};
        int more;
        const float fraction = frexpf(mantissa, &more);
        return {fraction, sum(exponent, more)};
    }

    __device__ __forceinline__ FloatProduct times(FloatProduct other) const {
        const float product = mantissa * other.mantissa;
        if (fabsf(product) >= LEAST && fabsf(product) <= MOST) return {product, sum(exponent, other.exponent)};
        const FloatProduct a = normalised(), b = other.normalised();
        return {a.mantissa * b.mantissa, sum(a.exponent, b.exponent)};
    }

    __device__ __forceinline__ float value() const { return exponent == 0 ? mantissa : ldexpf(mantissa, exponent); }

    __device__ __forceinline__ FloatProduct of_lane_before(int lanes) const {
        return {__shfl_up_sync(~0u, mantissa, lanes), __shfl_up_sync(~0u, exponent, lanes)};
    }
};

// A product of integers, which wraps around.
template <typename T> struct WholeProduct {
    T number;

    __device__ __forceinline__ WholeProduct times(WholeProduct other) const {
        using Unsigned = cuda::std::make_unsigned_t<T>;
        return {static_cast<T>(static_cast<Unsigned>(number) * static_cast<Unsigned>(other.number))};
    }

    __device__ __forceinline__ T value() const { return number; }

    __device__ __forceinline__ WholeProduct of_lane_before(int lanes) const {
        return {__shfl_up_sync(~0u, number, lanes)};
    }
};

template <typename T>
using Product = cuda::std::conditional_t<cuda::std::is_integral_v<T>, WholeProduct<T>, FloatProduct>;

template <typename T> __device__ __forceinline__ Product<T> product_of(T element) {
    if constexpr (cuda::std::is_integral_v<T>) {
        return {element};
    } else {
        return {static_cast<float>(element), 0};
    }
}

template <typename T> __device__ __forceinline__ Product<T> one() { return product_of(static_cast<T>(1.0f)); }

// Take the next element into the product; return what y is there.
template <typename T>
__device__ __forceinline__ T next(Product<T>& product, T element, bool is_exclusive) {
    const Product<T> before = product;
    product = product.times(product_of(element));
    return static_cast<T>((is_exclusive ? before : product).value());
}
