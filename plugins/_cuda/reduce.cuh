// One reduction step on a value, and on an element in memory that other threads reduce at the same time; loads and
// stores of what is used once.

#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>

enum class Reduction { none, add, mul, min, max };

template <typename T> constexpr bool is_floating = false;
template <> constexpr bool is_floating<float> = true;
template <> constexpr bool is_floating<__half> = true;
template <> constexpr bool is_floating<__nv_bfloat16> = true;

template <typename A, typename B> constexpr bool is_same = false;
template <typename A> constexpr bool is_same<A, A> = true;

// One reduction step. 16-bit types compute in float and round; integers wrap; NaN wins in min and max.
template <Reduction R, typename T> __device__ T reduced(T old_value, T update) {
    if constexpr (is_floating<T>) {
        const float a = static_cast<float>(old_value), b = static_cast<float>(update);
        if constexpr (R == Reduction::add) return static_cast<T>(a + b);
        if constexpr (R == Reduction::mul) return static_cast<T>(a * b);
        if constexpr (R == Reduction::min) return b < a || b != b ? update : old_value;
        if constexpr (R == Reduction::max) return b > a || b != b ? update : old_value;
    } else {
        using Wrapping = unsigned long long;
        const auto a = static_cast<Wrapping>(old_value), b = static_cast<Wrapping>(update);
        if constexpr (R == Reduction::add) return static_cast<T>(a + b);
        if constexpr (R == Reduction::mul) return static_cast<T>(a * b);
        if constexpr (R == Reduction::min) return update < old_value ? update : old_value;
        if constexpr (R == Reduction::max) return update > old_value ? update : old_value;
    }
}

template <int BYTES> struct WordOf;
template <> struct WordOf<1> { using type = unsigned int; }; // the hardware has no 8-bit compare-and-swap
template <> struct WordOf<2> { using type = unsigned short; };
template <> struct WordOf<4> { using type = unsigned int; };
template <> struct WordOf<8> { using type = unsigned long long; };

template <typename T> union Lanes {
    typename WordOf<sizeof(T)>::type word;
    T value[sizeof(word) / sizeof(T)];
    __device__ Lanes(typename WordOf<sizeof(T)>::type word) : word(word) {}
};

// A reduction by compare-and-swap on the word that holds the element. For int8 that word may reach past the tensor's
// end, but not past its allocation, and the other bytes keep their values.
template <Reduction R, typename T> __device__ void reduce_by_swap(T* target, T update) {
    using Word = typename WordOf<sizeof(T)>::type;
    const auto position = reinterpret_cast<unsigned long long>(target);
    const int lane = position % sizeof(Word) / sizeof(T);
    Word* address = reinterpret_cast<Word*>(position - lane * sizeof(T));
    Word seen = *address;
    while (true) {
        const Word expected = seen;
        Lanes<T> lanes(expected);
        lanes.value[lane] = reduced<R>(lanes.value[lane], update);
        if (lanes.word == expected) return;
        seen = atomicCAS(address, expected, lanes.word);
        if (seen == expected) return;
    }
}

template <Reduction R, typename T> __device__ void reduce_into(T* target, T update) {
    if constexpr (R == Reduction::none) {
        *target = update;
    } else if constexpr (R == Reduction::add && (is_same<T, float> || is_same<T, int>)) {
        atomicAdd(target, update);
    } else if constexpr (R == Reduction::add && is_same<T, long long>) {
        atomicAdd(reinterpret_cast<unsigned long long*>(target), static_cast<unsigned long long>(update));
    } else if constexpr (R == Reduction::min && (is_same<T, int> || is_same<T, long long>)) {
        atomicMin(target, update);
    } else if constexpr (R == Reduction::max && (is_same<T, int> || is_same<T, long long>)) {
        atomicMax(target, update);
    } else {
        reduce_by_swap<R>(target, update);
    }
}

// Half-precision sums go through the packed instruction; the neighbour gets -0, which changes no value.
template <typename T> struct PairOf;
template <> struct PairOf<__half> { using type = __half2; };
template <> struct PairOf<__nv_bfloat16> { using type = __nv_bfloat162; };

template <typename T> __device__ void add_to_pair(T* target, T update) {
    using Pair = typename PairOf<T>::type;
    const bool is_upper = reinterpret_cast<unsigned long long>(target) & 2;
    const T neutral = static_cast<T>(-0.0f);
    Pair pair;
    pair.x = is_upper ? neutral : update;
    pair.y = is_upper ? update : neutral;
    atomicAdd(reinterpret_cast<Pair*>(target - is_upper), pair);
}

template <typename T> struct AccumulatorOf { using type = T; };
template <> struct AccumulatorOf<__half> { using type = float; };
template <> struct AccumulatorOf<__nv_bfloat16> { using type = float; };

template <typename T, int N> struct alignas(sizeof(T) * N) Pack { T value[N]; };

// A load of data that is read once: it should not push anything out of the caches.
template <typename P> __device__ __forceinline__ P load_once(const P* source) {
    if constexpr (sizeof(P) == 16) {
        const int4 bits = __ldcs(reinterpret_cast<const int4*>(source));
        return *reinterpret_cast<const P*>(&bits);
    } else {
        return *source;
    }
}

template <typename P> __device__ __forceinline__ void store_once(P* target, const P& pack) {
    if constexpr (sizeof(P) == 16) {
        __stcs(reinterpret_cast<int4*>(target), *reinterpret_cast<const int4*>(&pack));
    } else {
        *target = pack;
    }
}
