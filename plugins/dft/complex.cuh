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

// Return e^(-pi i m^2 / n), Bluestein's chirp, for 0 <= m <= n <= 2^21.
__device__ __forceinline__ float2 chirp_of(int m, int n) {
    const unsigned turns = static_cast<unsigned>(m * __fdividef(m, 2 * n));  // up to one too many or too few
    int rest = static_cast<int>(static_cast<unsigned>(m) * m - turns * 2 * n);
    rest += rest < 0 ? 2 * n : rest >= 2 * n ? -2 * n : 0;
    return root_of_unity(rest, 2 * n);
}

// A number that the compiler computes with.
struct Wide {
    double x, y;
};

__device__ constexpr float2 rounded(Wide a) { return {static_cast<float>(a.x), static_cast<float>(a.y)}; }

// The first COUNT roots of unity e^(-2 pi i k / ORDER).
template <int ORDER, int COUNT = ORDER> struct WideRoots {
    Wide of[COUNT] = {};

    __device__ constexpr WideRoots() {
        const double angle = -6.283185307179586476925 / ORDER;
        double first_x = 0, first_y = 0, term = 1;  // of Taylor's series
        for (int power = 0; power < 40; term *= angle / ++power) {
            (power % 2 == 0 ? first_x : first_y) += power / 2 % 2 == 0 ? term : -term;
        }
        double x = 1, y = 0;
        for (int k = 0; k < COUNT; ++k) {
            of[k] = {x, y};
            const double next_x = x * first_x - y * first_y;
            y = x * first_y + y * first_x, x = next_x;
        }
    }
};

template <int ORDER, int COUNT = ORDER> struct Roots {
    float2 of[COUNT] = {};

    __device__ constexpr Roots() {
        const WideRoots<ORDER, COUNT> roots;
        for (int k = 0; k < COUNT; ++k) of[k] = rounded(roots.of[k]);
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

// Bluestein's chirp.
template <int LENGTH> struct Chirp {
    float2 of[LENGTH] = {};

    __device__ constexpr Chirp() {
        const WideRoots<2 * LENGTH> roots;
        for (int k = 0, at = 0; k < LENGTH; at = (at + 2 * k + 1) % (2 * LENGTH), ++k) of[k] = rounded(roots.of[at]);
    }
};

// The spectrum of its conjugate, with a period of POINTS, of which 2 and 3 are the only prime factors.
template <int LENGTH, int POINTS> struct ChirpSpectrum {
    float2 of[POINTS] = {};

    __device__ constexpr ChirpSpectrum() {
        Wide from[POINTS] = {}, to[POINTS] = {};
        {
            const WideRoots<2 * LENGTH> roots;
            for (int k = 0, at = 0; k < LENGTH; at = (at + 2 * k + 1) % (2 * LENGTH), ++k) {
                from[k] = from[(POINTS - k) % POINTS] = {roots.of[at].x, -roots.of[at].y};
            }
        }
        const WideRoots<POINTS> roots;
        for (int done = 1, radix = 1; done < POINTS; done *= radix) {
            radix = POINTS / done % 2 == 0 ? 2 : 3;
            const int apart = POINTS / radix;
            for (int i = 0; i < POINTS; ++i) {
                const int butterfly = i % apart, q = i / apart, inner = butterfly % done, outer = butterfly - inner;
                Wide sum = {0, 0};
                for (int j = 0; j < radix; ++j) {
                    const Wide a = from[butterfly + j * apart], b = roots.of[q * (j * apart + outer) % POINTS];
                    sum = {sum.x + a.x * b.x - a.y * b.y, sum.y + a.x * b.y + a.y * b.x};
                }
                to[outer * radix + q * done + inner] = sum;
            }
            for (int i = 0; i < POINTS; ++i) from[i] = to[i];
        }
        for (int k = 0; k < POINTS; ++k) of[k] = rounded(from[k]);
    }
};

template <int ORDER, int COUNT> __device__ constexpr Roots<ORDER, COUNT> ROOTS;
template <int R, int DONE> __device__ constexpr Twiddles<R, DONE> TWIDDLES;
template <int LENGTH> __device__ constexpr Chirp<LENGTH> CHIRP;
template <int LENGTH, int POINTS> __device__ constexpr ChirpSpectrum<LENGTH, POINTS> CHIRP_SPECTRUM;

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
