// CumProd where rows are short and contiguous: LANES lanes take a row, each of them ITEMS elements that follow each other.

#include "rows.cuh"

using pluginkit::THREADS;  // from launches.py

template <typename T, int LANES>
__global__ void __launch_bounds__(THREADS)
    cum_prod_of_lanes(T* __restrict__ y, const T* __restrict__ x, long long rows, long long size, bool is_exclusive,
                      bool is_reverse) {
    __shared__ Stage<T> stages[THREADS / 32];
    const int lane = threadIdx.x % 32, own_rows = 32 / LANES;
    const long long first = (static_cast<long long>(blockIdx.x) * blockDim.x + threadIdx.x - lane) / LANES;  // of the warp
    const long long number = first + lane / LANES;
    if (first >= rows) return;
    const bool is_row = number < rows;  // lanes of no row take part, with the elements of the last one
    const Row<false> row(is_row ? number : rows - 1, size, 1, is_reverse);
    const Span span = {first * size, static_cast<int>(min(rows - first, 1LL * own_rows) * size)};
    const long long begin = lane % LANES * ITEMS;
    const Run<T> run(row.load(x, begin, span, stages[threadIdx.x / 32]));
    const Product<T> before = before_lane<T, LANES>(up_to_lane<LANES>(run.all().normalised())).normalised();
    row.store(y, is_row ? begin : size, span, stages[threadIdx.x / 32], run.results(before, is_exclusive));
}
