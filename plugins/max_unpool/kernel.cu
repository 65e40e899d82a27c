// MaxUnpool: a block gathers a band of y in shared memory and writes it once, zeros included. Bands are cut so that elements
// of x belong into their own one if they belong into their windows. A block notes whether it has others, strays, which a
// second kernel stores. Few elements are stored in zeros one by one. A second kernel overlaps the first.

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include "../_cuda/overlap.cuh"
#include "../_cuda/vectors.cuh"

using pluginkit::AT_ONCE, pluginkit::THREADS;  // from launches.py

struct Run {
    long long begin, end;
};

// Cuts all of x and y into groups of planes, and those into `parts` bands. Each band but a group's last has band_elements
// of x; its pixels of y begin `shift` before a multiple of band_pixels.
struct Bands {
    long long elements, pixels, group_elements, group_pixels, parts, band_elements, band_pixels, shift;

    __device__ __forceinline__ Run elements_of(unsigned int band) const {
        const unsigned int group = band / static_cast<unsigned int>(parts);
        const long long part = band - group * parts, start = group * group_elements;
        return {start + part * band_elements, min(start + min((part + 1) * band_elements, group_elements), elements)};
    }

    __device__ __forceinline__ Run pixels_of(unsigned int band) const {
        const unsigned int group = band / static_cast<unsigned int>(parts);
        const long long part = band - group * parts, start = group * group_pixels;
        const long long after = part == parts - 1 ? group_pixels : min(edge(part + 1), group_pixels);
        return {start + (part == 0 ? 0 : min(edge(part), group_pixels)), min(start + after, pixels)};
    }

  private:
    __device__ __forceinline__ long long edge(long long part) const { return max(part * band_pixels - shift, 0LL); }
};

// A block writes a band.
template <typename T>
__global__ void __launch_bounds__(THREADS)
    unpool_bands(T* __restrict__ y, int* __restrict__ strays, const T* __restrict__ x, const long long* __restrict__ indices,
                 Bands bands) {
    constexpr int PACK = 16 / sizeof(T);
    extern __shared__ uint4 packs[];
    let_next_launch_begin();
    T* tile = reinterpret_cast<T*>(packs);
    const Run elements = bands.elements_of(blockIdx.x), pixels = bands.pixels_of(blockIdx.x);
    // Packs of the tile are aligned as those of y are.
    const long long origin = pixels.begin / PACK * PACK;
    const int begin = static_cast<int>(pixels.begin - origin), end = static_cast<int>(pixels.end - origin);
    bool has_stray = false;
    for (long long first = elements.begin; first < elements.end; first += AT_ONCE * THREADS) {
        long long found[AT_ONCE];
        T values[AT_ONCE];
#pragma unroll
        for (int i = 0; i < AT_ONCE; ++i) {
            const long long element = first + i * THREADS + threadIdx.x;
            if (element >= elements.end) continue;
            found[i] = indices[element];
            values[i] = x[element];
        }
        if (first == elements.begin) {  // while the first elements are on their way
            for (int pack = threadIdx.x; pack * PACK < end; pack += THREADS) packs[pack] = make_uint4(0, 0, 0, 0);
            __syncthreads();
        }
#pragma unroll
        for (int i = 0; i < AT_ONCE; ++i) {
            const long long element = first + i * THREADS + threadIdx.x;
            if (element >= elements.end) continue;
            const bool is_own = found[i] >= pixels.begin && found[i] < pixels.end;
            if (is_own) tile[found[i] - origin] = values[i];
            has_stray |= !is_own;
        }
    }
    has_stray = __syncthreads_or(has_stray);
    if (threadIdx.x == 0) strays[blockIdx.x] = has_stray;
    for (int pack = threadIdx.x; pack * PACK < end; pack += THREADS) {
        const auto vector = Vector<T, PACK>::read(tile + pack * PACK);
        T* target = y + origin + pack * PACK;
        if (pack * PACK >= begin && pack * PACK + PACK <= end) {
            vector.write(target);
        } else {
#pragma unroll
            for (int i = 0; i < PACK; ++i) {
                if (pack * PACK + i >= begin && pack * PACK + i < end) target[i] = vector.element[i];
            }
        }
    }
}

// Store the elements of bands that have strays. A block takes a run of bands.
template <typename T>
__global__ void __launch_bounds__(THREADS)
    store_strays(T* __restrict__ y, const int* strays, const T* __restrict__ x,
                 const long long* __restrict__ indices, Bands bands, long long count) {
    wait_for_earlier_launches();
    const long long each = (count - 1) / gridDim.x + 1, last = min((blockIdx.x + 1) * each, count);
    for (long long first = blockIdx.x * each; first < last; first += THREADS) {
        const long long own = first + threadIdx.x;
        if (!__syncthreads_or(own < last && strays[own])) continue;
        for (long long band = first; band < min(first + THREADS, last); ++band) {
            if (!strays[band]) continue;
            const Run elements = bands.elements_of(band);
            for (long long element = elements.begin + threadIdx.x; element < elements.end; element += THREADS) {
                const long long index = indices[element];
                if (index >= 0 && index < bands.pixels) y[index] = x[element];
            }
        }
    }
}

// Write zeros, a pack by each thread.
template <typename T> __global__ void __launch_bounds__(THREADS) clear_pixels(T* __restrict__ y, long long size) {
    constexpr int PACK = 16 / sizeof(T);
    let_next_launch_begin();
    const long long first = (1LL * blockIdx.x * THREADS + threadIdx.x) * PACK;
    if (first + PACK <= size) {
        *reinterpret_cast<uint4*>(y + first) = make_uint4(0, 0, 0, 0);
    } else {
        for (long long pixel = first; pixel < size; ++pixel) y[pixel] = static_cast<T>(0.0f);
    }
}

// Along each axis the pixels in which indices count, and those of y; and whether these are more.
struct Sizes {
    int z, y, x, padded_z, padded_y, padded_x, is_padded;
};

// Store every element in a y of zeros.
template <typename T>
__global__ void __launch_bounds__(THREADS)
    store_all(T* __restrict__ y, const T* __restrict__ x, const long long* __restrict__ indices, Sizes sizes,
              long long elements, long long pixels) {
    const long long element = 1LL * blockIdx.x * THREADS + threadIdx.x;
    if (element >= elements) return;
    const long long index = indices[element];
    const T value = x[element];  // waits for memory together with the index: nothing returns in between
    long long place = index;
    if (sizes.is_padded) {
        const long long line = index / sizes.x, layer = line / sizes.y, plane = layer / sizes.z;
        const long long padded_layer = plane * sizes.padded_z + layer - plane * sizes.z;
        const long long padded_line = padded_layer * sizes.padded_y + line - layer * sizes.y;
        place = padded_line * sizes.padded_x + index - line * sizes.x;
    }
    wait_for_earlier_launches();
    if (index >= 0 && index < pixels) y[place] = value;
}
