// How blocks of threads share the chunks and the tiles of a product, and write its sums.

#pragma once

#include "chunks.cuh"

// Where a tile is.
struct Tile {
    int first_row, first_column, group;

    __device__ __forceinline__ Tile(const Chunks& chunks, int rows, int number) {
        first_row = number % chunks.row_tiles * rows;
        number /= chunks.row_tiles;
        first_column = number % chunks.column_tiles * COLUMNS, group = number / chunks.column_tiles;
    }
};

// The tile of a block of threads.
__device__ __forceinline__ int tile_of(const Chunks& chunks) {
    const int after = static_cast<int>(blockIdx.x) - chunks.whole;
    return after < 0 ? blockIdx.x : chunks.whole + after / chunks.slices;
}

// The chunks of a block of threads, which are taps of a run of blocks of channels, which take turns, then of the next, and
// its tile.
struct Share : Tile {
    int slice, slices;
    int all, first, count;       // all chunks of the group; those of this block of threads
    int first_block, turn, tap;  // of the first chunk: the first block of channels of its run, which one, and the tap

    __device__ __forceinline__ Share(const Sizes& sizes, const Chunks& chunks, int rows)
        : Tile(chunks, rows, tile_of(chunks)), all(chunks.of_group * sizes.taps()) {
        const int after = static_cast<int>(blockIdx.x) - chunks.whole;
        slices = after < 0 ? 1 : chunks.slices, slice = after < 0 ? 0 : after % slices;
        first = static_cast<int>(1LL * all * slice / slices);
        count = static_cast<int>(1LL * all * (slice + 1) / slices) - first;
        first_block = group * chunks.of_group + first / chunks.run / sizes.taps() * chunks.run;
        turn = first % chunks.run, tap = first / chunks.run % sizes.taps();
    }
};

// Write Y, or the sums of a part of the chunks if there are several.
template <int ROWS, typename T, typename Sums>
__device__ __forceinline__ void write_sums(Sums& sums, T* y, float* slices, const T* bias, const Sizes& sizes,
                                           const Chunks& chunks, const Share& share) {
    const int outputs = sizes.outputs(), maps = sizes.maps_of_group();
    float* own = slices + (blockIdx.x - chunks.whole) * (ROWS * COLUMNS);  // if there are several
#pragma unroll
    for (int j = 0; j < sums.ACROSS; ++j) {
        const int to_column = share.first_column + sums.column(j);
        if (to_column >= chunks.columns) continue;
        const int to_image = to_column / outputs, to_output = to_column % outputs;
#pragma unroll
        for (int i = 0; i < sums.DOWN; ++i) {
            const int row = share.first_row + sums.row(i), map = share.group * maps + row;
            if (row >= maps) continue;
            if (share.slices > 1) {
                own[sums.row(i) * COLUMNS + sums.column(j)] = sums.at(i, j);
            } else {
                const long long target = (1LL * to_image * sizes.maps + map) * outputs + to_output;
                y[target] = static_cast<T>(sums.at(i, j) + (bias == nullptr ? 0.0f : static_cast<float>(bias[map])));
            }
        }
    }
}

#if __CUDA_ARCH__ >= 800
// Add the product of two words of 16 rows and of 8 columns, whose type the last argument has.
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
__device__ __forceinline__ void add_product(float (&sums)[4], const unsigned int (&a)[4], const unsigned int (&b)[2]) {
    asm("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
        : "+f"(sums[0]), "+f"(sums[1]), "+f"(sums[2]), "+f"(sums[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

// Numbers of float32 as what tf32 holds of them, and the rest, of which it holds all but the last bits. An infinity times a
// rest of 0 would be NaN: what is infinite has neither a rest nor a part that is multiplied by one.
template <int COUNT> struct Parts {
    unsigned int large[COUNT], finite[COUNT], rest[COUNT];

    __device__ __forceinline__ explicit Parts(const unsigned int* numbers) {
        constexpr unsigned int HELD = 0xffffe000, HALF = 0x1000;
#pragma unroll
        for (int i = 0; i < COUNT; ++i) {
            large[i] = numbers[i] & HELD;
            const float number = __uint_as_float(numbers[i]), difference = number - __uint_as_float(large[i]);
            const bool is_finite = isfinite(number);
            finite[i] = is_finite ? large[i] : 0;
            rest[i] = is_finite ? __float_as_uint(difference) + HALF & HELD : 0;
        }
    }
};

// In float32 three products of parts are as exact as one of float32. Tensor cores cut sums off, so that they sum few.
__device__ __forceinline__ void add_product(float (&sums)[4], const unsigned int (&a)[4], const unsigned int* b, float) {
    const Parts<4> of_a(a);
    const Parts<2> of_b(b);
    float product[4] = {};
    add_product(product, of_a.rest, of_b.finite);
    add_product(product, of_a.finite, of_b.rest);
    add_product(product, of_a.large, of_b.large);
#pragma unroll
    for (int i = 0; i < 4; ++i) sums[i] += product[i];
}
#endif
