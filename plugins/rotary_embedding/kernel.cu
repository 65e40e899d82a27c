// RotaryEmbedding: a thread takes the vectors of a row whose elements are the pairs that it rotates, and the same in some
// heads after it, for which it keeps the sines and cosines in registers. Other threads copy what is not rotated. In a
// block x counts the vectors of a row, y positions and z heads; in the grid x counts positions, y heads and z items.

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include "../_cuda/vectors.cuh"

using pluginkit::BLOCKS, pluginkit::THREADS;  // from __init__.py

// BYTES: of a vector, or 0 for single elements. ONCE: whether there are as many blocks and threads as there is to do. REST:
// whether some elements of a row are not rotated.
template <typename T, typename Offset, int BYTES, int HEADS, bool ONCE, bool REST, bool INTERLEAVED, bool WHOLE>
__global__ void __launch_bounds__(THREADS, BLOCKS)
    rotate(T* __restrict__ y, const T* __restrict__ x, const T* __restrict__ cosines, const T* __restrict__ sines,
           int items, int heads, int length, int size, int rotated, int turned, int units) {
    constexpr int N = BYTES ? BYTES / sizeof(T) : 1;
    // Adjacent elements are in one vector, unless it has only one; others are in two.
    constexpr int VECTORS = INTERLEAVED && N > 1 ? 1 : 2, PAIRS = VECTORS * N / 2;
    // A table has a factor for each element, or for each pair.
    constexpr int TABLES = WHOLE ? VECTORS : 1, FACTORS = WHOLE ? N : PAIRS;
    using Values = Vector<T, N>;
    using Factors = Vector<T, FACTORS>;

    const int row = blockIdx.x * blockDim.y + threadIdx.y, columns = WHOLE ? rotated : rotated / 2;
    const int first_head = (blockIdx.y * blockDim.z + threadIdx.z) * HEADS;
    if (row >= length || first_head >= heads) return;
    const int apart = INTERLEAVED ? N : rotated / 2;
    const Offset next = static_cast<Offset>(length) * size;
    const auto factor = [](const Factors(&of)[TABLES], int place) {
        return static_cast<float>(of[place / FACTORS].element[place % FACTORS]);
    };
    // There are no more blocks than items, and no more threads than units: each loop has a first turn.
    int item = blockIdx.z;
    do {
        int unit = threadIdx.x;
        do {
            const bool turns = !REST || unit < turned;
            const int at = turns ? unit * (INTERLEAVED ? 2 * PAIRS : N) : rotated + (unit - turned) * N;
            Factors cosine[TABLES], sine[TABLES];
#pragma unroll
            for (int t = 0; t < TABLES; ++t) {
                if (!turns) continue;
                const Offset column = static_cast<Offset>(item * length + row) * columns + (WHOLE ? at + t * apart : unit * PAIRS);
                cosine[t] = Factors::read(cosines + column), sine[t] = Factors::read(sines + column);
            }
            int head = first_head;
            do {
                const Offset first = static_cast<Offset>((item * heads + head) * length + row) * size + at;
                Values own[HEADS][VECTORS];
#pragma unroll
                for (int h = 0; h < HEADS; ++h) {
                    if (h > 0 && head + h >= heads) break;
                    own[h][0] = Values::read(x + first + h * next);
                    if (VECTORS == 2 && turns) own[h][VECTORS - 1] = Values::read(x + first + h * next + apart);
                }
#pragma unroll
                for (int h = 0; h < HEADS; ++h) {
                    if (h > 0 && head + h >= heads) break;
#pragma unroll
                    for (int pair = 0; pair < PAIRS; ++pair) {
                        if (!turns) continue;
                        // The places of both elements among those of the thread, and of their factors.
                        const int i = INTERLEAVED ? 2 * pair : pair, j = INTERLEAVED ? i + 1 : N + pair;
                        const int of_i = WHOLE ? i : pair, of_j = WHOLE ? j : pair;
                        T &one = own[h][i / N].element[i % N], &other = own[h][j / N].element[j % N];
                        const float real = static_cast<float>(one), imaginary = static_cast<float>(other);
                        one = static_cast<T>(real * factor(cosine, of_i) - imaginary * factor(sine, of_i));
                        other = static_cast<T>(imaginary * factor(cosine, of_j) + real * factor(sine, of_j));
                    }
                    own[h][0].write(y + first + h * next);
                    if (VECTORS == 2 && turns) own[h][VECTORS - 1].write(y + first + h * next + apart);
                }
            } while (!ONCE && (head += gridDim.y * blockDim.z * HEADS) < heads);
        } while (!ONCE && (unit += blockDim.x) < units);
    } while (!ONCE && (item += gridDim.z) < items);
}
