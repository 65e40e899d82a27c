// What the transforms read and write: real and complex numbers, halves of spectra, and intermediate results.

#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include "butterfly.cuh"

using pluginkit::Load, pluginkit::Store;

// Numbers of one launch, from launches.py.
struct Pass {
    int subs;                                // transforms of this launch that make one whole transform
    int in_step, in_sub, out_step, out_sub;  // element e of transform s is element e * step + s * sub of the whole
    int whole;                               // points of the whole transform, or of the convolution
    int length;                              // points of the transform that was asked for
    int size, made;                          // elements of x and y along the axis
    int parts;                               // of the numbers of x
    int inners;                              // elements of the axes after the transformed one, without the parts
};

// A complex number in memory, which is read and written at once.
template <typename T> struct alignas(2 * sizeof(T)) Complex {
    T real, imaginary;
};

// Return a / b for b > 0; 64-bit division is slow.
__device__ __forceinline__ long long quotient(long long a, int b) {
    if (b == 1) return a;
    return a < (1LL << 31) ? static_cast<unsigned>(a) / static_cast<unsigned>(b) : a / b;
}

// Call function(q, whether at + q * apart < size) for R elements. If they MAY_BE_ALL, that is looked at once for all; which
// pays off where registers are left.
template <bool MAY_BE_ALL, int R, typename Function>
__device__ __forceinline__ void each_inside(int at, int apart, int size, Function function) {
    if (MAY_BE_ALL && max(at, at + (R - 1) * apart) < size) {
#pragma unroll
        for (int q = 0; q < R; ++q) function(q, true);
    } else {
#pragma unroll
        for (int q = 0; q < R; ++q) function(q, at < size - q * apart);
    }
}

// How a pass lies in memory. IS_WHOLE: each transform is a whole one. IS_DENSE: its elements are neighbours.
template <bool IS_WHOLE_, bool IS_DENSE_> struct Access {
    static constexpr bool IS_WHOLE = IS_WHOLE_, IS_DENSE = IS_DENSE_;
};

// Where a transform lies among `transforms`. Those of neighbouring whole ones are neighbours, as their elements are in x, y and
// the workspace. Numbers beyond are of one more whole transform, by itself, behind the others in the workspace.
struct Position {
    long long outer = 0, inner = 0, workspace;  // the place of the whole transform's first element in the workspace
    int sub, spread;                            // from an element to the next there

    template <typename ACCESS> __device__ Position(const Pass& pass, long long number, long long transforms, ACCESS) {
        if (!ACCESS::IS_WHOLE && number >= transforms) {
            spread = 1, sub = static_cast<int>(number - transforms);
            workspace = transforms / pass.subs * pass.whole;
            return;
        }
        spread = ACCESS::IS_DENSE ? 1 : pass.inners;
        const long long part = quotient(number, spread);
        inner = number - part * spread;
        outer = ACCESS::IS_WHOLE ? part : quotient(part, pass.subs);
        sub = static_cast<int>(part - outer * (ACCESS::IS_WHOLE ? 1 : pass.subs));
        workspace = outer * spread * pass.whole + inner;
    }
};

// Element `at` of the chirp of a length, which the compiler knows if LENGTH is not 0.
template <int LENGTH> __device__ __forceinline__ float2 chirp_at(int at, int length) {
    if constexpr (LENGTH > 0) {
        return CHIRP<LENGTH>.of[at];
    } else {
        return chirp_of(at, length);
    }
}

