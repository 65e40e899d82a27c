// RotaryEmbedding: a thread writes a vector of a row, and the same in some other heads, for which it keeps the sines and cosines
// in registers. What its elements are paired with may be another thread's: it reads that, too.

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include "../_cuda/division.cuh"
#include "../_cuda/vectors.cuh"

using pluginkit::FEW_THREADS, pluginkit::THREADS;  // from launches.py

// Numbers to divide by, in few bytes, since a launch of a tiny tensor takes as long as its parameters do: each by the factor of
// its Divisor less 2^31, and their shifts in a byte each.
struct Divisors {
    int factor[3], shifts;

    // Divide a number by the one at `which`, which is `count`.
    template <typename Offset> __device__ __forceinline__ Offset quotient(Offset number, int which, Offset count) const {
        if (sizeof(Offset) > 4 && (number | count) >> 31 != 0) return number / count;
        const unsigned int large = static_cast<unsigned int>(factor[which]) ^ (1u << 31);
        return __umulhi(2 * static_cast<unsigned int>(number), large) >> (shifts >> (8 * which) & 31);
    }
};

// BYTES: of a vector, 1 for single elements. It has PARTS, or elements if those are fewer, whose pairs and factors are beside each
// other as well. A thread takes UNITS vectors that lie a block's threads apart, and of each HEADS heads that lie as many apart as
// there are groups. REST: whether some elements do not turn. FEW: whether the tensor is small.
template <typename T, typename Offset, bool FEW, int BYTES, int PARTS, int UNITS, int HEADS, bool REST, bool INTERLEAVED, bool WHOLE>
__global__ void __launch_bounds__(FEW ? FEW_THREADS : THREADS)
    rotate(const T* __restrict__ x, const T* __restrict__ cosines, const T* __restrict__ sines, Offset threads, int vectors,
           Divisors divisors, int rotated, int length, int heads, T* __restrict__ y) {
    constexpr int N = BYTES > static_cast<int>(sizeof(T)) ? BYTES / sizeof(T) : 1, P = PARTS < N ? N / PARTS : 1;
    constexpr int BLOCK = FEW ? FEW_THREADS : THREADS;
    // Adjacent elements are in one part, unless it has only one; others are in two.
    constexpr bool IS_ALONE = INTERLEAVED && P > 1;
    // A table has a factor for each element, or for each pair.
    constexpr int FACTORS = IS_ALONE && !WHOLE ? P / 2 : P;
    using Factors = Vector<T, FACTORS>;

    const Offset begin = static_cast<Offset>(blockIdx.x) * (UNITS * BLOCK) + threadIdx.x;
    if (begin >= threads) return;
    const int groups = (heads + HEADS - 1) / HEADS;
    const Offset of_group = static_cast<Offset>(length) * vectors, of_item = of_group * groups, next = of_item * N;
    const int half = rotated / 2;
    Offset first[UNITS], group[UNITS];
    int at[UNITS];
    const auto is_within = [&](int u) { return u == 0 || begin + u * BLOCK < threads; };
    const auto is_there = [&](int u, int head) { return head == 0 || group[u] + head * groups < heads; };
    const auto turns = [&](int u, int part) { return !REST || at[u] + part * P < rotated; };
    const auto is_second = [&](int u, int part) { return INTERLEAVED ? (at[u] + part) % 2 == 1 : at[u] + part * P >= half; };
    Vector<T, N> own[UNITS][HEADS];
    Vector<T, P> other[UNITS][HEADS][N / P];
    Factors cosine[UNITS][N / P], sine[UNITS][N / P];
#pragma unroll
    for (int u = 0; u < UNITS; ++u) {
        const Offset index = begin + u * BLOCK;
        if (!is_within(u)) break;
        // All divide the same number, so that none waits for another: by the vectors of a row, of a group, and of an item.
        const Offset row = divisors.quotient<Offset>(index, 0, vectors);
        const Offset all_groups = divisors.quotient(index, 1, of_group), item = divisors.quotient(index, 2, of_item);
        at[u] = (index - row * vectors) * N;
        group[u] = all_groups - item * groups;
        // Vectors are counted as they lie, but for the heads that others of their item take.
        first[u] = index * N + (HEADS > 1 ? item * (heads - groups) * of_group * N : 0);
        const Offset factors = (row - (all_groups - item) * length) * (WHOLE ? rotated : half);
#pragma unroll
        for (int h = 0; h < HEADS; ++h) {
            if (is_there(u, h)) own[u][h] = Vector<T, N>::read(x + (first[u] + h * next));
        }
#pragma unroll
        for (int part = 0; part < N / P; ++part) {
            if (!turns(u, part)) continue;
            const bool is_later = is_second(u, part);
            const int place = at[u] + part * P, apart = INTERLEAVED ? 1 : half;
            const Offset column = factors + (WHOLE ? place : INTERLEAVED ? place / 2 : is_later ? place - half : place);
            cosine[u][part] = Factors::read(cosines + column), sine[u][part] = Factors::read(sines + column);
#pragma unroll
            for (int h = 0; h < HEADS; ++h) {
                if (IS_ALONE || !is_there(u, h)) break;
                other[u][h][part] = Vector<T, P>::read(x + (first[u] + h * next) + part * P + (is_later ? -apart : apart));
            }
        }
    }
#pragma unroll
    for (int u = 0; u < UNITS; ++u) {
        if (!is_within(u)) break;
#pragma unroll
        for (int h = 0; h < HEADS; ++h) {
            if (!is_there(u, h)) break;
#pragma unroll
            for (int part = 0; part < N / P; ++part) {
                if (!turns(u, part)) continue;
                T* const elements = own[u][h].element + part * P;
                float before[P], turned[P];
#pragma unroll
                for (int i = 0; i < P; ++i) {
                    const T pair = IS_ALONE ? elements[i ^ 1] : other[u][h][part].element[i];
                    const bool is_positive = IS_ALONE ? i % 2 == 1 : is_second(u, part);
                    before[i] = static_cast<float>(elements[i]);
                    turned[i] = is_positive ? static_cast<float>(pair) : -static_cast<float>(pair);
                }
#pragma unroll
                for (int i = 0; i < P; ++i) {
                    const int factor = i * FACTORS / P;
                    const float c = static_cast<float>(cosine[u][part].element[factor]);
                    const float s = static_cast<float>(sine[u][part].element[factor]);
                    elements[i] = static_cast<T>(before[i] * c + turned[i] * s);
                }
            }
            own[u][h].write(y + (first[u] + h * next));
        }
    }
}
