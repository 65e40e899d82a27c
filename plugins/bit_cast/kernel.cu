// BitCast: copy words of 2 or 4 bytes. A thread copies COPIES of them, which adjacent threads find beside each other.

using pluginkit::COPIES;  // from __init__.py

template <typename Word>
__global__ void bit_cast(Word* __restrict__ y, const Word* __restrict__ x, long long size) {
    const long long first = static_cast<long long>(blockIdx.x) * blockDim.x * COPIES + threadIdx.x;
#pragma unroll
    for (int copy = 0; copy < COPIES; ++copy) {
        const long long at = first + copy * static_cast<long long>(blockDim.x);
        if (at < size) y[at] = x[at];
    }
}
