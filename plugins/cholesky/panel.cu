// Cholesky of large matrices, PANEL columns with each launch. Blocks share what is right of a panel in tiles of EDGE x EDGE
// on and below the diagonal. Each factors the panel's triangle, solves the rows of the panel that its tile needs, and
// subtracts their products from the tile, which the workspace keeps. So no block waits for another.

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include "../_cuda/overlap.cuh"

using pluginkit::EDGE, pluginkit::PANEL, pluginkit::PANEL_THREADS;  // from launches.py

constexpr int OWNED = 4, ACROSS = EDGE / OWNED, PITCH = EDGE + OWNED;  // a thread has OWNED x OWNED elements of a tile

static_assert(PANEL == 32 && ACROSS * ACROSS == PANEL_THREADS, "a warp factors; the threads have a tile");

// Where a tile is, of those on and below the diagonal, which are counted row by row.
__device__ __forceinline__ int2 place_of_tile(int number) {
    const float square = 8.0f * number + 1.0f;
    int row = static_cast<int>((square * rsqrtf(square) - 1.0f) / 2.0f);  // or one off
    if (row * (row + 1) / 2 > number) --row;
    if ((row + 1) * (row + 2) / 2 <= number) ++row;
    return {row, number - row * (row + 1) / 2};
}

// Factor a triangle, of which each lane of a warp holds a row, and find the inverse of the row's diagonal element. Return as
// kernel.cu's `factor`, which is for many matrices; here a step takes as long as what the next pivot waits for.
__device__ __forceinline__ int factor(float (&row)[PANEL], float& inverse) {
    const int lane = threadIdx.x % 32;
    float diagonal = row[0];  // apart, so that the next pivot waits for no element of another lane
#pragma unroll
    for (int k = 1; k < PANEL; ++k) diagonal = lane == k ? row[k] : diagonal;
    float own_pivot = 0.0f;
#pragma unroll
    for (int k = 0; k < PANEL; ++k) {
        const float pivot = __shfl_sync(~0u, diagonal, k);
        const float of_pivot = pivot > 0.0f ? rsqrtf(pivot) : __int_as_float(0x7fffffff);
        row[k] *= of_pivot;
        diagonal -= row[k] * row[k];
        own_pivot = lane == k ? pivot : own_pivot, inverse = lane == k ? of_pivot : inverse;
#pragma unroll
        for (int j = k + 1; j < PANEL; ++j) row[j] -= row[k] * __shfl_sync(~0u, row[k], j);
    }
    const bool is_positive = own_pivot > 0.0f;  // NaN is not
    const float root = is_positive ? sqrtf(own_pivot) : inverse;
#pragma unroll
    for (int k = 0; k < PANEL; ++k) row[k] = lane == k ? root : row[k];
    return __ffs(__ballot_sync(~0u, !is_positive));
}

// Divide a row by the triangle, of which each column is contiguous: x <- x L^-T.
__device__ __forceinline__ void solve(float (&x)[PANEL], const float (&triangle)[PANEL][PANEL + OWNED], const float* inverses) {
#pragma unroll
    for (int k = 0; k < PANEL; ++k) {
        x[k] *= inverses[k];
#pragma unroll
        for (int j = (k + 1) / 4 * 4; j < PANEL; j += 4) {
            const float4 below = *reinterpret_cast<const float4*>(&triangle[k][j]);
            if (j > k) x[j] -= x[k] * below.x;
            if (j + 1 > k) x[j + 1] -= x[k] * below.y;
            if (j + 2 > k) x[j + 2] -= x[k] * below.z;
            x[j + 3] -= x[k] * below.w;
        }
    }
}

// Call visit(row, column) for the elements of ROWS rows of a panel. The lanes of a warp have 8 adjacent elements of 4 rows,
// or 32 of a column (DOWN): both are whole sectors of memory, and different banks where columns are PITCH apart.
template <int ROWS, bool DOWN, typename Visit> __device__ __forceinline__ void for_each(const Visit& visit) {
#pragma unroll
    for (int number = 0; number < ROWS * PANEL / PANEL_THREADS; ++number) {
        const int i = number * PANEL_THREADS + threadIdx.x;
        visit(DOWN ? i % ROWS : i / 128 * 4 + i / 8 % 4, DOWN ? i / ROWS : i / 32 % 4 * 8 + i % 8);
    }
}

