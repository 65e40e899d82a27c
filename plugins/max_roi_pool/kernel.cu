// MaxRoiPool: a block takes rows of bins of a region, channel after channel. Of bins of at most `alone` pixels along each axis
// a thread takes the same one of several channels. Of larger ones a warp takes a run of rows: its lanes go down the columns of
// pixels of each row of bins and leave the largest pixel of each in shared memory, where lanes then take the bins. A row of a
// narrow region needs but some of the lanes, and several rows are read together.

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include "../_cuda/vectors.cuh"

using pluginkit::CELLS, pluginkit::FURTHEST, pluginkit::NARROWEST, pluginkit::THREADS;  // from __init__.py

struct Sizes {
    int images, channels, height, width, bins_y, bins_x;
};

// Return the nearest pixel of a coordinate, halves away from zero; of NaN pixel 0.
__device__ __forceinline__ int pixel_of(float coordinate) {
    const float nearest = roundf(coordinate), furthest = static_cast<float>(FURTHEST);
    return nearest == nearest ? static_cast<int>(fminf(fmaxf(nearest, -furthest), furthest)) : 0;
}

// The bins of a region along an axis.
struct Bins {
    int start, size;
    float bin_size;

    __device__ __forceinline__ Bins(float low, float high, float scale, int bins, int size)
        : start(pixel_of(__fmul_rn(low, scale))), size(size) {
        const int end = pixel_of(__fmul_rn(high, scale));
        bin_size = __fdiv_rn(static_cast<float>(max(end - start + 1, 1)), static_cast<float>(bins));
    }

    // Return the first pixel of a bin and the one after its last, cut off at the edges of X.
    __device__ __forceinline__ int2 pixels_of(int bin) const {
        const int first = static_cast<int>(floorf(__fmul_rn(static_cast<float>(bin), bin_size)));
        const int after = static_cast<int>(ceilf(__fmul_rn(static_cast<float>(bin + 1), bin_size)));
        return {min(max(start + first, 0), size), min(max(start + after, 0), size)};
    }
};

// Return the largest of `largest` and COUNT pixels of a column, none below `last`. The loads wait for memory together.
template <int COUNT, typename T>
__device__ __forceinline__ float largest_of(const T* __restrict__ top, int last, int width, float largest) {
    T pixels[COUNT];
#pragma unroll
    for (int i = 0; i < COUNT; ++i) pixels[i] = top[min(i, last) * width];
#pragma unroll
    for (int i = 0; i < COUNT; ++i) largest = fmaxf(largest, static_cast<float>(pixels[i]));  // NaN is not larger
    return largest;
}

template <typename T>
__device__ __forceinline__ float largest_of_column(const T* __restrict__ top, int high, int width, float lowest) {
    float largest = high > 0 ? lowest : 0.0f;
#pragma unroll 1
    for (; high >= 8; high -= 8, top += 8 * width) largest = largest_of<8>(top, 7, width, largest);
#pragma unroll 1
    for (; high > 0; high -= 4, top += 4 * width) largest = largest_of<4>(top, high - 1, width, largest);
    return largest;
}

// Return the largest of a few pixels, and `lowest`. The loads of a tile wait for memory together.
template <typename T>
__device__ __forceinline__ float largest_of_pixels(const T* __restrict__ corner, int high, int wide, int width, float lowest) {
    constexpr int TILE_ROWS = 4, TILE_COLUMNS = 2;
    float largest = lowest;
#pragma unroll 1
    for (int row = 0; row < high; row += TILE_ROWS) {
#pragma unroll 1
        for (int column = 0; column < wide; column += TILE_COLUMNS) {
            float pixels[TILE_ROWS][TILE_COLUMNS];
#pragma unroll
            for (int i = 0; i < TILE_ROWS; ++i) {
#pragma unroll
                for (int j = 0; j < TILE_COLUMNS; ++j) {
                    const bool is_inside = row + i < high && column + j < wide;
                    pixels[i][j] = is_inside ? static_cast<float>(corner[(row + i) * width + column + j]) : lowest;
                }
            }
#pragma unroll
            for (int i = 0; i < TILE_ROWS; ++i) {
#pragma unroll
                for (int j = 0; j < TILE_COLUMNS; ++j) largest = fmaxf(largest, pixels[i][j]);
            }
        }
    }
    return largest;
}

