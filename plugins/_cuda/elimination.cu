// Gaussian elimination with partial pivoting, of many matrices [A | B] in float32: row operations turn A into an upper
// triangle, whose pivots are the determinant, and from it B into the solution of A X = B.
//
// Every operation is rounded once, and each element sees its operations in the order of the pivots, whichever kernel
// runs. Of equal candidates for a pivot the upper one is taken; NaN is none.

#include <cuda_bf16.h>
#include <cuda_fp16.h>

using pluginkit::BLOCK, pluginkit::Purpose, pluginkit::WARP_BLOCK;  // from elimination.py

__device__ __forceinline__ float minus_product(float value, float a, float b) {
    return __fsub_rn(value, __fmul_rn(a, b));
}

// Return by how much of the pivot's row a row below is reduced. A pivot of 0 is below nothing but zeros.
__device__ __forceinline__ float factor_of(float value, float pivot) {
    return pivot == 0.0f ? 0.0f : __fdiv_rn(value, pivot);
}

// What a candidate for a pivot is worth.
__device__ __forceinline__ float worth(float value) { return isnan(value) ? -1.0f : fabsf(value); }

// Return element (row, column) of [A | B], where B is the identity for an inverse.
template <Purpose PURPOSE, typename T>
__device__ __forceinline__ float element(const T* a, const T* b, int row, int column, int size, int columns) {
    if (column < size) return static_cast<float>(a[1LL * row * size + column]);
    if (PURPOSE == Purpose::SOLVE) return static_cast<float>(b[1LL * row * columns + column - size]);
    return row == column - size ? 1.0f : 0.0f;
}

// A thread takes a matrix, in registers.
template <typename T, Purpose PURPOSE, int SIZE>
__global__ void __launch_bounds__(BLOCK)
    eliminate_in_registers(T* __restrict__ y, const T* __restrict__ matrices, const T* __restrict__ rights,
                           long long count, int columns) {
    const long long number = static_cast<long long>(blockIdx.x) * BLOCK + threadIdx.x;
    if (number >= count) return;
    const T* a = matrices + number * SIZE * SIZE;
    const T* b = PURPOSE == Purpose::SOLVE ? rights + number * SIZE * columns : nullptr;
    float upper[SIZE][SIZE], factors[SIZE][SIZE];
    int pivots[SIZE];
#pragma unroll
    for (int i = 0; i < SIZE; ++i) {
#pragma unroll
        for (int j = 0; j < SIZE; ++j) upper[i][j] = static_cast<float>(a[i * SIZE + j]);
    }
    float determinant = 1.0f;
#pragma unroll
    for (int k = 0; k < SIZE; ++k) {
        int pivot = k;
        float best = worth(upper[k][k]);
#pragma unroll
        for (int i = k + 1; i < SIZE; ++i) {
            if (worth(upper[i][k]) > best) best = worth(upper[i][k]), pivot = i;
        }
        pivots[k] = pivot;
        if (pivot != k) determinant = -determinant;
#pragma unroll
        for (int i = k + 1; i < SIZE; ++i) {
#pragma unroll
            for (int j = k; j < SIZE; ++j) {
                const float lower = upper[i][j];
                if (i == pivot) upper[i][j] = upper[k][j], upper[k][j] = lower;
            }
        }
#pragma unroll
        for (int i = k + 1; i < SIZE; ++i) {
            factors[i][k] = factor_of(upper[i][k], upper[k][k]);
#pragma unroll
            for (int j = k + 1; j < SIZE; ++j) upper[i][j] = minus_product(upper[i][j], factors[i][k], upper[k][j]);
        }
    }
    if (PURPOSE == Purpose::DETERMINANT) {
#pragma unroll
        for (int k = 0; k < SIZE; ++k) determinant = __fmul_rn(determinant, upper[k][k]);
        y[number] = static_cast<T>(determinant);
        return;
    }
    for (int column = 0; column < columns; ++column) {
        float x[SIZE];
#pragma unroll
        for (int i = 0; i < SIZE; ++i) x[i] = element<PURPOSE>(a, b, i, SIZE + column, SIZE, columns);
#pragma unroll
        for (int k = 0; k < SIZE; ++k) {
#pragma unroll
            for (int i = k + 1; i < SIZE; ++i) {
                const float lower = x[i];
                if (i == pivots[k]) x[i] = x[k], x[k] = lower;
            }
#pragma unroll
            for (int i = k + 1; i < SIZE; ++i) x[i] = minus_product(x[i], factors[i][k], x[k]);
        }
#pragma unroll
        for (int k = SIZE - 1; k >= 0; --k) {
            x[k] = __fdiv_rn(x[k], upper[k][k]);
#pragma unroll
            for (int i = 0; i < k; ++i) x[i] = minus_product(x[i], upper[i][k], x[k]);
        }
#pragma unroll
        for (int i = 0; i < SIZE; ++i) y[(number * SIZE + i) * columns + column] = static_cast<T>(x[i]);
    }
}