// The launch that IS_FIRST reads the matrices, later ones what those before left in the workspace.
template <typename T, bool IS_UPPER, bool IS_FIRST>
__global__ void __launch_bounds__(PANEL_THREADS, 2)
    cholesky_of_panel(T* __restrict__ y, int* __restrict__ infos, const T* __restrict__ matrices,
                      float* __restrict__ workspace, int size, int first) {
    __shared__ __align__(16) float triangle[PANEL][PANEL + OWNED];
    __shared__ __align__(16) float sides[2][PANEL][PITCH];  // the panel's rows beside the tile, and those of its columns
    __shared__ float inverses[PANEL];
    wait_for_earlier_launches();
    const int own = threadIdx.x, below = first + PANEL;
    const int2 tile = place_of_tile(blockIdx.y);
    const int begins[] = {below + tile.x * EDGE, below + tile.y * EDGE};
    const long long matrix = 1LL * blockIdx.x * size * size;
    y += matrix, matrices += matrix, workspace += matrix;
    // Where an element is; an int, since larger matrices have no panels.
    const auto place = [&](int row, int column) { return (IS_UPPER ? column : row) * size + (IS_UPPER ? row : column); };
    // Beyond the matrix there are ones on the diagonal, and above it zeros.
    const auto element = [&](int row, int column) {
        if (row >= size || column > row) return row == column ? 1.0f : 0.0f;
        return IS_FIRST ? static_cast<float>(matrices[place(row, column)]) : workspace[place(row, column)];
    };
    for_each<PANEL, IS_UPPER>([&](int i, int j) { triangle[j][i] = element(first + i, first + j); });
#pragma unroll
    for (int side = 0; side < 2; ++side) {
        for_each<EDGE, IS_UPPER>([&](int i, int j) { sides[side][j][i] = element(begins[side] + i, first + j); });
    }
    const int down = OWNED * (IS_UPPER ? own % ACROSS : own / ACROSS), across = OWNED * (IS_UPPER ? own / ACROSS : own % ACROSS);
    float cells[OWNED][OWNED];
#pragma unroll
    for (int i = 0; i < OWNED; ++i) {
#pragma unroll
        for (int j = 0; j < OWNED; ++j) cells[i][j] = element(begins[0] + down + i, begins[1] + across + j);
    }
    __syncthreads();
    if (own < PANEL) {
        float row[PANEL], inverse;
#pragma unroll
        for (int j = 0; j < PANEL; ++j) row[j] = triangle[j][own];
        const int found = factor(row, inverse);
        inverses[own] = inverse;
#pragma unroll
        for (int j = 0; j < PANEL; ++j) triangle[j][own] = j <= own ? row[j] : 0.0f;
        if (own == 0 && blockIdx.y == 0 && (IS_FIRST || infos[blockIdx.x] == 0)) {
            infos[blockIdx.x] = found > 0 ? first + found : 0;
        }
    }
    __syncthreads();
    if (own < 2 * EDGE) {
        float (&side)[PANEL][PITCH] = sides[own / EDGE], x[PANEL];
#pragma unroll
        for (int k = 0; k < PANEL; ++k) x[k] = side[k][own % EDGE];
        solve(x, triangle, inverses);
#pragma unroll
        for (int k = 0; k < PANEL; ++k) side[k][own % EDGE] = x[k];
    }
    __syncthreads();
    let_next_launch_begin();
    // Write L(row, column), and the zero across the diagonal.
    const auto write = [&](int row, int column, float value) {
        if (row < size && column < size) y[place(row, column)] = static_cast<T>(value);
    };
    if (blockIdx.y == 0) {
        for_each<PANEL, IS_UPPER>([&](int i, int j) { write(first + i, first + j, triangle[j][i]); });
    }
    if (tile.y == 0) {
        for_each<EDGE, IS_UPPER>([&](int i, int j) { write(begins[0] + i, first + j, sides[0][j][i]); });
        for_each<EDGE, !IS_UPPER>([&](int i, int j) { write(first + j, begins[0] + i, 0.0f); });
    }
#pragma unroll 8
    for (int k = 0; k < PANEL; ++k) {
        const float4 a = *reinterpret_cast<const float4*>(&sides[0][k][down]);
        const float4 b = *reinterpret_cast<const float4*>(&sides[1][k][across]);
        const float rows[] = {a.x, a.y, a.z, a.w}, columns[] = {b.x, b.y, b.z, b.w};
#pragma unroll
        for (int i = 0; i < OWNED; ++i) {
#pragma unroll
            for (int j = 0; j < OWNED; ++j) cells[i][j] -= rows[i] * columns[j];
        }
    }
#pragma unroll
    for (int i = 0; i < OWNED; ++i) {
#pragma unroll
        for (int j = 0; j < OWNED; ++j) {
            const int row = begins[0] + down + i, column = begins[1] + across + j;
            if (row < size && column <= row) workspace[place(row, column)] = cells[i][j];
        }
    }
}
