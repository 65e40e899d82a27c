// Discrete Fourier transforms of up to 2048 points in shared memory, by Stockham's algorithm with radices 2, 3, 4, 5, 7
// and 8. A block takes several transforms at once if they are short, and goes on to others with the same roots of unity. Longer transforms, and those of lengths with other factors, are
// made of several launches, which plan.py describes; what a launch reads and writes is chosen by Load and Store.

#include <cuda_bf16.h>
#include <cuda_fp16.h>

using pluginkit::AT_ONCE, pluginkit::Load, pluginkit::MOST_RADICES, pluginkit::Store, pluginkit::THREADS;  // from launches.py

// Numbers of one launch.
struct Pass {
    int points;      // of each transform
    int per_block;   // transforms of a block
    int subs;        // transforms of this launch that make one whole transform
    int in_step, in_sub, out_step, out_sub;  // element e of transform s is element e * step + s * sub of the whole
    int whole;       // points of the whole transform; for Load::CHIRP and such of the convolution
    int length;      // points of the transform that was asked for
    int size, made;  // elements of x and y along the axis
    int x_parts, y_parts;
    int is_twiddled, is_mirrored;  // is_mirrored: x is half a spectrum
    int inputs_across, outputs_across;  // whether adjacent threads take adjacent transforms, rather than elements
    int load, store;                    // of Load and Store
    int inners;                         // elements of the axes after the transformed one, without the parts
};

// Return a / b for b > 0; 64-bit division is slow.
__device__ __forceinline__ long long quotient(long long a, int b) {
    if (b == 1) return a;
    return a < (1LL << 31) ? static_cast<unsigned>(a) / static_cast<unsigned>(b) : a / b;
}

// Return a / b for 0 <= a < 2^21, from 1 / b.
__device__ __forceinline__ int small_quotient(int a, float per_b) { return static_cast<int>((a + 0.5f) * per_b); }

// Return where an element is in shared memory: a gap after every 128 bytes spreads elements that lie a power of two
// apart over the banks.
__device__ __forceinline__ int spread(int element) { return element + element / 16; }

struct Radices {
    int of[MOST_RADICES];
};

__device__ __forceinline__ float2 operator+(float2 a, float2 b) { return {a.x + b.x, a.y + b.y}; }
__device__ __forceinline__ float2 operator-(float2 a, float2 b) { return {a.x - b.x, a.y - b.y}; }
__device__ __forceinline__ float2 operator*(float2 a, float2 b) {
    return {a.x * b.x - a.y * b.y, a.x * b.y + a.y * b.x};
}

// Return e^(sign 2 pi i m / n), for 0 <= m < n. The angle is brought into the first octant in integers.
__device__ float2 root_of_unity(long long m, long long n, float sign) {
    if (2 * m > n) m = n - m, sign = -sign;
    long long half_turns = 2 * m;  // in units of 1 / n, up to n
    const bool is_left = 2 * half_turns > n;
    if (is_left) half_turns = n - half_turns;
    const bool is_steep = 4 * half_turns > n;
    const float ratio = is_steep ? static_cast<float>(n - 2 * half_turns) / static_cast<float>(2 * n)
                                 : static_cast<float>(half_turns) / static_cast<float>(n);
    float sine, cosine;
    sincospif(ratio, &sine, &cosine);
    const float x = is_steep ? sine : cosine, y = is_steep ? cosine : sine;
    return {is_left ? -x : x, sign * y};
}

// Return e^(sign pi i m^2 / n): Bluestein's chirp.
__device__ float2 chirp(long long m, long long n, float sign) { return root_of_unity(m * m % (2 * n), 2 * n, sign); }

// Transform four points in place.
__device__ __forceinline__ void four(float2& v0, float2& v1, float2& v2, float2& v3, float sign) {
    const float2 a = v0 + v2, b = v0 - v2, c = v1 + v3, d = v1 - v3;
    const float2 turned = {-sign * d.y, sign * d.x};
    v0 = a + c, v1 = b + turned, v2 = a - c, v3 = b - turned;
}

