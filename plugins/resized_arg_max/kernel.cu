// ResizedArgMax: a block takes one map, or with few maps a part of one, keeps the map in shared memory if it fits, and
// computes every pixel of the resized map to find the largest. A thread takes a few columns of a strip of rows and goes
// down them: of the four rows of the map that a pixel reads, interpolated along the row, the next pixel below reads most
// again. The largest pixels of parts are compared by a second kernel, which is ready when the first one ends.

#include "../_cuda/division.cuh"
#include "../_cuda/ordered_keys.cuh"
#include "../_cuda/overlap.cuh"
#include "../_cuda/warp_extremes.cuh"

using pluginkit::AT_ONCE, pluginkit::COLUMNS, pluginkit::KEPT, pluginkit::LARGEST, pluginkit::THREADS, pluginkit::WARP;  // from __init__.py

static_assert(LARGEST <= 1 << 16, "rows and columns have 16 bits");

// The four pixels along an axis that a resized pixel reads, from `first` - 1 on, and their weights.
struct Taps {
    int first;
    float weight[4];
};

__device__ __forceinline__ float near_weight(float t, float a) {
    return __fadd_rn(__fmul_rn(__fmul_rn(__fsub_rn(__fmul_rn(a + 2.0f, t), a + 3.0f), t), t), 1.0f);
}

__device__ __forceinline__ float far_weight(float t, float a) {
    const float inner = __fadd_rn(__fmul_rn(__fsub_rn(__fmul_rn(a, t), 5.0f * a), t), 8.0f * a);
    return __fsub_rn(__fmul_rn(inner, t), 4.0f * a);
}

__device__ __forceinline__ Taps taps_of(int number, float scale, float a) {
    const float at = __fsub_rn(__fdiv_rn(number + 0.5f, scale), 0.5f), first = floorf(at), t = at - first;
    return {static_cast<int>(first),
            {far_weight(t + 1.0f, a), near_weight(t, a), near_weight(1.0f - t, a), far_weight(2.0f - t, a)}};
}

__device__ __forceinline__ int inside(int at, int pixels) { return min(max(at, 0), pixels - 1); }

__device__ __forceinline__ float weighted(const float (&value)[4], const float (&weight)[4]) {
    float sum = __fmul_rn(value[0], weight[0]);
#pragma unroll
    for (int tap = 1; tap < 4; ++tap) sum = __fadd_rn(sum, __fmul_rn(value[tap], weight[tap]));
    return sum;
}

// A column of the resized map: what it reads of a row of the map, and of its four rows at hand the values there.
struct Column {
    int at[4];
    float weight[4];
    float row[4];

    __device__ __forceinline__ void read(int tap, const float* __restrict__ source_row) {
        float value[4];
#pragma unroll
        for (int i = 0; i < 4; ++i) value[i] = source_row[at[i]];
        row[tap] = weighted(value, weight);
    }
};

// The largest pixel so far and its place; of equal pixels the first, and before any pixel the last one.
struct alignas(8) Best {
    float value = -__int_as_float(0x7f800000);
    unsigned place = ~0u;  // the row and the column, of 16 bits each

    __device__ __forceinline__ void take(float other, unsigned other_place) {
        const float seen = isnan(value) ? -__int_as_float(0x7f800000) : value;
        const float given = isnan(other) ? -__int_as_float(0x7f800000) : other;
        if (given > seen || (given == seen && other_place < place)) value = other, place = other_place;
    }

    // Take those of the other lanes of a warp.
    __device__ __forceinline__ void take_of_warp() {
        const unsigned key = key_of<float>(__float_as_uint(isnan(value) ? -__int_as_float(0x7f800000) : value));
        const bool is_largest = key == highest_of<32>(key);
        const unsigned first = least_of<32>(is_largest ? place : ~0u);
        value = __shfl_sync(~0u, value, __ffs(__ballot_sync(~0u, is_largest && place == first)) - 1);
        place = first;
    }
};

__device__ __forceinline__ int resized(long long size) {
    return static_cast<int>(min(max(size, 1LL), static_cast<long long>(LARGEST)));
}

// Where the largest pixels of the maps go.
struct Found {
    long long *rows, *columns;
    float* largest;

    __device__ __forceinline__ void put(long long map, const Best& best) const {
        rows[map] = best.place >> 16;
        columns[map] = best.place & 0xffff;
        largest[map] = best.value;
    }
};

// A strip of rows of the resized map.
struct Strip {
    const float* source;
    int map_height, map_width, top, bottom, width;
    float scale_y, scale_x, a;