// Return the same of a few pixels of x, from `first` on. Rows are read in whole vectors, unless those might end beyond the
// `pixels` of x. Where the bins of other lanes are elsewhere, that takes a lane as long as to read a pixel. Its registers are
// its own.
template <typename T>
__device__ __noinline__ float largest_of_vectors(const T* __restrict__ x, long long first, long long pixels, int high, int wide,
                                                int width, float lowest) {
    constexpr int TILE_ROWS = 2, WIDE = 16 / sizeof(T);
    const int begin = static_cast<int>(first % WIDE);
    const T* const base = x + first - begin;
    float largest = lowest;
    if (first + 1LL * (high - 1) * width + wide + WIDE > pixels) {
        return largest_of_pixels(x + first, high, wide, width, lowest);
    }
#pragma unroll 1
    for (int row = 0; row < high; row += TILE_ROWS) {
        bool is_left = true;
#pragma unroll 1
        for (int column = 0; is_left; column += WIDE) {
            Vector<T, WIDE> read[TILE_ROWS];
            is_left = false;
#pragma unroll
            for (int i = 0; i < TILE_ROWS; ++i) {
                const unsigned at = begin + (row + i) * width;
                const int end = static_cast<int>(at % WIDE) + wide - column;
                if (row + i < high && end > 0) read[i] = Vector<T, WIDE>::read(base + at / WIDE * WIDE + column);
                is_left = is_left || (row + i < high && end > WIDE);
            }
#pragma unroll
            for (int i = 0; i < TILE_ROWS; ++i) {
                const unsigned at = begin + (row + i) * width;
                const int from = static_cast<int>(at % WIDE) - column, end = row + i < high ? from + wide : 0;
#pragma unroll
                for (int j = 0; j < WIDE; ++j) {
                    const bool is_inside = j >= from && j < end;
                    if (is_inside) largest = fmaxf(largest, static_cast<float>(read[i].element[j]));
                }
            }
        }
    }
    return largest;
}

// Take the bins of a block of a region, whose image begins at `image` of all pixels of x, or below 0 if there is none. A
// function of its own has its own registers.
template <typename T>
__device__ __noinline__ void take_small_bins(T* __restrict__ y, const T* __restrict__ x, long long image, Bins columns,
                                             Bins lines, Sizes sizes, int region, int block, int run, float lowest) {
    const int bins = sizes.bins_y * sizes.bins_x, at_once = blockDim.x / bins, all = sizes.channels * bins;
    const long long begin = 1LL * block * (blockDim.x / 32 * run) * sizes.bins_x, plane = 1LL * sizes.height * sizes.width;
    const long long pixels = sizes.images * sizes.channels * plane;
    const unsigned int end = static_cast<unsigned int>(min(begin + blockDim.x / 32 * run * sizes.bins_x, 1LL * all));
    unsigned int item = static_cast<unsigned int>(begin) + threadIdx.x;
    const int channel = item / bins, bin = item - channel * bins, bin_y = bin / sizes.bins_x;
    const int2 high = lines.pixels_of(bin_y), wide = columns.pixels_of(bin - bin_y * sizes.bins_x);
    const bool is_empty = high.x == high.y || wide.x == wide.y;
    long long first = image + channel * plane + 1LL * high.x * sizes.width + wide.x;
    for (; threadIdx.x < at_once * bins && item < end; item += at_once * bins, first += at_once * plane) {
        float largest = image < 0 ? __int_as_float(0x7fffffff) : 0.0f;
        if (image >= 0 && !is_empty) {
            const int rows = high.y - high.x, width = wide.y - wide.x;
            largest = bins == 1 ? largest_of_vectors(x, first, pixels, rows, width, sizes.width, lowest)
                                : largest_of_pixels(x + first, rows, width, sizes.width, lowest);
        }
        y[1LL * region * all + item] = static_cast<T>(largest);
    }
}

// Return the logarithm of the smallest power of two that is not less.
__device__ __forceinline__ int log2_of(int number) { return 32 - __clz(number - 1); }

