// The CUDA driver, which is loaded when the first plugin needs it: libcuda.so.1, or the library
// that the environment variable PLUGINKIT_CUDA_DRIVER names. An exported library does not link to
// CUDA, so that it loads, and builds plans, on machines without a GPU.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

struct CUstream_st;  // CUDA's, which TensorRT's headers name too

namespace pluginkit {

// The driver's types, status codes and attributes that the runtime uses.
using CUresult = int;
using CUdevice = int;
using CUdeviceptr = unsigned long long;
using CUcontext = struct CUctx_st*;
using CUmodule = struct CUmod_st*;
using CUfunction = struct CUfunc_st*;
using CUstream = ::CUstream_st*;

enum : CUresult {
    CUDA_SUCCESS = 0,
    CUDA_ERROR_NO_BINARY_FOR_GPU = 209,
    CUDA_ERROR_INVALID_PTX = 218,
    CUDA_ERROR_UNSUPPORTED_PTX_VERSION = 222,
    CUDA_ERROR_INVALID_SOURCE = 300,
};

enum : int {
    CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT = 16,
    CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR = 75,
    CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR = 76,
    CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN = 97,
    CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES = 8,
};

// An attribute of a launch.
struct CUlaunchAttribute {
    int id;
    int padding;
    int value;
    int unused[15];
};
constexpr CUlaunchAttribute kMayOverlap = {
    6, 0, 1, {}};  // CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_STREAM_SERIALIZATION

struct CUlaunchConfig {
    unsigned grid[3];
    unsigned block[3];
    unsigned shared_bytes;
    CUstream stream;
    const CUlaunchAttribute* attributes;
    unsigned attribute_count;
};

// The functions. The second name is the symbol in libcuda.
#define PLUGINKIT_CUDA_FUNCTIONS(X)                                                              \
    X(cuInit, "cuInit", (unsigned))                                                              \
    X(cuGetErrorName, "cuGetErrorName", (CUresult, const char**))                                \
    X(cuGetErrorString, "cuGetErrorString", (CUresult, const char**))                            \
    X(cuCtxGetCurrent, "cuCtxGetCurrent", (CUcontext*))                                          \
    X(cuCtxSetCurrent, "cuCtxSetCurrent", (CUcontext))                                           \
    X(cuCtxPushCurrent, "cuCtxPushCurrent_v2", (CUcontext))                                      \
    X(cuCtxPopCurrent, "cuCtxPopCurrent_v2", (CUcontext*))                                       \
    X(cuCtxGetDevice, "cuCtxGetDevice", (CUdevice*))                                             \
    X(cuDeviceGetAttribute, "cuDeviceGetAttribute", (int*, int, CUdevice))                       \
    X(cuDevicePrimaryCtxRetain, "cuDevicePrimaryCtxRetain", (CUcontext*, CUdevice))              \
    X(cuDevicePrimaryCtxRelease, "cuDevicePrimaryCtxRelease_v2", (CUdevice))                     \
    X(cuModuleLoadData, "cuModuleLoadData", (CUmodule*, const void*))                            \
    X(cuModuleUnload, "cuModuleUnload", (CUmodule))                                              \
    X(cuModuleGetFunction, "cuModuleGetFunction", (CUfunction*, CUmodule, const char*))          \
    X(cuFuncSetAttribute, "cuFuncSetAttribute", (CUfunction, int, int))                          \
    X(cuLaunchKernel, "cuLaunchKernel",                                                          \
      (CUfunction, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned,         \
       CUstream, void**, void**))                                                                \
    X(cuLaunchKernelEx, "cuLaunchKernelEx",                                                      \
      (const CUlaunchConfig*, CUfunction, void**, void**))                                       \
    X(cuMemcpyDtoDAsync, "cuMemcpyDtoDAsync_v2", (CUdeviceptr, CUdeviceptr, std::size_t, CUstream)) \
    X(cuMemsetD8Async, "cuMemsetD8Async", (CUdeviceptr, unsigned char, std::size_t, CUstream))

struct Driver {
#define PLUGINKIT_DECLARE(name, symbol, parameters) CUresult(*name) parameters = nullptr;
    PLUGINKIT_CUDA_FUNCTIONS(PLUGINKIT_DECLARE)
#undef PLUGINKIT_DECLARE
    // Loads a function onto the device now instead of at its first launch. Since CUDA 12.4.
    CUresult (*cuFuncLoad)(CUfunction) = nullptr;
};

// The initialised driver. Refuses (PK311) if libcuda is missing or too old, or there is no GPU.
const Driver& driver();

// "CUDA_ERROR_INVALID_VALUE (invalid argument)"
std::string cuda_error(CUresult status);

}  // namespace pluginkit
