// GridSample for two and three spatial axes.
//
// A thread takes one location of the output, or two adjacent ones, and a run of channels. It computes the elements that
// a location reads and their weights once, for all channels of the run. The loads of several channels are in flight at
// the same time. Blocks are tiles of the output, so that adjacent rows share elements in the L1 cache; launches.py
// chooses the sizes.

#include "../_cuda/division.cuh"
#include "../_cuda/overlap.cuh"
#include "taps.cuh"

// How to read the elements. inside: all are inside x, so that those along the last axis are adjacent. anywhere: they
// may be any distance apart. checked: some are outside, and count as 0.
enum class Reads { inside, anywhere, checked };

// Read the elements of a location; the last axis varies fastest.
template <Reads READS, typename T, Mode MODE, typename Offset, int AXES>
__device__ __forceinline__ void read(T (&values)[NEIGHBOURS<MODE, AXES>], const Axis<MODE, Offset> (&axes)[AXES],
                                     const T* channel) {
#pragma unroll
    for (int number = 0; number < NEIGHBOURS<MODE, AXES>; ++number) {
        const int last = number % TAPS<MODE>;
        Offset at = axes[AXES - 1].offset[READS == Reads::inside ? 0 : last];
        bool is_inside = axes[AXES - 1].is_inside[last];
        int rest = number;
#pragma unroll
        for (int axis = AXES - 2; axis >= 0; --axis) {
            rest /= TAPS<MODE>;
            at += axes[axis].offset[rest % TAPS<MODE>];
            is_inside &= axes[axis].is_inside[rest % TAPS<MODE>];
        }
        const T* source = channel + at + (READS == Reads::inside ? last : 0);
        values[number] = READS != Reads::checked || is_inside ? __ldg(source) : static_cast<T>(0.0f);
    }
}

// Return the weighted sum over the taps of the axes from AXIS on. `first` is the index of the earlier axes' taps.
template <int AXIS, typename T, Mode MODE, typename Offset, int AXES>
__device__ __forceinline__ float weighted(const T (&values)[NEIGHBOURS<MODE, AXES>],
                                          const Axis<MODE, Offset> (&axes)[AXES], int first) {
    float sum = 0.0f;
#pragma unroll
    for (int tap = 0; tap < TAPS<MODE>; ++tap) {
        const int number = first * TAPS<MODE> + tap;
        float value;
        if constexpr (AXIS + 1 < AXES) value = weighted<AXIS + 1>(values, axes, number);
        else value = static_cast<float>(values[number]);
        sum = tap == 0 ? axes[AXIS].weight[tap] * value : fmaf(axes[AXIS].weight[tap], value, sum);
    }
    return sum;
}

template <typename T, Mode MODE, typename Offset, int AXES>
__device__ __forceinline__ T combined(const T (&values)[NEIGHBOURS<MODE, AXES>],
                                      const Axis<MODE, Offset> (&axes)[AXES]) {
    if constexpr (MODE == Mode::nearest) return values[0];
    else return static_cast<T>(weighted<0>(values, axes, 0));
}

// Sample the channels of a run, COUNT at a time, then the rest in smaller groups.
template <int COUNT, Reads READS, typename T, Mode MODE, typename Offset, int AXES, int PACK>
__device__ __forceinline__ void sample_run(const Axis<MODE, Offset> (&axes)[PACK][AXES], const T* __restrict__ x, T* y,
                                           long long x_step, long long y_step, int channels) {
    for (; channels >= COUNT; channels -= COUNT) {
        T values[COUNT][PACK][NEIGHBOURS<MODE, AXES>];
#pragma unroll
        for (int c = 0; c < COUNT; ++c) {
#pragma unroll
            for (int p = 0; p < PACK; ++p) read<READS>(values[c][p], axes[p], x + c * x_step);
        }
#pragma unroll
        for (int c = 0; c < COUNT; ++c) {
            Pack<T, PACK> pack;
#pragma unroll
            for (int p = 0; p < PACK; ++p) pack.value[p] = combined(values[c][p], axes[p]);
            store_once(reinterpret_cast<Pack<T, PACK>*>(y + c * y_step), pack);
        }
        x += COUNT * x_step;
        y += COUNT * y_step;
    }
    if constexpr (COUNT > 1) sample_run<COUNT / 2, READS>(axes, x, y, x_step, y_step, channels);
}

// How many channels have loads in flight at the same time; that makes 8 to 64 loads of a thread.
template <Mode MODE, int AXES, int PACK>
constexpr int BATCH = MODE == Mode::nearest ? 8 / PACK : MODE == Mode::cubic ? 1 : AXES == 3 ? 2 : 4 / PACK;

// How elements are read of which some may be outside.
template <Padding PADDING> constexpr Reads ELSEWHERE = PADDING == Padding::zeros ? Reads::checked : Reads::anywhere;

