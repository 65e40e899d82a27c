// Reduce an update into a value in a register, or into an element in memory that other threads reduce at the same time.

#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include "device.cuh"
#include "streaming.cuh"

using pluginkit::Reduction;  // from reductions.py

template <typename T> constexpr bool is_floating = false;
template <> constexpr bool is_floating<float> = true;
template <> constexpr bool is_floating<__half> = true;
template <> constexpr bool is_floating<__nv_bfloat16> = true;

template <typename A, typename B> constexpr bool is_same = false;
template <typename A> constexpr bool is_same<A, A> = true;

// Return `old_value` reduced by `update`. 16-bit types compute in float and round, integers wrap, and NaN wins in min
// and max.
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

// Return the value that changes no other.
template <Reduction R, typename T> __device__ __forceinline__ T neutral() {
    if constexpr (R == Reduction::mul) {
        return 1;
    } else if constexpr (is_floating<T>) {
        if constexpr (R == Reduction::add) return -0.0f;
        return __int_as_float(R == Reduction::min ? 0x7f800000 : 0xff800000);
    } else {
        constexpr auto LOWEST = static_cast<T>(Bits<T>(1) << (8 * sizeof(T) - 1));
        return R == Reduction::add ? 0 : R == Reduction::min ? ~LOWEST : LOWEST;
    }
}

// The word that a compare-and-swap of an element accesses.
template <int BYTES> struct WordOf;
template <> struct WordOf<1> { using type = unsigned int; };  // the hardware has no 8-bit compare-and-swap
template <> struct WordOf<2> { using type = unsigned short; };
template <> struct WordOf<4> { using type = unsigned int; };
template <> struct WordOf<8> { using type = unsigned long long; };

template <typename T> union Lanes {
    typename WordOf<sizeof(T)>::type word;
    T value[sizeof(word) / sizeof(T)];
    __device__ Lanes(typename WordOf<sizeof(T)>::type word) : word(word) {}
};

// Reduce by compare-and-swap on the word that holds the element. The other bytes of the word keep their values. The
// word of an int8 may reach past the end of the tensor, but not past its allocation.
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

// Reduce by min or max. Floats of one sign compare as their bits do, where no NaN is in the way: one in memory has won, and one
// that comes gets bits that win from then on. Values only grow in one direction, so that an older one may decide.
template <Reduction R> __device__ __forceinline__ void reduce_extreme(float* target, float update) {
    constexpr bool IS_MAX = R == Reduction::max;
    const float seen = *static_cast<volatile float*>(target);
    if (seen != seen || (IS_MAX ? update <= seen : update >= seen)) return;
    const int bits = update == update ? __float_as_int(update) : IS_MAX ? 0x7fffffff : ~0;
    if (bits >= 0 == IS_MAX) {
        if constexpr (IS_MAX) atomicMax(reinterpret_cast<int*>(target), bits);
        else atomicMax(reinterpret_cast<unsigned int*>(target), static_cast<unsigned int>(bits));
    } else {
        if constexpr (IS_MAX) atomicMin(reinterpret_cast<unsigned int*>(target), static_cast<unsigned int>(bits));
        else atomicMin(reinterpret_cast<int*>(target), bits);
    }
}

// Reduce an element atomically, with a hardware instruction if there is one.
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
    } else if constexpr (is_same<T, float> && (R == Reduction::min || R == Reduction::max)) {
        reduce_extreme<R>(target, update);
    } else {
        reduce_by_swap<R>(target, update);
    }
}

template <typename T> struct PairOf;
template <> struct PairOf<__half> { using type = __half2; };
template <> struct PairOf<__nv_bfloat16> { using type = __nv_bfloat162; };

// Add a 16-bit value atomically. The hardware only adds pairs, so -0 is added to the other value of the pair, which
// does not change it.
template <typename T> __device__ void add_to_pair(T* target, T update) {
    using Pair = typename PairOf<T>::type;
    const bool is_upper = reinterpret_cast<unsigned long long>(target) & 2;
    const T neutral = static_cast<T>(-0.0f);
    Pair pair;
    pair.x = is_upper ? neutral : update;
    pair.y = is_upper ? update : neutral;
    atomicAdd(reinterpret_cast<Pair*>(target - is_upper), pair);
}