// Reads the elements of one transform of a pass. Those of the inverse transform have their parts exchanged. If elements are
// multiplied by a chirp that the compiler does not know, the transform behind all others is that of the chirp's conjugate, with a
// period.
template <typename T, Load LOAD, bool IS_CHIRPED, int LENGTH, bool IS_INVERSE, typename ACCESS> struct Source {
    static constexpr bool IS_DENSE = ACCESS::IS_DENSE, IS_ROW = IS_DENSE && ACCESS::IS_WHOLE;

    const Pass& pass;
    const T* __restrict__ x;  // from the transform's first element along the axis
    const float2* workspace;  // from the whole transform's first element
    int sub, spread, size;
    bool is_of_chirp;

    __device__ Source(const Pass& pass, const T* x, const float2* workspace, long long number, long long transforms)
        : pass(pass) {
        const Position at(pass, number, transforms, ACCESS{});
        is_of_chirp = IS_CHIRPED && LENGTH == 0 && number >= transforms;
        size = is_of_chirp ? 0 : pass.size;
        this->x = x + (at.outer * pass.size * pass.inners + at.inner) * pass.parts;
        this->workspace = workspace + at.workspace;
        sub = at.sub, spread = at.spread;
    }

    // Read R elements of x, `apart` of each other, from `at`; behind its end they are nought.
    template <typename Element, int R>
    __device__ __forceinline__ void elements(Element (&found)[R], int at, int apart, int size) const {
        const long long step = IS_ROW ? 1 : pass.inners, stride = apart * step;
        const Element* from = reinterpret_cast<const Element*>(x) + at * step;
        each_inside<LOAD == Load::PAIRS, R>(at, apart, size, [&](int q, bool is_inside) {
            found[q] = is_inside ? *from : Element{};
            from += stride;
        });
    }

    template <int R> __device__ __forceinline__ void complex(float2 (&v)[R], int at, int apart, int size) const {
        Complex<T> found[R];
        elements(found, at, apart, size);
#pragma unroll
        for (int q = 0; q < R; ++q) v[q] = {static_cast<float>(found[q].real), static_cast<float>(found[q].imaginary)};
    }

    // Read real numbers as the real or the imaginary parts.
    template <int R>
    __device__ __forceinline__ void real(float2 (&v)[R], int at, int apart, float float2::*part = &float2::x) const {
        T found[R];
        elements(found, at, apart, size);
#pragma unroll
        for (int q = 0; q < R; ++q) v[q].*part = static_cast<float>(found[q]);
    }

    // Read neighbouring real numbers as one.
    template <int R> __device__ __forceinline__ void pairs(float2 (&v)[R], int at, int apart) const {
        if (IS_ROW && size % 2 == 0) {
            complex(v, at, apart, size / 2);
        } else {
            real(v, 2 * at, 2 * apart);
            real(v, 2 * at + 1, 2 * apart, &float2::y);
        }
    }

    // Read half a spectrum as the transform, from `at`, whose inverse has the signal's even elements as real and its
    // odd ones as imaginary parts. The ends of half a spectrum have no imaginary parts.
    template <int APART, int R> __device__ __forceinline__ void folded(float2 (&v)[R], int at) const {
        float2 mirrored[R];
        complex(v, at, APART, size);
        complex(mirrored, R * APART - at, -APART, size);
        if (at == 0) {
            v[0] = {v[0].x + 0.0f * v[0].y, 0.0f};
            mirrored[0] = {mirrored[0].x + 0.0f * mirrored[0].y, 0.0f};
        }
#pragma unroll
        for (int q = 0; q < R; ++q) {
            const float2 root = ROOTS<2 * R * APART, R * APART>.of[at + q * APART];
            const float2 other = conjugate(mirrored[q]), odd = (v[q] - other) * conjugate(root);
            v[q] = v[q] + other + float2{-odd.y, odd.x};
        }
    }

    // Read element `at` of a whole spectrum of which x has half.
    __device__ __forceinline__ float2 mirrored(int at) const {
        float2 found[1] = {};
        const bool is_low = 2 * at <= pass.length;
        const int place = is_low ? at : max(pass.length - at, 0);
        if (pass.parts == 2) {
            complex(found, place, 0, size);
        } else {
            real(found, place, 0);
        }
        return is_low ? found[0] : conjugate(found[0]);
    }

    // Multiply element `at` by the chirp, or return that of its conjugate.
    __device__ __forceinline__ float2 chirped(float2 value, int at) const {
        const int distance = is_of_chirp ? min(at, pass.whole - at) : at;
        if (distance >= (LENGTH > 0 ? LENGTH : pass.length)) return {0.0f, 0.0f};
        const float2 factor = chirp_at<LENGTH>(distance, pass.length);
        return is_of_chirp ? conjugate(factor) : value * factor;
    }

    // Read the elements of a butterfly of R points, APART of each other.
    template <int APART, int R> __device__ __forceinline__ void read(float2 (&v)[R], int butterfly) const {
        const int step = IS_DENSE || ACCESS::IS_WHOLE ? 1 : pass.in_step, apart = APART * step;
        const int first = butterfly * step + (ACCESS::IS_WHOLE ? 0 : sub * pass.in_sub);
        if constexpr (LOAD == Load::COMPLEX) complex(v, first, apart, size);
        if constexpr (LOAD == Load::REAL) real(v, first, apart);
        if constexpr (LOAD == Load::PAIRS) pairs(v, first, apart);
        if constexpr (LOAD == Load::FOLDED) folded<APART>(v, first);
#pragma unroll
        for (int q = 0; q < R; ++q) {
            const int at = first + q * apart;
            if constexpr (LOAD == Load::MIRRORED) v[q] = mirrored(at);
            const int element = LENGTH > 0 ? butterfly + q * APART : at;
            if constexpr (LOAD == Load::WORKSPACE) {
                const bool is_inside = !(IS_CHIRPED && LENGTH > 0) || element < LENGTH;
                v[q] = is_inside ? workspace[static_cast<long long>(at) * spread] : float2{};
            }
            if constexpr (IS_INVERSE && LOAD != Load::WORKSPACE) v[q] = swapped(v[q]);
            if constexpr (IS_CHIRPED) v[q] = chirped(v[q], element);
        }
    }
};

