// A region along one axis, and its samples.

#pragma once

using pluginkit::VISITED;  // from launches.py

// A sample along one axis: the pixels before and after it, in elements, and their weights. Outside of x all are 0.
struct Sample {
    int low, high;
    float low_weight, high_weight;
};

// A region along one axis.
struct Axis {
    float start, bin_size;
    int bins, samples;  // samples of a bin
    int size, stride;   // pixels, and their distance in elements

    __device__ __forceinline__ Sample sample(int bin, int index) const {
        const float within = __fdiv_rn(__fmul_rn(index + 0.5f, bin_size), static_cast<float>(samples));
        float at = __fadd_rn(__fadd_rn(start, __fmul_rn(static_cast<float>(bin), bin_size)), within);
        if (!(at >= -1.0f && at <= static_cast<float>(size))) return {0, 0, 0.0f, 0.0f};
        at = fmaxf(at, 0.0f);
        const int low = min(static_cast<int>(at), size - 1);
        const bool is_last = low == size - 1;
        const float after = is_last ? 0.0f : at - static_cast<float>(low);
        return {low * stride, (is_last ? low : low + 1) * stride, 1.0f - after, after};
    }

    // Return the range of a bin's samples that may lie inside x, so that a huge region does not compute the samples
    // outside; of few samples all. A region that ends before it begins has steps below 0.
    __device__ __forceinline__ int2 inside(int bin) const {
        if (samples <= VISITED) return {0, samples};
        const double step = static_cast<double>(bin_size) / samples, first = start + bin * static_cast<double>(bin_size);
        if (step == 0.0) return {0, samples};
        const double margin = 2.0 + (fabs(first) + fabs(static_cast<double>(bin_size))) * 0x1p-21 / fabs(step);
        const double at_low = (-1.0 - first) / step, at_high = (size - first) / step;
        const double begin = fmin(at_low, at_high) - margin, end = fmax(at_low, at_high) + margin;
        if (!(begin < samples && end > 0.0)) return {0, 0};
        return {static_cast<int>(fmax(begin, 0.0)), static_cast<int>(fmin(end, static_cast<double>(samples)))};
    }
};

__device__ __forceinline__ Axis axis_of(float low, float high, float scale, bool is_half_pixel, int bins,
                                        int sampling_ratio, int size, int stride) {
    const float offset = is_half_pixel ? 0.5f : 0.0f;
    const float start = __fsub_rn(__fmul_rn(low, scale), offset);
    float length = __fsub_rn(__fsub_rn(__fmul_rn(high, scale), offset), start);
    if (!is_half_pixel) length = length < 1.0f ? 1.0f : length;  // keeps a NaN
    const float bin_size = __fdiv_rn(length, static_cast<float>(bins));
    // NaN converts to 0, and too large values to the largest int.
    const int adapted = max(0, static_cast<int>(ceilf(bin_size)));
    return {start, bin_size, bins, sampling_ratio > 0 ? sampling_ratio : adapted, size, stride};
}
