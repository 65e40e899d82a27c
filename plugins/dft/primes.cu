// Discrete Fourier transforms of a prime number of points that are neighbours. The real parts of a transform are multiplied by
// the same real numbers as the imaginary ones are, so that a thread has one or the other: half as many registers, and twice as
// many threads, as one that has both. Where x, or y, is real a thread has all of a transform.

#include "staging.cuh"

using pluginkit::PRIME_THREADS;

// What a thread transforms: a real number, and sums and differences of those that lie opposite.
template <int R> struct Opposites {
    float first = 0.0f, sums[R / 2] = {}, differences[R / 2] = {};
    float lost = 0.0f;  // NaN if one is not finite

    // Read R numbers, STEP apart of each other.
    template <int STEP, typename T> __device__ __forceinline__ void read(const T* from) {
        first = from[0], lost = 0.0f * first;
#pragma unroll
        for (int q = 1; q <= R / 2; ++q) {
            const float a = from[q * STEP], b = from[(R - q) * STEP];
            lost += 0.0f * a, lost += 0.0f * b;
            sums[q - 1] = a + b, differences[q - 1] = a - b;
        }
    }

    // Read half a spectrum, whose other numbers are conjugates. The first one has no imaginary part.
    template <typename T> __device__ __forceinline__ void read_half(const T* from) {
        first = from[0], lost = 0.0f * first, lost += 0.0f * static_cast<float>(from[1]);
#pragma unroll
        for (int q = 1; q <= R / 2; ++q) {
            const float real = from[2 * q], imaginary = from[2 * q + 1];
            lost += 0.0f * real, lost += 0.0f * imaginary;
            sums[q - 1] = 2.0f * real, differences[q - 1] = 2.0f * imaginary;
        }
    }

    // Call function(k, even, odd) for the sum of the products with cosines, and the one with sines, of results k and R - k; the
    // latter has the other sign in R - k.
    template <typename Function> __device__ __forceinline__ void transform(Function function) const {
        constexpr Roots<R> OF_R;
        float total = first + lost;
#pragma unroll
        for (int q = 0; q < R / 2; ++q) total += sums[q];
        function(0, total, lost);
#pragma unroll
        for (int k = 1; k <= R / 2; ++k) {
            float even = first + lost, odd = lost;
#pragma unroll
            for (int q = 1; q <= R / 2; ++q) {
                even += OF_R.of[k * q % R].x * sums[q - 1], odd += OF_R.of[k * q % R].y * differences[q - 1];
            }
            function(k, even, odd);
        }
    }
};

// Each thread reads and writes a transform, or one of its parts, through shared memory.
template <typename T, bool IS_INVERSE, Load LOAD, Store STORE, bool IS_HALF, int R>
__global__ void __launch_bounds__(PRIME_THREADS)
    transform_primes(T* __restrict__ y, const T* __restrict__ x, long long transforms, float scale) {
    constexpr bool IS_PART = LOAD == Load::COMPLEX;
    constexpr int LANES = IS_PART ? 2 : 1, ROWS = PRIME_THREADS / LANES, HALF = R / 2 + 1;
    constexpr int SIZE = LOAD == Load::MIRRORED ? HALF : R, MADE = LOAD == Load::REAL && IS_HALF ? HALF : R;
    using StagedX = Staging<true, typename ElementOf<LOAD == Load::REAL, T>::Type, SIZE, LANES, ROWS>;
    using StagedY = Staging<true, typename ElementOf<STORE == Store::REAL, T>::Type, MADE, LANES, ROWS>;
    __shared__ alignas(16) float shared[StagedX::FLOATS > StagedY::FLOATS ? StagedX::FLOATS : StagedY::FLOATS];
    const long long first = static_cast<long long>(blockIdx.x) * ROWS;
    const int here = static_cast<int>(min(transforms - first, static_cast<long long>(ROWS)));
    const int row = threadIdx.x / LANES, part = threadIdx.x % LANES;
    if (!IS_INVERSE) scale = 1.0f;

    const StagedX staged_x(shared, SIZE);
    staged_x.read(x, first, here);
    Opposites<R> v;
    if (row < here) {
        const T* const from = staged_x.template row<T>(row) + part;
        if constexpr (LOAD == Load::MIRRORED) {
            v.read_half(from);
        } else {
            v.template read<LANES>(from);
        }
    }
    if constexpr (IS_PART) {
        v.lost += __shfl_xor_sync(~0u, v.lost, 1);
    } else {
        __syncthreads();  // where the results lie, another thread's numbers do
    }
    const StagedY staged_y(shared, MADE);
    T* const to = staged_y.template row<T>(row) + part;
    const float sign = IS_PART && part == IS_INVERSE ? -1.0f : 1.0f;  // i and i times i
    v.transform([&](int k, float even, float odd) {
        even *= scale, odd *= scale;
        if constexpr (LOAD == Load::REAL) {
            auto* const numbers = reinterpret_cast<Complex<T>*>(to);
            if (IS_INVERSE) odd = -odd;
            numbers[k] = {static_cast<T>(even), static_cast<T>(odd)};
            if (!IS_HALF && k > 0) numbers[R - k] = {static_cast<T>(even), static_cast<T>(-odd)};
        } else {
            if (IS_PART) odd = sign * __shfl_xor_sync(~0u, odd, 1);
            to[k * LANES] = static_cast<T>(k > 0 ? even + odd : even);
            if (k > 0) to[(R - k) * LANES] = static_cast<T>(even - odd);
        }
    });
    if constexpr (R > 20) {  // with which registers are few
        staged_y.write_some(y, first, here);
    } else {
        staged_y.write(y, first, here);
    }
}
