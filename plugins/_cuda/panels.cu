// The elimination of large matrices by panels of WIDTH columns: a block factors a panel, of which a thread has a row in
// registers; then many blocks update the columns after it in strips. Rows are not swapped: each has a position. What is
// above the diagonal goes to `upper` in the order of positions, with the forward-eliminated B beside it.

#include "elimination.cuh"

using pluginkit::BLOCK, pluginkit::GROUP, pluginkit::MOST_ROWS, pluginkit::STRIP, pluginkit::WIDTH;  // from panels.py

// What the workspace has for a matrix of `size` rows, which are `pitch` numbers apart: [A | B], the rows of the result,
// the factors of the last panel column by column, the positions of the rows, and the determinant so far.
struct Work {
    float *cells, *upper, *lower;
    int* positions;
    float* determinant;
    int pitch, height;

    __device__ __forceinline__ Work(float* workspace, long long number, int size, int columns)
        : pitch((size + columns + 3) / 4 * 4), height((size + 3) / 4 * 4) {
        const long long square = 1LL * size * pitch;
        cells = workspace + number * (2 * square + (WIDTH + 1) * height + 4);
        upper = cells + square;
        lower = upper + square;
        positions = reinterpret_cast<int*>(lower + WIDTH * height);
        determinant = lower + (WIDTH + 1) * height;
    }
};

template <int N> __device__ __forceinline__ void load(float (&numbers)[N], const float* source) {
#pragma unroll
    for (int i = 0; i < N; i += 4) {
        const float4 four = *reinterpret_cast<const float4*>(source + i);
        numbers[i] = four.x, numbers[i + 1] = four.y, numbers[i + 2] = four.z, numbers[i + 3] = four.w;
    }
}

template <int N> __device__ __forceinline__ void store(float* target, const float (&numbers)[N]) {
#pragma unroll
    for (int i = 0; i < N; i += 4) {
        *reinterpret_cast<float4*>(target + i) = {numbers[i], numbers[i + 1], numbers[i + 2], numbers[i + 3]};
    }
}

// Copy [A | B] to the workspace.
template <typename T, Purpose PURPOSE>
__global__ void __launch_bounds__(BLOCK) gather_cells(const T* __restrict__ matrices, const T* __restrict__ rights,
                                                      float* __restrict__ workspace, int size, int columns) {
    const Work work(workspace, blockIdx.x, size, columns);
    const T* a = matrices + 1LL * blockIdx.x * size * size;
    const T* b = PURPOSE == Purpose::SOLVE ? rights + 1LL * blockIdx.x * size * columns : nullptr;
    for (int i = blockIdx.y; i < size; i += gridDim.y) {
        for (int j = threadIdx.x; j < work.pitch; j += BLOCK) {
            const bool is_element = j < size + columns;
            work.cells[1LL * i * work.pitch + j] = is_element ? element<PURPOSE>(a, b, i, j, size, columns) : 0.0f;
        }
        if (threadIdx.x == 0) work.positions[i] = i;
    }
}

// Eliminate in the columns of a panel, from `first` on.
template <typename T, Purpose PURPOSE, int ROWS>
__global__ void __launch_bounds__(ROWS)
    factor_panel(T* __restrict__ y, float* __restrict__ workspace, int size, int columns, int first) {
    __shared__ __align__(16) float tops[2][WIDTH];
    __shared__ int2 keys[2][ROWS / 32];
    const Work work(workspace, blockIdx.x, size, columns);
    const int own = threadIdx.x, steps = min(WIDTH, size - first);
    const bool is_row = own < size;
    int position = is_row ? work.positions[own] : own;
    float determinant = first > 0 ? *work.determinant : 1.0f;
    float row[WIDTH];
#pragma unroll
    for (int j = 0; j < WIDTH; j += 4) {
        const bool is_element = is_row && first + j < work.pitch;
        const float* source = work.cells + 1LL * own * work.pitch + first + j;
        const float4 four = is_element ? *reinterpret_cast<const float4*>(source) : float4{};
        row[j] = four.x, row[j + 1] = four.y, row[j + 2] = four.z, row[j + 3] = four.w;
    }
    for (int k = 0; k < steps; ++k) {
        const int pivot = first + k;
        const unsigned int rank = is_row && position >= pivot ? rank_of(row[0]) : 0;
        const int from = position_of_highest<ROWS>(rank, position, keys[k % 2]);
        float* top = tops[k % 2];
        if (position == from) store(top, row);
        if (from != pivot) determinant = -determinant;
        position = position == from ? pivot : position == pivot ? from : position;
        __syncthreads();
        determinant = __fmul_rn(determinant, top[0]);
        const float factor = factor_of(row[0], top[0]);
        if (is_row) work.lower[k * work.height + own] = factor;
        if (own < WIDTH && pivot + own < min(first + WIDTH, size)) {
            work.upper[1LL * pivot * work.pitch + pivot + own] = top[own];
        }
#pragma unroll
        for (int j = 1; j < WIDTH; ++j) row[j - 1] = minus_product(row[j], factor, top[j]);
    }
    if (is_row) work.positions[own] = position;
    if (own > 0) return;
    *work.determinant = determinant;
    if (PURPOSE == Purpose::DETERMINANT && first + WIDTH >= size) y[blockIdx.x] = static_cast<T>(determinant);
}

