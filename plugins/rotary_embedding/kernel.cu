// RotaryEmbedding: a thread takes the vectors of a row whose elements are the pairs that it rotates, and the same in some
// other heads, for which it keeps the sines and cosines in registers. Other threads copy what is not rotated.

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include "../_cuda/division.cuh"
#include "../_cuda/vectors.cuh"

using pluginkit::FEW_THREADS, pluginkit::RESIDENT, pluginkit::THREADS;  // from launches.py

template <typename T, int BYTES> constexpr int ELEMENTS = BYTES > static_cast<int>(sizeof(T)) ? BYTES / sizeof(T) : 1;

// The threads of a block.
template <int HEADS> constexpr int BLOCK = HEADS == 1 ? FEW_THREADS : THREADS;

// BYTES: of a vector of pairs, and REST: of one that is only copied; 1 for single elements, or 0 if a row has none such. A thread
// takes HEADS heads that lie as many apart as there are groups. FLAT: whether the grid counts all threads in its first dimension,
// else in the first those of a group, then groups and items.
template <typename T, typename Offset, int BYTES, int REST, int HEADS, bool FLAT, bool INTERLEAVED, bool WHOLE>
__global__ void __launch_bounds__(BLOCK<HEADS>, RESIDENT / BLOCK<HEADS>)
    rotate(T* __restrict__ y, const T* __restrict__ x, const T* __restrict__ cosines, const T* __restrict__ sines, Offset threads,
           int heads, int size, int rotated, int turned, Divisor units, Divisor length, Divisor groups) {
    constexpr int N = ELEMENTS<T, BYTES>;
    // Adjacent elements are in one vector, unless it has only one; others are in two.
    constexpr int VECTORS = INTERLEAVED && N > 1 ? 1 : 2, PAIRS = VECTORS * N / 2;
    // Of these a thread may write only one, whose pairs end in the other: what a warp writes is then in one piece.
    constexpr bool ONE = WHOLE && !INTERLEAVED && BYTES == 16 && REST == 0;
    // A table has a factor for each element, or for each pair.
    constexpr int TABLES = WHOLE && !ONE ? VECTORS : 1, FACTORS = WHOLE ? N : PAIRS;
    using Values = Vector<T, N>;
    using Factors = Vector<T, FACTORS>;
    using Copied = Vector<T, ELEMENTS<T, REST>>;

    Offset rest = static_cast<Offset>(blockIdx.x) * BLOCK<HEADS> + threadIdx.x;
    if (rest >= threads) return;
    const int unit = units.split(rest);
    const Offset row = FLAT ? length.split(rest) : rest, group = FLAT ? groups.split(rest) : blockIdx.y;
    const Offset item = FLAT ? rest : blockIdx.z, rows = static_cast<Offset>(length.count);
    const Offset step = static_cast<Offset>(groups.count), next = step * rows * size;
    const int columns = WHOLE ? rotated : rotated / 2;
    const bool turns = REST == 0 || unit < turned;
    const int at = turns ? unit * (INTERLEAVED ? 2 * PAIRS : N) : rotated + (unit - turned) * ELEMENTS<T, REST>;
    const bool is_second = ONE && at >= rotated / 2;
    const int apart = INTERLEAVED ? N : is_second ? -(rotated / 2) : rotated / 2;
    const Offset first = ((item * heads + group) * rows + row) * size + at;
    const Offset column = (item * rows + row) * columns + (WHOLE ? at : unit * PAIRS);
    Factors cosine[TABLES], sine[TABLES];
    Values own[HEADS][VECTORS];
    Copied copied[HEADS];
#pragma unroll
    for (int t = 0; t < TABLES; ++t) {
        if (!turns) continue;
        cosine[t] = Factors::read(cosines + column + t * apart), sine[t] = Factors::read(sines + column + t * apart);
    }
#pragma unroll
    for (int h = 0; h < HEADS; ++h) {
        if (h > 0 && group + h * step >= heads) break;
        const T* const from = x + (first + h * next);
        if (!turns) {
            copied[h] = Copied::read(from);
            continue;
        }
#pragma unroll
        for (int v = 0; v < VECTORS; ++v) own[h][v] = Values::read(from + v * apart);
    }
    const auto factor = [](const Factors(&of)[TABLES], int place) {
        return static_cast<float>(of[place / FACTORS].element[place % FACTORS]);
    };
#pragma unroll
    for (int h = 0; h < HEADS; ++h) {
        if (h > 0 && group + h * step >= heads) break;
        T* const to = y + (first + h * next);
        if (!turns) {
            copied[h].write(to);
            continue;
        }
#pragma unroll
        for (int pair = 0; pair < PAIRS; ++pair) {
            // The places of both elements among those of the thread, and of their factors.
            const int i = INTERLEAVED ? 2 * pair : pair, j = INTERLEAVED ? i + 1 : N + pair;
            const int of_i = WHOLE ? i : pair, of_j = WHOLE && !ONE ? j : pair;
            T &one = own[h][i / N].element[i % N], &other = own[h][j / N].element[j % N];
            const float real = static_cast<float>(one), imaginary = is_second ? -static_cast<float>(other) : static_cast<float>(other);
            one = static_cast<T>(real * factor(cosine, of_i) - imaginary * factor(sine, of_i));
            if (!ONE) other = static_cast<T>(imaginary * factor(cosine, of_j) + real * factor(sine, of_j));
        }
#pragma unroll
        for (int v = 0; v < (ONE ? 1 : VECTORS); ++v) own[h][v].write(to + v * apart);
    }
}
