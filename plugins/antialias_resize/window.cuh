// Which elements an output coordinate reads along an axis, and their weights. Coordinates are computed in double: in float32 that
// of a far element is off by more than its weights may be.

#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include "../_cuda/vectors.cuh"

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

// Where the elements of y lie in x along an axis, and how far the filter reaches. A thread computes it for its block.
struct Line {
    double step, start;  // element n of y is at start + n * step
    float reach, shrink;  // elements of x, and distances of the filter for each
    bool is_cropped;
};

template <Filter FILTER> __device__ __forceinline__ Line line_of(const Axis& axis, const Region& region) {
    if (axis.coordinates == static_cast<int>(Coordinates::kept)) return {1.0, 0.0, 1.0f, 1.0f, false};
    const double size = axis.size, given = __longlong_as_double(region.scale);
    const double apart = given > 0.0 ? 1.0 / given : size / axis.resized, length = given > 0.0 ? given * size : axis.resized;
    double step = apart, start = 0.5 * step - 0.5;
    bool is_cropped = false;
    switch (static_cast<Coordinates>(axis.coordinates)) {
    case Coordinates::asymmetric: start = 0.0; break;
    case Coordinates::align_corners: start = 0.0, step = axis.resized > 1 ? (size - 1.0) / (length - 1.0) : 0.0; break;
    case Coordinates::half_pixel_symmetric: start += (1.0 - axis.resized / length) * size / 2.0; break;
    case Coordinates::pytorch_half_pixel:
        if (length == 1.0) start = -0.5;
        break;
    case Coordinates::tf_crop_and_resize: {
        const double begin = __longlong_as_double(region.start), share = __longlong_as_double(region.end) - begin;
        start = (begin + (length == 1.0 ? 0.5 * share : 0.0)) * (size - 1.0);
        step = length == 1.0 ? 0.0 : share / (length - 1.0) * (size - 1.0);
        is_cropped = true;
        break;
    }
    default: break;
    }
    // An element at the end of the filter has no weight; whether it is read must not depend on a rounding.
    const float widened = fmaxf(static_cast<float>(apart), 1.0f);
    const float reach = (FILTER == Filter::linear ? 1.0f : 2.0f) * (1.0f - 0x1p-20f) * widened;
    return {step, start, reach, 1.0f / widened, is_cropped};
}

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

__device__ __forceinline__ Window window_of(const Line& line, const Axis& axis, int number) {
    const double at = line.start + number * line.step;
    if (line.is_cropped && !(at >= 0.0 && at <= axis.size - 1.0)) return {0, 0, 0, 0.0f, 1.0f, true};
    const int base = static_cast<int>(floor(at));
    const float rest = static_cast<float>(at - base);
    int begin = base + static_cast<int>(floorf(rest - line.reach)) + 1, end = base + static_cast<int>(ceilf(rest + line.reach));
    if (axis.excludes_outside) begin = max(begin, 0), end = min(end, axis.size);
    return {begin, end, base, rest, line.shrink, false};
}

__device__ __forceinline__ int inside(int element, int size) { return min(max(element, 0), size - 1); }

// Return what a sum is multiplied with, given that of its weights, which is 0 where nothing is read.
__device__ __forceinline__ float share_of(float weights) { return weights == 0.0f ? 0.0f : 1.0f / weights; }
