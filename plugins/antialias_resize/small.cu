// AntialiasResize where tiles would be mostly idle: a thread takes an element of y alone, and sums all that goes into it.

#include "../_cuda/division.cuh"
#include "window.cuh"

using pluginkit::THREADS;  // from launches.py

template <typename T, int STAGE, Filter FILTER>
__global__ void __launch_bounds__(THREADS)
    resize_small(typename Pass<T, STAGE>::Out* __restrict__ y, const typename Pass<T, STAGE>::In* __restrict__ x, Axis vertical,
                 Axis horizontal, Region vertical_region, Region horizontal_region, Values values, Divisor rows, Divisor columns,
                 long long items) {
    __shared__ Line lines[2];
    if (threadIdx.x == 0) lines[0] = line_of<FILTER>(vertical, vertical_region);
    if (threadIdx.x == 32) lines[1] = line_of<FILTER>(horizontal, horizontal_region);
    __syncthreads();
    const long long item = 1LL * blockIdx.x * THREADS + threadIdx.x;
    if (item >= items) return;
    long long plane = item;
    const Window across = window_of(lines[1], horizontal, static_cast<int>(columns.split(plane)));
    const Window down = window_of(lines[0], vertical, static_cast<int>(rows.split(plane)));
    const auto* own = x + plane * vertical.size * horizontal.size;
    float sum = 0.0f, weights_down = 0.0f, weights_across = 0.0f;
    for (int row = down.begin; row < down.end; ++row) {
        const auto* line = own + 1LL * inside(row, vertical.size) * horizontal.size;
        float of_row = 0.0f;
        weights_across = 0.0f;
        for (int column = across.begin; column < across.end; ++column) {
            const float weight = across.weight<FILTER>(column, values.a);
            weights_across += weight;
            of_row += weight * static_cast<float>(line[inside(column, horizontal.size)]);
        }
        const float weight = down.weight<FILTER>(row, values.a);
        weights_down += weight;
        sum += weight * of_row;
    }
    y[item] = static_cast<typename Pass<T, STAGE>::Out>(sum * share_of(weights_across) * share_of(weights_down));
}
