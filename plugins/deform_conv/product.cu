// DeformConv as an implicit matrix product: the weights of a group, with a row for each output channel, times the sampled
// pixels, with a column for each output pixel of every image.
//
// The products are summed over chunks, a tap of 64 bytes of channels each, from copies of X and W; see arrange.cu. While a
// block multiplies a chunk in shared memory, it copies the weights of the next, interpolates between its pixels, loads the
// pixels of the one after that, and finds the places of the third. Samples are rounded to T, and products and sums are
// float32: in 16 bits tensor cores multiply. Where there are few tiles, several blocks share the chunks of a tile, and
// `add_slices` adds their sums.

#include "../_cuda/async_copies.cuh"
#include "chunks.cuh"

// Where a word of a row lies. They are permuted, so that eight rows of one word lie in different banks.
__device__ __forceinline__ int word_at(int row, int word) {
    return row * WORDS + (word ^ row * WORDS / 8 % WORDS);
}

// Return a value that the compiler keeps in a register. It would compute addresses again in every step of a loop.
__device__ __forceinline__ int kept(int value) {
    int result;
    asm volatile("mov.b32 %0, %1;" : "=r"(result) : "r"(value));
    return result;
}
__device__ __forceinline__ int kept_address(const uint4* shared) {
    return kept(static_cast<int>(__cvta_generic_to_shared(shared)));
}

#if __CUDA_ARCH__ >= 800
__device__ __forceinline__ void load_matrices(unsigned int (&to)[4], int row) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3])
                 : "r"(row)
                 : "memory");
}

