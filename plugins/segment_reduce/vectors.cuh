// How SegmentReduce reduces rows of x: values of edges, their vectors in registers, and results.

#pragma once

#include "../_cuda/reduce.cuh"
#include "state.cuh"

using pluginkit::Aggregate, pluginkit::THREADS, pluginkit::UNROLLED, pluginkit::Weights;  // from launches.py

constexpr int WARPS = THREADS / WARP;
constexpr unsigned ALL = ~0u;

template <Aggregate A>
constexpr Reduction REDUCTION = A == Aggregate::max   ? Reduction::max
                                : A == Aggregate::min ? Reduction::min
                                                      : Reduction::add;

template <Aggregate A> __device__ __forceinline__ float identity() {
    if constexpr (A == Aggregate::max) return __int_as_float(0xff800000);
    if constexpr (A == Aggregate::min) return __int_as_float(0x7f800000);
    return 0.0f;
}

// Return the value of a row of y that has items. `initial` is the identity unless the caller asked for another.
template <Aggregate A> __device__ __forceinline__ float result_of(float value, int count, float initial) {
    if constexpr (A == Aggregate::mean) return value / static_cast<float>(count);
    if constexpr (A == Aggregate::max || A == Aggregate::min) return reduced<REDUCTION<A>>(initial, value);
    return value;
}

// The elements of a row of x, and the columns of weights, each for `head_size` elements of the row.
struct Widths {
    int inner, heads, head_size;
};

// x, and what edges multiply its rows by.
template <typename T> struct Edges {
    const T* x;
    const T* weights;
    Widths widths;
};

// The elements of a row of x that a lane reads for an edge, and its weight.
template <typename T, int N> struct EdgeVector {
    Pack<T, N> pack;
    float weight;
};

// Load the elements of a row that are STEP apart, from number `at` on. `edge` is the edge, or with one column of weights the
// bits of its weight.
template <Weights W, int N, int STEP = 1, typename T>
__device__ __forceinline__ EdgeVector<T, N> vector_of(const Edges<T>& edges, int row, int edge, int at) {
    EdgeVector<T, N> made;
    const T* const first = edges.x + static_cast<long long>(row) * edges.widths.inner + at;
    if constexpr (STEP == 1) {
        made.pack = *reinterpret_cast<const Pack<T, N>*>(first);
    } else {
#pragma unroll
        for (int n = 0; n < N; ++n) made.pack.value[n] = at + n * STEP < edges.widths.inner ? first[n * STEP] : T(0.0f);
    }
    made.weight = 1.0f;
    if constexpr (W == Weights::column) made.weight = __int_as_float(edge);
    if constexpr (W == Weights::columns) {
        const int head = at / edges.widths.head_size;
        made.weight = static_cast<float>(edges.weights[static_cast<long long>(edge) * edges.widths.heads + head]);
    }
    return made;
}

// The row of x that an edge reads, and with weights the edge or the bits of its weight.
template <Weights W> struct EdgeValueOf { using Type = int2; };
template <> struct EdgeValueOf<Weights::none> { using Type = int; };
template <Weights W> using EdgeValue = typename EdgeValueOf<W>::Type;

// Return the edge, or with one column of weights the bits of its weight.
template <typename T> __device__ __forceinline__ int weighted_edge(const T* weights, int heads, int edge) {
    return heads == 1 ? __float_as_int(static_cast<float>(weights[edge])) : edge;
}

template <Aggregate A, Weights W, typename T, int N>
__device__ __forceinline__ void reduce_vector(float (&total)[N], const EdgeVector<T, N>& given) {
#pragma unroll
    for (int n = 0; n < N; ++n) {
        float value = static_cast<float>(given.pack.value[n]);
        if constexpr (W != Weights::none) value *= given.weight;
        total[n] = reduced<REDUCTION<A>>(total[n], value);
    }
}

template <typename T, int N> __device__ __forceinline__ void store(T* y, const float (&total)[N]) {
    Pack<T, N> pack;
#pragma unroll
    for (int n = 0; n < N; ++n) pack.value[n] = static_cast<T>(total[n]);
    store_once(reinterpret_cast<Pack<T, N>*>(y), pack);
}
