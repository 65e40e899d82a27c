// Where the elements of a row are, how a warp reads and writes them, and the product of what is before a lane.

#pragma once

#include "../_cuda/division.cuh"
#include "products.cuh"

// The elements of a warp's lanes where rows are contiguous: `count` of them, from `lowest` on.
struct Span {
    long long lowest;
    int count;
};

// Where a warp brings the elements of a span, so that adjacent lanes read and write adjacent ones in memory.
template <typename T> struct Stage {
    T cells[32 * (ITEMS + 1)];  // a gap after the elements of each lane spreads them over the banks

    __device__ __forceinline__ T& at(int i) { return cells[i + i / ITEMS]; }
};

// Where the elements of a row are, in the order of their products. DOWN: they are `inner` apart, else contiguous.
template <bool DOWN> struct Row {
    long long first, size, inner;
    bool is_reverse;

    __device__ __forceinline__ Row(long long row, long long size, long long inner, bool is_reverse)
        : first(row * size), size(size), inner(DOWN ? inner : 1), is_reverse(is_reverse) {
        if constexpr (DOWN) {
            const longlong2 at = divided(row, inner);
            first = at.x * size * inner + at.y;
        }
    }

    __device__ __forceinline__ long long place(long long i) const {
        return first + (is_reverse ? size - 1 - i : i) * inner;
    }

    // Return the span of `count` elements from `begin` on, of which those that are not there are left out.
    __device__ __forceinline__ Span span(long long begin, int count) const {
        const int there = static_cast<int>(max(0LL, min(size - begin, static_cast<long long>(count))));
        return {first + (is_reverse ? size - begin - there : begin), there};
    }

    // Whether the elements of each thread are adjacent and aligned.
    __device__ __forceinline__ bool is_wide() const { return !DOWN && size % ITEMS == 0; }

    __device__ __forceinline__ long long lowest_place(long long begin) const {
        return first + (is_reverse ? size - ITEMS - begin : begin);
    }

    // Return which element of the span is the i-th from `begin` on, or any where there is none.
    __device__ __forceinline__ int staged(long long begin, const Span& span, int i) const {
        const int first = static_cast<int>(place(begin) - span.lowest);
        return min(max(is_reverse ? first - i : first + i, 0), 32 * ITEMS - 1);
    }

    // Load the elements from `begin` on; those that are not there are 1.
    template <typename T>
    __device__ __forceinline__ Pack<T> load(const T* __restrict__ x, long long begin, const Span& span, Stage<T>& stage) const {
        Pack<T> pack;
#pragma unroll
        for (int i = 0; i < ITEMS; ++i) pack.value[i] = static_cast<T>(1.0f);
        if (is_wide()) {
            if (begin >= size) return pack;
            const Pack<T> stored = *reinterpret_cast<const Pack<T>*>(x + lowest_place(begin));
#pragma unroll
            for (int i = 0; i < ITEMS; ++i) pack.value[i] = stored.value[is_reverse ? ITEMS - 1 - i : i];
            return pack;
        }
        if constexpr (!DOWN) {
            T loaded[ITEMS];
#pragma unroll
            for (int i = 0; i < ITEMS; ++i) {
                const int at = i * 32 + threadIdx.x % 32;
                loaded[i] = at < span.count ? x[span.lowest + at] : static_cast<T>(1.0f);
            }
            __syncwarp();
#pragma unroll
            for (int i = 0; i < ITEMS; ++i) stage.at(i * 32 + threadIdx.x % 32) = loaded[i];
            __syncwarp();
        }
        const int count = static_cast<int>(min(size - begin, static_cast<long long>(ITEMS)));
        const T* from = x + place(begin);
#pragma unroll
        for (int i = 0; i < ITEMS; ++i, from += is_reverse ? -inner : inner) {
            if constexpr (DOWN) {
                if (i < count) pack.value[i] = *from;
            } else {  // all are read, so that none waits for another
                const T value = stage.at(staged(begin, span, i));
                if (i < count) pack.value[i] = value;
            }
        }
        return pack;
    }

    template <typename T>
    __device__ __forceinline__ void store(T* __restrict__ y, long long begin, const Span& span, Stage<T>& stage,
                                          const Pack<T>& pack) const {
        if (is_wide()) {
            if (begin >= size) return;
            Pack<T> stored;
#pragma unroll
            for (int i = 0; i < ITEMS; ++i) stored.value[i] = pack.value[is_reverse ? ITEMS - 1 - i : i];
            *reinterpret_cast<Pack<T>*>(y + lowest_place(begin)) = stored;
            return;
        }
        const int count = static_cast<int>(min(size - begin, static_cast<long long>(ITEMS)));
        T* to = y + place(begin);
        if (!DOWN) __syncwarp();
#pragma unroll
        for (int i = 0; i < ITEMS; ++i, to += is_reverse ? -inner : inner) {
            T* const target = DOWN ? to : &stage.at(staged(begin, span, i));
            if (i < count) *target = pack.value[i];
        }
        if (DOWN) return;
        __syncwarp();
#pragma unroll
        for (int i = 0; i < ITEMS; ++i) {
            const int at = i * 32 + threadIdx.x % 32;
            if (at < span.count) y[span.lowest + at] = stage.at(at);
        }
    }
};

// Return the product of what LANES adjacent lanes give, up to this one.
template <int LANES, typename P> __device__ __forceinline__ P up_to_lane(P own) {
#pragma unroll
    for (int lanes = 1; lanes < LANES; lanes *= 2) {
        const P before = own.of_lane_before(lanes, LANES);
        if (threadIdx.x % LANES >= lanes) own = before.times(own);
    }
    return own;
}

// Return the product of what the lanes before this one give, from what up_to_lane returns.
template <typename T, int LANES> __device__ __forceinline__ Product<T> before_lane(Product<T> up_to_own) {
    const Product<T> before = up_to_own.of_lane_before(1, LANES);
    return threadIdx.x % LANES > 0 ? before : one<T>();
}
