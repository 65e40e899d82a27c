// BitCast: copy the bytes in vectors of 16, one with each thread. What is less than a vector at the end, and all of a
// tensor that does not begin at a multiple of 16 bytes, is copied in words of 2 or 4.

using pluginkit::THREADS;  // from __init__.py

template <typename Word>
__global__ void __launch_bounds__(THREADS, 1) bit_cast(Word* __restrict__ y, const Word* __restrict__ x, long long size) {
    constexpr int WORDS = sizeof(uint4) / sizeof(Word);
    const bool is_aligned = (reinterpret_cast<size_t>(x) | reinterpret_cast<size_t>(y)) % sizeof(uint4) == 0;
    const long long vectors = is_aligned ? size / WORDS : 0;
    const long long thread = static_cast<long long>(blockIdx.x) * THREADS + threadIdx.x;
    if (thread < vectors) reinterpret_cast<uint4*>(y)[thread] = reinterpret_cast<const uint4*>(x)[thread];
    const long long threads = static_cast<long long>(gridDim.x) * THREADS;
    for (long long at = vectors * WORDS + thread; at < size; at += threads) y[at] = x[at];
}
