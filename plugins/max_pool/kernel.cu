// MaxPool with indices: a thread, or a warp if there are many elements, takes a window. NaN is greater than everything, and of
// equal elements the first is taken, so that the index is that of numpy's argmax.

#include <cuda_bf16.h>
#include <cuda_fp16.h>

using pluginkit::AT_ONCE, pluginkit::THREADS;  // from __init__.py

// Along one axis: the sizes of x and y, of a window, the steps between windows and between elements, and the padding before.
struct Axis {
    int size, windows, kernel, stride, dilation, pad;
};

struct Axes {
    Axis z, y, x;
};

// The steps of an index from one element to the next along each axis, in the order that the caller asked for.
struct Steps {
    long long z, y, x;
};

// The elements of a window that lie in x: the first one's position, and those from `begin` to before `end`.
struct Span {
    int first, begin, end;

    __device__ __forceinline__ bool has(int element) const { return element >= begin && element < end; }
};

template <bool IS_DENSE> __device__ __forceinline__ Span span_of(const Axis& axis, int window) {
    const int first = window * axis.stride - axis.pad;
    if (IS_DENSE || axis.dilation == 1) return {first, max(-first, 0), min(axis.kernel, axis.size - first)};
    const int begin = first < 0 ? (axis.dilation - 1 - first) / axis.dilation : 0;
    const int end = first < axis.size ? min(axis.kernel, (axis.size - 1 - first) / axis.dilation + 1) : 0;
    return {first, begin, end};
}

// The greatest element so far, and its place in the plane; none if that is negative. NaN is the greatest.
struct Best {
    float value;
    long long place;

    // Take an element that comes after all before it if it is greater.
    __device__ __forceinline__ void take(float other, long long other_place) {
        if (place < 0 || (!(other <= value) && !isnan(value))) value = other, place = other_place;
    }

    // Take the better of two, of equals the first.
    __device__ __forceinline__ void combine(const Best& other) {
        const bool is_equal = value == other.value || (isnan(value) && isnan(other.value));
        const bool is_before = is_equal ? other.place < place : !(other.value <= value) && !isnan(value);
        if (other.place >= 0 && (place < 0 || is_before)) *this = other;
    }
};

template <typename T> __device__ __forceinline__ Best none() {
    return {sizeof(T) == 1 ? -128.0f : -__int_as_float(0x7f800000), -1};  // y where all is padding
}

// Where a window is: its plane, and its elements along each axis.
struct Place {
    long long plane;
    Span z, y, x;
};

// A plane of IS_DENSE windows has two axes, along which the elements of a window lie beside each other.
template <bool IS_DENSE> __device__ __forceinline__ Place place_of(const Axes& axes, long long window) {
    const long long row = window / axes.x.windows, rows = row / axes.y.windows;
    const long long plane = IS_DENSE ? rows : rows / axes.z.windows;
    return {plane, IS_DENSE ? Span{0, 0, 1} : span_of<false>(axes.z, static_cast<int>(rows - plane * axes.z.windows)),
            span_of<IS_DENSE>(axes.y, static_cast<int>(row - rows * axes.y.windows)),
            span_of<IS_DENSE>(axes.x, static_cast<int>(window - row * axes.x.windows))};
}

// Store the greatest element and its index, whose place in the plane counts along x first.
template <typename T>
__device__ __forceinline__ void store(T* y, long long* indices, long long window, const Best& best, const Axes& axes,
                                      const Steps& steps, long long plane) {
    const long long place = max(best.place, 0LL);
    long long index = place;
    if (steps.x != 1) {
        const long long line = place / axes.x.size, at_z = line / axes.y.size;
        index = at_z * steps.z + (line - at_z * axes.y.size) * steps.y + (place - line * axes.x.size) * steps.x;
    }
    y[window] = static_cast<T>(best.value);
    indices[window] = plane * axes.z.size * axes.y.size * axes.x.size + index;
}

