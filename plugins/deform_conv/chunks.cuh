// Chunks: the channels of a tap that lie beside each other in a copy of X, and the places where they are sampled.

#pragma once

#include "../_cuda/vectors.cuh"
#include "places.cuh"

using pluginkit::CHUNK_BYTES, pluginkit::PRODUCT_COLUMNS, pluginkit::PRODUCT_THREADS;  // from arranged.py

constexpr int THREADS = PRODUCT_THREADS, COLUMNS = PRODUCT_COLUMNS;
constexpr int WORDS = CHUNK_BYTES / sizeof(uint4);                         // of a chunk, for one row or column
template <typename T> constexpr int EACH = sizeof(uint4) / sizeof(T);      // the channels of a word
template <typename T> constexpr int CHUNK = CHUNK_BYTES / int{sizeof(T)};  // those of a chunk

struct Chunks {
    int segment;     // the channels that share a group and offsets
    int of_segment;  // the blocks of a chunk's channels of a segment
    int of_group;    // those of a group
    int run;         // how many blocks take turns at a tap, whose places are found once for all
    int whole;       // how many tiles a block of threads takes as a whole, which are the first ones
    int slices;      // how many share the chunks of another
    int row_tiles, column_tiles;
    int columns;     // the output pixels of all images

    // The channel before a block of `chunk` channels, and how many it has.
    __device__ __forceinline__ int before(int block, int chunk) const {
        return block / of_segment * segment + block % of_segment * chunk;
    }
    __device__ __forceinline__ int count(int block, int chunk) const {
        return min(chunk, segment - block % of_segment * chunk);
    }
};

// The places of a chunk's samples, one for each column. A corner outside is the pixel of zeros.
struct Places {
    int4 at[COLUMNS];
    float4 weight[COLUMNS];
    float mask[COLUMNS];
};

// A word of a chunk of each of the four pixels around a place.
struct Corners {
    uint4 words[4];

    __device__ __forceinline__ void load(const uint4* channels, const Places& places, int column) {
        const int4 at = places.at[column];
        words[0] = __ldg(channels + 1LL * at.x * WORDS), words[1] = __ldg(channels + 1LL * at.y * WORDS);
        words[2] = __ldg(channels + 1LL * at.z * WORDS), words[3] = __ldg(channels + 1LL * at.w * WORDS);
    }

    // Find the samples of the word's channels.
    template <typename T, int COUNT>
    __device__ __forceinline__ void interpolate(float (&samples)[COUNT], const Places& places, int column) const {
        const float4 weight = places.weight[column];
        const float weights[4] = {weight.x, weight.y, weight.z, weight.w}, mask = places.mask[column];
#pragma unroll
        for (int k = 0; k < COUNT; ++k) {
            float sum = 0.0f;
#pragma unroll
            for (int corner = 0; corner < 4; ++corner) {
                const auto& pixels = reinterpret_cast<const Vector<T, COUNT>&>(words[corner]);
                sum = fmaf(weights[corner], static_cast<float>(pixels.element[k]), sum);
            }
            samples[k] = sum * mask;
        }
    }
};

// Put a corner of the sample of a column.
__device__ __forceinline__ void put_corner(Places& places, int column, int corner, const Moved& moved, const Sizes& sizes,
                                           int from_row, int from_column, int first_pixel, int all_pixels) {
    const Position position(moved, sizes, from_row, from_column);
    const int pixel = first_pixel + (position.row + corner / 2) * sizes.width + position.column + corner % 2;
    const int at = column * 4 + corner;
    reinterpret_cast<int*>(places.at)[at] = position.is_inside(sizes, corner) ? pixel : all_pixels;
    reinterpret_cast<float*>(places.weight)[at] = position.weight(corner);
    if (corner == 0) places.mask[column] = moved.mask;
}

// The chunks of a block of threads, one after the other: the taps of a run of blocks of channels, then of the next.
struct Walk : Taps {
    int block, part;

    __device__ __forceinline__ Walk(const Sizes& sizes, const Chunks& chunks, int block, int tap, int output)
        : Taps(sizes, tap, output), block(block), part(part_of(sizes, chunks)) {}

    __device__ __forceinline__ int part_of(const Sizes& sizes, const Chunks& chunks) const {
        return chunks.before(block, 0) / sizes.part_depth();
    }

    __device__ __forceinline__ void advance(const Sizes& sizes, const Chunks& chunks) {
        if (Taps::advance(sizes)) block += chunks.run, part = part_of(sizes, chunks);
    }
};
