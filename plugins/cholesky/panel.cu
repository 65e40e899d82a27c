// Cholesky of large matrices, PANEL columns with each launch. First each block subtracts the products of the panel before, which
// the launch before has solved. Blocks that have the rest of the matrix, in tiles of EDGE x EDGE on and below the diagonal,
// then leave it in the workspace. Those that have PANEL rows below the panel's triangle factor the triangle, each for itself,
// and solve their rows at the same time. So no block waits for another, and the factors of the next panel are found while the
// rest is updated for it. What is solved is left across the diagonal of the workspace, where no block reads meanwhile.

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include "../_cuda/overlap.cuh"
#include "../_cuda/vectors.cuh"

using pluginkit::EDGE, pluginkit::PANEL, pluginkit::PANEL_THREADS;  // from launches.py

constexpr int OWNED = 4, ACROSS = EDGE / OWNED, PITCH = EDGE + OWNED;  // a thread has OWNED x OWNED elements of a tile

static_assert(PANEL == 32 && EDGE == 2 * PANEL && ACROSS * ACROSS == PANEL_THREADS, "a warp factors; the threads have a tile");

// Where a tile is, of those on and below the diagonal, which are counted row by row.
__device__ __forceinline__ int2 place_of_tile(int number) {
    const float square = 8.0f * number + 1.0f;
    int row = static_cast<int>((square * rsqrtf(square) - 1.0f) / 2.0f);  // or one off
    if (row * (row + 1) / 2 > number) --row;
    if ((row + 1) * (row + 2) / 2 <= number) ++row;
    return {row, number - row * (row + 1) / 2};
}

