// Convert values of any type to unsigned integer keys with the same order, for radix sorts and selections.

#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include "device.cuh"

template <typename T> constexpr unsigned INFINITY_BITS = 0;  // integers have no infinity
template <> constexpr unsigned INFINITY_BITS<float> = 0x7f800000;
template <> constexpr unsigned INFINITY_BITS<__half> = 0x7c00;
template <> constexpr unsigned INFINITY_BITS<__nv_bfloat16> = 0x7f80;

// Return the key of a value, given the value's bits. Keys compare, as unsigned integers, like their values.
// All NaNs have the same key, the largest; -0.0 and 0.0 have the same key.
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

// Return the bits of a value that has this key; of zeros and of NaNs, one of them.
template <typename T> __device__ __forceinline__ Bits<T> bits_of_key(Bits<T> key) {
    constexpr Bits<T> SIGN = static_cast<Bits<T>>(Bits<T>{1} << (8 * sizeof(T) - 1));
    if constexpr (INFINITY_BITS<T> == 0) {
        return static_cast<Bits<T>>(key ^ SIGN);
    } else {
        return static_cast<Bits<T>>(key & SIGN ? key ^ SIGN : ~key);
    }
}