// Transform R points in place.
template <int R> __device__ __forceinline__ void butterfly(float2 (&v)[R], const float2* roots, int step, float sign) {
    if constexpr (R == 2) {
        const float2 sum = v[0] + v[1];
        v[1] = v[0] - v[1], v[0] = sum;
    } else if constexpr (R == 4) {
        four(v[0], v[1], v[2], v[3], sign);
    } else if constexpr (R == 8) {
        constexpr float HALF = 0.70710678118654752f;  // of the square root of 2
        const float2 turns[4] = {{1.0f, 0.0f}, {HALF, sign * HALF}, {0.0f, sign}, {-HALF, sign * HALF}};
        four(v[0], v[2], v[4], v[6], sign);
        four(v[1], v[3], v[5], v[7], sign);
        const float2 even[4] = {v[0], v[2], v[4], v[6]}, odd[4] = {v[1], v[3], v[5], v[7]};
#pragma unroll
        for (int k = 0; k < 4; ++k) {
            const float2 turned = odd[k] * turns[k];
            v[k] = even[k] + turned, v[k + 4] = even[k] - turned;
        }
    } else {
        float2 sums[R];
#pragma unroll
        for (int p = 0; p < R; ++p) {
            sums[p] = v[0];
#pragma unroll
            for (int q = 1; q < R; ++q) sums[p] = sums[p] + v[q] * roots[p * q % R * step];
        }
#pragma unroll
        for (int p = 0; p < R; ++p) v[p] = sums[p];
    }
}

// Do one stage: of each R points that lie points / R apart. `done` is the product of the radices before.
template <int R>
__device__ void stage(float2* target, const float2* source, const float2* roots, int points, int transforms, int done,
                      float sign) {
    const int apart = points / R, twiddle = apart / done;
    const float per_apart = 1.0f / apart, per_done = 1.0f / done;
    for (int i = threadIdx.x; i < apart * transforms; i += THREADS) {
        const int transform = transforms == 1 ? 0 : small_quotient(i, per_apart), at = i - transform * apart;
        const int inner = at - small_quotient(at, per_done) * done;
        const int from = transform * points + at, to = transform * points + (at - inner) * R + inner;
        float2 v[R];
#pragma unroll
        for (int q = 0; q < R; ++q) v[q] = source[spread(from + q * apart)];
        if (done > 1) {
#pragma unroll
            for (int q = 1; q < R; ++q) v[q] = v[q] * roots[q * inner * twiddle];
        }
        butterfly(v, roots, apart, sign);
#pragma unroll
        for (int q = 0; q < R; ++q) target[spread(to + q * done)] = v[q];
    }
}

// A complex number in memory, which is read and written at once.
template <typename T> struct alignas(2 * sizeof(T)) Complex {
    T real, imaginary;
};

// Return element `at` of x along the axis. An element that is not finite counts as NaN, in both parts.
template <typename T>
__device__ __forceinline__ float2 input(const T* __restrict__ x, const Pass& pass, long long batch, int at) {
    const bool is_mirror = pass.is_mirrored && at > pass.length / 2;
    const int place = is_mirror ? pass.length - at : at;
    if (place >= pass.size) return {0.0f, 0.0f};
    const long long outer = quotient(batch, pass.inners), inner = batch - outer * pass.inners;
    const long long number = (outer * pass.size + place) * pass.inners + inner;
    float2 value;
    if (pass.x_parts == 2) {
        const Complex<T> element = reinterpret_cast<const Complex<T>*>(x)[number];
        value = {static_cast<float>(element.real), static_cast<float>(element.imaginary)};
    } else {
        value = {static_cast<float>(x[number]), 0.0f};
    }
    if (!isfinite(value.x) || !isfinite(value.y)) value.x = value.y = __int_as_float(0x7fffffff);
    return is_mirror ? float2{value.x, -value.y} : value;
}

// Return element `at` of a batch's whole transform. Without a convolution there are only two places to read from.
template <typename T, bool CONVOLVED>
__device__ __forceinline__ float2 loaded(const T* __restrict__ x, const float2* __restrict__ source,
                                         const float2* __restrict__ factors, const Pass& pass, long long batch, int at,
                                         float chirp_sign) {
    const Load load = static_cast<Load>(pass.load);
    if (load == Load::INPUT) return input(x, pass, batch, at);
    if (!CONVOLVED || load == Load::WORKSPACE) return source[batch * pass.whole + at];
    if (load == Load::PRODUCT) return source[batch * pass.whole + at] * factors[at];
    if (load == Load::CHIRPED_INPUT) {
        if (at >= pass.length) return {0.0f, 0.0f};
        return input(x, pass, batch, at) * chirp(at, pass.length, chirp_sign);
    }
    const int distance = min(at, pass.whole - at);
    return distance < pass.length ? chirp(distance, pass.length, -chirp_sign) : float2{0.0f, 0.0f};
}

