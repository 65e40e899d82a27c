// GridSample for two and three spatial axes.
//
// A thread takes one location of the output, or two neighbours, and a run of channels. Which elements a location reads,
// and how much each of them counts, is worked out once and serves every channel of the run; the loads of several
// channels are in flight together. Blocks are tiles of the output, so that neighbouring rows find what they share in
// the L1 cache; layout.py says how large everything is.

#include <cuda_bf16.h>
#include <cuda_fp16.h>

enum class Mode { nearest, linear, cubic };
enum class Padding { zeros, border, reflection };

constexpr float FAR = 1 << 30;  // in pixels: coordinates further out, and NaN, are brought here

template <typename T, int N> struct alignas((N & (N - 1)) == 0 ? sizeof(T) * N : sizeof(T)) Pack { T value[N]; };

template <int BYTES> struct WordOf;
template <> struct WordOf<1> { using type = unsigned char; };
template <> struct WordOf<2> { using type = unsigned short; };
template <> struct WordOf<4> { using type = unsigned int; };
template <> struct WordOf<8> { using type = unsigned long long; };

// The output is not read again: it should not push the input out of the caches.
template <typename P> __device__ __forceinline__ void store_once(P* target, const P& pack) {
    using Word = typename WordOf<sizeof(P)>::type;
    __stcs(reinterpret_cast<Word*>(target), *reinterpret_cast<const Word*>(&pack));
}

template <Mode MODE> constexpr int TAPS = MODE == Mode::nearest ? 1 : MODE == Mode::linear ? 2 : 4;

// What a location reads along one axis.
template <Mode MODE, typename Offset> struct Axis {
    Offset offset[TAPS<MODE>];  // in elements of a channel
    float weight[TAPS<MODE>];
    bool is_inside[TAPS<MODE>];
};

// Keys' cubic convolution, a = -0.75, at a distance below 1 and between 1 and 2.
__device__ __forceinline__ float cubic_near(float t) { return (1.25f * t - 2.25f) * t * t + 1.0f; }
__device__ __forceinline__ float cubic_far(float t) { return ((-0.75f * t + 3.75f) * t - 6.0f) * t + 3.0f; }

template <Mode MODE> __device__ __forceinline__ void set_weights(float (&weight)[TAPS<MODE>], float t) {
    if constexpr (MODE == Mode::nearest) {
        weight[0] = 1.0f;
    } else if constexpr (MODE == Mode::linear) {
        weight[0] = 1.0f - t;
        weight[1] = t;
    } else {
        weight[0] = cubic_far(t + 1.0f);
        weight[1] = cubic_near(t);
        weight[2] = cubic_near(1.0f - t);
        weight[3] = cubic_far(2.0f - t);
    }
}

// An index outside mirrored, as often as it takes, at the centres of the outermost pixels or at their outer edges.
template <bool ALIGN_CORNERS> __device__ __forceinline__ int reflected(int index, int size) {
    if (ALIGN_CORNERS && size == 1) return 0;
    const unsigned int length = size, period = 2 * (ALIGN_CORNERS ? length - 1 : length);
    unsigned int at = index >= 0 ? index : ALIGN_CORNERS ? -index : -1 - index;
    at %= period;
    return at < length ? at : period - at - (ALIGN_CORNERS ? 0 : 1);
}

template <Mode MODE, Padding PADDING, bool ALIGN_CORNERS, typename Offset>
__device__ __forceinline__ Axis<MODE, Offset> axis_at(float coordinate, int size, Offset stride) {
    // Every step rounds, as on a CPU: a contraction would move coordinates that lie halfway between two pixels.
    const float shifted = __fadd_rn(coordinate, 1.0f);
    float x = ALIGN_CORNERS ? __fmul_rn(0.5f * shifted, static_cast<float>(size - 1))
                            : 0.5f * __fadd_rn(__fmul_rn(shifted, static_cast<float>(size)), -1.0f);
    x = fminf(fmaxf(x, -FAR), FAR);
    const float pixel = MODE == Mode::nearest ? rintf(x) : floorf(x);
    const int first = static_cast<int>(pixel) - (MODE == Mode::cubic);
    Axis<MODE, Offset> axis;
    set_weights<MODE>(axis.weight, x - pixel);
#pragma unroll
    for (int tap = 0; tap < TAPS<MODE>; ++tap) {
        int index = first + tap;
        axis.is_inside[tap] = static_cast<unsigned int>(index) < static_cast<unsigned int>(size);
        if (!axis.is_inside[tap]) {
            if constexpr (PADDING == Padding::zeros) index = 0;
            if constexpr (PADDING == Padding::border) index = min(max(index, 0), size - 1);
            if constexpr (PADDING == Padding::reflection) index = reflected<ALIGN_CORNERS>(index, size);
        }
        axis.offset[tap] = static_cast<Offset>(index) * stride;
    }
    return axis;
}

// The elements of a channel that a location reads.
template <Mode MODE, int AXES> constexpr int NEIGHBOURS = TAPS<MODE> * TAPS<MODE> * (AXES == 3 ? TAPS<MODE> : 1);

// How the elements lie: all of them inside, so that those along the last axis follow each other; anywhere; or some of
// them outside, where they count as 0.
enum class Reads { inside, anywhere, checked };

// Neighbours along the last axis come first.
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

// The weighted sum over the axes from AXIS on of the neighbours whose taps before that are number ``first``.
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

// The channels of a run, COUNT at a time and then what is left.
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

// Channels whose loads are in flight together, 8 to 64 of each thread.
template <Mode MODE, int AXES, int PACK>
constexpr int BATCH = MODE == Mode::nearest ? 8 / PACK : MODE == Mode::cubic ? 1 : AXES == 3 ? 2 : 4 / PACK;

constexpr int THREADS = 256;

struct Sizes { int value[3]; };  // of a channel of x, outermost first; the first is unused for two axes

// A batch item's locations are ``rows`` of ``width``, which is a multiple of PACK.
template <typename T, typename G, Mode MODE, Padding PADDING, bool ALIGN_CORNERS, int AXES, int PACK, typename Offset>
__global__ void __launch_bounds__(THREADS)
    grid_sample(T* __restrict__ y, const T* __restrict__ x, const G* __restrict__ grid, Sizes sizes, Offset width,
                Offset rows, int items, int channels, int run) {
    const Offset tiles = (width - 1) / (blockDim.x * PACK) + 1, tile_row = blockIdx.x / tiles;
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
        constexpr Reads ELSEWHERE = PADDING == Padding::zeros ? Reads::checked : Reads::anywhere;
        // One way for the whole warp: both, one after the other, would take twice as long.
        if (__all_sync(__activemask(), is_inside)) {
            sample_run<COUNT, Reads::inside>(axes, from, to, x_step, y_step, count);
        } else {
            sample_run<COUNT, ELSEWHERE>(axes, from, to, x_step, y_step, count);
        }
    }
}
