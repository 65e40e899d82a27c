// How blocks of threads share the chunks and the tiles of a product, and write its sums.

#pragma once

#include "chunks.cuh"

// The chunks of a block of threads, which are taps of a run of blocks of channels, which take turns, then of the next, and
// the first row and column of its tile.
struct Share {
    int slice, first_row, first_column, group;
    int all, first, count;       // all chunks of the group; those of this block of threads
    int first_block, turn, tap;  // of the first chunk: the first block of channels of its run, which one, and the tap

    __device__ __forceinline__ Share(const Sizes& sizes, const Chunks& chunks, int rows) : all(chunks.of_group * sizes.taps()) {
        int rest = blockIdx.x;
        slice = rest % chunks.slices;
        rest /= chunks.slices;
        first_row = rest % chunks.row_tiles * rows;
        rest /= chunks.row_tiles;
        first_column = rest % chunks.column_tiles * COLUMNS, group = rest / chunks.column_tiles;
        first = static_cast<int>(1LL * all * slice / chunks.slices);
        count = static_cast<int>(1LL * all * (slice + 1) / chunks.slices) - first;
        first_block = group * chunks.of_group + first / chunks.run / sizes.taps() * chunks.run;
        turn = first % chunks.run, tap = first / chunks.run % sizes.taps();
    }
};

// Write Y, or the sums of a part of the chunks if there are several.
template <typename T, typename Sums>
__device__ __forceinline__ void write_sums(Sums& sums, T* y, float* slices, const T* bias, const Sizes& sizes,
                                           const Chunks& chunks, const Share& share) {
    const int outputs = sizes.outputs(), maps = sizes.maps_of_group();
    const long long total = 1LL * chunks.columns * sizes.maps;
#pragma unroll
    for (int j = 0; j < sums.ACROSS; ++j) {
        const int to_column = share.first_column + sums.column(j);
        if (to_column >= chunks.columns) continue;
        const int to_image = to_column / outputs, to_output = to_column % outputs;
#pragma unroll
        for (int i = 0; i < sums.DOWN; ++i) {
            const int row = share.first_row + sums.row(i), map = share.group * maps + row;
            if (row >= maps) continue;
            const long long target = (1LL * to_image * sizes.maps + map) * outputs + to_output;
            if (chunks.slices > 1) {
                slices[share.slice * total + target] = sums.at(i, j);
            } else {
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