template <typename T, bool CONVOLVED>
__global__ void __launch_bounds__(THREADS, 4)
    transform(T* __restrict__ y, float2* __restrict__ target, const T* __restrict__ x,
              const float2* __restrict__ source, const float2* __restrict__ factors, Pass pass, Radices radices,
              long long transforms, float sign, float chirp_sign, float scale) {
    extern __shared__ float2 shared[];
    const int points = pass.points, elements = points * pass.per_block;
    float2 *const roots = shared, *now = shared + points, *next = now + spread(elements);
    const float per_points = 1.0f / points, per_block = 1.0f / pass.per_block;
    for (int i = threadIdx.x; i < points; i += THREADS) roots[i] = root_of_unity(i, points, sign);

    // Return element and transform of the i-th of a block's elements.
    const auto place_of = [&](int i, bool across) -> int2 {
        if (pass.per_block == 1) return {i, 0};
        const int number = small_quotient(i, across ? per_block : per_points);
        return across ? int2{number, i - number * pass.per_block} : int2{i - number * points, number};
    };

    for (long long first = static_cast<long long>(blockIdx.x) * pass.per_block; first < transforms;
         first += static_cast<long long>(gridDim.x) * pass.per_block) {
        for (int begin = threadIdx.x; begin < elements; begin += AT_ONCE * THREADS) {
            float2 values[AT_ONCE];
            int places[AT_ONCE];
#pragma unroll
            for (int k = 0; k < AT_ONCE; ++k) {
                const int2 own = place_of(begin + k * THREADS, pass.inputs_across);
                const long long number = first + own.y;
                places[k] = spread(own.y * points + own.x);
                values[k] = {0.0f, 0.0f};
                if (begin + k * THREADS < elements && number < transforms) {
                    const long long batch = quotient(number, pass.subs);
                    const int at = own.x * pass.in_step + static_cast<int>(number - batch * pass.subs) * pass.in_sub;
                    values[k] = loaded<T, CONVOLVED>(x, source, factors, pass, batch, at, chirp_sign);
                }
            }
#pragma unroll
            for (int k = 0; k < AT_ONCE; ++k) {
                if (begin + k * THREADS < elements) now[places[k]] = values[k];
            }
        }
        __syncthreads();

        for (int i = 0, done = 1; i < MOST_RADICES && radices.of[i] > 1; done *= radices.of[i], ++i) {
            switch (radices.of[i]) {
                case 2: stage<2>(next, now, roots, points, pass.per_block, done, sign); break;
                case 3: stage<3>(next, now, roots, points, pass.per_block, done, sign); break;
                case 4: stage<4>(next, now, roots, points, pass.per_block, done, sign); break;
                case 5: stage<5>(next, now, roots, points, pass.per_block, done, sign); break;
                case 7: stage<7>(next, now, roots, points, pass.per_block, done, sign); break;
                default: stage<8>(next, now, roots, points, pass.per_block, done, sign);
            }
            __syncthreads();
            float2* const before = now;
            now = next, next = before;
        }

        for (int i = threadIdx.x; i < elements; i += THREADS) {
            const int2 own = place_of(i, pass.outputs_across);
            const long long number = first + own.y;
            if (number >= transforms) continue;
            const long long batch = quotient(number, pass.subs);
            const int sub = static_cast<int>(number - batch * pass.subs);
            const int at = own.x * pass.out_step + sub * pass.out_sub;
            float2 value = now[spread(own.y * points + own.x)];
            if (pass.is_twiddled) {
                value = value * root_of_unity(static_cast<long long>(own.x) * sub, pass.whole, sign);
            }
            if (static_cast<Store>(pass.store) == Store::WORKSPACE) {
                target[batch * pass.whole + at] = value;
                continue;
            }
            if (at >= pass.made) continue;
            if (CONVOLVED && static_cast<Store>(pass.store) == Store::CHIRPED_OUTPUT) {
                value = value * chirp(at, pass.length, chirp_sign);
            }
            const long long outer = quotient(batch, pass.inners), inner = batch - outer * pass.inners;
            const long long element = (outer * pass.made + at) * pass.inners + inner;
            const Complex<T> scaled = {static_cast<T>(value.x * scale), static_cast<T>(value.y * scale)};
            if (pass.y_parts == 2) {
                reinterpret_cast<Complex<T>*>(y)[element] = scaled;
            } else {
                y[element] = scaled.real;
            }
        }
        __syncthreads();
    }
}