// A batch item's locations are `rows` rows of `width`, a multiple of PACK, in `tiles` tiles. If the locations are
// scattered, this kernel returns, and pixel_copy.cu samples them.
template <typename T, typename G, Mode MODE, Padding PADDING, bool ALIGN_CORNERS, int AXES, int PACK, typename Offset>
__global__ void __launch_bounds__(THREADS)
    grid_sample(T* __restrict__ y, const T* __restrict__ x, const G* __restrict__ grid, Sizes sizes, Offset width,
                Offset rows, Offset tiles, int items, int channels, int run, const int* is_scattered) {
    if (is_scattered != nullptr) {
        wait_for_earlier_launches();
        if (*is_scattered) return;  // sample_pixels does it
    }
    const Offset tile_row = blockIdx.x / tiles;
    const Offset column = ((blockIdx.x - tile_row * tiles) * blockDim.x + threadIdx.x) * PACK;
    const Offset row = tile_row * blockDim.y + threadIdx.y;
    if (column >= width || row >= rows) return;
    const Offset location = row * width + column;
    const int first = blockIdx.y * run, count = min(run, channels - first);
    const long long y_step = static_cast<long long>(rows * width);
    long long x_step = 1;
    for (int axis = 0; axis < AXES; ++axis) x_step *= sizes.value[3 - AXES + axis];

    for (int item = blockIdx.z; item < items; item += gridDim.z) {
        using Point = Pack<G, PACK * AXES>;
        const Point point = *reinterpret_cast<const Point*>(grid + (item * y_step + location) * AXES);
        Axis<MODE, Offset> axes[PACK][AXES];
        bool is_inside = true;
#pragma unroll
        for (int p = 0; p < PACK; ++p) {
            Offset stride = 1;
#pragma unroll
            for (int axis = AXES - 1; axis >= 0; --axis) {  // the grid counts axes from the innermost one
                const int size = sizes.value[3 - AXES + axis];
                const auto coordinate = static_cast<float>(point.value[p * AXES + AXES - 1 - axis]);
                axes[p][axis] = axis_at<MODE, PADDING, ALIGN_CORNERS>(coordinate, size, stride);
                stride *= size;
#pragma unroll
                for (int tap = 0; tap < TAPS<MODE>; ++tap) is_inside &= axes[p][axis].is_inside[tap];
            }
        }
        const long long channel = static_cast<long long>(item) * channels + first;
        const T* from = x + channel * x_step;
        T* to = y + channel * y_step + location;
        constexpr int COUNT = BATCH<MODE, AXES, PACK>;
        // The whole warp takes one branch, since a divergent warp would run both, one after the other.
        if (__all_sync(__activemask(), is_inside)) {
            sample_run<COUNT, Reads::inside>(axes, from, to, x_step, y_step, count);
        } else {
            sample_run<COUNT, ELSEWHERE<PADDING>>(axes, from, to, x_step, y_step, count);
        }
    }
}

// The same for two axes where there is so little to do that every instruction counts, or few locations or channels: a
// thread takes one location and RUN channels, and has no loops. There are `runs` of channels, of which the last one begins
// earlier where RUN does not divide them. The launch grid's dimensions are locations, runs and items; or it is FLAT, where
// blocks of few locations and runs would have many threads too many. Offset holds the number of elements of x and of y.
template <typename T, typename G, Mode MODE, Padding PADDING, bool ALIGN_CORNERS, int RUN, bool FLAT, typename Offset>
__global__ void __launch_bounds__(THREADS)
    sample_few(T* __restrict__ y, const T* __restrict__ x, const Pack<G, 2>* __restrict__ grid, int channels,
               int height, int width, Divisor locations, Divisor runs, long long items) {
    const Offset step = static_cast<Offset>(locations.count);
    Offset location = blockIdx.x * blockDim.x + threadIdx.x;
    long long run = blockIdx.y * blockDim.y + threadIdx.y, item = blockIdx.z;
    if constexpr (FLAT) {
        run = 1LL * blockIdx.x * THREADS + threadIdx.x;
        location = static_cast<Offset>(locations.split(run));
        item = run;
        run = runs.split(item);
        if (item >= items) return;
    } else {
        if (location >= step || run >= runs.count) return;
    }
    const Pack<G, 2> point = grid[static_cast<Offset>(item) * step + location];
    Axis<MODE, Offset> axes[] = {
        axis_at<MODE, PADDING, ALIGN_CORNERS>(static_cast<float>(point.value[1]), height, static_cast<Offset>(width)),
        axis_at<MODE, PADDING, ALIGN_CORNERS>(static_cast<float>(point.value[0]), width, static_cast<Offset>(1)),
    };
    const int channel = min(static_cast<int>(run) * RUN, channels - RUN);
    const Offset first = static_cast<Offset>(item) * channels + channel, pixels = static_cast<Offset>(height) * width;
#pragma unroll
    for (int tap = 0; tap < TAPS<MODE>; ++tap) axes[0].offset[tap] += first * pixels;
    T values[RUN][NEIGHBOURS<MODE, 2>];
#pragma unroll
    for (int c = 0; c < RUN; ++c) read<ELSEWHERE<PADDING>>(values[c], axes, x + c * pixels);
#pragma unroll
    for (int c = 0; c < RUN; ++c) y[(first + c) * step + location] = combined(values[c], axes);
}
