// Copies to shared memory that do not pass through registers.

#pragma once

// Copy 16 bytes to shared memory; wait_for_copies waits for all that the thread has begun.
__device__ __forceinline__ void copy_to_shared(int target, const uint4* source) {
#if __CUDA_ARCH__ >= 800
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(target), "l"(source) : "memory");
#else
    *static_cast<uint4*>(__cvta_shared_to_generic(target)) = *source;
#endif
}
__device__ __forceinline__ void wait_for_copies() {
#if __CUDA_ARCH__ >= 800
    asm volatile("cp.async.wait_all;" ::: "memory");
#endif
}
