// Sample from a copy of x in which the channels of a pixel are contiguous.
//
// A load fetches at least a sector of 32 bytes, and a warp's load takes a cycle for each cache line that it touches. If
// adjacent locations read far apart, a load of one channel uses two or four bytes of each sector and touches 32 lines;
// a load from the copy uses whole sectors and touches 8 lines. Whether that is worth a copy depends on the grid:
// collect_pixels samples it, and the kernels that are not needed return at once.

#include "../_cuda/overlap.cuh"
#include "taps.cuh"

using pluginkit::LINE_BYTES, pluginkit::SECTOR_BYTES;  // from launches.py

constexpr int WARP = 32, WARPS = THREADS / WARP;
constexpr int SAMPLES = 32;  // how many groups of WARP locations are sampled

// The channels in a sector.
template <typename T> constexpr int COUNT = SECTOR_BYTES / static_cast<int>(sizeof(T));

// Contiguous channels of a pixel in registers; an array of small values would be in local memory.
template <typename T, int BYTES> struct Channels {
    static constexpr int BITS = 8 * sizeof(T), EACH = 64 / BITS;
    unsigned long long words[BYTES / 8];

    __device__ __forceinline__ void load(const T* from) {
#pragma unroll
        for (int i = 0; i < BYTES / 16; ++i) {
            const ulonglong2 pair = __ldg(reinterpret_cast<const ulonglong2*>(from) + i);
            words[2 * i] = pair.x;
            words[2 * i + 1] = pair.y;
        }
    }

    __device__ __forceinline__ void store(T* to) const {
#pragma unroll
        for (int i = 0; i < BYTES / 16; ++i) {
            reinterpret_cast<ulonglong2*>(to)[i] = make_ulonglong2(words[2 * i], words[2 * i + 1]);
        }
    }

    __device__ __forceinline__ T operator[](int c) const {
        const auto bits = static_cast<Bits<T>>(words[c / EACH] >> c % EACH * BITS);
        return *reinterpret_cast<const T*>(&bits);
    }

    __device__ __forceinline__ void set(int c, T value) {
        const auto bits = *reinterpret_cast<const Bits<T>*>(&value);
        const unsigned long long word = static_cast<unsigned long long>(bits) << c % EACH * BITS;
        words[c / EACH] = c % EACH == 0 ? word : words[c / EACH] | word;
    }
};

// Return whether the locations of a warp read from more than `most_lines` lines, on average over the samples. All
// blocks get the same answer.
template <typename T, typename G, int AXES>
__device__ bool are_scattered(const G* __restrict__ grid, Sizes sizes, long long locations, int most_lines) {
    __shared__ int lines_of[WARPS];
    const int lane = threadIdx.x % WARP, warp = threadIdx.x / WARP;
    Pack<G, AXES> points[SAMPLES / WARPS];
#pragma unroll
    for (int turn = 0; turn < SAMPLES / WARPS; ++turn) {
        const int sample = turn * WARPS + warp;
        const long long location = min(sample * (locations / WARP) / SAMPLES * WARP + lane, locations - 1);
        points[turn] = reinterpret_cast<const Pack<G, AXES>*>(grid)[location];
    }
    int lines = 0;
#pragma unroll
    for (const auto& point : points) {
        long long pixel = 0;
#pragma unroll
        for (int axis = 0; axis < AXES; ++axis) {
            const int size = sizes.value[3 - AXES + axis];
            const float at = 0.5f * (static_cast<float>(point.value[AXES - 1 - axis]) + 1.0f) * size;
            pixel = pixel * size + static_cast<int>(fminf(fmaxf(at, 0.0f), static_cast<float>(size - 1)));
        }
        const long long line = pixel * static_cast<int>(sizeof(T)) / LINE_BYTES;
        const long long before = __shfl_up_sync(~0u, line, 1);
        lines += __popc(__ballot_sync(~0u, lane == 0 || before != line));
    }
    if (lane == 0) lines_of[warp] = lines;
    __syncthreads();
    lines = 0;
    for (int other = 0; other < WARPS; ++other) lines += lines_of[other];
    return lines > most_lines * SAMPLES;
}

