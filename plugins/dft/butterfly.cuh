// Transforms of a few points in registers: of 2, 4 and any odd prime number of points, and products of these.

#pragma once

#include "complex.cuh"

// Return v * e^(-2 pi i k / R). Turns by quarters cost no multiplication, if k is known to the compiler.
template <int R> __device__ __forceinline__ float2 turned(float2 v, int k) {
    constexpr Roots<R> OF_R;
    k %= R;
    if (k == 0) return v;
    if (4 * k == R) return {v.y, -v.x};
    if (2 * k == R) return {-v.x, -v.y};
    if (4 * k == 3 * R) return {-v.y, v.x};
    return v * OF_R.of[k];
}

// Return the factor that butterflies of R points are split by; R itself if there is none.
__device__ constexpr int factor_of(int r) {
    if (r % 4 == 0) return 4;
    for (int factor = 2; factor < r; ++factor) {
        if (r % factor == 0) return factor;
    }
    return r;
}

// Transform R points, of an odd prime R, by pairs of points that lie opposite.
template <int R> __device__ __forceinline__ void odd_butterfly(float2 (&v)[R]) {
    constexpr Roots<R> OF_R;
    float2 sums[R / 2 + 1], differences[R / 2 + 1];
    const float2 first = v[0];
#pragma unroll
    for (int q = 1; q <= R / 2; ++q) {
        sums[q] = v[q] + v[R - q], differences[q] = v[q] - v[R - q];
        v[0] = v[0] + sums[q];
    }
#pragma unroll
    for (int k = 1; k <= R / 2; ++k) {
        float2 even = first, odd = {0.0f, 0.0f};
#pragma unroll
        for (int q = 1; q <= R / 2; ++q) {
            const float x = OF_R.of[k * q % R].x, y = OF_R.of[k * q % R].y;
            even.x += x * sums[q].x, even.y += x * sums[q].y;
            odd.x += y * differences[q].x, odd.y += y * differences[q].y;
        }
        v[k] = {even.x - odd.y, even.y + odd.x};
        v[R - k] = {even.x + odd.y, even.y - odd.x};
    }
}

// Transform R points in place.
template <int R> __device__ __forceinline__ void butterfly(float2 (&v)[R]) {
    constexpr int A = factor_of(R), B = R / A;
    if constexpr (R == 1) {
        return;
    } else if constexpr (R == 2) {
        const float2 sum = v[0] + v[1];
        v[1] = v[0] - v[1], v[0] = sum;
    } else if constexpr (R == 4) {
        const float2 a = v[0] + v[2], b = v[0] - v[2], c = v[1] + v[3], d = v[1] - v[3];
        v[0] = a + c, v[1] = {b.x + d.y, b.y - d.x}, v[2] = a - c, v[3] = {b.x - d.y, b.y + d.x};
    } else if constexpr (A == R) {
        odd_butterfly(v);
    } else {
        float2 rows[A][B];
#pragma unroll
        for (int b = 0; b < B; ++b) {
            float2 column[A];
#pragma unroll
            for (int a = 0; a < A; ++a) column[a] = v[a * B + b];
            butterfly(column);
#pragma unroll
            for (int a = 0; a < A; ++a) rows[a][b] = turned<R>(column[a], a * b);
        }
#pragma unroll
        for (int a = 0; a < A; ++a) {
            butterfly(rows[a]);
#pragma unroll
            for (int b = 0; b < B; ++b) v[a + b * A] = rows[a][b];
        }
    }
}
