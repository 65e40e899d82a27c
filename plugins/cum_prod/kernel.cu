// CumProd where rows are many: a thread takes a row. Adjacent rows are either beside each other in memory at each step
// (INNER), or a warp brings tiles of its 32 rows into shared memory, so that adjacent threads read and write adjacent
// elements.

#include "products.cuh"

using pluginkit::THREADS, pluginkit::WIDTH;  // from launches.py

constexpr int WARPS = THREADS / 32, PITCH = WIDTH + 1;  // the odd pitch spreads a column over the banks

template <typename T>
__global__ void __launch_bounds__(THREADS)
    cum_prod_inner(T* __restrict__ y, const T* __restrict__ x, long long rows, long long size, long long inner,
                   bool is_exclusive, bool is_reverse) {
    const long long row = static_cast<long long>(blockIdx.x) * THREADS + threadIdx.x;
    if (row >= rows) return;
    const long long first = row / inner * size * inner + row % inner;
    Product<T> product = one<T>();
    for (long long i = 0; i < size; ++i) {
        const long long at = first + (is_reverse ? size - 1 - i : i) * inner;
        y[at] = next(product, x[at], is_exclusive);
    }
}

template <typename T>
__global__ void __launch_bounds__(THREADS)
    cum_prod_rows(T* __restrict__ y, const T* __restrict__ x, long long rows, long long size, bool is_exclusive,
                  bool is_reverse) {
    __shared__ T tiles[WARPS][32 * PITCH];
    T* tile = tiles[threadIdx.x / 32];
    const int lane = threadIdx.x % 32;
    const long long first = (static_cast<long long>(blockIdx.x) * WARPS + threadIdx.x / 32) * 32;
    const int own_rows = static_cast<int>(min(max(rows - first, 0LL), 32LL));
    const long long tiles_of_row = (size + WIDTH - 1) / WIDTH;
    Product<T> product = one<T>();
    for (long long number = 0; number < tiles_of_row; ++number) {
        const long long begin = (is_reverse ? tiles_of_row - 1 - number : number) * WIDTH;
        const int width = static_cast<int>(min(size - begin, static_cast<long long>(WIDTH)));
#pragma unroll 4
        for (int row = 0; row < own_rows; ++row) {
            for (int column = lane; column < width; column += 32) {
                tile[row * PITCH + column] = x[(first + row) * size + begin + column];
            }
        }
        __syncwarp();
        if (lane < own_rows) {
            for (int i = 0; i < width; ++i) {
                T& element = tile[lane * PITCH + (is_reverse ? width - 1 - i : i)];
                element = next(product, element, is_exclusive);
            }
        }
        __syncwarp();
#pragma unroll 4
        for (int row = 0; row < own_rows; ++row) {
            for (int column = lane; column < width; column += 32) {
                y[(first + row) * size + begin + column] = tile[row * PITCH + column];
            }
        }
        __syncwarp();
    }
}
