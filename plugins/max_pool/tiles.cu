// MaxPool with indices for large windows that overlap: a block takes a tile of windows of a plane. It first finds the greatest
// element of each line of them, in shared memory, where the windows below each other have lines in common.

#include "windows.cuh"

using pluginkit::TILE_THREADS;  // from launches.py

// Windows of a tile beside each other, the rows of x that a tile reads, and tiles of a plane along both axes.
struct Tile {
    int windows, rows, across, down;
};

template <typename T, typename Offset, int ORDER>
__global__ void __launch_bounds__(TILE_THREADS)
    max_pool_tiles(T* __restrict__ y, long long* __restrict__ indices, const T* __restrict__ x, Axes axes, Tile tile,
                   Divisor windows) {
    extern __shared__ __align__(8) unsigned char memory[];
    Best<int>* lines = reinterpret_cast<Best<int>*>(memory);  // [tile.rows, tile.windows], the place along x
    const int tile_x = blockIdx.x % tile.across, tiles_y = blockIdx.x / tile.across, tile_y = tiles_y % tile.down;
    const int slab = tiles_y / tile.down, layer = slab % axes.z.windows, height = TILE_THREADS / tile.windows;
    const Offset plane = slab / axes.z.windows;
    const T* own = x + plane * axes.z.size * axes.y.size * axes.x.size;
    int in_tile = threadIdx.x;
    const int column = windows.split(in_tile), column_of_y = tile_x * tile.windows + column;
    const int row = in_tile, row_of_y = tile_y * height + row;
    const int top = tile_y * height * axes.y.stride - axes.y.pad, near = layer * axes.z.stride - axes.z.pad;
    const int left = column_of_y * axes.x.stride - axes.x.pad, from_x = first_inside(axes.x, left, axes.x.dilation);
    const int width = inside(axes.x, left, from_x), from_z = first_inside(axes.z, near, axes.z.dilation);
    const int layers = inside(axes.z, near, from_z);
    const bool is_there = row < height && column_of_y < axes.x.windows;
    using Place = SignedOf<Offset>;
    Best<Place> best = {lowest<T>(), -1};
    for (int k = 0; k < layers; ++k) {
        const Place first_row = (from_z + k * axes.z.dilation) * static_cast<Place>(axes.y.size);
        for (int line = row; is_there && line < tile.rows; line += height) {
            Best<int> found = {lowest<T>(), -1};
            if (is_in(axes.y, top + line)) {
                const T* elements = own + (first_row + top + line) * axes.x.size + from_x;
#pragma unroll 4
                for (int i = 0; i < width; ++i) {
                    const int at = i * axes.x.dilation;
                    found.template take<true>(static_cast<float>(elements[at]), from_x + at);
                }
            }
            lines[line * tile.windows + column] = found;
        }
        __syncthreads();
        if (is_there && row_of_y < axes.y.windows) {
#pragma unroll 4
            for (int i = 0; i < axes.y.kernel; ++i) {
                const int line = row * axes.y.stride + i * axes.y.dilation;
                const Best<int> found = lines[line * tile.windows + column];
                best.template take<true>(found.value, (first_row + top + line) * axes.x.size + found.place);
            }
        }
        __syncthreads();
    }
    if (!is_there || row_of_y >= axes.y.windows) return;
    if (best.place < 0) {
        const int from_y = first_inside(axes.y, row_of_y * axes.y.stride - axes.y.pad, axes.y.dilation);
        best.place = (from_z * static_cast<Place>(axes.y.size) + from_y) * axes.x.size + from_x;
    }
    const Offset window = (static_cast<Offset>(slab) * axes.y.windows + row_of_y) * axes.x.windows + column_of_y;
    y[window] = static_cast<T>(best.value);
    indices[window] = index_of<ORDER>(axes, plane, best.place);
}