template <typename T>
__global__ void __launch_bounds__(THREADS) max_roi_pool(T* __restrict__ y, const T* __restrict__ x,
                                                        const T* __restrict__ rois, Sizes sizes, int regions,
                                                        int run, int alone, float scale, float lowest) {
    __shared__ float largest_of_columns[THREADS / 32][CELLS + CELLS / NARROWEST];
    __shared__ int2 pixels_of_rows[THREADS];  // of the first rows of bins
    const int block = blockIdx.x / regions, region = blockIdx.x - block * regions, lane = threadIdx.x % 32;
    const T* const roi = rois + 5LL * region;
    const float image = static_cast<float>(roi[0]);
    const bool is_there = image >= 0.0f && image < static_cast<float>(sizes.images);
    const Bins columns(static_cast<float>(roi[1]), static_cast<float>(roi[3]), scale, sizes.bins_x, sizes.width);
    const Bins lines(static_cast<float>(roi[2]), static_cast<float>(roi[4]), scale, sizes.bins_y, sizes.height);
    if (sizes.bins_y * sizes.bins_x <= blockDim.x && columns.bin_size <= alone && lines.bin_size <= alone) {
        const long long own = 1LL * sizes.channels * sizes.height * sizes.width * static_cast<int>(image);
        take_small_bins(y, x, is_there ? own : -1, columns, lines, sizes, region, block, run, lowest);
        return;
    }
    const int left = columns.pixels_of(0).x, right = columns.pixels_of(sizes.bins_x - 1).y;
    if (threadIdx.x < sizes.bins_y) pixels_of_rows[threadIdx.x] = lines.pixels_of(threadIdx.x);
    __syncthreads();

    float* const cells = largest_of_columns[threadIdx.x / 32];
    const long long rows = 1LL * sizes.channels * sizes.bins_y, plane = 1LL * sizes.height * sizes.width;
    const long long start = (block * (blockDim.x / 32LL) + threadIdx.x / 32) * run;
    const int stop = static_cast<int>(min(start + run, rows));
    const T* const first = x + (is_there ? static_cast<int>(image) : 0LL) * sizes.channels * plane;
    const int across = log2_of(min(sizes.bins_x, 32));  // the lanes of a row of bins, a logarithm as those below
    // The cells of a row of bins, the lanes that go down its columns, and the rows that fit.
    const int cells_of_row = log2_of(min(max(right - left, NARROWEST), CELLS)), lanes = min(cells_of_row, 5);
    const int span = 1 << cells_of_row, most = CELLS >> cells_of_row, at_once = 32 >> lanes;
    for (int row = static_cast<int>(start); row < stop; row += most) {
        const int count = min(most, stop - row);
        for (int begin = left; begin == left || begin < right; begin += span) {
            const int end = min(right - begin, span), own = row + (lane >> lanes), channel = own / sizes.bins_y;
            int bin = own - channel * sizes.bins_y;
            const T* pixel = first + channel * plane + begin;
            for (int i = lane >> lanes; i < count; i += at_once) {
                const int2 pixels = bin < blockDim.x ? pixels_of_rows[bin] : lines.pixels_of(bin);
                const T* top = pixel + 1LL * pixels.x * sizes.width;
                const int high = is_there ? pixels.y - pixels.x : 0;
                for (int column = lane & ((1 << lanes) - 1); column < end; column += 1 << lanes) {
                    cells[i * (span + 1) + column] = largest_of_column(top + column, high, sizes.width, lowest);
                }
                for (bin += at_once; bin >= sizes.bins_y; bin -= sizes.bins_y) pixel += plane;
            }
            __syncwarp();
            for (int bin_x = lane & ((1 << across) - 1); bin_x < sizes.bins_x; bin_x += 1 << across) {
                const int2 pixels = columns.pixels_of(bin_x);
                for (int i = lane >> across; i < count; i += 32 >> across) {
                    T* target = y + (region * rows + row + i) * sizes.bins_x + bin_x;
                    float largest = begin > left ? static_cast<float>(*target) : lowest;
#pragma unroll 4
                    for (int column = max(pixels.x - begin, 0); column < min(pixels.y - begin, end); ++column) {
                        largest = fmaxf(largest, cells[i * (span + 1) + column]);
                    }
                    if (pixels.x == pixels.y) largest = 0.0f;
                    *target = static_cast<T>(is_there ? largest : __int_as_float(0x7fffffff));
                }
            }
            __syncwarp();
        }
    }
}
