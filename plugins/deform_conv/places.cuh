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

    // Where the first tap of an output pixel is.
    __device__ __forceinline__ int first_row(int output) const { return output / out_width * stride_y - pad_y; }
    __device__ __forceinline__ int first_column(int output) const { return output % out_width * stride_x - pad_x; }
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

// One of the four pixels of a channel that are interpolated, or -1 if it is outside, and its weight.
struct Place {
    int at = -1;
    float weight = 0.0f;
};

// Return a corner of the place of a tap that is at a pixel of the image, or outside, before it is moved.
__device__ __forceinline__ Place place_of(const Moved& moved, const Sizes& sizes, int from_row, int from_column, int corner) {
    const float y = static_cast<float>(from_row) + moved.y, x = static_cast<float>(from_column) + moved.x;
    if (!(y > -1.0f && y < sizes.height && x > -1.0f && x < sizes.width)) return {};  // NaN is outside
    const float top = floorf(y), left = floorf(x), below = y - top, right = x - left;
    const int row = static_cast<int>(top) + corner / 2, column = static_cast<int>(left) + corner % 2;
    if (row < 0 || row >= sizes.height || column < 0 || column >= sizes.width) return {};
    return {row * sizes.width + column, (corner / 2 ? below : 1.0f - below) * (corner % 2 ? right : 1.0f - right)};
}

// The sample of a tap for an output pixel.
struct Sample {
    Place corners[4];
    float mask;
};

template <typename T>
__device__ __forceinline__ Sample sample_of(const T* offset, const T* mask, const Sizes& sizes, long long image, int part,
                                            int tap, int output) {
    const Moved moved = moved_by(offset, mask, sizes, image, part, tap, output);
    const int row = sizes.first_row(output) + tap / sizes.taps_x * sizes.dilation_y;
    const int column = sizes.first_column(output) + tap % sizes.taps_x * sizes.dilation_x;
    Sample sample = {{}, moved.mask};
#pragma unroll
    for (int corner = 0; corner < 4; ++corner) sample.corners[corner] = place_of(moved, sizes, row, column, corner);
    return sample;
}

template <typename T> __device__ __forceinline__ float sampled(const T* channel, const Sample& sample) {
    float sum = 0.0f;
#pragma unroll
    for (const Place& corner : sample.corners) {
        if (corner.at >= 0) sum += corner.weight * static_cast<float>(__ldg(channel + corner.at));
    }
    return sum * sample.mask;
}
