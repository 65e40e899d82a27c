// Find the elements that a location of a GridSample reads, and their weights.

#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include "../_cuda/device.cuh"
#include "../_cuda/streaming.cuh"

using pluginkit::FAR_PIXELS, pluginkit::Mode, pluginkit::Padding, pluginkit::THREADS;  // from launches.py

constexpr float FAR = FAR_PIXELS;  // coordinates beyond it are clamped to it, and NaN to minus it

template <typename T, int N> struct alignas((N & (N - 1)) == 0 ? sizeof(T) * N : sizeof(T)) Pack { T value[N]; };

template <Mode MODE> constexpr int TAPS = MODE == Mode::nearest ? 1 : MODE == Mode::linear ? 2 : 4;

// The elements that a location reads along one axis.
template <Mode MODE, typename Offset> struct Axis {
    Offset offset[TAPS<MODE>];  // in elements of a channel
    float weight[TAPS<MODE>];
    bool is_inside[TAPS<MODE>];
};

// Return the weight of Keys' cubic convolution, a = -0.75, at a distance below 1, and between 1 and 2.
__device__ __forceinline__ float cubic_near(float t) { return (1.25f * t - 2.25f) * t * t + 1.0f; }
__device__ __forceinline__ float cubic_far(float t) { return ((-0.75f * t + 3.75f) * t - 6.0f) * t + 3.0f; }

template <Mode MODE> __device__ __forceinline__ void set_weights(float (&weight)[TAPS<MODE>], float t) {
    if constexpr (MODE == Mode::nearest) {
        weight[0] = 1.0f;
    } else if constexpr (MODE == Mode::linear) {
        weight[0] = 1.0f - t;
        weight[1] = t;
    } else {
        weight[0] = cubic_far(t + 1.0f);
        weight[1] = cubic_near(t);
        weight[2] = cubic_near(1.0f - t);
        weight[3] = cubic_far(2.0f - t);
    }
}

// Mirror an index into the axis, at the centres of the outermost pixels or at their outer edges.
template <bool ALIGN_CORNERS> __device__ __forceinline__ int reflected(int index, int size) {
    if (ALIGN_CORNERS && size == 1) return 0;
    const unsigned int length = size, period = 2 * (ALIGN_CORNERS ? length - 1 : length);
    unsigned int at = index >= 0 ? index : ALIGN_CORNERS ? -index : -1 - index;
    at %= period;
    return at < length ? at : period - at - (ALIGN_CORNERS ? 0 : 1);
}

// Return the taps of a coordinate along an axis of `size` pixels, which are `stride` elements apart.
template <Mode MODE, Padding PADDING, bool ALIGN_CORNERS, typename Offset>
__device__ __forceinline__ Axis<MODE, Offset> axis_at(float coordinate, int size, Offset stride) {
    // Every operation rounds, as on a CPU. Contracted, coordinates halfway between two pixels would move.
    const float shifted = __fadd_rn(coordinate, 1.0f);
    float x = ALIGN_CORNERS ? __fmul_rn(0.5f * shifted, static_cast<float>(size - 1))
                            : 0.5f * __fadd_rn(__fmul_rn(shifted, static_cast<float>(size)), -1.0f);
    x = fminf(fmaxf(x, -FAR), FAR);
    const float pixel = MODE == Mode::nearest ? rintf(x) : floorf(x);
    const int first = static_cast<int>(pixel) - (MODE == Mode::cubic);
    Axis<MODE, Offset> axis;
    set_weights<MODE>(axis.weight, x - pixel);
#pragma unroll
    for (int tap = 0; tap < TAPS<MODE>; ++tap) {
        int index = first + tap;
        axis.is_inside[tap] = static_cast<unsigned int>(index) < static_cast<unsigned int>(size);
        if (!axis.is_inside[tap]) {
            if constexpr (PADDING == Padding::zeros) index = 0;
            if constexpr (PADDING == Padding::border) index = min(max(index, 0), size - 1);
            if constexpr (PADDING == Padding::reflection) index = reflected<ALIGN_CORNERS>(index, size);
        }
        axis.offset[tap] = static_cast<Offset>(index) * stride;
    }
    return axis;
}

// The number of elements of a channel that a location reads.
template <Mode MODE, int AXES> constexpr int NEIGHBOURS = TAPS<MODE> * TAPS<MODE> * (AXES == 3 ? TAPS<MODE> : 1);

// The sizes of a channel of x, outermost first. With two axes the first is unused.
struct Sizes { int value[3]; };
