// Col2Im: a thread takes a pixel and adds up the elements of the blocks that cover it, in the order of their place in the
// block. Nothing is written twice, so that no atomics are needed and results are the same in every run.

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include "../_cuda/division.cuh"

using pluginkit::THREADS;  // from __init__.py

// Along one axis: sizes of the image and of a block, how far blocks and the elements of a block lie apart, the pixels of
// padding before the image, and the number of blocks.
struct Axis {
    int image, block, stride, dilation, pad, blocks;

    // Return the first of the blocks that reach a pixel, and the last.
    __device__ __forceinline__ int2 blocks_over(int pixel) const {
        const int at = pixel + pad, before = at - (block - 1) * dilation;
        return {before > 0 ? (before + stride - 1) / stride : 0, min(at / stride, blocks - 1)};
    }

    // Return which element of a block lies on a pixel that the block reaches, -1 if the pixel is between elements.
    __device__ __forceinline__ int element_at(int pixel, int number) const {
        const int within = pixel + pad - number * stride;
        if (dilation == 1) return within;
        return within % dilation == 0 ? within / dilation : -1;
    }
};

struct Axes {
    Axis y, x;
};

template <typename T>
__global__ void __launch_bounds__(THREADS) col2im(T* __restrict__ image, const T* __restrict__ columns, Axes axes,
                                                  long long pixels) {
    const long long pixel = static_cast<long long>(blockIdx.x) * THREADS + threadIdx.x;
    if (pixel >= pixels) return;
    const longlong2 within_row = divided(pixel, axes.x.image), within_plane = divided(within_row.x, axes.y.image);
    const long long plane = within_plane.x;
    const int at_x = static_cast<int>(within_row.y), at_y = static_cast<int>(within_plane.y);
    const long long blocks = 1LL * axes.y.blocks * axes.x.blocks;
    const T* own = columns + plane * axes.y.block * axes.x.block * blocks;
    const int2 over_y = axes.y.blocks_over(at_y), over_x = axes.x.blocks_over(at_x);
    float sum = 0.0f;
    // A later block has an earlier element on the pixel.
    for (int block_y = over_y.y; block_y >= over_y.x; --block_y) {
        const int i = axes.y.element_at(at_y, block_y);
        if (i < 0) continue;
        for (int block_x = over_x.y; block_x >= over_x.x; --block_x) {
            const int j = axes.x.element_at(at_x, block_x);
            if (j < 0) continue;
            const long long element = 1LL * i * axes.x.block + j;
            sum += static_cast<float>(own[element * blocks + 1LL * block_y * axes.x.blocks + block_x]);
        }
    }
    image[pixel] = static_cast<T>(sum);
}
