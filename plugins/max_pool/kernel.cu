// MaxPool with indices. A thread takes a strip of windows, below each other where they overlap much, and two beside each
// other where loads are aligned; or two small windows that y has beside each other. A warp or a block shares the elements of a large window.
// In tiles.cu large windows overlap, and few.cu takes few windows.

#include "windows.cuh"

using pluginkit::AT_ONCE, pluginkit::FEW_BLOCKS, pluginkit::THREADS;  // from launches.py

// Of a row of x, COUNT elements from `left` on, DX apart. With PACK > 1 those of a whole aligned pack are read at once; the
// first one begins PHASE elements after `left`. Unless MAY_LEAVE, all of them are in x.
template <typename T, int COUNT, int DX, int PACK, int PHASE, bool MAY_LEAVE> struct Row {
    float element[COUNT];

    template <int FROM = 0>
    __device__ __forceinline__ void read(const T* line, const Axis& axis, int left, bool is_inside) {
        if constexpr (FROM < COUNT) {
            constexpr int SIZE = FROM % PACK == PHASE && FROM + PACK <= COUNT ? PACK : 1;
            Vector<T, SIZE> part;
#pragma unroll
            for (int i = 0; i < SIZE; ++i) part.element[i] = static_cast<T>(lowest<T>());
            if (!MAY_LEAVE || (is_inside && is_in(axis, left + FROM * DX))) part = Vector<T, SIZE>::read(line + FROM * DX);
#pragma unroll
            for (int i = 0; i < SIZE; ++i) element[FROM + i] = static_cast<float>(part.element[i]);
            read<FROM + SIZE>(line, axis, left, is_inside);
        }
    }

    // Return the greatest of KX elements from `first` on, and how far it lies from `left`.
    template <int KX, bool MAY_BE_NAN> __device__ __forceinline__ Best<int> best(int first) const {
        Best<int> found = {element[first], first * DX};
#pragma unroll
        for (int i = 1; i < KX; ++i) found.template take<MAY_BE_NAN>(element[first + i], (first + i) * DX);
        return found;
    }

    __device__ __forceinline__ bool has_nan() const {
        bool found = false;
#pragma unroll
        for (int i = 0; i < COUNT; i += 2) {
            const float other = element[i + 1 < COUNT ? i + 1 : i];
            found |= element[i] != element[i] || other != other;
        }
        return found;
    }
};

// ROWS by COLUMNS windows of a plane: where the first one begins, and the greatest element of each.
template <typename Place, int ROWS, int COLUMNS, bool IS_PADDED> struct Strip {
    int near, top, left;
    Best<Place> best[ROWS][COLUMNS];

    // Find the greatest elements; return whether there is NaN, which MAY_BE_NAN takes another comparison.
    template <typename T, int PACK, int PHASE, int KZ, int KY, int KX, int SY, int SX, int DZ, int DY, int DX, bool MAY_BE_NAN>
    __device__ __forceinline__ bool pool(const T* plane, const Axes& axes) {
        constexpr int WIDTH = (COLUMNS - 1) * SX + KX, HEIGHT = (ROWS - 1) * SY + KY;
        constexpr bool IS_UNROLLED = !MAY_BE_NAN && KZ * HEIGHT * WIDTH <= 128;
        bool has_nan = false;
#pragma unroll(IS_UNROLLED ? KZ : 1)
        for (int k = 0; k < KZ; ++k) {
            const int at_z = near + k * DZ;
#pragma unroll(IS_UNROLLED ? HEIGHT : 1)
            for (int line = 0; line < HEIGHT; ++line) {
                const int at_y = top + line * DY;
                const Place start = (at_z * static_cast<Place>(axes.y.size) + at_y) * axes.x.size + left;
                Row<T, WIDTH, DX, PACK, PHASE, IS_PADDED || (ROWS > 1)> elements;  // the last rows may have no windows
                elements.read(plane + start, axes.x, left, is_in(axes.z, at_z) && is_in(axes.y, at_y));
                has_nan |= elements.has_nan();
#pragma unroll
                for (int j = 0; j < COLUMNS; ++j) {
                    const Best<int> of_line = elements.template best<KX, MAY_BE_NAN>(j * SX);
#pragma unroll
                    for (int i = 0; i < ROWS; ++i) {
                        if (line < i * SY || line >= i * SY + KY) continue;
                        if (k == 0 && line == i * SY) {
                            best[i][j] = {of_line.value, start + of_line.place};
                        } else {
                            best[i][j].template take<MAY_BE_NAN>(of_line.value, start + of_line.place);
                        }
                    }
                }
            }
        }
        return has_nan;
    }
};

