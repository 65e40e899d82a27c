// MaxUnpool: y is written once, zeros included. If windows lie side by side a thread writes a window; else it takes a few pixels
// of a row of y and looks into the windows that cover them for an element that belongs there. Elements that belong outside
// of their own window are rare: they are noted, unless there are few, and a last kernel stores them.

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include "../_cuda/vectors.cuh"

using pluginkit::AT_ONCE, pluginkit::THREADS;  // from launches.py

// Along one axis: the sizes of x, of what its indices count in, of y, and of a window, the steps between windows, and the
// padding before.
struct Axis {
    int windows, size, padded, kernel, stride, pad;

    __device__ __forceinline__ int first_window(int at) const {
        return max((at + pad - kernel + stride) / stride, 0);
    }
    __device__ __forceinline__ int last_window(int at) const { return min((at + pad) / stride, windows - 1); }
    __device__ __forceinline__ int begin(int window) const { return max(window * stride - pad, 0); }
    __device__ __forceinline__ int end(int window) const { return min(window * stride - pad + kernel, size); }
};

struct Axes {
    Axis z, y, x;
};

// Return whether an index is in the window (z, y, x) of a plane.
__device__ __forceinline__ bool is_in_window(const Axes& axes, long long index, long long plane, int z, int y, int x) {
    const int begin_z = axes.z.begin(z), end_z = axes.z.end(z), end_y = axes.y.end(y);
    const int begin_x = axes.x.begin(x), end_x = axes.x.end(x);
    for (int at_z = begin_z; at_z < end_z; ++at_z) {
        for (int at_y = axes.y.begin(y); at_y < end_y; ++at_y) {
            const long long at_x = index - ((plane * axes.z.size + at_z) * axes.y.size + at_y) * axes.x.size;
            if (at_x >= begin_x && at_x < end_x) return true;
        }
    }
    return false;
}

// Windows that lie side by side and make up all of y: a thread takes a window. WIDTH is that of all windows, or 0.
template <typename T, int WIDTH>
__global__ void __launch_bounds__(THREADS)
    unpool_tiles(T* __restrict__ y, int* __restrict__ strays, const T* __restrict__ x, const long long* __restrict__ indices,
                 Axes axes, long long items) {
    const long long item = 1LL * blockIdx.x * THREADS + threadIdx.x;
    if (item >= items) return;
    const int width = WIDTH > 0 ? WIDTH : axes.x.kernel;
    const long long row = item / axes.x.windows, rows = axes.z.kernel > 1 ? row / axes.y.windows : 0;
    // Of planes one below the other, the row of y where the window begins.
    const long long deep_rows = rows * axes.z.kernel * axes.y.size;
    const long long top = deep_rows + (row - rows * axes.y.windows) * axes.y.kernel;
    const long long begin = top * axes.x.size + (item - row * axes.x.windows) * width;
    const long long place = indices[item] - begin;
    const T value = x[item];
    bool is_stored = false;
    for (int k = 0; k < axes.z.kernel; ++k) {
#pragma unroll 2
        for (int j = 0; j < axes.y.kernel; ++j) {
            const long long line = (1LL * k * axes.y.size + j) * axes.x.size, at = place - line;
            T* result = y + begin + line;
            is_stored |= at >= 0 && at < width;
            if constexpr (WIDTH > 0) {
                Vector<T, WIDTH> found;
#pragma unroll
                for (int i = 0; i < WIDTH; ++i) found.element[i] = at == i ? value : static_cast<T>(0.0f);
                found.write(result);
            } else {
                for (int i = 0; i < width; ++i) result[i] = at == i ? value : static_cast<T>(0.0f);
            }
        }
    }
    if (!is_stored && strays != nullptr) *strays = 1;
}

template <typename T>
__global__ void __launch_bounds__(THREADS)
    max_unpool(T* __restrict__ y, int* __restrict__ strays, const T* __restrict__ x, const long long* __restrict__ indices,
               Axes axes, long long items) {
    const long long item = 1LL * blockIdx.x * THREADS + threadIdx.x;
    if (item >= items) return;
    const int groups = (axes.x.padded - 1) / AT_ONCE + 1;
    const long long row = item / groups, rows = row / axes.y.padded, plane = rows / axes.z.padded;
    const int left = static_cast<int>(item - row * groups) * AT_ONCE, at_y = static_cast<int>(row - rows * axes.y.padded);
    const int at_z = static_cast<int>(rows - plane * axes.z.padded);
    Vector<T, AT_ONCE> found;
#pragma unroll
    for (int k = 0; k < AT_ONCE; ++k) found.element[k] = static_cast<T>(0.0f);
    if (at_y < axes.y.size && at_z < axes.z.size) {
        const long long start = ((plane * axes.z.size + at_z) * axes.y.size + at_y) * axes.x.size;
        const int right = min(left + AT_ONCE, axes.x.size) - 1;
        for (int z = axes.z.first_window(at_z); z <= axes.z.last_window(at_z); ++z) {
            for (int window_y = axes.y.first_window(at_y); window_y <= axes.y.last_window(at_y); ++window_y) {
                const bool is_first_row = at_z == axes.z.begin(z) && at_y == axes.y.begin(window_y);
                const long long line = ((plane * axes.z.windows + z) * axes.y.windows + window_y) * axes.x.windows;
                for (int window = axes.x.first_window(left); window <= axes.x.last_window(right); ++window) {
                    const long long index = indices[line + window], place = index - start - left;
                    if (place >= 0 && place <= right - left) {
                        const T value = x[line + window];
#pragma unroll
                        for (int k = 0; k < AT_ONCE; ++k) {
                            if (place == k) found.element[k] = value;
                        }
                    }
                    const int begin = axes.x.begin(window);
                    if (strays != nullptr && is_first_row && begin >= left && begin <= right &&
                        !is_in_window(axes, index, plane, z, window_y, window)) {
                        *strays = 1;
                    }
                }
            }
        }
    }
    T* result = y + row * axes.x.padded + left;
    if (axes.x.padded % AT_ONCE == 0) {
        found.write(result);
    } else {
#pragma unroll
        for (int k = 0; k < AT_ONCE; ++k) {
            if (left + k < axes.x.padded) result[k] = found.element[k];
        }
    }
}

template <typename T>
__global__ void __launch_bounds__(THREADS)
    store_strays(T* __restrict__ y, const int* __restrict__ strays, const T* __restrict__ x,
                 const long long* __restrict__ indices, Axes axes, long long items, long long elements) {
    if (strays != nullptr && *strays == 0) return;
    for (long long item = 1LL * blockIdx.x * THREADS + threadIdx.x; item < items; item += 1LL * gridDim.x * THREADS) {
        const long long row = item / axes.x.windows, rows = row / axes.y.windows, plane = rows / axes.z.windows;
        const long long index = indices[item];
        if (index < 0 || index >= elements) continue;
        if (is_in_window(axes, index, plane, static_cast<int>(rows - plane * axes.z.windows),
                         static_cast<int>(row - rows * axes.y.windows), static_cast<int>(item - row * axes.x.windows))) {
            continue;
        }
        const long long line = index / axes.x.size, lines = line / axes.y.size, other = lines / axes.z.size;
        const long long at_y = line - lines * axes.y.size, at_z = lines - other * axes.z.size;
        y[((other * axes.z.padded + at_z) * axes.y.padded + at_y) * axes.x.padded + index - line * axes.x.size] = x[item];
    }
}
