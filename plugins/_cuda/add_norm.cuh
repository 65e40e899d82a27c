// Vectors of a row: add them, gather over them what normalizes the row, and normalize them.

#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>

// From add_norm.py.
using pluginkit::EARLY_BYTES, pluginkit::MAX_THREADS, pluginkit::MOST_KEPT, pluginkit::VECTOR_BYTES, pluginkit::WARP;

// As in <cuda/std/type_traits>, which takes a second to compile.
template <typename A, typename B> constexpr bool is_same = false;
template <typename A> constexpr bool is_same<A, A> = true;

template <typename T, int N> struct alignas(sizeof(T) * N > VECTOR_BYTES ? VECTOR_BYTES : sizeof(T) * N) Pack {
    T value[N];
};

// Load the weights of a row's vector, which are not aligned in a shifted row, whose first vector begins at `head`.
template <typename W, int N, bool SHIFTED>
__device__ __forceinline__ Pack<W, N> weights_of(const W* weight, int vector, int head) {
    if constexpr (!SHIFTED) return reinterpret_cast<const Pack<W, N>*>(weight)[vector];
    Pack<W, N> weights;
#pragma unroll
    for (int i = 0; i < N; ++i) weights.value[i] = weight[head + vector * N + i];
    return weights;
}

template <typename T, int N> __device__ __forceinline__ Pack<T, N> rounded(const float (&wide)[N]) {
    Pack<T, N> pack;
    if constexpr (is_same<T, __nv_bfloat16> && N % 2 == 0) {  // in pairs, one instruction less each
#pragma unroll
        for (int i = 0; i < N; i += 2) {
            const __nv_bfloat162 pair = __floats2bfloat162_rn(wide[i], wide[i + 1]);
            pack.value[i] = pair.x, pack.value[i + 1] = pair.y;
        }
    } else {
#pragma unroll
        for (int i = 0; i < N; ++i) pack.value[i] = static_cast<T>(wide[i]);
    }
    return pack;
}

// Values of two bytes are added and multiplied in pairs: to round a float result to them is the same, and takes longer.
template <typename T> struct PairOf;
template <> struct PairOf<__half> { using type = __half2; };
template <> struct PairOf<__nv_bfloat16> { using type = __nv_bfloat162; };
template <typename T, int N> constexpr bool IN_PAIRS = sizeof(T) == 2 && N % 2 == 0;

template <typename T, int N> __device__ __forceinline__ Pack<T, N> sum_of(const Pack<T, N>& a, const Pack<T, N>& b) {
    Pack<T, N> sum;
    if constexpr (IN_PAIRS<T, N>) {
        using Pair = typename PairOf<T>::type;
#pragma unroll
        for (int i = 0; i < N; i += 2) {
            const auto& own = reinterpret_cast<const Pair&>(a.value[i]);
            reinterpret_cast<Pair&>(sum.value[i]) = __hadd2(own, reinterpret_cast<const Pair&>(b.value[i]));
        }
    } else {
#pragma unroll
        for (int i = 0; i < N; ++i) {
            sum.value[i] = static_cast<T>(static_cast<float>(a.value[i]) + static_cast<float>(b.value[i]));
        }
    }
    return sum;
}

// What is gathered over a row: the sum of its squares or, if it is CENTRED, how many values there are, their mean, and the
// squares of their differences from it.
struct Moments {
    float count, mean, squares;
};
template <bool CENTRED> struct GatheredOf { using type = float; };
template <> struct GatheredOf<true> { using type = Moments; };

template <bool CENTRED, typename T, int N>
__device__ __forceinline__ typename GatheredOf<CENTRED>::type gathered_from(const Pack<T, N>& pack) {
    float mean = 0, squares = 0;
    if constexpr (CENTRED) {
#pragma unroll
        for (int i = 0; i < N; ++i) mean += static_cast<float>(pack.value[i]);
        mean /= N;
    }
#pragma unroll
    for (int i = 0; i < N; ++i) {
        const float value = static_cast<float>(pack.value[i]) - mean;
        squares += value * value;
    }
    if constexpr (CENTRED) return {N, mean, squares};
    else return squares;
}

// Combine two parts of a row, as Chan, Golub and LeVeque do; of their values the second has a `share`.
__device__ __forceinline__ Moments combined(const Moments& a, const Moments& b, float share) {
    const float apart = b.mean - a.mean;
    return {a.count + b.count, a.mean + apart * share, a.squares + b.squares + apart * apart * a.count * share};
}
__device__ __forceinline__ Moments combined(const Moments& a, const Moments& b) {
    return combined(a, b, __fdividef(b.count, fmaxf(a.count + b.count, 1.0f)));
}
__device__ __forceinline__ float combined(float a, float b, float share = 0) { return a + b; }

// Add each of the values over the lanes of a warp that have one row: a power of two or, if ALONE, all.
template <bool ALONE, typename... V> __device__ __forceinline__ void add_over_lanes(V&... values) {
    const int threads = blockDim.x;
#pragma unroll
    for (int step = WARP / 2; step; step /= 2) {
        if (ALONE || step < threads) ((values += __shfl_xor_sync(~0u, values, step)), ...);
    }
}

