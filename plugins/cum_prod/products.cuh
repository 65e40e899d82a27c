// Products of all types that the kernels of CumProd take. Those of floats have an exponent apart, so that no product of
// some elements overflows or vanishes where the product of all of them does not.

#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include <cuda/std/type_traits>

// mantissa * 2^exponent
struct FloatProduct {
    float mantissa;
    int exponent;

    __device__ __forceinline__ void normalise() {
        if (mantissa == 0.0f || !isfinite(mantissa)) {
            exponent = 0;
            return;
        }
        int more;
        mantissa = frexpf(mantissa, &more);
        // Far beyond every float, where a row of any length can not overflow the exponent.
        exponent = min(max(exponent + more, -MOST), MOST);
    }

    __device__ __forceinline__ FloatProduct times(FloatProduct other) const {
        FloatProduct result = {mantissa * other.mantissa, exponent + other.exponent};
        result.normalise();
        return result;
    }

    __device__ __forceinline__ float value() const { return ldexpf(mantissa, exponent); }

    __device__ __forceinline__ FloatProduct of_lane_before(int lanes) const {
        return {__shfl_up_sync(~0u, mantissa, lanes), __shfl_up_sync(~0u, exponent, lanes)};
    }

    static constexpr int MOST = 1 << 29;
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
        FloatProduct result = {static_cast<float>(element), 0};
        result.normalise();
        return result;
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
