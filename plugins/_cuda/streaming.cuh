// Load and store vectors of elements with streaming instructions.

#pragma once

// Load data that is read once, without pushing other data out of the caches.
template <typename P> __device__ __forceinline__ P load_once(const P* source) {
    if constexpr (sizeof(P) == sizeof(int4)) {
        const int4 bits = __ldcs(reinterpret_cast<const int4*>(source));
        return *reinterpret_cast<const P*>(&bits);
    } else {
        return *source;
    }
}

// Store data that is not read again, without pushing other data out of the caches.
template <typename P> __device__ __forceinline__ void store_once(P* target, const P& pack) {
    if constexpr (sizeof(P) == sizeof(int4)) {
        __stcs(reinterpret_cast<int4*>(target), *reinterpret_cast<const int4*>(&pack));
    } else {
        *target = pack;
    }
}
