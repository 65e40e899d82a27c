// What kernels of launches that overlap say to each other; see CudaKernel's overlaps.

#pragma once

// Let a launch that overlaps begin once each block has called this, or has ended.
__device__ __forceinline__ void let_next_launch_begin() {
#if __CUDA_ARCH__ >= 900
    asm volatile("griddepcontrol.launch_dependents;");
#endif
}

// Wait for the end of earlier launches, whose writes are then seen.
__device__ __forceinline__ void wait_for_earlier_launches() {
#if __CUDA_ARCH__ >= 900
    asm volatile("griddepcontrol.wait;" ::: "memory");
#endif
}
