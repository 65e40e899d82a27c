// AntialiasResize along the last two axes at once: a block takes a tile of a plane of y. Its rows are first summed over the rows
// of x, a few columns a thread, into shared memory, and then over the columns, so that nothing halfway is stored. Weights of
// rows are computed once for a tile, those of a column once for the rows that a thread takes.

#include "window.cuh"

using pluginkit::ACROSS, pluginkit::AT_ONCE, pluginkit::THREADS, pluginkit::TILE_ROWS;  // from launches.py

// A row of x that goes into a row of y, and its share.
struct Tap {
    float weight;
    int row;
};

struct Tiles {
    int columns, rows;  // of a tile
    int across, down;   // tiles of a plane
    int room, taps;     // columns of x in shared memory, and rows of x for a row, at most
};

// Return the place of a column in shared memory; the gaps spread columns that lie apart over the banks.
__device__ __forceinline__ int place(int column) { return column + column / 32; }

template <typename T, int STAGE, Filter FILTER>
__global__ void __launch_bounds__(THREADS)
    resize_plane(typename Pass<T, STAGE>::Out* __restrict__ y, const typename Pass<T, STAGE>::In* __restrict__ x, Axis vertical,
                 Axis horizontal, Region vertical_region, Region horizontal_region, Values values, Tiles tiles) {
    extern __shared__ float shared[];
    __shared__ int counts[TILE_ROWS];
    __shared__ int first_column, last_column;
    float* strip = shared;
    const int pitch = place(tiles.room) + 1;
    Tap* table = reinterpret_cast<Tap*>(shared + (tiles.rows * pitch + 1) / 2 * 2);
    const int tile_x = blockIdx.x % tiles.across, rest = blockIdx.x / tiles.across, tile_y = rest % tiles.down;
    const long long plane = rest / tiles.down;
    const int top = tile_y * tiles.rows, left = tile_x * tiles.columns;
    const int rows = min(tiles.rows, vertical.resized - top), columns = min(tiles.columns, horizontal.resized - left);
    const int group = threadIdx.x / tiles.columns, groups = THREADS / tiles.columns, column = threadIdx.x % tiles.columns;
    const Window own = window_of<FILTER>(horizontal, horizontal_region, left + min(column, columns - 1));
    if (threadIdx.x == 0) first_column = inside(own.begin, horizontal.size);
    if (group == 0 && column == columns - 1) last_column = inside(own.end - 1, horizontal.size);
    if (threadIdx.x < rows) {
        const Window window = window_of<FILTER>(vertical, vertical_region, top + threadIdx.x);
        Tap* taps = table + threadIdx.x * tiles.taps;
        const int count = min(window.end - window.begin, tiles.taps);
        float weights = 0.0f;
        for (int tap = 0; tap < count; ++tap) {
            taps[tap] = {window.weight<FILTER>(window.begin + tap, values.a), inside(window.begin + tap, vertical.size)};
            weights += taps[tap].weight;
        }
        for (int tap = 0; tap < count; ++tap) taps[tap].weight = divided(taps[tap].weight, weights);
        counts[threadIdx.x] = count;
    }
    __syncthreads();
    const int first = first_column, width = min(last_column - first + 1, tiles.room);
    const auto* source = x + plane * vertical.size * horizontal.size + first;
    for (int at = threadIdx.x % ACROSS; at < width; at += ACROSS) {
        for (int row = threadIdx.x / ACROSS; row < rows; row += THREADS / ACROSS) {
            const Tap* taps = table + row * tiles.taps;
            float sum = 0.0f;
#pragma unroll 4
            for (int tap = 0; tap < counts[row]; ++tap) {
                const Tap each = taps[tap];
                sum += each.weight * static_cast<float>(source[1LL * each.row * horizontal.size + at]);
            }
            strip[row * pitch + place(at)] = sum;
        }
    }
    __syncthreads();
    if (column >= columns) return;
    auto* result = y + (plane * vertical.resized + top) * horizontal.resized + left + column;
    for (int begin = group; begin < rows; begin += groups * AT_ONCE) {
        float sum[AT_ONCE] = {}, weights = 0.0f;
        for (int tap = own.begin; tap < own.end; ++tap) {
            const float weight = own.weight<FILTER>(tap, values.a);
            const int from = place(min(inside(tap, horizontal.size) - first, tiles.room - 1));
            weights += weight;
#pragma unroll
            for (int k = 0; k < AT_ONCE; ++k) {
                if (begin + k * groups < rows) sum[k] += weight * strip[(begin + k * groups) * pitch + from];
            }
        }
#pragma unroll
        for (int k = 0; k < AT_ONCE; ++k) {
            const int row = begin + k * groups;
            if (row < rows) {
                result[1LL * row * horizontal.resized] =
                    static_cast<typename Pass<T, STAGE>::Out>(divided(sum[k], weights));
            }
        }
    }
}
