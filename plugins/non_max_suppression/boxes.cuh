// Boxes, and whether two overlap too much. Every operation rounds, as on a CPU: contracted, the comparison could give
// another result when an overlap equals the threshold.

#pragma once

struct Box {
    float low_x, low_y, high_x, high_y;
};

// Return the box at a position of `boxes`: from two opposite corners, y before x, or from centre and size.
template <bool CENTER> __device__ __forceinline__ Box box_at(const float4* __restrict__ boxes, long long position) {
    const float4 given = __ldg(boxes + position);
    if constexpr (CENTER) {
        const float half_width = given.z * 0.5f, half_height = given.w * 0.5f;
        return {__fsub_rn(given.x, half_width), __fsub_rn(given.y, half_height), __fadd_rn(given.x, half_width),
                __fadd_rn(given.y, half_height)};
    } else {
        // Not fminf, which drops a NaN.
        const bool is_x_flipped = given.y >= given.w, is_y_flipped = given.x >= given.z;
        return {is_x_flipped ? given.w : given.y, is_y_flipped ? given.z : given.x, is_x_flipped ? given.y : given.w,
                is_y_flipped ? given.x : given.z};
    }
}

__device__ __forceinline__ float area_of(const Box& box) {
    return __fmul_rn(__fsub_rn(box.high_x, box.low_x), __fsub_rn(box.high_y, box.low_y));
}

// Whether the intersection of two boxes over their union exceeds the threshold.
__device__ __forceinline__ bool is_overlapping(const Box& a, const Box& b, float threshold) {
    const float low_x = fmaxf(a.low_x, b.low_x), high_x = fminf(a.high_x, b.high_x);
    const float low_y = fmaxf(a.low_y, b.low_y), high_y = fminf(a.high_y, b.high_y);
    if (high_x <= low_x || high_y <= low_y) return false;
    const float common = __fmul_rn(__fsub_rn(high_x, low_x), __fsub_rn(high_y, low_y));
    const float area_a = area_of(a), area_b = area_of(b);
    const float both = __fsub_rn(__fadd_rn(area_a, area_b), common);
    // A NaN, which fmaxf and fminf may have dropped, is in one of the areas, and fails a comparison.
    if (!(common > 0.0f && area_a > 0.0f && area_b > 0.0f && both > 0.0f)) return false;
    return __fdiv_rn(common, both) > threshold;
}
