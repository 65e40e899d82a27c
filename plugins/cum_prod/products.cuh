// Products of all types that the kernels of CumProd take. Those of floats have an exponent apart, so that no product of
// some elements overflows or vanishes where the product of all of them does not.

#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>

using pluginkit::ITEMS;  // from launches.py

// What blocks that wait for a product read, at once or in any order.
using Word = unsigned long long;

// mantissa * 2^exponent
struct FloatProduct {
    using Plain = float;
    static constexpr bool IS_WHOLE = false;
    float mantissa;
    int exponent;

    // Far beyond every float, so that rows of any length leave room for one more sum.
    static constexpr int MOST_EXPONENT = 1 << 29;
    // If the elements of a pack have at most this sum, and at least this product, no product of some of them is beyond
    // 2^56 or below 2^-101: it is far from overflow, also when a float times a power of two multiplies it.
    static constexpr float MOST_SUM = 0x1p10f, LEAST_PRODUCT = 0x1p-50f;

    __device__ __forceinline__ static FloatProduct of_plain(float mantissa) { return {mantissa, 0}; }

    // The product of some normalised mantissas is far from overflow, too.
    __device__ __forceinline__ FloatProduct times(FloatProduct other) const {
        return {mantissa * other.mantissa, exponent + other.exponent};
    }

    // The same, with a mantissa from 1 to 2, unless it is 0, infinite or NaN.
    __device__ __forceinline__ FloatProduct normalised() const {
        const unsigned bits = __float_as_uint(mantissa), biased = bits >> 23 & 0xff;
        if (biased == 0 || biased == 0xff) return {mantissa, 0};
        const int sum = exponent + static_cast<int>(biased) - 127;
        return {__uint_as_float((bits & 0x807fffff) | 0x3f800000), min(max(sum, -MOST_EXPONENT), MOST_EXPONENT)};
    }

    // Return a plain product times this one, which is normalised.
    __device__ __forceinline__ float value(float plain = 1.0f) const {
        const int part = min(max(exponent, -126), 126), rest = min(max(exponent - part, -126), 126);
        return plain * (mantissa * power_of_two(part)) * power_of_two(rest);
    }

    __device__ __forceinline__ FloatProduct of_lane_before(int lanes, int width) const {
        return {__shfl_up_sync(~0u, mantissa, lanes, width), __shfl_up_sync(~0u, exponent, lanes, width)};
    }
    __device__ __forceinline__ FloatProduct of_lane_across(int lanes) const {
        return {__shfl_xor_sync(~0u, mantissa, lanes), __shfl_xor_sync(~0u, exponent, lanes)};
    }

    // As a word that is not 0, and back.
    static constexpr int WORDS = 1;
    __device__ __forceinline__ Word word(int) const {
        return static_cast<Word>(exponent + 2 * MOST_EXPONENT) << 32 | __float_as_uint(mantissa);
    }
    __device__ __forceinline__ static FloatProduct of_words(const Word* words) {
        return {__uint_as_float(static_cast<unsigned>(*words)), static_cast<int>(*words >> 32) - 2 * MOST_EXPONENT};
    }

  private:
    __device__ __forceinline__ static float power_of_two(int exponent) { return __int_as_float((exponent + 127) << 23); }
};

