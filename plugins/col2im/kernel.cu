// Col2Im: a thread takes a pixel and adds up the elements of the blocks that cover it, in the order of their place in the
// block. Nothing is written twice, so that no atomics are needed and results are the same in every run.

#include <cuda_bf16.h>
#include <cuda_fp16.h>

using pluginkit::THREADS;  // from __init__.py

// Along one axis: sizes of the image and of a block, how far blocks and the elements of a block lie apart, the pixels of
// padding before the image, and the number of blocks.
struct Axis {
    int image, block, stride, dilation, pad, blocks;

    // Return the block whose element `element` lies on a pixel, -1 if there is none.
    __device__ __forceinline__ int block_at(int pixel, int element) const {
        const int begin = pixel + pad - element * dilation;
        if (begin < 0 || begin % stride != 0) return -1;
        const int number = begin / stride;
        return number < blocks ? number : -1;
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
    const long long row = pixel / axes.x.image, plane = row / axes.y.image;
    const int at_x = static_cast<int>(pixel - row * axes.x.image), at_y = static_cast<int>(row - plane * axes.y.image);
    const long long blocks = 1LL * axes.y.blocks * axes.x.blocks;
    const T* own = columns + plane * axes.y.block * axes.x.block * blocks;
    float sum = 0.0f;
    for (int i = 0; i < axes.y.block; ++i) {
        const int block_y = axes.y.block_at(at_y, i);
        if (block_y < 0) continue;
        for (int j = 0; j < axes.x.block; ++j) {
            const int block_x = axes.x.block_at(at_x, j);
            if (block_x < 0) continue;
            const long long element = 1LL * i * axes.x.block + j;
            sum += static_cast<float>(own[element * blocks + 1LL * block_y * axes.x.blocks + block_x]);
        }
    }
    image[pixel] = static_cast<T>(sum);
}