// Writes the results of one transform of a pass.
template <typename T, Store STORE, bool IS_CHIRPED, int LENGTH, bool IS_INVERSE, typename ACCESS> struct Target {
    static constexpr bool IS_DENSE = ACCESS::IS_DENSE, IS_ROW = IS_DENSE && ACCESS::IS_WHOLE;
    static constexpr bool IS_SCALED = IS_INVERSE || IS_CHIRPED;

    const Pass& pass;
    T* __restrict__ y;  // from the transform's first element along the axis
    float2* workspace;  // from the whole transform's first element
    float scale;
    int sub, spread;

    __device__ Target(const Pass& pass, T* y, float2* workspace, float scale, long long number, long long transforms)
        : pass(pass), scale(scale) {
        const Position at(pass, number, transforms, ACCESS{});
        constexpr int PARTS = STORE == Store::REAL || STORE == Store::PAIRS ? 1 : 2;
        this->y = y + (at.outer * pass.made * pass.inners + at.inner) * PARTS;
        this->workspace = workspace + at.workspace;
        sub = at.sub, spread = at.spread;
    }

    // Write R elements of y, `apart` of each other, from `at`, as far as there are any.
    template <typename Element, int R>
    __device__ __forceinline__ void elements(const Element (&values)[R], int at, int apart) const {
        const long long step = IS_ROW ? 1 : pass.inners, stride = apart * step;
        Element* to = reinterpret_cast<Element*>(y) + at * step;
        each_inside<STORE == Store::UNFOLDED, R>(at, apart, pass.made, [&](int q, bool is_inside) {
            if (is_inside) *to = values[q];
            to += stride;
        });
    }

    template <int R> __device__ __forceinline__ void complex(const float2 (&v)[R], int at, int apart) const {
        Complex<T> values[R];
#pragma unroll
        for (int q = 0; q < R; ++q) values[q] = {static_cast<T>(v[q].x), static_cast<T>(v[q].y)};
        elements(values, at, apart);
    }

    template <int R>
    __device__ __forceinline__ void real(const float2 (&v)[R], int at, int apart, float float2::*part) const {
        T values[R];
#pragma unroll
        for (int q = 0; q < R; ++q) values[q] = static_cast<T>(v[q].*part);
        elements(values, at, apart);
    }

    // Write numbers as two real ones each; y has an even number of them.
    template <int R> __device__ __forceinline__ void pairs(const float2 (&v)[R], int at, int apart) const {
        if constexpr (IS_ROW) {
            complex(v, at, apart);
        } else {
            real(v, 2 * at, 2 * apart, &float2::x);
            real(v, 2 * at + 1, 2 * apart, &float2::y);
        }
    }

    // Write the results of a butterfly of R points, APART of each other.
    template <int APART, int R> __device__ __forceinline__ void write(float2 (&v)[R], int butterfly) const {
        const int step = IS_DENSE || ACCESS::IS_WHOLE ? 1 : pass.out_step, apart = APART * step;
        const int first = butterfly * step + (ACCESS::IS_WHOLE ? 0 : sub * pass.out_sub);
#pragma unroll
        for (int q = 0; q < R; ++q) {
            const int at = first + q * apart;
            const bool is_used = STORE == Store::WORKSPACE || (STORE == Store::HALF && 2 * (butterfly + q * APART) <= R * APART);
            if (is_used) workspace[static_cast<long long>(at) * spread] = v[q];
            if constexpr (IS_CHIRPED) {
                const int element = LENGTH > 0 ? butterfly + q * APART : at, length = LENGTH > 0 ? LENGTH : pass.length;
                if (element < length) v[q] = swapped(v[q]) * chirp_at<LENGTH>(element, length);
            }
            if constexpr (IS_INVERSE) v[q] = swapped(v[q]);
            if constexpr (IS_SCALED) v[q] = scale * v[q];
        }
        if constexpr (STORE == Store::COMPLEX) complex(v, first, apart);
        if constexpr (STORE == Store::REAL) real(v, first, apart, &float2::x);
        if constexpr (STORE == Store::PAIRS) pairs(v, first, apart);
        if constexpr (STORE == Store::MIRRORED) mirrored(v, first, apart);
    }

    // Write results of real numbers, and their conjugates as those that no other transform of this pass has.
    template <int R> __device__ __forceinline__ void mirrored(float2 (&v)[R], int at, int apart) const {
        complex(v, at, apart);
        if (sub == 0 || 2 * sub == pass.out_step) return;
#pragma unroll
        for (int q = 0; q < R; ++q) {
            const float2 other[1] = {conjugate(v[q])};
            const int place = pass.length - at - q * apart;
            if (place > 0) complex(other, place, 0);
        }
    }

    // Write the spectrum of a real signal that was read in pairs, from COUNT of the transform's results, APART of each other,
    // and their mirror images: they give elements from `at` on and from POINTS - `at` back.
    template <int POINTS, int APART, int COUNT>
    __device__ __forceinline__ void unfold(const float2* v, const float2* mirrored, int at) const {
        const float2 first = 0.5f * ROOTS<2 * POINTS, POINTS / 2 + 1>.of[at];
        float2 low[COUNT], high[COUNT];
#pragma unroll
        for (int q = 0; q < COUNT; ++q) {
            const float2 other = conjugate(mirrored[q]), even = 0.5f * (v[q] + other);
            const float2 odd = (v[q] - other) * turned<2 * POINTS / APART>(first, q);
            low[q] = {even.x + odd.y, even.y - odd.x}, high[q] = {even.x - odd.y, -even.y - odd.x};
        }
        complex(low, at, APART);
        complex(high, POINTS - at, -APART);
        if (pass.made == POINTS + 1) return;
#pragma unroll
        for (int q = 0; q < COUNT; ++q) low[q] = conjugate(low[q]), high[q] = conjugate(high[q]);
        complex(low, 2 * POINTS - at, -APART);
        complex(high, POINTS + at, APART);
    }

    // Do so for those results of a butterfly that lie in the first half, among which all of the first R / 2 are.
    template <int APART, int R>
    __device__ __forceinline__ void write_unfolded(const float2 (&v)[R], const float2 (&mirrored)[R], int butterfly) const {
        constexpr int POINTS = R * APART, FIRST = R / 2;
        if constexpr (FIRST > 0) unfold<POINTS, APART, FIRST>(v, mirrored, butterfly);
        const int middle = butterfly + FIRST * APART;
        if (2 * middle <= POINTS) unfold<POINTS, APART, 1>(v + FIRST, mirrored + FIRST, middle);
    }
};