// A product of integers, which wraps around.
template <typename T, typename Unsigned> struct WholeProduct {
    using Plain = Unsigned;
    static constexpr bool IS_WHOLE = true;
    Plain number;

    __device__ __forceinline__ static WholeProduct of_plain(Plain number) { return {number}; }
    __device__ __forceinline__ WholeProduct times(WholeProduct other) const { return {number * other.number}; }
    __device__ __forceinline__ WholeProduct normalised() const { return *this; }
    __device__ __forceinline__ T value(Plain plain = 1) const { return static_cast<T>(number * plain); }
    __device__ __forceinline__ WholeProduct of_lane_before(int lanes, int width) const {
        return {__shfl_up_sync(~0u, number, lanes, width)};
    }
    __device__ __forceinline__ WholeProduct of_lane_across(int lanes) const { return {__shfl_xor_sync(~0u, number, lanes)}; }

    // As words that are not 0, and back.
    static constexpr int WORDS = sizeof(T) / 4;
    __device__ __forceinline__ Word word(int i) const { return Word{1} << 32 | static_cast<unsigned>(number >> 32 * i); }
    __device__ __forceinline__ static WholeProduct of_words(const Word* words) {
        Plain number = 0;
#pragma unroll
        for (int i = 0; i < WORDS; ++i) number |= static_cast<Plain>(static_cast<unsigned>(words[i])) << 32 * i;
        return {number};
    }
};

// libcu++ would tell the types apart as well, but reading its headers takes most of the time of compiling a kernel.
template <typename T> struct ProductOf {
    using Type = FloatProduct;
};
template <> struct ProductOf<int> {
    using Type = WholeProduct<int, unsigned>;
};
template <> struct ProductOf<long long> {
    using Type = WholeProduct<long long, unsigned long long>;
};
template <typename T> using Product = typename ProductOf<T>::Type;

template <typename T> __device__ __forceinline__ Product<T> product_of(typename Product<T>::Plain element) {
    return Product<T>::of_plain(element).normalised();
}

template <typename T> __device__ __forceinline__ Product<T> one() { return product_of<T>(1); }

template <typename T, int COUNT = ITEMS> struct alignas(sizeof(T) * (COUNT == ITEMS ? ITEMS : 1)) Pack {
    T value[COUNT];
};

// The elements of a thread, and their products without an exponent apart, of use where those are far from overflow.
template <typename T, int COUNT = ITEMS> struct Run {
    using Plain = typename Product<T>::Plain;
    Pack<T, COUNT> elements;
    Plain products[COUNT];
    bool is_plain = true;

    __device__ __forceinline__ explicit Run(const Pack<T, COUNT>& elements) : elements(elements) {
        products[0] = plain(0);
#pragma unroll
        for (int i = 1; i < COUNT; ++i) products[i] = products[i - 1] * plain(i);
        if constexpr (!Product<T>::IS_WHOLE) {
            float sum = fabsf(plain(0));
#pragma unroll
            for (int i = 1; i < COUNT; ++i) sum += fabsf(plain(i));
            is_plain = sum <= FloatProduct::MOST_SUM && fabsf(products[COUNT - 1]) >= FloatProduct::LEAST_PRODUCT;
        }
    }

    __device__ __forceinline__ Plain plain(int i) const { return static_cast<Plain>(elements.value[i]); }

    // Return the product of all elements. It is not normalised, but may be multiplied by one that is.
    __device__ __forceinline__ Product<T> all() const {
        if (is_plain) return Product<T>::of_plain(products[COUNT - 1]);
        Product<T> product = one<T>();
#pragma unroll
        for (int i = 0; i < COUNT; ++i) product = product.times(product_of<T>(plain(i))).normalised();
        return product;
    }

    // Return what y is, where `before` is the product of the elements before these.
    __device__ __forceinline__ Pack<T, COUNT> results(Product<T> before, bool is_exclusive) const {
        Pack<T, COUNT> y;
        if (is_plain) {
#pragma unroll
            for (int i = 0; i < COUNT; ++i) {
                const Plain exclusive = i > 0 ? products[i - 1] : Plain{1};
                y.value[i] = static_cast<T>(before.value(is_exclusive ? exclusive : products[i]));
            }
        } else {
#pragma unroll
            for (int i = 0; i < COUNT; ++i) {
                const Product<T> after = before.times(product_of<T>(plain(i))).normalised();
                y.value[i] = static_cast<T>((is_exclusive ? before : after).value());
                before = after;
            }
        }
        return y;
    }
};
