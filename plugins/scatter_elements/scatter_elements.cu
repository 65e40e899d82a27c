// ScatterElements: one thread takes one update and reduces it into a copy of data.

#include <cuda_bf16.h>
#include <cuda_fp16.h>

enum class Reduction { none, add, mul, min, max };

template <typename T> constexpr bool is_floating = false;
template <> constexpr bool is_floating<float> = true;
template <> constexpr bool is_floating<__half> = true;
template <> constexpr bool is_floating<__nv_bfloat16> = true;

template <typename A, typename B> constexpr bool is_same = false;
template <typename A> constexpr bool is_same<A, A> = true;

// The updates' dimensions with neighbours merged, outermost first, and how far a step along each moves in the output:
// 0 along the axis, where the index decides.
template <typename Offset, int RANK> struct Geometry {
    Offset size[RANK];
    Offset stride[RANK];
};

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

// Offset is an unsigned type that holds the number of updates and of output elements.
template <typename T, typename Tind, Reduction R, typename Offset, int RANK>
__global__ void scatter_elements(T* __restrict__ output, const Tind* __restrict__ indices,
                                 const T* __restrict__ updates, Offset count, Offset axis_size, Offset axis_stride,
                                 Geometry<Offset, RANK> geometry) {
    const Offset element = static_cast<Offset>(blockIdx.x) * blockDim.x + threadIdx.x;
    if (element >= count) return;
    long long index = indices[element];
    if (index < 0) index += axis_size;
    if (index < 0 || index >= static_cast<long long>(axis_size)) return;
    Offset target = static_cast<Offset>(index) * axis_stride;
    Offset rest = element;
#pragma unroll
    for (int dim = RANK - 1; dim > 0; --dim) {
        const Offset outer = rest / geometry.size[dim];
        target += (rest - outer * geometry.size[dim]) * geometry.stride[dim];
        rest = outer;
    }
    target += rest * geometry.stride[0];
    reduce_into<R>(output + target, updates[element]);
}
