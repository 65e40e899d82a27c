// Philox 4x32-10, the counter-based generator of Salmon et al., "Parallel random numbers: as easy as 1, 2, 3" (2011).

#pragma once

struct Words {
    unsigned int x, y, z, w;
};

// Return the four words that belong to a counter and a key.
__device__ __forceinline__ Words philox(Words counter, unsigned long long key) {
    constexpr unsigned int FIRST = 0xD2511F53, SECOND = 0xCD9E8D57;              // the multipliers
    constexpr unsigned int GOLDEN_RATIO = 0x9E3779B9, ROOT_OF_3 = 0xBB67AE85;  // what rounds add to the key
    unsigned int low_key = static_cast<unsigned int>(key), high_key = static_cast<unsigned int>(key >> 32);
#pragma unroll
    for (int round = 0; round < 10; ++round) {
        const unsigned long long a = static_cast<unsigned long long>(FIRST) * counter.x;
        const unsigned long long b = static_cast<unsigned long long>(SECOND) * counter.z;
        counter = {static_cast<unsigned int>(b >> 32) ^ counter.y ^ low_key, static_cast<unsigned int>(b),
                   static_cast<unsigned int>(a >> 32) ^ counter.w ^ high_key, static_cast<unsigned int>(a)};
        low_key += GOLDEN_RATIO;
        high_key += ROOT_OF_3;
    }
    return counter;
}
