// Complex numbers, and roots of unity.

#pragma once

__device__ __forceinline__ float2 operator+(float2 a, float2 b) { return {a.x + b.x, a.y + b.y}; }
__device__ __forceinline__ float2 operator-(float2 a, float2 b) { return {a.x - b.x, a.y - b.y}; }
__device__ __forceinline__ float2 operator*(float2 a, float2 b) {
    return {a.x * b.x - a.y * b.y, a.x * b.y + a.y * b.x};
}
__device__ __forceinline__ float2 operator*(float a, float2 b) { return {a * b.x, a * b.y}; }
__device__ __forceinline__ float2 conjugate(float2 a) { return {a.x, -a.y}; }

// Return a with its parts exchanged. The inverse transform of z is swapped(transform of swapped(z)).
__device__ __forceinline__ float2 swapped(float2 a) { return {a.y, a.x}; }

// Return a / b. The remainder of an approximate quotient corrects it.
__device__ __forceinline__ float quotient_of(float a, float b) {
    const float per_b = __fdividef(1.0f, b), quotient = a * per_b;
    return fmaf(fmaf(-quotient, b, a), per_b, quotient);
}

// Return e^(-pi i ratio) for 0 <= ratio <= 1/4, by Taylor's series.
__device__ __forceinline__ float2 root_near_one(float ratio) {
    const float square = ratio * ratio;
    float cosine = -0.0258068913f, sine = 0.0821458866f;
    cosine = fmaf(cosine, square, 0.235330630f), sine = fmaf(sine, square, -0.599264529f);
    cosine = fmaf(cosine, square, -1.33526277f), sine = fmaf(sine, square, 2.55016404f);
    cosine = fmaf(cosine, square, 4.05871213f), sine = fmaf(sine, square, -5.16771278f);
    cosine = fmaf(cosine, square, -4.93480220f), sine = fmaf(sine, square, -8.74227766e-8f);  // pi less its float
    return {fmaf(cosine, square, 1.0f), -fmaf(ratio, 3.14159274f, sine * ratio)};
}

// Return e^(-2 pi i m / n), for 0 <= m < n <= 2^23. The angle is brought into the first octant in integers.
__device__ __forceinline__ float2 root_of_unity(int m, int n) {
    const bool is_mirrored = 2 * m > n;
    int half_turns = is_mirrored ? 2 * (n - m) : 2 * m;  // in units of 1 / n, up to n
    const bool is_left = 2 * half_turns > n;
    if (is_left) half_turns = n - half_turns;
    const bool is_steep = 4 * half_turns > n;
    float2 root = root_near_one(quotient_of(is_steep ? 0.5f * (n - 2 * half_turns) : half_turns, n));
    if (is_steep) root = {-root.y, -root.x};
    return {is_left ? -root.x : root.x, is_mirrored ? -root.y : root.y};
}

// Return e^(-pi i m^2 / n): Bluestein's chirp.
__device__ __forceinline__ float2 chirp_of(long long m, int n) {
    return root_of_unity(static_cast<int>(m * m % (2 * n)), 2 * n);
}

// The first COUNT roots of unity e^(-2 pi i k / ORDER), which the compiler computes in double precision.
template <int ORDER, int COUNT = ORDER> struct Roots {
    float2 of[COUNT] = {};

    __device__ constexpr Roots() {
        const double angle = -6.283185307179586476925 / ORDER;
        double first_x = 0, first_y = 0, term = 1;  // of Taylor's series
        for (int power = 0; power < 40; term *= angle / ++power) {
            (power % 2 == 0 ? first_x : first_y) += power / 2 % 2 == 0 ? term : -term;
        }
        double x = 1, y = 0;
        for (int k = 0; k < COUNT; ++k) {
            of[k].x = static_cast<float>(x), of[k].y = static_cast<float>(y);
            const double next_x = x * first_x - y * first_y;
            y = x * first_y + y * first_x, x = next_x;
        }
    }
};

// The factors e^(-2 pi i q j / (R * DONE)) between radices, at q * DONE + j: neighbouring threads read neighbours.
template <int R, int DONE> struct Twiddles {
    float2 of[R * DONE] = {};

    __device__ constexpr Twiddles() {
        const Roots<R * DONE> roots;
        for (int q = 0; q < R; ++q) {
            for (int j = 0; j < DONE; ++j) of[q * DONE + j] = roots.of[q * j];
        }
    }
};

template <int ORDER, int COUNT> __device__ constexpr Roots<ORDER, COUNT> ROOTS;
template <int R, int DONE> __device__ constexpr Twiddles<R, DONE> TWIDDLES;

// Multiply v[q] by first * w^q, from w and its fourth power.
template <int R>
__device__ __forceinline__ void multiply_by_powers(float2 (&v)[R], float2 first, float2 w, float2 fourth) {
    float2 factor = first;
#pragma unroll
    for (int q = 0; q < R; ++q) {
        if (q % 4 > 0) factor = factor * w;
        if (q > 0 && q % 4 == 0) factor = first = first * fourth;
        v[q] = v[q] * factor;
    }
}