// WINDOW is the size of a square window without dilation, or 0 for any other.
template <typename T, int WINDOW>
__global__ void __launch_bounds__(THREADS)
    max_pool(T* __restrict__ y, long long* __restrict__ indices, const T* __restrict__ x, Axes axes, Steps steps,
             long long windows) {
    const long long window = 1LL * blockIdx.x * THREADS + threadIdx.x;
    if (window >= windows) return;
    const Place at = place_of<(WINDOW > 0)>(axes, window);
    const T* own = x + at.plane * axes.z.size * axes.y.size * axes.x.size;
    Best best = none<T>();
    // Elements are read before they are compared, so that the reads wait for memory together.
    if constexpr (WINDOW > 0) {
        T elements[WINDOW * WINDOW];
        const long long first = at.y.first * static_cast<long long>(axes.x.size) + at.x.first;
#pragma unroll
        for (int i = 0; i < WINDOW * WINDOW; ++i) {
            const bool is_inside = at.y.has(i / WINDOW) && at.x.has(i % WINDOW);
            elements[i] = own[is_inside ? first + i / WINDOW * axes.x.size + i % WINDOW : 0];
        }
#pragma unroll
        for (int i = 0; i < WINDOW * WINDOW; ++i) {
            if (at.y.has(i / WINDOW) && at.x.has(i % WINDOW)) {
                best.take(static_cast<float>(elements[i]), first + i / WINDOW * axes.x.size + i % WINDOW);
            }
        }
    } else {
        for (int k = at.z.begin; k < at.z.end; ++k) {
            for (int j = at.y.begin; j < at.y.end; ++j) {
                const long long plane_y = (at.z.first + k * axes.z.dilation) * static_cast<long long>(axes.y.size);
                const long long line = (plane_y + at.y.first + j * axes.y.dilation) * axes.x.size + at.x.first;
                for (int begin = at.x.begin; begin < at.x.end; begin += AT_ONCE) {
                    T elements[AT_ONCE];
#pragma unroll
                    for (int i = 0; i < AT_ONCE; ++i) {
                        if (begin + i < at.x.end) elements[i] = own[line + 1LL * (begin + i) * axes.x.dilation];
                    }
#pragma unroll
                    for (int i = 0; i < AT_ONCE; ++i) {
                        if (begin + i < at.x.end) {
                            best.take(static_cast<float>(elements[i]), line + 1LL * (begin + i) * axes.x.dilation);
                        }
                    }
                }
            }
        }
    }
    store(y, indices, window, best, axes, steps, at.plane);
}

// A warp takes a window of many elements.
template <typename T>
__global__ void __launch_bounds__(THREADS)
    max_pool_large(T* __restrict__ y, long long* __restrict__ indices, const T* __restrict__ x, Axes axes, Steps steps,
                   long long windows) {
    const long long window = (1LL * blockIdx.x * THREADS + threadIdx.x) / 32;
    const int lane = threadIdx.x % 32;
    if (window >= windows) return;
    const Place at = place_of<false>(axes, window);
    const T* own = x + at.plane * axes.z.size * axes.y.size * axes.x.size;
    const int width = max(at.x.end - at.x.begin, 0), height = max(at.y.end - at.y.begin, 0);
    const long long elements = 1LL * max(at.z.end - at.z.begin, 0) * height * width;
    Best best = none<T>();
    // A lane's column goes on by 32 elements a step, over the ends of as many lines.
    long long line = lane / max(width, 1);
    int column = lane % max(width, 1);
#pragma unroll 4
    for (long long element = lane; element < elements; element += 32) {
        const int k = static_cast<int>(line / height), j = static_cast<int>(line - 1LL * k * height);
        const int at_z = at.z.first + (at.z.begin + k) * axes.z.dilation;
        const int at_y = at.y.first + (at.y.begin + j) * axes.y.dilation;
        const int at_x = at.x.first + (at.x.begin + column) * axes.x.dilation;
        const long long place = (1LL * at_z * axes.y.size + at_y) * axes.x.size + at_x;
        best.take(static_cast<float>(own[place]), place);
        for (column += 32; column >= width; column -= width) ++line;
    }
#pragma unroll
    for (int step = 16; step > 0; step /= 2) {
        best.combine({__shfl_xor_sync(~0u, best.value, step), __shfl_xor_sync(~0u, best.place, step)});
    }
    if (lane == 0) store(y, indices, window, best, axes, steps, at.plane);
}