// RANK axes have windows; K, S and D are a window's sizes, strides and dilations. With two COLUMNS, packs of
// elements lie within the rows of x: one begins PHASE elements after the first window, and PACK divides SX. If
// they are APART, they are two strips, beside each other in y, where the second may begin the next row.
// Windows have no padding unless IS_PADDED. Where they ARE_FEW, a thread has registers for all that it reads.
template <typename T, typename Offset, int ROWS, int COLUMNS, bool APART, bool ARE_FEW, int ORDER, int RANK, int KZ, int KY,
          int KX, int SZ, int SY, int SX, int DZ, int DY, int DX, int PACK, int PHASE, bool IS_PADDED>
__global__ void __launch_bounds__(THREADS, ARE_FEW ? FEW_BLOCKS : 0)
    max_pool(T* __restrict__ y, long long* __restrict__ indices, const T* __restrict__ x, Axes axes, Divisor strips,
             Divisor groups, Divisor layers, Offset items, Offset all) {
    constexpr int STRIPS = APART ? COLUMNS : 1, WIDTH = COLUMNS / STRIPS;
    constexpr int MOST = 16 / sizeof(T), ALIGNED = WIDTH == 1 ? 1 : 2 * PACK < MOST ? 2 * PACK : MOST;
    const Offset item = 1LL * blockIdx.x * THREADS + threadIdx.x;
    if (item >= items) return;
    const bool has_all = STRIPS == 1 || (item + 1) * STRIPS <= all;
    Offset rest = item * STRIPS;
    int column = strips.split(rest) * WIDTH, row = RANK > 1 ? groups.split(rest) * ROWS : 0;
    int layer = RANK > 2 ? layers.split(rest) : 0;
    Offset plane = rest;
    const Offset size = static_cast<Offset>(axes.z.size) * axes.y.size * axes.x.size;

    using Place = SignedOf<Offset>;
    Strip<Place, ROWS, WIDTH, IS_PADDED> strip[STRIPS];
    Offset planes[STRIPS];
    bool has_nan = false;
#pragma unroll
    for (int w = 0; w < STRIPS; ++w) {
        if (w > 0 && !has_all) break;
        if (w > 0) {
            const bool is_next_row = ++column == axes.x.windows;
            if (is_next_row) column = 0, ++row;
            const bool is_next_layer = RANK == 1 ? is_next_row : row == axes.y.windows;
            if (is_next_layer) row = 0, ++layer;
            if (RANK < 3 ? is_next_layer : layer == axes.z.windows) layer = 0, ++plane;
        }
        planes[w] = plane;
        strip[w].near = layer * SZ, strip[w].top = row * SY, strip[w].left = column * SX;
        if (IS_PADDED) strip[w].near -= axes.z.pad, strip[w].top -= axes.y.pad, strip[w].left -= axes.x.pad;
        has_nan |= strip[w].template pool<T, ALIGNED, PHASE % ALIGNED, KZ, KY, KX, SY, SX, DZ, DY, DX, false>(
            x + plane * size, axes);
    }
#pragma unroll
    for (int w = 0; w < STRIPS; ++w) {
        if (!has_nan || (w > 0 && !has_all)) break;
        strip[w].template pool<T, ALIGNED, PHASE % ALIGNED, KZ, KY, KX, SY, SX, DZ, DY, DX, true>(
            x + planes[w] * size, axes);
    }
#pragma unroll
    for (int i = 0; i < ROWS; ++i) {
        if (ROWS > 1 && row + i >= axes.y.windows) return;
        const Offset line = ROWS > 1 ? (plane * axes.z.windows + layer) * axes.y.windows + row + i : 0;
        const Offset window = ROWS > 1 ? line * axes.x.windows + column : item * COLUMNS;
        Vector<T, COLUMNS> values;
        Vector<long long, COLUMNS> places;
#pragma unroll
        for (int j = 0; j < COLUMNS; ++j) {
            Strip<Place, ROWS, WIDTH, IS_PADDED>& own = strip[j / WIDTH];
            Best<Place>& best = own.best[i][j % WIDTH];
            values.element[j] = static_cast<T>(best.value);
            if (IS_PADDED && best.value == lowest<T>()) {  // which padding is, too
                const Place at_z = first_inside(axes.z, own.near, DZ);
                const Place at_y = first_inside(axes.y, own.top + i * SY, DY);
                best.place = (at_z * axes.y.size + at_y) * axes.x.size + first_inside(axes.x, own.left + j % WIDTH * SX, DX);
            }
            places.element[j] = index_of<ORDER>(axes, planes[j / WIDTH], best.place);
        }
        if (has_all) {
            values.write(y + window);
            places.write(indices + window);
        } else {
            y[window] = values.element[0], indices[window] = places.element[0];
        }
    }
}

