// Values of any type as unsigned keys in the order of the values, for sorts and selections by digits.

#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include "device.cuh"

template <typename T> constexpr unsigned INFINITY_BITS = 0;  // integers have none
template <> constexpr unsigned INFINITY_BITS<float> = 0x7f800000;
template <> constexpr unsigned INFINITY_BITS<__half> = 0x7c00;
template <> constexpr unsigned INFINITY_BITS<__nv_bfloat16> = 0x7f80;

// Of a value's bits the key whose unsigned order is the values' own. NaN is last, and every NaN the same; so are zeros.
template <typename T> __device__ __forceinline__ Bits<T> key_of(Bits<T> bits) {
    constexpr Bits<T> SIGN = static_cast<Bits<T>>(Bits<T>{1} << (8 * sizeof(T) - 1));
    if constexpr (INFINITY_BITS<T> == 0) {
        return static_cast<Bits<T>>(bits ^ SIGN);
    } else {
        const Bits<T> magnitude = static_cast<Bits<T>>(bits & ~SIGN);
        if (magnitude == 0) bits = 0;  // -0.0 equals 0.0
        bits = static_cast<Bits<T>>(bits & SIGN ? ~bits : bits | SIGN);
        if (magnitude > INFINITY_BITS<T>) bits = static_cast<Bits<T>>(~Bits<T>{0});
        return bits;
    }
}
