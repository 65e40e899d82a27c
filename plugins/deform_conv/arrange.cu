// Copies of X and W whose channels lie beside each other in chunks, for product.cu and depthwise.cu. What a chunk has too
// few channels for is 0, and so is a weight between groups that became one.

#include "chunks.cuh"

using pluginkit::TURNED;  // from arranged.py

// How X and W are arranged, and how W was: groups that became one have several of its groups.
struct Layout {
    int blocks, images, pixel_tiles, maps;
    int maps_of_w, depth_of_w;  // of a group of W
    int map_step, channel_step;
};

// Copy X to (blocks of channels, pixels of all images, chunk), with a pixel of zeros behind all others, then W to
// (blocks of channels, taps, maps of a group, chunk).
template <typename T>
__global__ void __launch_bounds__(THREADS)
    arrange(uint4* __restrict__ pixels, uint4* __restrict__ weights, const T* __restrict__ x, const T* __restrict__ w,
            Sizes sizes, Chunks chunks, Layout layout) {
    __shared__ T turned[CHUNK<T>][TURNED + 4 / sizeof(T)];
    const long long area = sizes.area();
    const int images = layout.images, pixel_tiles = layout.pixel_tiles, maps = layout.maps;
    const long long tiles = 1LL * layout.blocks * images * pixel_tiles;
    if (blockIdx.x < tiles) {
        const int pixel = static_cast<int>(blockIdx.x % pixel_tiles) * TURNED;
        const long long image = blockIdx.x / pixel_tiles % images;
        const int block = static_cast<int>(blockIdx.x / pixel_tiles / images);
        const int count = chunks.count(block, CHUNK<T>);
        uint4* target = pixels + block * (images * area + 1) * WORDS;
        const T* from = x + (image * sizes.channels + chunks.before(block, CHUNK<T>)) * area + pixel;
        const int here = static_cast<int>(min(static_cast<long long>(TURNED), area - pixel));
#pragma unroll
        for (int step = 0; step < CHUNK<T> * TURNED / THREADS; ++step) {
            const int row = step * (THREADS / TURNED) + threadIdx.x / TURNED, column = threadIdx.x % TURNED;
            const bool is_there = row < count && column < here;
            turned[row][column] = is_there ? from[row * area + column] : static_cast<T>(0.0f);
        }
        __syncthreads();
        for (int i = threadIdx.x; i < here * WORDS; i += THREADS) {
            Vector<T, EACH<T>> word;
#pragma unroll
            for (int k = 0; k < EACH<T>; ++k) word.element[k] = turned[i % WORDS * EACH<T> + k][i / WORDS];
            word.write(reinterpret_cast<T*>(target + (image * area + pixel) * WORDS + i));
        }
        if (image == 0 && pixel == 0 && threadIdx.x < WORDS) target[images * area * WORDS + threadIdx.x] = {};
        return;
    }
    // Threads beside each other take the words of a tap, then other taps: what they read lies beside each other in W.
    const int taps = sizes.taps();
    const long long i = (blockIdx.x - tiles) * THREADS + threadIdx.x;
    if (i >= 1LL * layout.blocks * taps * maps * WORDS) return;
    unsigned int rest = static_cast<unsigned int>(i / WORDS);
    const int tap = rest % taps;
    rest /= taps;
    const int map = rest % maps, block = rest / maps, word_of_chunk = threadIdx.x % WORDS, within = word_of_chunk * EACH<T>;
    const int group = block / chunks.of_group, count = chunks.count(block, CHUNK<T>);
    const int channel = chunks.before(block % chunks.of_group, CHUNK<T>) + within - map / layout.maps_of_w * layout.depth_of_w;
    const T* from = w + (1LL * group * maps + map) * layout.map_step + tap;
    Vector<T, EACH<T>> word;
#pragma unroll
    for (int k = 0; k < EACH<T>; ++k) {
        const bool is_there = within + k < count && channel + k >= 0 && channel + k < layout.depth_of_w;
        word.element[k] = is_there ? from[1LL * (channel + k) * layout.channel_step] : static_cast<T>(0.0f);
    }
    const int chunk = (block / chunks.run * taps + tap) * chunks.run + block % chunks.run;
    word.write(reinterpret_cast<T*>(weights + (1LL * chunk * maps + map) * WORDS + word_of_chunk));
}