// Factor a triangle, of which each lane of a warp holds a row, and divide another row of each by it: x <- x L^-T. Return as
// kernel.cu's `factor`, which is for many matrices; here a step takes as long as what the next pivot waits for.
__device__ __forceinline__ int factor(float (&row)[PANEL], float (&x)[PANEL]) {
    const int lane = threadIdx.x % 32;
    float diagonal = row[0];  // apart, so that the next pivot waits for no element of another lane
#pragma unroll
    for (int k = 1; k < PANEL; ++k) diagonal = lane == k ? row[k] : diagonal;
    float own_pivot = 0.0f;
#pragma unroll
    for (int k = 0; k < PANEL; ++k) {
        const float pivot = __shfl_sync(~0u, diagonal, k);
        const float of_pivot = pivot > 0.0f ? rsqrtf(pivot) : __int_as_float(0x7fffffff);
        row[k] *= of_pivot, x[k] *= of_pivot;
        diagonal -= row[k] * row[k];
        own_pivot = lane == k ? pivot : own_pivot;
#pragma unroll
        for (int j = k + 1; j < PANEL; ++j) {
            const float below = __shfl_sync(~0u, row[k], j);
            row[j] -= row[k] * below, x[j] -= x[k] * below;
        }
    }
    const bool is_positive = own_pivot > 0.0f;  // NaN is not
    const float root = is_positive ? sqrtf(own_pivot) : __int_as_float(0x7fffffff);
#pragma unroll
    for (int k = 0; k < PANEL; ++k) row[k] = lane == k ? root : k < lane ? row[k] : 0.0f;
    return __ffs(__ballot_sync(~0u, !is_positive));
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

// OWNED rows and WIDTH columns of a tile.
template <int WIDTH> struct Cells {
    float cell[OWNED][WIDTH];

    template <typename Visit> __device__ __forceinline__ void for_all(const Visit& visit) {
#pragma unroll
        for (int i = 0; i < OWNED; ++i) {
#pragma unroll
            for (int j = 0; j < WIDTH; ++j) visit(i, j, cell[i][j]);
        }
    }

    // Subtract the products of PANEL columns of two sides, of rows from `down` and columns from `across` on.
    __device__ __forceinline__ void subtract(const float (&rows)[PANEL][PITCH], const float (&columns)[PANEL][PITCH], int down,
                                             int across) {
#pragma unroll 8
        for (int k = 0; k < PANEL; ++k) {
            const Vector<float, OWNED> a = Vector<float, OWNED>::read(&rows[k][down]);
            const Vector<float, WIDTH> b = Vector<float, WIDTH>::read(&columns[k][across]);
            for_all([&](int i, int j, float& cell) { cell -= a.element[i] * b.element[j]; });
        }
    }
};

// The first launch, STEP 0, has nothing to subtract. It and the second one read the matrices, later ones what those before left
// in the workspace.
template <typename T, bool IS_UPPER, int STEP>
__global__ void __launch_bounds__(PANEL_THREADS, 2)
    cholesky_of_panel(T* __restrict__ y, int* __restrict__ infos, const T* __restrict__ matrices, float* workspace, int size,
                      int first) {
    __shared__ __align__(16) float sides[2][PANEL][PITCH];
    wait_for_earlier_launches();
    let_next_launch_begin();
    const int own = threadIdx.x, below = first + PANEL, sixteenth = IS_UPPER ? own % ACROSS : own / ACROSS;
    const int other_sixteenth = IS_UPPER ? own / ACROSS : own % ACROSS, down = OWNED * sixteenth;
    const int panels = max((size - below + PANEL - 1) / PANEL, 1), panel = blockIdx.y;
    const long long matrix = 1LL * blockIdx.x * size * size;
    y += matrix, matrices += matrix, workspace += matrix;
    // Where an element is; an int, since larger matrices have no panels.
    const auto place = [&](int row, int column) { return (IS_UPPER ? column : row) * size + (IS_UPPER ? row : column); };
    // Beyond the matrix there are ones on the diagonal, and above it zeros.
    const auto element = [&](int row, int column) {
        if (row >= size || column > row) return row == column ? 1.0f : 0.0f;
        return STEP < 2 ? static_cast<float>(matrices[place(row, column)]) : workspace[place(row, column)];
    };
    // An element of the panel before.
    const auto solved = [&](int row, int k) { return row < size ? workspace[place(first - PANEL + k, row)] : 0.0f; };
    if (panel >= panels) {
        const int2 tile = place_of_tile(panel - panels);
        const int begins[] = {below + tile.x * EDGE, below + tile.y * EDGE}, across = OWNED * other_sixteenth;
#pragma unroll
        for (int side = 0; side < 2; ++side) {
            for_each<EDGE, !IS_UPPER>([&](int i, int k) { sides[side][k][i] = solved(begins[side] + i, k); });
        }
        const int row = begins[0] + down, column = begins[1] + across;
        Cells<OWNED> cells;
        cells.for_all([&](int i, int j, float& cell) { cell = element(row + i, column + j); });
        __syncthreads();
        cells.subtract(sides[0], sides[1], down, across);
        cells.for_all([&](int i, int j, float& cell) {
            if (row + i < size && column + j <= row + i) workspace[place(row + i, column + j)] = cell;
        });
        return;
    }
    // Half of the tile is the triangle's rows, the other half those below that the block has.
    const auto row_of = [&](int i) { return i < PANEL ? first + i : below + (panel - 1) * PANEL + i; };
    constexpr int WIDTH = OWNED / 2;
    const int across = WIDTH * other_sixteenth;
    if (STEP > 0) for_each<EDGE, !IS_UPPER>([&](int i, int k) { sides[0][k][i] = solved(row_of(i), k); });
    Cells<WIDTH> cells;
    cells.for_all([&](int i, int j, float& cell) { cell = element(row_of(down + i), first + across + j); });
    float (&columns)[PANEL][PITCH] = sides[1];
    if (STEP > 0) {
        __syncthreads();
        cells.subtract(sides[0], sides[0], down, across);
    }
    cells.for_all([&](int i, int j, float& cell) { columns[across + j][down + i] = cell; });
    __syncthreads();
    if (__shfl_sync(~0u, own / PANEL, 0) == 0) {  // so the compiler knows that the warp is whole
        float row[PANEL], x[PANEL];
#pragma unroll
        for (int j = 0; j < PANEL; ++j) row[j] = columns[j][own], x[j] = columns[j][PANEL + own];
        const int found = factor(row, x);
#pragma unroll
        for (int j = 0; j < PANEL; ++j) columns[j][own] = row[j], columns[j][PANEL + own] = x[j];
        if (own == 0 && panel == 0 && (STEP == 0 || infos[blockIdx.x] == 0)) {
            infos[blockIdx.x] = found > 0 ? first + found : 0;
        }
    }
    __syncthreads();
    const auto write = [&](int row, int column, float value) {
        if (row < size && column < size) y[place(row, column)] = static_cast<T>(value);
    };
    if (panel == 0) for_each<PANEL, IS_UPPER>([&](int i, int j) { write(first + i, first + j, columns[j][i]); });
    const int begin = below + panel * PANEL;
    for_each<PANEL, !IS_UPPER>([&](int i, int j) {
        if (begin + i < size) workspace[place(first + j, begin + i)] = columns[j][PANEL + i];
        write(first + j, begin + i, 0.0f);
    });
    for_each<PANEL, IS_UPPER>([&](int i, int j) { write(begin + i, first + j, columns[j][PANEL + i]); });
}
