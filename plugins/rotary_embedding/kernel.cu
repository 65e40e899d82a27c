// RotaryEmbedding: a thread takes two vectors of a row whose elements are the pairs that it rotates, and the same two in
// some heads after it, for which it keeps the sines and cosines in registers. Other threads copy what is not rotated.

#include <cuda_bf16.h>
#include <cuda_fp16.h>

using pluginkit::HEADS, pluginkit::THREADS;  // from __init__.py

template <typename T, int N> struct alignas(sizeof(T) * N) Pack { T value[N]; };

// The sines or cosines of N pairs: one of each pair, or two.
template <typename T, int N, bool WHOLE> struct Factors {
    Pack<T, N> first, second;

    __device__ void load(const T* table, int pair, int at, int apart) {
        if constexpr (WHOLE) {
            first = *reinterpret_cast<const Pack<T, N>*>(table + at);
            second = *reinterpret_cast<const Pack<T, N>*>(table + at + apart);
        } else {
            first = *reinterpret_cast<const Pack<T, N>*>(table + pair);
        }
    }
    // Return the factor of one of the two elements of a pair; k-th of both vectors.
    __device__ float of(int k) const {
        return static_cast<float>(k < N ? first.value[k] : (WHOLE ? second : first).value[k - N]);
    }
};

template <typename T, int N, bool INTERLEAVED, bool WHOLE>
__global__ void __launch_bounds__(THREADS)
    rotate(T* __restrict__ y, const T* __restrict__ x, const T* __restrict__ cosines, const T* __restrict__ sines,
           int groups, int heads, int length, int size, int rotated, int lanes) {
    using Values = Pack<T, N>;
    // The threads of a row are adjacent. A group is the row of one head and of the HEADS - 1 after it.
    const int group = blockIdx.x * (THREADS / lanes) + threadIdx.x / lanes;
    if (threadIdx.x >= THREADS / lanes * lanes || group >= groups) return;
    const int steps = (heads + HEADS - 1) / HEADS, item = group / length / steps, place = group % length;
    const int first_head = group / length % steps * HEADS, count = min(heads - first_head, HEADS);
    const long long next = 1LL * length * size, first = (1LL * item * heads + first_head) * next + 1LL * place * size;
    const long long table = (1LL * item * length + place) * (WHOLE ? rotated : rotated / 2);
    const int pairs = rotated / (2 * N), units = pairs + (size - rotated) / N;
    for (int unit = threadIdx.x % lanes; unit < units; unit += lanes) {
        if (unit >= pairs) {
            const long long at = first + rotated + (unit - pairs) * N;
            for (int head = 0; head < count; ++head) {
                *reinterpret_cast<Values*>(y + at + head * next) =
                    *reinterpret_cast<const Values*>(x + at + head * next);
            }
            continue;
        }
        const int at = INTERLEAVED ? unit * 2 * N : unit * N, apart = INTERLEAVED ? N : rotated / 2;
        Factors<T, N, WHOLE> cosine, sine;
        cosine.load(cosines + table, unit * N, at, apart);
        sine.load(sines + table, unit * N, at, apart);
        Values read[HEADS][2];
#pragma unroll
        for (int head = 0; head < HEADS; ++head) {
            if (head >= count) break;
            const T* from = x + first + head * next + at;
            read[head][0] = *reinterpret_cast<const Values*>(from);
            read[head][1] = *reinterpret_cast<const Values*>(from + apart);
        }
#pragma unroll
        for (int head = 0; head < HEADS; ++head) {
            if (head >= count) break;
            Values made[2];
#pragma unroll
            for (int pair = 0; pair < N; ++pair) {
                // The places of the pair's elements among the 2 N, and among the factors.
                const int i = INTERLEAVED ? 2 * pair : pair, j = INTERLEAVED ? i + 1 : N + pair;
                const int of_i = WHOLE ? i : pair, of_j = WHOLE ? j : pair;
                const float real = static_cast<float>(read[head][i / N].value[i % N]);
                const float imaginary = static_cast<float>(read[head][j / N].value[j % N]);
                made[i / N].value[i % N] = static_cast<T>(real * cosine.of(of_i) - imaginary * sine.of(of_i));
                made[j / N].value[j % N] = static_cast<T>(imaginary * cosine.of(of_j) + real * sine.of(of_j));
            }
            T* to = y + first + head * next + at;
            *reinterpret_cast<Values*>(to) = made[0];
            *reinterpret_cast<Values*>(to + apart) = made[1];
        }
    }
}