// Wait for the threads that share a matrix: a warp, or a block.
template <int LANES> __device__ __forceinline__ void wait_for_team() {
    if constexpr (LANES == 32) {
        __syncwarp();
    } else {
        __syncthreads();
    }
}

// A team of LANES threads takes a matrix, in shared memory or in its part of the workspace.
template <typename T, Purpose PURPOSE, int LANES, bool SHARED>
__global__ void __launch_bounds__(LANES == 32 ? WARP_BLOCK : LANES)
    eliminate_in_teams(T* __restrict__ y, const T* __restrict__ matrices, const T* __restrict__ rights,
                       float* __restrict__ workspace, long long count, int size, int columns) {
    constexpr int TEAMS = LANES == 32 ? WARP_BLOCK / 32 : 1;
    constexpr int WIDE = LANES == 32 ? 8 : 32, HIGH = LANES / WIDE;  // a team's threads along a row, and down a column
    extern __shared__ float shared[];
    __shared__ int pivots[TEAMS];
    const int team = threadIdx.x / LANES, lane = threadIdx.x % LANES, across = lane % WIDE, down = lane / WIDE;
    const long long number = static_cast<long long>(blockIdx.x) * TEAMS + team;
    if (number >= count) return;
    const int width = size + columns;  // of [A | B]
    const long long cells = 1LL * size * width;
    float* cell = SHARED ? shared + team * cells : workspace + number * cells;
    const T* a = matrices + number * size * size;
    const T* b = PURPOSE == Purpose::SOLVE ? rights + number * size * columns : nullptr;
    for (int i = down; i < size; i += HIGH) {
        for (int j = across; j < width; j += WIDE) cell[1LL * i * width + j] = element<PURPOSE>(a, b, i, j, size, columns);
    }
    float determinant = 1.0f;
    for (int k = 0; k < size; ++k) {
        float* row = cell + 1LL * k * width;
        wait_for_team<LANES>();
        if (lane < 32) {
            int pivot = size;
            float best = -2.0f;
            for (int i = k + lane; i < size; i += 32) {
                const float candidate = worth(cell[1LL * i * width + k]);
                if (candidate > best) best = candidate, pivot = i;
            }
#pragma unroll
            for (int step = 16; step > 0; step /= 2) {
                const float other = __shfl_xor_sync(~0u, best, step);
                const int other_pivot = __shfl_xor_sync(~0u, pivot, step);
                if (other > best || (other == best && other_pivot < pivot)) best = other, pivot = other_pivot;
            }
            if (lane == 0) pivots[team] = pivot;
        }
        wait_for_team<LANES>();
        const int pivot = pivots[team];
        if (pivot != k) {
            determinant = -determinant;
            for (int j = k + lane; j < width; j += LANES) {
                const float upper = row[j];
                row[j] = cell[1LL * pivot * width + j];
                cell[1LL * pivot * width + j] = upper;
            }
            wait_for_team<LANES>();
        }
        for (int i = k + 1 + lane; i < size; i += LANES) {
            cell[1LL * i * width + k] = factor_of(cell[1LL * i * width + k], row[k]);
        }
        wait_for_team<LANES>();
        for (int i = k + 1 + down; i < size; i += HIGH) {
            float* below = cell + 1LL * i * width;
            const float factor = below[k];
            for (int j = k + 1 + across; j < width; j += WIDE) below[j] = minus_product(below[j], factor, row[j]);
        }
    }
    wait_for_team<LANES>();
    if (PURPOSE == Purpose::DETERMINANT) {
        if (lane > 0) return;
        for (int k = 0; k < size; ++k) determinant = __fmul_rn(determinant, cell[1LL * k * width + k]);
        y[number] = static_cast<T>(determinant);
        return;
    }
    for (int k = size - 1; k >= 0; --k) {
        float* row = cell + 1LL * k * width;
        for (int j = size + lane; j < width; j += LANES) row[j] = __fdiv_rn(row[j], row[k]);
        wait_for_team<LANES>();
        for (int i = down; i < k; i += HIGH) {
            float* above = cell + 1LL * i * width;
            const float factor = above[k];
            for (int j = size + across; j < width; j += WIDE) above[j] = minus_product(above[j], factor, row[j]);
        }
        wait_for_team<LANES>();
    }
    T* target = y + number * size * columns;
    for (int i = down; i < size; i += HIGH) {
        for (int j = across; j < columns; j += WIDE) {
            target[1LL * i * columns + j] = static_cast<T>(cell[1LL * i * width + size + j]);
        }
    }
}
