// Cholesky: A = L L^T for many matrices in float32, of which one triangle is read.
//
//   cholesky_of_rows    up to 32 x 32: a lane holds a row in registers
//   cholesky_of_tiles   larger: a block takes a matrix, TILE columns at a time. A warp factors the tile on the diagonal
//                       as above, each thread solves a row below it, and warps subtract the products from what is right.
//
// panel.cu has what many blocks do for a matrix that shared memory is too small for.
//
// From a pivot on that is not above 0, columns are NaN.

#include <cuda_bf16.h>
#include <cuda_fp16.h>

using pluginkit::BLOCK, pluginkit::PITCH_GAP, pluginkit::TILE;  // from launches.py

static_assert(TILE == 8, "some lanes of a warp factor a tile");

// Factor a matrix of which each lane holds a row up to the diagonal, and find the inverse of the row's diagonal element.
// Return 0, or the number, from 1 on, of the first pivot that is not above 0.
template <int LANES> __device__ __forceinline__ int factor(float (&row)[LANES], float& inverse, int lane) {
    int info = 0;
#pragma unroll
    for (int k = 0; k < LANES; ++k) {
        const float pivot = __shfl_sync(~0u, row[k], k, LANES);
        const bool is_positive = pivot > 0.0f;  // NaN is not
        if (!is_positive && info == 0) info = k + 1;
        const float of_pivot = is_positive ? rsqrtf(pivot) : __int_as_float(0x7fffffff);
        row[k] *= of_pivot;
        if (lane == k) row[k] = is_positive ? sqrtf(pivot) : of_pivot, inverse = of_pivot;
#pragma unroll
        for (int j = k + 1; j < LANES; ++j) row[j] -= row[k] * __shfl_sync(~0u, row[k], j, LANES);
    }
    return info;
}

// LANES threads take a matrix.
template <typename T, int LANES>
__global__ void __launch_bounds__(BLOCK)
    cholesky_of_rows(T* __restrict__ y, int* __restrict__ infos, const T* __restrict__ matrices, long long count, int size,
                     bool is_upper) {
    constexpr int PITCH = LANES + 1;  // odd, so that a column is spread over the banks
    __shared__ float tiles[BLOCK * PITCH];
    const long long number = (static_cast<long long>(blockIdx.x) * BLOCK + threadIdx.x) / LANES;
    const int lane = threadIdx.x % LANES;
    const bool is_there = number < count && lane < size;
    // Where the lane's column of the matrix is, and its row of the factor, which with `is_upper` is the same.
    float* tile = tiles + (threadIdx.x - lane) * PITCH;
    float *mine = tile + lane * PITCH, *column = is_upper ? mine : tile + lane;
    const int step = is_upper ? 1 : PITCH;
    const long long offset = number * size * size + lane;
    float row[LANES], inverse;
#pragma unroll
    for (int i = 0; i < LANES; ++i) {
        row[i] = is_there && i < size ? static_cast<float>(matrices[offset + i * size]) : 0.0f;
    }
#pragma unroll
    for (int i = 0; i < LANES; ++i) column[i * step] = row[i];
    __syncwarp();
#pragma unroll
    for (int j = 0; j < LANES; ++j) row[j] = is_there ? (j <= lane ? mine[j] : 0.0f) : (j == lane ? 1.0f : 0.0f);
    const int info = factor(row, inverse, lane);
    if (number < count && lane == 0) infos[number] = info;
    __syncwarp();
#pragma unroll
    for (int j = 0; j < LANES; ++j) mine[j] = j <= lane ? row[j] : 0.0f;
    __syncwarp();
    for (int i = 0; i < size && is_there; ++i) y[offset + i * size] = static_cast<T>(column[i * step]);
}

// A matrix in columns of `pitch`, which is a multiple of four, so that four of a column are read at once.
struct Columns {
    float* cells;
    int pitch;

    __device__ __forceinline__ float& at(int row, int column) const { return cells[1LL * column * pitch + row]; }
    __device__ __forceinline__ float4 four(int row, int column) const {
        return *reinterpret_cast<const float4*>(&at(row, column));
    }
};

// Factor the tile that begins at (first, first); a warp does it, each TILE lanes the same. Return as `factor` does.
__device__ __forceinline__ int factor_tile(const Columns& matrix, int first, float* inverses) {
    const int lane = threadIdx.x % TILE;
    float row[TILE], inverse;
#pragma unroll
    for (int j = 0; j < TILE; ++j) row[j] = j <= lane ? matrix.at(first + lane, first + j) : 0.0f;
    const int info = factor(row, inverse, lane);
    __syncwarp();
    if (threadIdx.x >= TILE) return info;
    inverses[lane] = inverse;
#pragma unroll
    for (int j = 0; j < TILE; ++j) {
        if (j <= lane) matrix.at(first + lane, first + j) = row[j];
    }
    return info;
}