    // Go down columns from `left` on, which are `across` apart.
    template <int COUNT> __device__ __forceinline__ void search(Best& best, int left, int across) const {
        Column columns[COUNT];
#pragma unroll
        for (int c = 0; c < COUNT; ++c) {
            const Taps taps = taps_of(min(left + c * across, width - 1), scale_x, a);
#pragma unroll
            for (int i = 0; i < 4; ++i) {
                columns[c].at[i] = inside(taps.first + i - 1, map_width);
                columns[c].weight[i] = taps.weight[i];
            }
        }
        int first = -4;  // no rows are at hand: that of a pixel is -1 or more
        for (int y = top; y < bottom; ++y) {
            const Taps taps = taps_of(y, scale_y, a);
            if (taps.first == first + 1) {
                const float* source_row = source + inside(taps.first + 2, map_height) * map_width;
#pragma unroll
                for (int c = 0; c < COUNT; ++c) {
                    Column& column = columns[c];
                    column.row[0] = column.row[1], column.row[1] = column.row[2], column.row[2] = column.row[3];
                    column.read(3, source_row);
                }
            } else if (taps.first != first) {
#pragma unroll
                for (int i = 0; i < 4; ++i) {
                    const float* source_row = source + inside(taps.first + i - 1, map_height) * map_width;
#pragma unroll
                    for (int c = 0; c < COUNT; ++c) columns[c].read(i, source_row);
                }
            }
            first = taps.first;
#pragma unroll
            for (int c = 0; c < COUNT; ++c) {
                const int x = left + c * across;
                const float value = weighted(columns[c].row, taps.weight);
                if (x < width && !(value < best.value)) best.take(value, static_cast<unsigned>(y) << 16 | x);
            }
        }
    }
};

// A block takes a part of a map, by rows of the resized one.
template <bool IN_PARTS>
__global__ void __launch_bounds__(THREADS)
    resized_arg_max(Best* __restrict__ parts, long long* __restrict__ rows, long long* __restrict__ columns,
                    float* __restrict__ largest, const float* __restrict__ maps, const long long* __restrict__ heights,
                    const long long* __restrict__ widths, Divisor count, int map_height, int map_width, float a) {
    __shared__ float kept[KEPT];
    __shared__ Best bests[THREADS / WARP];
    if (IN_PARTS) let_next_launch_begin();
    const int pixels = map_height * map_width;
    unsigned item = blockIdx.x;
    count.split(item);
    // All loads wait for memory together: the compiler must neither put these off nor use them before it loads the map.
    long long wanted_height = heights[item], wanted_width = widths[item];
    asm volatile("" : "+l"(wanted_height), "+l"(wanted_width));
    const float* map = maps + 1LL * blockIdx.x * pixels;
    const bool is_kept = pixels <= KEPT;
    for (int begin = threadIdx.x; is_kept && begin < pixels; begin += AT_ONCE * THREADS) {
        float values[AT_ONCE];  // whose reads wait for memory together
#pragma unroll
        for (int i = 0; i < AT_ONCE; ++i) {
            if (begin + i * THREADS < pixels) values[i] = map[begin + i * THREADS];
        }
#pragma unroll
        for (int i = 0; i < AT_ONCE; ++i) {
            if (begin + i * THREADS < pixels) kept[begin + i * THREADS] = values[i];
        }
    }
    asm volatile("" : "+l"(wanted_height), "+l"(wanted_width));
    const int height = resized(wanted_height), width = resized(wanted_width);
    const float scale_y = __fdiv_rn(static_cast<float>(height), static_cast<float>(map_height));
    const float scale_x = __fdiv_rn(static_cast<float>(width), static_cast<float>(map_width));
    const unsigned threads = THREADS * gridDim.y;
    const bool are_few = 1LL * height * width <= threads;  // pixels, so that each has a thread
    const unsigned across = are_few ? width : min((width - 1) / COLUMNS + 1, THREADS);  // threads for a row
    const unsigned first = are_few ? blockIdx.y * THREADS + threadIdx.x : threadIdx.x, own = first / across;
    int top = own, bottom = min(top + 1, height);
    if (!are_few) {
        const unsigned strips = THREADS / across, rows_of_strip = (height - 1) / (strips * gridDim.y) + 1;
        top = (blockIdx.y * strips + own) * rows_of_strip;
        bottom = own < strips ? min(top + static_cast<int>(rows_of_strip), height) : top;
    }
    __syncthreads();
    const Strip strip = {is_kept ? kept : map, map_height, map_width, top, bottom, width, scale_y, scale_x, a};
    Best best;
    for (int left = first - own * across; left < width && top < bottom; left += across * COLUMNS) {
        if (are_few) strip.search<1>(best, left, across);
        else strip.search<COLUMNS>(best, left, across);
    }
    best.take_of_warp();
    if (threadIdx.x % WARP == 0) bests[threadIdx.x / WARP] = best;
    __syncthreads();
    if (threadIdx.x >= WARP) return;
    best = threadIdx.x < THREADS / WARP ? bests[threadIdx.x] : Best{};
    best.take_of_warp();
    if (threadIdx.x > 0) return;
    if (IN_PARTS) {
        parts[1LL * blockIdx.x * gridDim.y + blockIdx.y] = best;
    } else {
        Found{rows, columns, largest}.put(blockIdx.x, best);
    }
}

// A warp compares the parts of a map.
__global__ void __launch_bounds__(WARP)
    largest_of_parts(long long* __restrict__ rows, long long* __restrict__ columns, float* __restrict__ largest,
                     const Best* parts, int number) {
    wait_for_earlier_launches();
    Best best;
    for (int part = threadIdx.x; part < number; part += WARP) {
        const Best other = parts[1LL * blockIdx.x * number + part];
        best.take(other.value, other.place);
    }
    best.take_of_warp();
    if (threadIdx.x == 0) Found{rows, columns, largest}.put(blockIdx.x, best);
}