// Reduce the element at `position` of a tensor of `total` elements atomically, a 16-bit sum as a pair where there is one.
template <Reduction R, typename T, typename Offset>
__device__ void reduce_one(T* tensor, Offset position, Offset total, T update) {
    if constexpr (R == Reduction::add && sizeof(T) == 2) {
        if ((position | 1) < total) return add_to_pair(tensor + position, update);
    }
    reduce_into<R>(tensor + position, update);
}

// The type in which several updates of one element are combined.
template <typename T> struct AccumulatorOf { using type = T; };
template <> struct AccumulatorOf<__half> { using type = float; };
template <> struct AccumulatorOf<__nv_bfloat16> { using type = float; };

template <typename T, int N> struct alignas(sizeof(T) * N) Pack { T value[N]; };

// Add 16-bit values in pairs, or in vectors of pairs where the hardware has them.
template <typename T, int N> __device__ void add_pairs(T* target, const Pack<T, N>& update) {
    using Pair = typename PairOf<T>::type;
#if __CUDA_ARCH__ >= 900
    if constexpr (N == 8) {
        const auto bits = *reinterpret_cast<const uint4*>(&update);
        if constexpr (is_same<T, __half>) {
            asm volatile("red.global.add.noftz.v4.f16x2 [%0], {%1, %2, %3, %4};" ::"l"(target), "r"(bits.x), "r"(bits.y),
                         "r"(bits.z), "r"(bits.w) : "memory");
        } else {
            asm volatile("red.global.add.noftz.v4.bf16x2 [%0], {%1, %2, %3, %4};" ::"l"(target), "r"(bits.x),
                         "r"(bits.y), "r"(bits.z), "r"(bits.w) : "memory");
        }
        return;
    }
#endif
#pragma unroll
    for (int n = 0; n < N; n += 2) {
        atomicAdd(reinterpret_cast<Pair*>(target + n), *reinterpret_cast<const Pair*>(&update.value[n]));
    }
}

// Reduce all elements of an aligned word by compare-and-swap.
template <Reduction R, typename T, int N> __device__ void reduce_word(T* target, const Pack<T, N>& update) {
    using Word = Pack<T, N>;
    static_assert(sizeof(Word) == sizeof(unsigned int));
    unsigned int* address = reinterpret_cast<unsigned int*>(target);
    unsigned int seen = *address;
    while (true) {
        const unsigned int expected = seen;
        Word both = *reinterpret_cast<const Word*>(&expected);
#pragma unroll
        for (int n = 0; n < N; ++n) both.value[n] = reduced<R>(both.value[n], update.value[n]);
        const unsigned int wanted = *reinterpret_cast<const unsigned int*>(&both);
        if (wanted == expected) return;
        seen = atomicCAS(address, expected, wanted);
        if (seen == expected) return;
    }
}

// Reduce all elements of an aligned pack, atomically for each element or for several together. The elements of a pack
// of 16-bit values or of int8 are multiples of a word, or one.
template <Reduction R, typename T, int N> __device__ void reduce_pack(T* target, const Pack<T, N>& update) {
    constexpr int WORD = sizeof(T) < 4 ? 4 / sizeof(T) : 1;
    if constexpr (R == Reduction::none) {
        *reinterpret_cast<Pack<T, N>*>(target) = update;
    } else if constexpr (N % WORD != 0 || WORD == 1) {
#if __CUDA_ARCH__ >= 900
        if constexpr (R == Reduction::add && is_same<T, float> && N == 4) {
            atomicAdd(reinterpret_cast<float4*>(target), *reinterpret_cast<const float4*>(&update));
            return;
        }
#endif
#pragma unroll
        for (int n = 0; n < N; ++n) reduce_into<R>(target + n, update.value[n]);
    } else if constexpr (R == Reduction::add && sizeof(T) == 2) {
        add_pairs(target, update);
    } else {
#pragma unroll
        for (int n = 0; n < N; n += WORD) {
            Pack<T, WORD> part;
#pragma unroll
            for (int w = 0; w < WORD; ++w) part.value[w] = update.value[n + w];
            reduce_word<R>(target + n, part);
        }
    }
}
