// AntialiasResize along the last two axes at once: a block takes a tile of a plane of y, or of many. Its rows are first summed
// over the rows of x into shared memory, and then over the columns, so that nothing halfway is stored. There four rows of a
// column lie beside each other and are read at once.

#include "window.cuh"

using pluginkit::QUAD, pluginkit::TAPS, pluginkit::THREADS, pluginkit::TILE_ROWS;  // from launches.py

static_assert(QUAD == 4, "a float4 holds the rows that lie beside each other in shared memory");

// A row of x that goes into a row of y, and its share.
struct Tap {
    float weight;
    int row;
};

struct alignas(16) Taps {
    Tap tap[TAPS];
};

struct Tiles {
    int columns, quads;  // of a tile, four rows in a quad
    int across, down;    // tiles of a plane
    int groups;          // of planes, each of which has blocks of its own
    int room, taps;      // columns of x in shared memory, and rows of x for a row, a multiple of TAPS
};

// Return the place of a quad in shared memory; the gap after every fourth column spreads columns over the banks.
__device__ __forceinline__ int place(int column, int quad, int quads) { return column * quads + column / 4 + quad; }

// VECTOR columns of x are read at once; it divides the size of a row. A block takes its tile of SEVERAL planes, or of one.
template <typename T, int STAGE, Filter FILTER, int VECTOR, bool SEVERAL>
__global__ void __launch_bounds__(THREADS, 4)
    resize_plane(typename Pass<T, STAGE>::Out* __restrict__ y, const typename Pass<T, STAGE>::In* __restrict__ x, Axis vertical,
                 Axis horizontal, Region vertical_region, Region horizontal_region, Values values, Tiles tiles, long long planes) {
    using In = typename Pass<T, STAGE>::In;
    using Out = typename Pass<T, STAGE>::Out;
    // The lanes of a warp read 8 vectors of four rows, or a row: so stored, four rows fill all banks. A lane takes EACH
    // columns of a row, APART from each other.
    constexpr int WARPS = THREADS / 32, ROWS = VECTOR == 1 ? 1 : QUAD, ACROSS = 32 / ROWS;
    constexpr int EACH = 4, APART = VECTOR == 1 ? ACROSS : 1;
    extern __shared__ float4 strip[];
    __shared__ Line lines[2];
    __shared__ int counts[TILE_ROWS];
    __shared__ int first_column, last_column;
    Tap* table = reinterpret_cast<Tap*>(strip + place(tiles.room, 0, tiles.quads));
    const int tile_x = blockIdx.x % tiles.across, rest = blockIdx.x / tiles.across, tile_y = rest % tiles.down;
    const int tile_rows = tiles.quads * QUAD, top = tile_y * tile_rows, left = tile_x * tiles.columns;
    const int rows = min(tile_rows, vertical.resized - top), columns = min(tiles.columns, horizontal.resized - left);
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    if (threadIdx.x == 0) lines[0] = line_of<FILTER>(vertical, vertical_region);
    if (threadIdx.x == 32) lines[1] = line_of<FILTER>(horizontal, horizontal_region);
    __syncthreads();
    const int column = threadIdx.x % tiles.columns;
    const Window own = window_of(lines[1], horizontal, left + min(column, columns - 1));
    if (threadIdx.x == 0) first_column = inside(own.begin, horizontal.size) / VECTOR * VECTOR;
    if (threadIdx.x == columns - 1) last_column = inside(own.end - 1, horizontal.size);
    for (int row = warp; row < tile_rows; row += WARPS) {  // a warp computes the weights of a row
        const Window window = window_of(lines[0], vertical, top + min(row, rows - 1));
        const int count = row < rows ? min(window.end - window.begin, tiles.taps) : 0;
        Tap* taps = table + row * tiles.taps;
        float weights = 0.0f;
        for (int tap = lane; tap < count; tap += 32) weights += window.weight<FILTER>(window.begin + tap, values.a);
#pragma unroll
        for (int step = 16; step > 0; step /= 2) weights += __shfl_xor_sync(~0u, weights, step);
        const float share = share_of(weights);
        for (int tap = lane; tap < tiles.taps; tap += 32) {
            const int element = window.begin + min(tap, count - 1);
            taps[tap] = {window.weight<FILTER>(element, values.a) * share, inside(element, vertical.size)};
        }
        if (lane == 0) counts[row] = count;
    }
    __syncthreads();
    const int first = first_column, width = min(last_column - first + 1, tiles.room);
    const int warps_down = tile_rows / ROWS, warps_across = max(WARPS / warps_down, 1);
    const bool has_rows = warp < warps_down * warps_across;
    const int first_row = has_rows ? warp % warps_down * ROWS + lane / ACROSS : tile_rows;
    for (long long plane = rest / tiles.down; plane < planes; plane += tiles.groups) {
        const In* source = x + plane * vertical.size * horizontal.size + first;
        for (int row = first_row; row < tile_rows; row += WARPS * ROWS) {
            const Tap* taps = table + row * tiles.taps;
            const int count = counts[row];
            for (int at = warp / warps_down * ACROSS * EACH + lane % ACROSS * VECTOR; at < width; at += warps_across * ACROSS * EACH) {
                float sum[EACH] = {};
                for (int begin = 0; begin < count; begin += TAPS) {
                    // All are read before one is used, so that the reads wait for memory together.
                    const Taps some = *reinterpret_cast<const Taps*>(taps + begin);
                    Vector<In, EACH> elements[TAPS];
#pragma unroll
                    for (int i = 0; i < TAPS; ++i) {
                        const In* line = source + 1LL * some.tap[i].row * horizontal.size + at;
                        if (begin + i >= count) continue;
                        if constexpr (VECTOR == EACH) {
                            elements[i] = Vector<In, EACH>::read(line);
                        } else {
#pragma unroll
                            for (int k = 0; k < EACH; ++k) elements[i].element[k] = line[at + k * APART < width ? k * APART : 0];
                        }
                    }
#pragma unroll
                    for (int i = 0; i < TAPS; ++i) {
                        if (begin + i < count) {
#pragma unroll
                            for (int k = 0; k < EACH; ++k) {
                                sum[k] += some.tap[i].weight * static_cast<float>(elements[i].element[k]);
                            }
                        }
                    }
                }
#pragma unroll
                for (int k = 0; k < EACH; ++k) {
                    if (VECTOR == 1 && at + k * APART >= width) break;
                    float4& quad = strip[place(at + k * APART, row / QUAD, tiles.quads)];
                    reinterpret_cast<float*>(&quad)[row % QUAD] = sum[k];
                }
            }
        }
        __syncthreads();
        for (int quad = threadIdx.x / tiles.columns; quad * QUAD < rows && column < columns; quad += THREADS / tiles.columns) {
            float sum[QUAD] = {}, weights = 0.0f;
            for (int tap = own.begin; tap < own.end; ++tap) {
                const float weight = own.weight<FILTER>(tap, values.a);
                const int from = min(inside(tap, horizontal.size) - first, tiles.room - 1);
                const float4 elements = strip[place(from, quad, tiles.quads)];
                weights += weight;
                sum[0] += weight * elements.x, sum[1] += weight * elements.y;
                sum[2] += weight * elements.z, sum[3] += weight * elements.w;
            }
            const float share = share_of(weights);
            Out* result = y + (plane * vertical.resized + top + quad * QUAD) * horizontal.resized + left + column;
#pragma unroll
            for (int k = 0; k < QUAD; ++k) {
                if (quad * QUAD + k < rows) result[1LL * k * horizontal.resized] = static_cast<Out>(sum[k] * share);
            }
        }
        if (!SEVERAL) return;
        __syncthreads();
    }
}
