// DeformConv as an implicit matrix product: the weights of a group, with a row for each output channel, times the sampled
// pixels, with a column for each output pixel of every image.
//
// The products are summed over chunks, a tap of 64 bytes of channels each, from copies of X and W; see arrange.cu. While a
// block multiplies a chunk in shared memory, it copies the weights of the next, interpolates between its pixels, loads the
// pixels of the one after that, and finds the places of the third. Samples are rounded to T, and products and sums are
// float32: in 16 bits tensor cores multiply. Where there are few tiles, or few are left when each multiprocessor has had as
// many, several blocks share the chunks of a tile, and `add_slices` adds their sums.

#include "../_cuda/async_copies.cuh"
#include "sums.cuh"

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
#endif

// The sums of a thread: DOWN rows by ACROSS columns of the tile. Two warps lie beside each other, and each has tiles of 16
// rows and 8 columns, of which a lane has two rows and two columns.
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
    const Share share(sizes, chunks, ROWS);
    const int count = share.count;

    // A word of the rows that the thread copies, and of the column that it samples.
    static_assert(COLUMNS * WORDS == THREADS && WORDS == 4, "a thread has a word, and finds one of four corners");
    const int own = kept(threadIdx.x / WORDS), word = kept(threadIdx.x % WORDS), to = kept(word_at(own, word));
    const int copies = kept_address(own_weights[0] + to);
    const uint4* source = weights + 1LL * (share.group * share.all + share.first) * maps * WORDS + word;
    int rows[COPIES];
#pragma unroll
    for (int i = 0; i < COPIES; ++i) rows[i] = kept(min(share.first_row + own + i * (THREADS / WORDS), maps - 1) * WORDS);
    const int all_pixels = chunks.columns / outputs * sizes.height * sizes.width;
    const long long block_words = (1LL + all_pixels) * WORDS;
    int turn = share.turn, tap = share.tap;
    const uint4* channels = pixels + (share.first_block + turn) * block_words + word;

    // The thread finds a corner of the places of that column, a tap ahead.
    const int place_column = min(share.first_column + own, chunks.columns - 1);
    const int image = place_column / outputs, output = place_column % outputs;
    Walk walk(sizes, chunks, share.first_block, tap, output);
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

    write_sums<ROWS>(sums, y, slices, bias, sizes, chunks, share);
}

// Add the sums of the slices of tiles of so many rows, and the bias.
template <typename T>
__global__ void __launch_bounds__(THREADS)
    add_slices(T* __restrict__ y, const float* __restrict__ slices, const T* __restrict__ bias, Sizes sizes, Chunks chunks,
               int rows) {
    const int i = blockIdx.x * THREADS + threadIdx.x, size = rows * COLUMNS;  // there are slices of few tiles only
    const int number = i / size, within = i % size, outputs = sizes.outputs(), maps = sizes.maps_of_group();
    const Tile tile(chunks, rows, chunks.whole + number);
    const int row = tile.first_row + within / COLUMNS, column = tile.first_column + within % COLUMNS;
    if (tile.group >= sizes.groups || row >= maps || column >= chunks.columns) return;
    const float* parts = slices + number * chunks.slices * size + within;
    float sum = 0.0f;
    for (int slice = 0; slice < chunks.slices; ++slice) sum += parts[slice * size];
    const int map = tile.group * maps + row;
    const long long target = (1LL * (column / outputs) * sizes.maps + map) * outputs + column % outputs;
    y[target] = static_cast<T>(sum + (bias == nullptr ? 0.0f : static_cast<float>(bias[map])));
}