// Return the best that a member of TEAM threads finds in a plane of packs, which are aligned.
template <int TEAM, int PACK, typename T, typename Place>
__device__ __forceinline__ Best<Place> best_of_plane(const T* plane, Place elements, int member) {
    constexpr int PACKS = PACK == 1 ? 2 * AT_ONCE : AT_ONCE;
    Best<Place> best = {lowest<T>(), -1};
    for (Place first = member * PACK; first < elements; first += PACKS * TEAM * PACK) {
        Vector<T, PACK> packs[PACKS];
#pragma unroll
        for (int i = 0; i < PACKS; ++i) {
            const Place start = first + i * TEAM * PACK;
            if (start < elements) packs[i] = Vector<T, PACK>::read(plane + start);
        }
#pragma unroll
        for (int i = 0; i < PACKS; ++i) {
            const Place start = first + i * TEAM * PACK;
            if (start >= elements) break;
#pragma unroll
            for (int j = 0; j < PACK; ++j) best.template take<true>(static_cast<float>(packs[i].element[j]), start + j);
        }
    }
    return best;
}

// TEAM threads, a warp or the block, take a window of many elements; if it is a plane, it is one of
// aligned packs of PACK_BYTES, or of single elements.
template <typename T, typename Offset, int ORDER, int TEAM, int PACK_BYTES>
__global__ void __launch_bounds__(THREADS)
    max_pool_large(T* __restrict__ y, long long* __restrict__ indices, const T* __restrict__ x, Axes axes,
                   Divisor columns_of_y, Divisor rows_of_y, Divisor layers_of_y, Offset windows) {
    const Offset window = (1LL * blockIdx.x * THREADS + threadIdx.x) / TEAM;
    const int member = threadIdx.x % TEAM, lane = threadIdx.x % 32;
    if (window >= windows) return;
    using Place = SignedOf<Offset>;
    Offset rest = window;
    const int left = columns_of_y.split(rest) * axes.x.stride - axes.x.pad;
    const int top = rows_of_y.split(rest) * axes.y.stride - axes.y.pad;
    const int near = layers_of_y.split(rest) * axes.z.stride - axes.z.pad;
    const Offset plane = rest;
    const T* own = x + plane * axes.z.size * axes.y.size * axes.x.size;
    const int from_z = first_inside(axes.z, near, axes.z.dilation), from_y = first_inside(axes.y, top, axes.y.dilation);
    const int from_x = first_inside(axes.x, left, axes.x.dilation);
    const int height = inside(axes.y, top, from_y), width = inside(axes.x, left, from_x);
    const Place elements = static_cast<Place>(inside(axes.z, near, from_z)) * height * width;
    // A member goes on by TEAM elements, over the ends of as many lines.
    const int line = member / max(width, 1), lines = TEAM / max(width, 1);
    int column = member % max(width, 1), row = line % max(height, 1), layer = line / max(height, 1);
    const int columns = TEAM % max(width, 1), rows = lines % max(height, 1), layers = lines / max(height, 1);
    Best<Place> best = {lowest<T>(), -1};
    constexpr int PACK = PACK_BYTES < sizeof(T) ? 1 : PACK_BYTES / sizeof(T);
    if constexpr (PACK_BYTES > 0) best = best_of_plane<TEAM, PACK>(own, elements, member);
    for (Place element = member; PACK_BYTES == 0 && element < elements; element += AT_ONCE * TEAM) {
        // Elements are read before they are compared, so that the reads wait for memory together.
        float values[AT_ONCE];
        Place places[AT_ONCE];
#pragma unroll
        for (int i = 0; i < AT_ONCE; ++i) {
            const int at_z = from_z + layer * axes.z.dilation, at_y = from_y + row * axes.y.dilation;
            places[i] = (at_z * static_cast<Place>(axes.y.size) + at_y) * axes.x.size + from_x + column * axes.x.dilation;
            values[i] = element + i * TEAM < elements ? static_cast<float>(own[places[i]]) : lowest<T>();
            column += columns, row += rows, layer += layers;
            if (column >= width) column -= width, ++row;
            if (row >= height) row -= height, ++layer;
        }
#pragma unroll
        for (int i = 0; i < AT_ONCE; ++i) best.template take<true>(values[i], places[i]);
    }
#pragma unroll
    for (int step = 16; step > 0; step /= 2) {
        best.combine({__shfl_xor_sync(~0u, best.value, step), __shfl_xor_sync(~0u, best.place, step)});
    }
    if constexpr (TEAM > 32) {
        __shared__ Best<Place> of_warps[TEAM / 32];
        if (lane == 0) of_warps[member / 32] = best;
        __syncthreads();
        for (int i = 0; i < TEAM / 32; ++i) best.combine(of_warps[i]);
    }
    if (member > 0) return;
    if (best.place < 0) best.place = (from_z * static_cast<Place>(axes.y.size) + from_y) * axes.x.size + from_x;
    y[window] = static_cast<T>(best.value);
    indices[window] = index_of<ORDER>(axes, plane, best.place);
}