__device__ __forceinline__ long long pixels_of(Sizes sizes, int axes) {
    long long pixels = 1;
    for (int axis = 3 - axes; axis < 3; ++axis) pixels *= sizes.value[axis];
    return pixels;
}

// The channels of adjacent pixels, or locations, in shared memory, to transpose between a channel-major and a
// pixel-major layout. LANES threads of a block take the channels of one pixel, a sector each.
template <typename T, int LANES> struct Tile {
    static constexpr int WIDTH = THREADS / LANES, CHANNELS = LANES * COUNT<T>;
    T values[CHANNELS][WIDTH + 1];
};

// Make the copy if locations are scattered. It holds `pixel_step` elements of each pixel, in whole sectors. The launch
// grid's dimensions are tiles, their channels, and items; each block strides over all three.
template <typename T, typename G, int AXES, int LANES>
__global__ void __launch_bounds__(THREADS)
    collect_pixels(int* __restrict__ is_scattered, T* __restrict__ copy, const T* __restrict__ x,
                   const G* __restrict__ grid, Sizes sizes, long long locations, int items, int channels,
                   int pixel_step, int most_lines) {
    const bool found = are_scattered<T, G, AXES>(grid, sizes, items * locations, most_lines);
    if (blockIdx.x + blockIdx.y + blockIdx.z + threadIdx.x == 0) *is_scattered = found;
    if (!found) return;
    using Turned = Tile<T, LANES>;
    __shared__ Turned turned;
    const int row = threadIdx.x / Turned::WIDTH, column = threadIdx.x % Turned::WIDTH;
    const int own = threadIdx.x % (2 * LANES) * (COUNT<T> / 2);
    const long long pixels = pixels_of(sizes, AXES);
    for (int item = blockIdx.z; item < items; item += gridDim.z) {
        for (long long tile = blockIdx.x * Turned::WIDTH; tile < pixels; tile += gridDim.x * Turned::WIDTH) {
            for (int first = blockIdx.y * Turned::CHANNELS; first < channels; first += gridDim.y * Turned::CHANNELS) {
                const long long pixel = min(tile + column, pixels - 1);
                const T* from = x + (static_cast<long long>(item) * channels + first) * pixels + pixel;
#pragma unroll
                for (int c = 0; c < COUNT<T>; ++c) {
                    const int channel = c * LANES + row;
                    turned.values[channel][column] = from[min(channel, channels - 1 - first) * pixels];
                }
                __syncthreads();
                // Two adjacent threads write a sector, so that a warp's store writes whole sectors.
#pragma unroll
                for (int half = 0; half < 2; ++half) {
                    const int place = half * (Turned::WIDTH / 2) + threadIdx.x / (2 * LANES);
                    if (tile + place < pixels && first + own < pixel_step) {
                        Channels<T, SECTOR_BYTES / 2> part;
#pragma unroll
                        for (int c = 0; c < COUNT<T> / 2; ++c) part.set(c, turned.values[own + c][place]);
                        part.store(copy + (item * pixels + tile + place) * pixel_step + first + own);
                    }
                }
                __syncthreads();
            }
        }
    }
}

