// BitCast: copy the bytes, a vector of 16 bytes for each thread, past the caches. Where a tensor does not begin at a
// multiple of 16 bytes, and at the end, words of 2 or 4 bytes are copied.

using pluginkit::THREADS;  // from __init__.py

template <typename Word>
__global__ void __launch_bounds__(THREADS) bit_cast(Word* __restrict__ y, const Word* __restrict__ x, long long size) {
    constexpr int TILE = THREADS * sizeof(uint4) / sizeof(Word);
    const long long begin = static_cast<long long>(blockIdx.x) * TILE;
    const bool is_aligned = (reinterpret_cast<size_t>(x) | reinterpret_cast<size_t>(y)) % sizeof(uint4) == 0;
    if (is_aligned && begin + TILE <= size) {
        const uint4* from = reinterpret_cast<const uint4*>(x + begin) + threadIdx.x;
        __stcs(reinterpret_cast<uint4*>(y + begin) + threadIdx.x, __ldcs(from));
        return;
    }
    const long long end = min(begin + TILE, size);
    for (long long at = begin + threadIdx.x; at < end; at += THREADS) y[at] = x[at];
}
