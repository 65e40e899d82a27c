// The places that taps are moved to: which pixels of a channel are interpolated there, and with which weights.

#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>

struct Sizes {
    int channels, height, width, maps, taps_y, taps_x, out_height, out_width;
    int groups, offset_groups, stride_y, stride_x, pad_y, pad_x, dilation_y, dilation_x;

    __device__ __forceinline__ int taps() const { return taps_y * taps_x; }
    __device__ __forceinline__ int outputs() const { return out_height * out_width; }
    __device__ __forceinline__ int depth() const { return channels / groups; }
    __device__ __forceinline__ int maps_of_group() const { return maps / groups; }
    __device__ __forceinline__ int part_depth() const { return channels / offset_groups; }
    __device__ __forceinline__ long long area() const { return 1LL * height * width; }
};

// The taps of an output pixel, one after the other: where each is before it is moved.
struct Taps {
    int tap, tap_y, tap_x, first_row, first_column, row, column;

    __device__ __forceinline__ Taps(const Sizes& sizes, int tap, int output)
        : tap(tap), tap_y(tap / sizes.taps_x), tap_x(tap % sizes.taps_x),
          first_row(output / sizes.out_width * sizes.stride_y - sizes.pad_y),
          first_column(output % sizes.out_width * sizes.stride_x - sizes.pad_x), row(first_row + tap_y * sizes.dilation_y),
          column(first_column + tap_x * sizes.dilation_x) {}

    // Return whether it was the last one, after which the first follows.
    __device__ __forceinline__ bool advance(const Sizes& sizes) {
        ++tap, ++tap_x, column += sizes.dilation_x;
        if (tap_x < sizes.taps_x) return false;
        tap_x = 0, column = first_column, ++tap_y, row += sizes.dilation_y;
        if (tap_y < sizes.taps_y) return false;
        tap = tap_y = 0, row = first_row;
        return true;
    }
};

// How far a tap of an output pixel is moved, as a part of the channels is, and what its sample is multiplied by.
struct Moved {
    float y, x, mask;
};

template <typename T>
__device__ __forceinline__ Moved moved_by(const T* offset, const T* mask, const Sizes& sizes, long long image, int part,
                                          int tap, int output) {
    const int outputs = sizes.outputs();
    const long long at = (image * sizes.offset_groups + part) * sizes.taps() + tap;
    return {static_cast<float>(offset[2 * at * outputs + output]), static_cast<float>(offset[(2 * at + 1) * outputs + output]),
            mask == nullptr ? 1.0f : static_cast<float>(mask[at * outputs + output])};
}

// Where a tap is moved to: the first of the four pixels around, and how far it is from there.
struct Position {
    int row, column;
    float below, right;

    Position() = default;
    // Move a tap that is at a pixel of the image, or outside.
    __device__ __forceinline__ Position(const Moved& moved, const Sizes& sizes, int from_row, int from_column) {
        const float y = static_cast<float>(from_row) + moved.y, x = static_cast<float>(from_column) + moved.x;
        const bool is_near = y > -1.0f && y < sizes.height && x > -1.0f && x < sizes.width;  // not NaN
        row = is_near ? __float2int_rd(y) : -2, column = is_near ? __float2int_rd(x) : 0;
        below = is_near ? y - static_cast<float>(row) : 0.0f, right = is_near ? x - static_cast<float>(column) : 0.0f;
    }

    __device__ __forceinline__ bool is_inside(const Sizes& sizes, int corner) const {
        return static_cast<unsigned int>(row + corner / 2) < static_cast<unsigned int>(sizes.height) &&
               static_cast<unsigned int>(column + corner % 2) < static_cast<unsigned int>(sizes.width);
    }

    __device__ __forceinline__ float weight(int corner) const {
        return (corner / 2 ? below : 1.0f - below) * (corner % 2 ? right : 1.0f - right);
    }
};

// The sample of a tap for an output pixel.
struct Sample {
    int at, width;  // the first of the four pixels, which may be outside, and how far it is to the next row
    bool is_inside[4];
    float weights[4], mask;

    Sample() = default;
    __device__ __forceinline__ Sample(const Moved& moved, const Sizes& sizes, int from_row, int from_column)
        : width(sizes.width), mask(moved.mask) {
        const Position position(moved, sizes, from_row, from_column);
        at = position.row * width + position.column;
#pragma unroll
        for (int i = 0; i < 4; ++i) is_inside[i] = position.is_inside(sizes, i), weights[i] = position.weight(i);
    }

    // Read the pixels of a channel, 0 for those that are outside.
    template <typename T> __device__ __forceinline__ void read(T (&pixels)[4], const T* channel) const {
        const T *above = channel + at, *beneath = above + width;
#pragma unroll
        for (int i = 0; i < 4; ++i) pixels[i] = is_inside[i] ? __ldg((i / 2 ? beneath : above) + i % 2) : static_cast<T>(0.0f);
    }

    template <typename T> __device__ __forceinline__ float interpolated(const T (&pixels)[4]) const {
        float sum = 0.0f;
#pragma unroll
        for (int i = 0; i < 4; ++i) sum = fmaf(weights[i], static_cast<float>(pixels[i]), sum);
        return sum * mask;
    }
};

template <typename T> __device__ __forceinline__ float sampled(const T* channel, const Sample& sample) {
    T pixels[4];  // which are all loaded before one is needed
    sample.read(pixels, channel);
    return sample.interpolated(pixels);
}
