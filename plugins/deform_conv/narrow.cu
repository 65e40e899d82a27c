// DeformConv of few output channels in a group, for which product.cu would mostly multiply rows that are not there: a
// thread takes a word of the channels of an output pixel and multiplies its samples as they are in its registers, so that
// blocks of threads wait for nothing. The words of eight pixels are what tensor cores multiply, unless there are fewer than
// five rows of float32.

#include "sums.cuh"

// The sums of a thread are those of its channels. In the end each of the threads of a pixel has every fourth row.
template <typename T, int ROWS, bool USES_PRODUCTS> struct NarrowSums {
    static constexpr int DOWN = (ROWS + WORDS - 1) / WORDS, ACROSS = 1;
    float parts[DOWN * WORDS] = {}, values[DOWN];
    int last_row;

    __device__ __forceinline__ explicit NarrowSums(int maps) : last_row(maps - 1) {}

    __device__ __forceinline__ float& at(int i, int) { return values[i]; }
    __device__ __forceinline__ static int row(int i) { return i * WORDS + threadIdx.x % WORDS; }
    __device__ __forceinline__ static int column(int) { return threadIdx.x / WORDS; }

    // Add the products of a word of samples and the same word of the rows of weights.
    __device__ __forceinline__ void add(const float (&samples)[EACH<T>], const uint4* weights) {
#pragma unroll
        for (int row = 0; row < ROWS; ++row) {
            const auto weight = Vector<T, EACH<T>>::read(reinterpret_cast<const T*>(weights + min(row, last_row) * WORDS));
#pragma unroll
            for (int k = 0; k < EACH<T>; ++k) parts[row] = fmaf(static_cast<float>(weight.element[k]), samples[k], parts[row]);
        }
    }

    __device__ __forceinline__ void finish() {
#pragma unroll
        for (int row = 0; row < DOWN * WORDS; ++row) {
            float sum = parts[row];
#pragma unroll
            for (int step = 1; step < WORDS; step *= 2) sum += __shfl_xor_sync(~0u, sum, step);
            if (threadIdx.x % WORDS == row % WORDS) values[row / WORDS] = sum;
        }
    }
};

#if __CUDA_ARCH__ >= 800
// A lane has the word of its column, and those of two rows of each tile of 16: which channels the registers of a matrix
// product have does not matter, as long as they are the same in both factors.
template <typename T, int ROWS> struct NarrowSums<T, ROWS, true> {
    static constexpr int TILE_ROWS = 16, TILE_COLUMNS = 8, TILES = (ROWS + TILE_ROWS - 1) / TILE_ROWS;
    static constexpr int DOWN = 2 * TILES, ACROSS = 2;
    float tiles[TILES][4] = {};
    int rows[DOWN];  // where the lane's rows are among the words of weights

    __device__ __forceinline__ explicit NarrowSums(int maps) {
#pragma unroll
        for (int i = 0; i < DOWN; ++i) rows[i] = min(row(i), maps - 1) * WORDS;
    }

    __device__ __forceinline__ float& at(int i, int j) { return tiles[i / 2][i % 2 * 2 + j]; }
    __device__ __forceinline__ static int row(int i) { return i * 8 + threadIdx.x % 32 / WORDS; }
    __device__ __forceinline__ static int column(int j) {
        return threadIdx.x / 32 * TILE_COLUMNS + threadIdx.x % WORDS * 2 + j;
    }

    __device__ __forceinline__ void add(const float (&samples)[EACH<T>], const uint4* weights) {
        Vector<T, EACH<T>> rounded;
#pragma unroll
        for (int k = 0; k < EACH<T>; ++k) rounded.element[k] = static_cast<T>(samples[k]);
        const unsigned int* b = reinterpret_cast<const unsigned int*>(&rounded);
#pragma unroll
        for (int i = 0; i < TILES; ++i) {
            const uint4 upper = __ldg(weights + rows[2 * i]);
            const uint4 lower = __ldg(weights + rows[2 * i + 1]);
            const unsigned int first[4] = {upper.x, lower.x, upper.y, lower.y};
            const unsigned int second[4] = {upper.z, lower.z, upper.w, lower.w};
            add_product(tiles[i], first, b, T{});
            add_product(tiles[i], second, b + 2, T{});
        }
    }

    __device__ __forceinline__ void finish() {}
};
template <typename T, int ROWS> constexpr bool USES_PRODUCTS = sizeof(T) == 2 || ROWS >= 16;
#else
template <typename T, int ROWS> constexpr bool USES_PRODUCTS = false;
#endif

template <typename T, int ROWS>
__global__ void __launch_bounds__(THREADS, 4)
    deform_narrow(T* __restrict__ y, float* __restrict__ slices, const uint4* __restrict__ pixels,
                  const uint4* __restrict__ weights, const T* __restrict__ offset, const T* __restrict__ bias,
                  const T* __restrict__ mask, Sizes sizes, Chunks chunks) {
    static_assert(COLUMNS * WORDS == THREADS && WORDS == 4, "a thread has a word, and finds one of four corners");
    __shared__ Places places[2];
    const int taps = sizes.taps(), outputs = sizes.outputs(), maps = sizes.maps_of_group();
    const Share share(sizes, chunks, ROWS);
    const int own = threadIdx.x / WORDS, word = threadIdx.x % WORDS;
    const int column = min(share.first_column + own, chunks.columns - 1);
    const int image = column / outputs, output = column % outputs;
    const int area = sizes.height * sizes.width, all_pixels = chunks.columns / outputs * area;
    const long long block_words = (1LL + all_pixels) * WORDS;
    int turn = share.turn;
    const uint4* channels = pixels;
    const uint4* source = weights + 1LL * (share.group * share.all + share.first) * maps * WORDS + word;

    Walk walk(sizes, chunks, share.first_block, share.tap, output);
    Moved moved = moved_by(offset, mask, sizes, image, walk.part, walk.tap, output);
    NarrowSums<T, ROWS, USES_PRODUCTS<T, ROWS>> sums(maps);
    int side = 0;
    for (int chunk = 0; chunk < share.count; ++chunk) {
        if (chunk == 0 || turn == 0) {
            side ^= 1;
            channels = pixels + (walk.block + turn) * block_words + word;
            put_corner(places[side], own, word, moved, sizes, walk.row, walk.column, image * area, all_pixels);
            walk.advance(sizes, chunks);
            if (chunk + chunks.run - turn < share.count) {
                moved = moved_by(offset, mask, sizes, image, walk.part, walk.tap, output);
            }
            __syncwarp();  // the corners of a place are found by threads of one warp
        }
        Corners corners;
        corners.load(channels, places[side], own);
        float samples[EACH<T>];
        corners.interpolate<T>(samples, places[side], own);
        sums.add(samples, source);
        source += maps * WORDS, channels += block_words;
        if (++turn == chunks.run) turn = 0;
    }
    sums.finish();
    write_sums<ROWS>(sums, y, slices, bias, sizes, chunks, share);
}
