// DeformConv of groups of one channel, which have no product to share: a thread takes an output pixel of a word of
// channels, from copies of X and W; see arrange.cu.

#include "chunks.cuh"

template <typename T>
__global__ void __launch_bounds__(THREADS)
    deform_depthwise(T* __restrict__ y, const uint4* __restrict__ pixels, const uint4* __restrict__ weights,
                     const T* __restrict__ offset, const T* __restrict__ bias, const T* __restrict__ mask, Sizes sizes,
                     Chunks chunks) {
    static_assert(COLUMNS * WORDS == THREADS && WORDS == 4, "a thread has a word, and finds one of four corners");
    using Word = Vector<T, EACH<T>>;
    __shared__ Places places[2];
    const int taps = sizes.taps(), outputs = sizes.outputs(), maps = sizes.maps_of_group();
    int rest = blockIdx.x;
    const int first_column = rest % chunks.column_tiles * COLUMNS;
    rest /= chunks.column_tiles;
    const int map = rest % maps, block = rest / maps;
    const int own = threadIdx.x / WORDS, word = threadIdx.x % WORDS;
    const int column = min(first_column + own, chunks.columns - 1);
    const int image = column / outputs, output = column % outputs;
    const int area = sizes.height * sizes.width, all_pixels = chunks.columns / outputs * area;
    const uint4* channels = pixels + block * (1LL + all_pixels) * WORDS + word;
    const uint4* source = weights + (1LL * block * taps * maps + map) * WORDS + word;

    Walk walk(sizes, chunks, block, 0, output);
    float sums[EACH<T>] = {};
    Moved moved = moved_by(offset, mask, sizes, image, walk.part, 0, output);
    for (int tap = 0; tap < taps; ++tap) {
        Places& here = places[tap & 1];
        put_corner(here, own, word, moved, sizes, walk.row, walk.column, image * area, all_pixels);
        walk.advance(sizes, chunks);
        if (tap + 1 < taps) moved = moved_by(offset, mask, sizes, image, walk.part, walk.tap, output);
        __syncwarp();  // the corners of a place are found by threads of one warp
        Corners corners;
        corners.load(channels, here, own);
        const Word weight = Word::read(reinterpret_cast<const T*>(source + 1LL * tap * maps * WORDS));
        float samples[EACH<T>];
        corners.interpolate<T>(samples, here, own);
#pragma unroll
        for (int k = 0; k < EACH<T>; ++k) sums[k] = fmaf(static_cast<float>(weight.element[k]), samples[k], sums[k]);
    }
    if (first_column + own >= chunks.columns) return;
    const int within = word * EACH<T>, count = chunks.count(block, CHUNK<T>) - within;
#pragma unroll
    for (int k = 0; k < EACH<T>; ++k) {
        if (k >= count) break;
        const int to = (chunks.before(block, CHUNK<T>) + within + k) * maps + map;
        const float added = bias == nullptr ? 0.0f : static_cast<float>(bias[to]);
        y[(1LL * image * sizes.maps + to) * outputs + output] = static_cast<T>(sums[k] + added);
    }
}