// Add the product of 16 x 16 and 16 x 8 elements, whose type the last argument has.
__device__ __forceinline__ void add_product(float (&sums)[4], const unsigned int (&a)[4], const unsigned int* b, __half) {
    asm("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
        : "+f"(sums[0]), "+f"(sums[1]), "+f"(sums[2]), "+f"(sums[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}
__device__ __forceinline__ void add_product(float (&sums)[4], const unsigned int (&a)[4], const unsigned int* b,
                                            __nv_bfloat16) {
    asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
        "{%0, %1, %2, %3};"
        : "+f"(sums[0]), "+f"(sums[1]), "+f"(sums[2]), "+f"(sums[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}
#endif

// The sums of a thread: DOWN rows by ACROSS columns of the tile. In 16 bits two warps lie beside each other, and each has
// tiles of 16 rows and 8 columns, of which a lane has two rows and two columns.
template <typename T, int ROWS> struct Sums {
    static constexpr int WARPS_ACROSS = 2, WARPS_DOWN = THREADS / 32 / WARPS_ACROSS;
    static constexpr int TILE_ROWS = 16, TILE_COLUMNS = 8;
    static constexpr int TILES_DOWN = ROWS / WARPS_DOWN / TILE_ROWS, TILES_ACROSS = COLUMNS / WARPS_ACROSS / TILE_COLUMNS;
    static constexpr int DOWN = 2 * TILES_DOWN, ACROSS = 2 * TILES_ACROSS;
    const uint4 *weights, *samples;  // of both buffers
    int own_rows, own_columns;       // where the lane's rows for load_matrices are, in shared memory
    float tiles[TILES_DOWN][TILES_ACROSS][4] = {};

    __device__ __forceinline__ Sums(const uint4* weights, const uint4* samples) : weights(weights), samples(samples) {
        const int lane = threadIdx.x % 32;
        own_rows = kept_address(weights + word_at(first_row() + lane % 16, lane / 16));
        own_columns = kept_address(samples + word_at(first_column() + lane / 16 * 8 + lane % 8, lane / 8 % 2));
    }

    __device__ __forceinline__ float& at(int i, int j) { return tiles[i / 2][j / 2][i % 2 * 2 + j % 2]; }
    __device__ __forceinline__ static int first_row() { return threadIdx.x / 32 / WARPS_ACROSS * (ROWS / WARPS_DOWN); }
    __device__ __forceinline__ static int first_column() {
        return threadIdx.x / 32 % WARPS_ACROSS * (COLUMNS / WARPS_ACROSS);
    }
    __device__ __forceinline__ static int row(int i) { return first_row() + i * 8 + threadIdx.x % 32 / 4; }
    __device__ __forceinline__ static int column(int j) {
        return first_column() + j / 2 * TILE_COLUMNS + threadIdx.x % 4 * 2 + j % 2;
    }

    // Add the product of two words of the weights and samples in a buffer.
    __device__ __forceinline__ void add(int buffer, int word) {
#if __CUDA_ARCH__ >= 800
        // Further rows are permuted as the first ones, and an even number of words is a bit of the address.
        const int rows = (own_rows ^ word * 16) + buffer * ROWS * CHUNK_BYTES;
        const int columns = (own_columns ^ word * 16) + buffer * COLUMNS * CHUNK_BYTES;
        unsigned int b[TILES_ACROSS / 2][4];  // of two tiles each
#pragma unroll
        for (int j = 0; j < TILES_ACROSS / 2; ++j) load_matrices(b[j], columns + j * 2 * TILE_COLUMNS * CHUNK_BYTES);
#pragma unroll
        for (int i = 0; i < TILES_DOWN; ++i) {
            unsigned int a[4];
            load_matrices(a, rows + i * TILE_ROWS * CHUNK_BYTES);
#pragma unroll
            for (int j = 0; j < TILES_ACROSS; ++j) add_product(tiles[i][j], a, b[j / 2] + j % 2 * 2, T{});
        }
#else
        for (int k = word * EACH<T>; k < (word + 2) * EACH<T>; ++k) {
#pragma unroll
            for (int i = 0; i < DOWN; ++i) {
                const int row_at = buffer * ROWS * WORDS + word_at(row(i), k / EACH<T>);
                const float weight = static_cast<float>(reinterpret_cast<const T*>(weights + row_at)[k % EACH<T>]);
#pragma unroll
                for (int j = 0; j < ACROSS; ++j) {
                    const int column_at = buffer * COLUMNS * WORDS + word_at(column(j), k / EACH<T>);
                    const T sample = reinterpret_cast<const T*>(samples + column_at)[k % EACH<T>];
                    at(i, j) = fmaf(weight, static_cast<float>(sample), at(i, j));
                }
            }
        }
#endif
    }
};

// In float32 rows and columns of a thread lie apart.
template <int ROWS> struct Sums<float, ROWS> {
    static constexpr int ACROSS = 8, COLUMN_STEP = COLUMNS / ACROSS, ROW_STEP = THREADS / COLUMN_STEP;
    static constexpr int DOWN = ROWS / ROW_STEP;
    const uint4 *weights, *samples;  // of both buffers
    float values[DOWN][ACROSS] = {};

    __device__ __forceinline__ Sums(const uint4* weights, const uint4* samples) : weights(weights), samples(samples) {}

    __device__ __forceinline__ float& at(int i, int j) { return values[i][j]; }
    __device__ __forceinline__ static int row(int i) { return i * ROW_STEP + threadIdx.x / COLUMN_STEP; }
    __device__ __forceinline__ static int column(int j) { return j * COLUMN_STEP + threadIdx.x % COLUMN_STEP; }

    __device__ __forceinline__ void add(int buffer, int first_word) {
        using Word = Vector<float, EACH<float>>;
#pragma unroll
        for (int word = first_word; word < first_word + 2; ++word) {
            // Further rows and columns are permuted as the first ones.
            const uint4* own_rows = weights + buffer * ROWS * WORDS + word_at(row(0), word);
            const uint4* own_columns = samples + buffer * COLUMNS * WORDS + word_at(column(0), word);
            Word sample[ACROSS];
#pragma unroll
            for (int j = 0; j < ACROSS; ++j) {
                sample[j] = Word::read(reinterpret_cast<const float*>(own_columns + j * COLUMN_STEP * WORDS));
            }
#pragma unroll
            for (int i = 0; i < DOWN; ++i) {
                const Word weight = Word::read(reinterpret_cast<const float*>(own_rows + i * ROW_STEP * WORDS));
#pragma unroll
                for (int k = 0; k < EACH<float>; ++k) {
#pragma unroll
                    for (int j = 0; j < ACROSS; ++j) {
                        values[i][j] = fmaf(weight.element[k], sample[j].element[k], values[i][j]);
                    }
                }
            }
        }
    }
};

// Write Y, or the sums of a part of the chunks if `slices` is given.
template <typename T, int ROWS>
__global__ void __launch_bounds__(THREADS, ROWS > 128 ? 1 : 2)
    deform_product(T* __restrict__ y, float* __restrict__ slices, const uint4* __restrict__ pixels,
                   const uint4* __restrict__ weights, const T* __restrict__ offset, const T* __restrict__ bias,
                   const T* __restrict__ mask, Sizes sizes, Chunks chunks) {
    __shared__ alignas(CHUNK_BYTES) uint4 own_weights[2][ROWS * WORDS], samples[2][COLUMNS * WORDS];
    __shared__ Places places[2];
    constexpr int COPIES = ROWS * WORDS / THREADS;  // of each thread, for a chunk
    const int taps = sizes.taps(), outputs = sizes.outputs(), maps = sizes.maps_of_group();
    int rest = blockIdx.x;
    const int slice = rest % chunks.slices;
    rest /= chunks.slices;
    const int first_row = rest % chunks.row_tiles * ROWS;
    rest /= chunks.row_tiles;
    const int first_column = rest % chunks.column_tiles * COLUMNS, group = rest / chunks.column_tiles;

    // The chunks of this block of threads: taps of a run of blocks of channels, which take turns, then of the next.
    const int all = chunks.of_group * taps;
    const int first = static_cast<int>(1LL * all * slice / chunks.slices);
    const int count = static_cast<int>(1LL * all * (slice + 1) / chunks.slices) - first;

    // A word of the rows that the thread copies, and of the column that it samples.
    static_assert(COLUMNS * WORDS == THREADS && WORDS == 4, "a thread has a word, and finds one of four corners");
    const int own = kept(threadIdx.x / WORDS), word = kept(threadIdx.x % WORDS), to = kept(word_at(own, word));
    const int copies = kept_address(own_weights[0] + to);
    const uint4* source = weights + 1LL * (group * all + first) * maps * WORDS + word;
    int rows[COPIES];
#pragma unroll
    for (int i = 0; i < COPIES; ++i) rows[i] = kept(min(first_row + own + i * (THREADS / WORDS), maps - 1) * WORDS);
    const int all_pixels = chunks.columns / outputs * sizes.height * sizes.width;
    const long long block_words = (1LL + all_pixels) * WORDS;
    const int first_block = group * chunks.of_group + first / chunks.run / taps * chunks.run;
    int turn = first % chunks.run, tap = first / chunks.run % taps;
    const uint4* channels = pixels + (first_block + turn) * block_words + word;

    // The thread finds a corner of the places of that column, a tap ahead.
    const int place_column = min(first_column + own, chunks.columns - 1);
    const int image = place_column / outputs, output = place_column % outputs;
    Walk walk(sizes, chunks, first_block, tap, output);
    const auto fetch_moved = [&]() { return moved_by(offset, mask, sizes, image, walk.part, walk.tap, output); };
    const auto put_place = [&](Places& places, const Moved& moved) {
        const int first_pixel = image * sizes.height * sizes.width;
        put_corner(places, own, word, moved, sizes, walk.row, walk.column, first_pixel, all_pixels);
        walk.advance(sizes, chunks);
    };

    Sums<T, ROWS> sums(own_weights[0], samples[0]);
    Corners corners;  // of the chunk after the next
    int side = 0, held_side = 0;
    put_place(places[0], fetch_moved());
    __syncthreads();
    for (int chunk = -2; chunk < count; ++chunk) {
        const int buffer = chunk & 1, other = buffer ^ 1;
        const bool is_first = chunk == -2, is_last = chunk + 1 >= count;
        const bool is_last_turn = turn + 1 == chunks.run, finds_places = is_last_turn && chunk + 3 < count;
        Moved moved;
        if (finds_places) moved = fetch_moved();
        if (!is_first && !is_last) {
#pragma unroll
            for (int i = 0; i < COPIES; ++i) {
                const int words = other * ROWS * WORDS + i * THREADS;
                copy_to_shared(copies + words * int{sizeof(uint4)}, source + rows[i]);
            }
            source += maps * WORDS;
        }
        if (chunk >= 0) sums.add(buffer, 0);
        if (!is_first && !is_last) {
            float found[EACH<T>];
            corners.interpolate<T>(found, places[held_side], own);
            Vector<T, EACH<T>> rounded;
#pragma unroll
            for (int k = 0; k < EACH<T>; ++k) rounded.element[k] = static_cast<T>(found[k]);
            samples[other][to] = reinterpret_cast<const uint4&>(rounded);
        }
        if (chunk + 2 < count) corners.load(channels, places[side], own);
        if (chunk >= 0) sums.add(buffer, 2);
        __syncwarp();  // places are read
        if (finds_places) put_place(places[side ^ 1], moved);
        channels += block_words, ++turn, held_side = side;
        if (is_last_turn) {
            side ^= 1, turn = 0;
            if (++tap < taps) channels -= chunks.run * block_words;
            if (tap == taps) tap = 0;
        }
        wait_for_copies();
        __syncthreads();
    }

    const long long total = 1LL * chunks.columns * sizes.maps;
#pragma unroll
    for (int j = 0; j < sums.ACROSS; ++j) {
        const int to_column = first_column + sums.column(j);
        if (to_column >= chunks.columns) continue;
        const int to_image = to_column / outputs, to_output = to_column % outputs;
#pragma unroll
        for (int i = 0; i < sums.DOWN; ++i) {
            const int row = first_row + sums.row(i), map = group * maps + row;
            if (row >= maps) continue;
            const long long target = (1LL * to_image * sizes.maps + map) * outputs + to_output;
            if (chunks.slices > 1) {
                slices[slice * total + target] = sums.at(i, j);
            } else {
                y[target] = static_cast<T>(sums.at(i, j) + (bias == nullptr ? 0.0f : static_cast<float>(bias[map])));
            }
        }
    }
}

// Add the sums of the slices, and the bias.
template <typename T>
__global__ void __launch_bounds__(THREADS)
    add_slices(T* __restrict__ y, const float* __restrict__ slices, const T* __restrict__ bias, int total, int count,
               int outputs, int maps) {
    const int i = blockIdx.x * THREADS + threadIdx.x;  // there are slices of few outputs only
    if (i >= total) return;
    float sum = 0.0f;
    for (int slice = 0; slice < count; ++slice) sum += slices[1LL * slice * total + i];
    y[i] = static_cast<T>(sum + (bias == nullptr ? 0.0f : static_cast<float>(bias[i / outputs % maps])));
}