// Sample a sector of a location's channels. `pixels` points to this sector of the first pixel.
template <Padding PADDING, typename T, Mode MODE, typename Offset, int AXES>
__device__ __forceinline__ void sample_sector(T (&values)[COUNT<T>], const T* __restrict__ pixels,
                                              const Axis<MODE, Offset> (&axes)[AXES]) {
    float sums[COUNT<T>] = {};
#pragma unroll
    for (int number = 0; number < NEIGHBOURS<MODE, AXES>; ++number) {
        Offset at = 0;
        float weight = 1.0f;
        bool is_inside = true;
        int rest = number;
#pragma unroll
        for (int axis = AXES - 1; axis >= 0; --axis) {
            const int tap = rest % TAPS<MODE>;
            rest /= TAPS<MODE>;
            at += axes[axis].offset[tap];
            weight *= axes[axis].weight[tap];
            is_inside &= axes[axis].is_inside[tap];
        }
        Channels<T, SECTOR_BYTES> sector;
        sector.load(pixels + at);
        if constexpr (PADDING == Padding::zeros) {
#pragma unroll
            for (auto& word : sector.words) word = is_inside ? word : 0;
        }
#pragma unroll
        for (int c = 0; c < COUNT<T>; ++c) {
            if constexpr (MODE == Mode::nearest) values[c] = sector[c];
            else sums[c] = fmaf(weight, static_cast<float>(sector[c]), sums[c]);
        }
    }
    if constexpr (MODE != Mode::nearest) {
#pragma unroll
        for (int c = 0; c < COUNT<T>; ++c) values[c] = static_cast<T>(sums[c]);
    }
}

// Sample the copy if collect_pixels made one. The launch grid's dimensions are as there, with tiles of locations.
template <typename T, typename G, Mode MODE, Padding PADDING, bool ALIGN_CORNERS, int AXES, int LANES, typename Offset>
__global__ void __launch_bounds__(THREADS)
    sample_pixels(T* __restrict__ y, const int* is_scattered, const T* copy,
                  const G* __restrict__ grid, Sizes sizes, Offset locations, int items, int channels, int pixel_step) {
    wait_for_earlier_launches();
    if (!*is_scattered) return;
    using Turned = Tile<T, LANES>;
    __shared__ Turned turned;
    const int lane = threadIdx.x % LANES, place = threadIdx.x / LANES;
    const int row = threadIdx.x / Turned::WIDTH, column = threadIdx.x % Turned::WIDTH;
    const long long y_step = static_cast<long long>(locations), x_step = pixels_of(sizes, AXES) * pixel_step;
    for (int item = blockIdx.z; item < items; item += gridDim.z) {
        for (int first = blockIdx.y * Turned::CHANNELS; first < channels; first += gridDim.y * Turned::CHANNELS) {
            for (long long tile = blockIdx.x * Turned::WIDTH; tile < y_step; tile += gridDim.x * Turned::WIDTH) {
                const int own = first + lane * COUNT<T>;
                if (tile + place < y_step && own < channels) {
                    const auto point = reinterpret_cast<const Pack<G, AXES>*>(grid)[item * y_step + tile + place];
                    Axis<MODE, Offset> axes[AXES];
                    Offset stride = pixel_step;
#pragma unroll
                    for (int axis = AXES - 1; axis >= 0; --axis) {  // the grid counts axes from the innermost one
                        const int size = sizes.value[3 - AXES + axis];
                        const auto coordinate = static_cast<float>(point.value[AXES - 1 - axis]);
                        axes[axis] = axis_at<MODE, PADDING, ALIGN_CORNERS>(coordinate, size, stride);
                        stride *= size;
                    }
                    T values[COUNT<T>];
                    sample_sector<PADDING>(values, copy + item * x_step + own, axes);
#pragma unroll
                    for (int c = 0; c < COUNT<T>; ++c) turned.values[lane * COUNT<T> + c][place] = values[c];
                }
                __syncthreads();
                const int count = tile + column < y_step ? min(Turned::CHANNELS, channels - first) : 0;
                T* to = y + (static_cast<long long>(item) * channels + first) * y_step + tile + column;
#pragma unroll
                for (int c = 0; c < COUNT<T>; ++c) {
                    const int channel = c * LANES + row;
                    if (channel >= count) break;
                    const Pack<T, 1> value{{turned.values[channel][column]}};
                    store_once(reinterpret_cast<Pack<T, 1>*>(to + channel * y_step), value);
                }
                __syncthreads();
            }
        }
    }
}