// Divide a row by the triangle that begins at (first, first): x <- x L^-T.
__device__ __forceinline__ void solve_row(const Columns& matrix, int row, int first, const float* inverses) {
    float x[TILE];
#pragma unroll
    for (int k = 0; k < TILE; ++k) x[k] = matrix.at(row, first + k);
#pragma unroll
    for (int k = 0; k < TILE; ++k) {
        x[k] *= inverses[k];
#pragma unroll
        for (int j = (k + 1) / 4 * 4; j < TILE; j += 4) {
            const float4 below = matrix.four(first + j, first + k);
            if (j > k) x[j] -= x[k] * below.x;
            if (j + 1 > k) x[j + 1] -= x[k] * below.y;
            if (j + 2 > k) x[j + 2] -= x[k] * below.z;
            x[j + 3] -= x[k] * below.w;
        }
    }
#pragma unroll
    for (int k = 0; k < TILE; ++k) matrix.at(row, first + k) = x[k];
}

// Subtract from a row, in TILE columns, the products of rows of the panel that begins at column `first`.
__device__ __forceinline__ void subtract_products(const Columns& matrix, int row, int columns, int first) {
    float x[TILE];
#pragma unroll
    for (int k = 0; k < TILE; ++k) x[k] = matrix.at(row, first + k);
#pragma unroll 1
    for (int j = columns; j < columns + TILE; j += 4) {
        float4 sum = {};
#pragma unroll
        for (int k = 0; k < TILE; ++k) {
            const float4 other = matrix.four(j, first + k);
            sum.x += x[k] * other.x, sum.y += x[k] * other.y, sum.z += x[k] * other.z, sum.w += x[k] * other.w;
        }
        matrix.at(row, j) -= sum.x, matrix.at(row, j + 1) -= sum.y;
        matrix.at(row, j + 2) -= sum.z, matrix.at(row, j + 3) -= sum.w;
    }
}

// A block of TEAM threads takes a matrix, in shared memory or in its part of the workspace. It is padded with ones on the
// diagonal to `padded` rows, a multiple of TILE.
template <typename T, int TEAM, bool SHARED>
__global__ void __launch_bounds__(TEAM, SHARED ? 8 : 1)
    cholesky_of_tiles(T* __restrict__ y, int* __restrict__ infos, const T* __restrict__ matrices,
                       float* __restrict__ workspace, int size, int padded, bool is_upper) {
    extern __shared__ float4 shared[];
    __shared__ float inverses[TILE];
    const int pitch = padded + PITCH_GAP, warp = __shfl_sync(~0u, threadIdx.x / 32, 0), lane = threadIdx.x % 32;
    float* cells = SHARED ? reinterpret_cast<float*>(shared) : workspace + 1LL * blockIdx.x * padded * pitch;
    const Columns matrix = {cells, pitch};
    matrices += 1LL * blockIdx.x * size * size;
    for (int j = lane; j < padded; j += 32) {
#pragma unroll 8
        for (int i = warp; i < padded; i += TEAM / 32) {
            const int row = is_upper ? j : i, column = is_upper ? i : j;
            float value = row == column ? 1.0f : 0.0f;
            if (i < size && j < size && row >= column) value = static_cast<float>(matrices[1LL * i * size + j]);
            matrix.at(row, column) = value;
        }
    }
    int info = 0;
    for (int first = 0; first < padded; first += TILE) {
        __syncthreads();
        if (warp == 0) {
            const int found = factor_tile(matrix, first, inverses);
            if (info == 0 && found > 0) info = first + found;
        }
        __syncthreads();
        const int below = first + TILE;
        for (int row = below + threadIdx.x; row < padded; row += TEAM) solve_row(matrix, row, first, inverses);
        __syncthreads();
        int number = 0;  // of 32 rows and TILE columns right of the panel, on or below the diagonal
        for (int rows = below; rows < padded; rows += 32) {
            for (int columns = below; columns < min(rows + 32, padded); columns += TILE, ++number) {
                const int row = rows + lane;
                if (number % (TEAM / 32) == warp && row < padded) subtract_products(matrix, row, columns, first);
            }
        }
    }
    if (threadIdx.x == 0) infos[blockIdx.x] = info;
    y += 1LL * blockIdx.x * size * size;
    for (int i = warp; i < size; i += TEAM / 32) {
        for (int j = lane; j < size; j += 32) {
            const int row = is_upper ? j : i, column = is_upper ? i : j;
            y[1LL * i * size + j] = static_cast<T>(row >= column ? matrix.at(row, column) : 0.0f);
        }
    }
}
