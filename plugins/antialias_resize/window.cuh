// Which elements an output coordinate reads along an axis, and their weights. Coordinates are computed in double: in float32 that
// of a far element is off by more than its weights may be.

#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>

using pluginkit::Coordinates, pluginkit::Filter;  // from launches.py

// What a pass reads and writes: x and y, x and the workspace, or the workspace and y.
template <typename T, int STAGE> struct Pass {
    using In = T;
    using Out = T;
};
template <typename T> struct Pass<T, 1> {
    using In = T;
    using Out = float;
};
template <typename T> struct Pass<T, 2> {
    using In = float;
    using Out = T;
};

struct Axis {
    int size, resized, coordinates, excludes_outside;
};

// The bits of doubles: the scale, 0 for the ratio of the sizes, and where the region of interest starts and ends.
struct Region {
    long long scale, start, end;
};

// The coefficient of the cubic filter, and the value outside of the region of interest.
struct Values {
    float a, outside;
};

// The elements [begin, end) that a coordinate reads; those beyond the axis are the outermost.
struct Window {
    int begin, end, base;  // base + rest is the coordinate
    float rest, shrink;
    bool is_outside;

    // Return the weight of an element before all are divided by their sum.
    template <Filter FILTER> __device__ __forceinline__ float weight(int element, float a) const {
        const float distance = fabsf(static_cast<float>(element - base) - rest) * shrink;
        if constexpr (FILTER == Filter::linear) {
            return fmaxf(1.0f - distance, 0.0f);
        } else {
            const float near = ((a + 2.0f) * distance - (a + 3.0f)) * distance * distance + 1.0f;
            const float far = (((distance - 5.0f) * distance + 8.0f) * distance - 4.0f) * a;
            return distance <= 1.0f ? near : distance < 2.0f ? far : 0.0f;
        }
    }
};

template <Filter FILTER>
__device__ __forceinline__ Window window_of(const Axis& axis, const Region& region, int number) {
    if (axis.coordinates == static_cast<int>(Coordinates::kept)) return {number, number + 1, number, 0.0f, 1.0f, false};
    const double size = axis.size, given = __longlong_as_double(region.scale);
    const double scale = given > 0.0 ? given : axis.resized / size, length = given > 0.0 ? given * size : axis.resized;
    double at = (number + 0.5) / scale - 0.5;
    bool is_outside = false;
    switch (static_cast<Coordinates>(axis.coordinates)) {
    case Coordinates::asymmetric: at = number / scale; break;
    case Coordinates::align_corners: at = number == 0 ? 0.0 : number * (size - 1.0) / (length - 1.0); break;
    case Coordinates::half_pixel_symmetric: at += (1.0 - axis.resized / length) * size / 2.0; break;
    case Coordinates::pytorch_half_pixel:
        if (length == 1.0) at = -0.5;
        break;
    case Coordinates::tf_crop_and_resize: {
        const double start = __longlong_as_double(region.start), end = __longlong_as_double(region.end);
        at = (start + (length == 1.0 ? 0.5 : number / (length - 1.0)) * (end - start)) * (size - 1.0);
        is_outside = !(at >= 0.0 && at <= size - 1.0);
        if (is_outside) return {0, 0, 0, 0.0f, 1.0f, true};
        break;
    }
    default: break;
    }
    // An element at the end of the filter has no weight; whether it is read must not depend on a rounding.
    const double shrink = fmin(scale, 1.0), base = floor(at);
    const double reach = (FILTER == Filter::linear ? 1.0 : 2.0) * (1.0 - 0x1p-20) / shrink;
    int begin = static_cast<int>(floor(at - reach)) + 1, end = static_cast<int>(ceil(at + reach));
    if (axis.excludes_outside) begin = max(begin, 0), end = min(end, axis.size);
    return {begin, end, static_cast<int>(base), static_cast<float>(at - base), static_cast<float>(shrink), false};
}

__device__ __forceinline__ int inside(int element, int size) { return min(max(element, 0), size - 1); }

// Divide by the sum of the weights; it is 0 where nothing is read.
__device__ __forceinline__ float divided(float sum, float weights) { return weights == 0.0f ? 0.0f : sum / weights; }
