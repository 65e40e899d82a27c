// The pixels that a sample of a level reads, and their sum.

#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include "../_cuda/division.cuh"
#include "../_cuda/vectors.cuh"

constexpr int OUTSIDE = -1;

struct Sizes {
    int pixels, heads, channels, levels, points;
};

// Where the pixels around a location are, in elements of an item of value, and their weights. What lies outside has
// none.
struct Sample {
    int4 place;
    float4 weight;
};
__device__ constexpr Sample NOWHERE = {{OUTSIDE, OUTSIDE, OUTSIDE, OUTSIDE}, {0.0f, 0.0f, 0.0f, 0.0f}};

template <typename T, int N> struct alignas(sizeof(T) * N) Pack {
    T value[N];
};

// A level that does not lie in value as a whole has no pixels.
struct Level {
    int height, width, start;
};

template <typename S>
__device__ __forceinline__ Level level_at(const S* spatial_shapes, const S* level_start_index, int level, int pixels) {
    const long long height = spatial_shapes[2 * level], width = spatial_shapes[2 * level + 1];
    const long long start = level_start_index[level];
    const bool fits = height > 0 && width > 0 && start >= 0 && height <= pixels && width <= pixels &&
                      start <= pixels && height * width <= pixels - start;
    if (!fits) return {0, 0, 0};
    return {static_cast<int>(height), static_cast<int>(width), static_cast<int>(start)};
}

// Return what a location reads from a level. Positions round as on a CPU. NaN is outside.
__device__ __forceinline__ Sample sample_at(float x, float y, float attention, const Level& level, int stride) {
    const float width = static_cast<float>(level.width), height = static_cast<float>(level.height);
    const float column = __fadd_rn(__fmul_rn(x, width), -0.5f), row = __fadd_rn(__fmul_rn(y, height), -0.5f);
    Sample sample = NOWHERE;
    if (!(column > -1.0f && column < width && row > -1.0f && row < height)) return sample;
    const float left = floorf(column), top = floorf(row), right_share = column - left, bottom_share = row - top;
    const int c = static_cast<int>(left), r = static_cast<int>(top);
    const int first = (level.start + r * level.width + c) * stride, below = first + level.width * stride;
    const float top_weight = (1.0f - bottom_share) * attention, bottom_weight = bottom_share * attention;
    const bool has_top = r >= 0, has_bottom = r + 1 < level.height, has_left = c >= 0, has_right = c + 1 < level.width;
    if (has_top && has_left) sample.place.x = first, sample.weight.x = top_weight * (1.0f - right_share);
    if (has_top && has_right) sample.place.y = first + stride, sample.weight.y = top_weight * right_share;
    if (has_bottom && has_left) sample.place.z = below, sample.weight.z = bottom_weight * (1.0f - right_share);
    if (has_bottom && has_right) sample.place.w = below + stride, sample.weight.w = bottom_weight * right_share;
    return sample;
}

// Load a pack of a pixel's channels, or zeros.
template <typename T, int N, bool IS_INSIDE>
__device__ __forceinline__ Pack<T, N> load_pack(const T* __restrict__ channels, int place) {
    Pack<T, N> pack = {};
    if (IS_INSIDE || place != OUTSIDE) pack = *reinterpret_cast<const Pack<T, N>*>(channels + place);
    return pack;
}

template <typename T, int N>
__device__ __forceinline__ void add_pack(float (&sum)[N], const Pack<T, N>& pack, float weight) {
#pragma unroll
    for (int i = 0; i < N; ++i) sum[i] += weight * static_cast<float>(pack.value[i]);
}

// Add the four pixels of each of some samples. IS_INSIDE says that none is outside.
template <bool IS_INSIDE, int COUNT, typename T, int N>
__device__ __forceinline__ void add_samples(float (&sum)[N], const T* __restrict__ source,
                                            const Sample (&samples)[COUNT]) {
    Pack<T, N> packs[COUNT][4];
#pragma unroll
    for (int i = 0; i < COUNT; ++i) {
        packs[i][0] = load_pack<T, N, IS_INSIDE>(source, samples[i].place.x);
        packs[i][1] = load_pack<T, N, IS_INSIDE>(source, samples[i].place.y);
        packs[i][2] = load_pack<T, N, IS_INSIDE>(source, samples[i].place.z);
        packs[i][3] = load_pack<T, N, IS_INSIDE>(source, samples[i].place.w);
    }
#pragma unroll
    for (int i = 0; i < COUNT; ++i) {
        add_pack(sum, packs[i][0], samples[i].weight.x);
        add_pack(sum, packs[i][1], samples[i].weight.y);
        add_pack(sum, packs[i][2], samples[i].weight.z);
        add_pack(sum, packs[i][3], samples[i].weight.w);
    }
}

// The pixels around a location, of which those outside are not read.
template <typename T, int N> struct Corners {
    using Word = typename WordOf<sizeof(T) * N>::type;
    Word words[4] = {};
    bool is_near = false, is_read[4];
    float right_share, bottom_share;

    Corners() = default;
    __device__ __forceinline__ Corners(const T* source, float x, float y, const Level& level, int stride) {
        const float width = static_cast<float>(level.width), height = static_cast<float>(level.height);
        const float column = __fadd_rn(__fmul_rn(x, width), -0.5f), row = __fadd_rn(__fmul_rn(y, height), -0.5f);
        is_near = column > -1.0f && column < width && row > -1.0f && row < height;
        if (!is_near) return;
        const int c = __float2int_rd(column), r = __float2int_rd(row);
        const bool has_bottom = r + 1 < level.height, has_right = c + 1 < level.width;
        is_read[0] = (r | c) >= 0, is_read[1] = r >= 0 && has_right;
        is_read[2] = c >= 0 && has_bottom, is_read[3] = has_right && has_bottom;
        const int first = (level.start + r * level.width + c) * stride, below = first + level.width * stride;
        const int places[] = {first, first + stride, below, below + stride};
#pragma unroll
        for (int i = 0; i < 4; ++i) {
            if (is_read[i]) words[i] = __ldg(reinterpret_cast<const Word*>(source + places[i]));
        }
        right_share = column - static_cast<float>(c), bottom_share = row - static_cast<float>(r);
    }

    __device__ __forceinline__ void add_to(float (&sum)[N], float attention) const {
        if (!is_near) return;
        const auto packs = reinterpret_cast<const Pack<T, N>*>(words);
        const float top_weight = (1.0f - bottom_share) * attention, bottom_weight = bottom_share * attention;
        const float weights[] = {top_weight * (1.0f - right_share), top_weight * right_share,
                                 bottom_weight * (1.0f - right_share), bottom_weight * right_share};
#pragma unroll
        for (int i = 0; i < 4; ++i) {  // an instruction of a pack has a condition, more of them would have a branch
            if (N > 1 || is_read[i]) add_pack(sum, packs[i], is_read[i] ? weights[i] : 0.0f);
        }
    }
};