template <bool ALONE> __device__ __forceinline__ float combined_over_lanes(float squares) {
    add_over_lanes<ALONE>(squares);
    return squares;
}
template <bool ALONE> __device__ __forceinline__ Moments combined_over_lanes(const Moments& own) {
    float count = own.count, sum = own.count * own.mean;
    add_over_lanes<ALONE>(count, sum);
    const float mean = __fdividef(sum, fmaxf(count, 1.0f)), apart = own.mean - mean;
    float squares = own.squares + own.count * apart * apart;
    add_over_lanes<ALONE>(squares);
    return {count, mean, squares};
}

// How a row is normalized: less its mean, times the inverse of what it is divided by.
struct Norm {
    float mean, inverse;
};
__device__ __forceinline__ Norm norm_from(float squares, int inner, float epsilon) {
    return {0.0f, rsqrtf(__fdividef(squares, static_cast<float>(inner)) + epsilon)};
}
__device__ __forceinline__ Norm norm_from(const Moments& found, int inner, float epsilon) {
    return {found.mean, norm_from(found.squares, inner, epsilon).inverse};
}

// Normalize by what `norm_at` returns for each value, multiply by the weights and, in a centred row, add the bias. With a
// weight of type T a normalized value that is not centred is rounded to T first; all others are rounded once, at the end.
template <bool CENTRED, typename T, typename W, int N, typename NormAt>
__device__ __forceinline__ Pack<T, N> scaled(
    const Pack<T, N>& pack, const Pack<W, N>& weight, const Pack<W, N>& bias, const NormAt& norm_at
) {
    float wide[N];
#pragma unroll
    for (int i = 0; i < N; ++i) wide[i] = (static_cast<float>(pack.value[i]) - norm_at(i).mean) * norm_at(i).inverse;
    if constexpr (CENTRED) {
#pragma unroll
        for (int i = 0; i < N; ++i) {
            wide[i] = wide[i] * static_cast<float>(weight.value[i]) + static_cast<float>(bias.value[i]);
        }
        return rounded<T>(wide);
    } else if constexpr (is_same<T, W>) {
        auto normalized = rounded<T>(wide);
        if constexpr (IN_PAIRS<T, N>) {
            using Pair = typename PairOf<T>::type;
#pragma unroll
            for (int i = 0; i < N; i += 2) {
                auto& pair = reinterpret_cast<Pair&>(normalized.value[i]);
                pair = __hmul2(pair, reinterpret_cast<const Pair&>(weight.value[i]));
            }
            return normalized;
        }
#pragma unroll
        for (int i = 0; i < N; ++i) wide[i] = static_cast<float>(normalized.value[i]);
    }
#pragma unroll
    for (int i = 0; i < N; ++i) wide[i] *= static_cast<float>(weight.value[i]);
    return rounded<T>(wide);
}

// Combine `value` over a row's threads, which are a power of two up to a warp, or whole warps.
template <bool ALONE, typename V> __device__ __forceinline__ V combined_over_row(V value) {
    __shared__ V parts[MAX_THREADS / WARP];
    const int threads = blockDim.x;
    value = combined_over_lanes<ALONE>(value);
    if (!ALONE && threads <= WARP) return value;
    const int warps = threads / WARP, first = ALONE ? 0 : threadIdx.y * warps, lane = threadIdx.x % WARP;
    if (lane == 0) parts[first + threadIdx.x / WARP] = value;
    __syncthreads();
    return combined_over_lanes<true>(lane < warps ? parts[first + lane] : V{});
}

__device__ __forceinline__ float from_lane(float value, int step) { return __shfl_xor_sync(~0u, value, step); }
__device__ __forceinline__ Moments from_lane(const Moments& own, int step) {
    return {own.count, from_lane(own.mean, step), from_lane(own.squares, step)};
}

// Combine parts of a row that have as many values each.
template <int COUNT, typename V> __device__ __forceinline__ V combined_parts(const V* parts) {
    if constexpr (COUNT == 1) return *parts;
    else {
        constexpr int HALF = COUNT / 2;
        const V first = combined_parts<HALF>(parts), second = combined_parts<COUNT - HALF>(parts + HALF);
        return combined(first, second, static_cast<float>(COUNT - HALF) / COUNT);
    }
}

// Combine `value` over a row's threads, which are whole warps, and of which each has as many values of the row. Shares
// are known then, and to read what all warps found takes less time than to exchange it.
template <int THREADS, typename V> __device__ __forceinline__ V combined_over_full_row(V value) {
    __shared__ __align__(VECTOR_BYTES) V parts[THREADS / WARP];
#pragma unroll
    for (int step = WARP / 2; step; step /= 2) value = combined(value, from_lane(value, step), 0.5f);
    if (threadIdx.x % WARP == 0) parts[threadIdx.x / WARP] = value;
    __syncthreads();
    return combined_parts<THREADS / WARP>(parts);
}