// Eliminate in the columns after the panel from `first` on, in strips: first the rows of the panel, then those below.
__global__ void __launch_bounds__(BLOCK) update_strips(float* __restrict__ workspace, int size, int columns, int first) {
    constexpr int EACH = STRIP / (BLOCK / 32);  // the columns of a warp
    __shared__ int rows_of_panel[WIDTH];
    __shared__ __align__(16) float tops[WIDTH][STRIP];
    const Work work(workspace, blockIdx.x, size, columns);
    const int steps = min(WIDTH, size - first), lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    for (int row = threadIdx.x; row < size; row += BLOCK) {
        const int place = work.positions[row] - first;
        if (place >= 0 && place < steps) rows_of_panel[place] = row;
    }
    __syncthreads();
    for (int strip = first + steps + blockIdx.y * STRIP; strip < size + columns; strip += gridDim.y * STRIP) {
        const int row = lane < steps ? rows_of_panel[lane] : 0;
        float top[EACH];
#pragma unroll
        for (int c = 0; c < EACH; ++c) {
            const int column = strip + warp * EACH + c;
            const bool is_element = lane < steps && column < size + columns;
            top[c] = is_element ? work.cells[1LL * row * work.pitch + column] : 0.0f;
        }
#pragma unroll
        for (int k = 0; k < WIDTH; ++k) {
            const float factor = lane > k && lane < steps ? work.lower[k * work.height + row] : 0.0f;
#pragma unroll
            for (int c = 0; c < EACH; ++c) {
                const float upper = __shfl_sync(~0u, top[c], k);
                if (lane > k) top[c] = minus_product(top[c], factor, upper);
            }
        }
#pragma unroll
        for (int c = 0; c < EACH; ++c) {
            const int column = strip + warp * EACH + c;
            tops[lane][warp * EACH + c] = top[c];
            if (lane < steps && column < size + columns) work.upper[1LL * (first + lane) * work.pitch + column] = top[c];
        }
        __syncthreads();
        for (int below = threadIdx.x; below < size; below += BLOCK) {
            if (work.positions[below] < first + WIDTH) continue;
            float factors[WIDTH];
#pragma unroll
            for (int k = 0; k < WIDTH; ++k) factors[k] = work.lower[k * work.height + below];
#pragma unroll 1
            for (int part = 0; part < min(STRIP, work.pitch - strip); part += 4) {
                float* target = work.cells + 1LL * below * work.pitch + strip + part;
                float numbers[4];
                load(numbers, target);
#pragma unroll
                for (int k = 0; k < WIDTH; ++k) {
#pragma unroll
                    for (int i = 0; i < 4; ++i) numbers[i] = minus_product(numbers[i], factors[k], tops[k][part + i]);
                }
                store(target, numbers);
            }
        }
        __syncthreads();
    }
}

// Find the solutions from the triangle, GROUP columns of B at a time, each of them by a warp within a panel.
template <typename T>
__global__ void __launch_bounds__(BLOCK) substitute(T* __restrict__ y, float* __restrict__ workspace, int size, int columns) {
    __shared__ __align__(16) float x[MOST_ROWS][GROUP];
    const Work work(workspace, blockIdx.x, size, columns);
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    for (int group = blockIdx.y * GROUP; group < columns; group += gridDim.y * GROUP) {
        for (int i = threadIdx.x; i < size * GROUP; i += BLOCK) {
            const int row = i / GROUP, column = group + i % GROUP;
            x[row][i % GROUP] = column < columns ? work.upper[1LL * row * work.pitch + size + column] : 0.0f;
        }
        for (int first = (size - 1) / WIDTH * WIDTH; first >= 0; first -= WIDTH) {
            __syncthreads();
            const int steps = min(WIDTH, size - first), row = first + min(lane, steps - 1);
            const float* triangle = work.upper + 1LL * row * work.pitch + first;
            const float diagonal = triangle[row - first];
            float found = x[row][warp], factors[WIDTH];
#pragma unroll
            for (int k = 0; k < WIDTH; ++k) factors[k] = lane < k && k < steps ? triangle[k] : 0.0f;  // all in flight
#pragma unroll
            for (int k = WIDTH - 1; k >= 0; --k) {
                if (k >= steps) continue;
                const float solved = __fdiv_rn(found, diagonal);
                if (lane == k) found = solved;
                const float below = __shfl_sync(~0u, found, k);
                if (lane < k) found = minus_product(found, factors[k], below);
            }
            __syncwarp();
            if (lane < steps) x[row][warp] = found;
            __syncthreads();
            for (int above = threadIdx.x; above < first; above += BLOCK) {
                float numbers[GROUP];
                load(numbers, x[above]);
#pragma unroll
                for (int k = WIDTH - 1; k >= 0; --k) {
                    if (k >= steps) continue;
                    const float factor = work.upper[1LL * above * work.pitch + first + k];
#pragma unroll
                    for (int c = 0; c < GROUP; ++c) numbers[c] = minus_product(numbers[c], factor, x[first + k][c]);
                }
                store(x[above], numbers);
            }
        }
        __syncthreads();
        for (int i = threadIdx.x; i < size * GROUP; i += BLOCK) {
            const int row = i / GROUP, column = group + i % GROUP;
            if (column < columns) y[(1LL * blockIdx.x * size + row) * columns + column] = static_cast<T>(x[row][i % GROUP]);
        }
        __syncthreads();
    }
}
