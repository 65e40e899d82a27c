// Kernels on the GPU. A module is loaded once for each device, shared by all of this library's
// plugins in the process, and unloaded with the last of them.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "driver.h"
#include "program.h"

namespace pluginkit {

class LoadedModule;

// A kernel in a device's primary context. It keeps its module loaded.
struct LoadedKernel {
    CUfunction function = nullptr;
    std::int32_t compute_capability = 0;  // that its code was made for: 87 for 8.7
    std::shared_ptr<LoadedModule> module;
};

// Keeps a device's primary context from being destroyed.
class PrimaryContext {
public:
    explicit PrimaryContext(CUdevice device);
    PrimaryContext(const PrimaryContext&) = delete;
    PrimaryContext& operator=(const PrimaryContext&) = delete;
    ~PrimaryContext();

    CUcontext handle() const { return mHandle; }

private:
    CUdevice mDevice;
    CUcontext mHandle = nullptr;
};

// The device whose primary context is current.
struct CurrentDevice {
    CUdevice ordinal = 0;
    Device facts;
    std::shared_ptr<const PrimaryContext> context;
};

// Returns the current device. If no context is current, it makes device 0's primary context
// current, as the CUDA runtime does. Refuses (PK311) without a GPU, and (PK331) if the current
// context is not a primary one.
CurrentDevice current_device();

// Returns the kernel on the current device. Refuses (PK321) if the library has no code for the
// device, and (PK323) if the driver rejects it.
LoadedKernel load_kernel(const Program& program, std::int32_t kernel, const CurrentDevice& device);

// Allows launches of a kernel to use this much dynamic shared memory. Refuses (PK323) if the driver
// does.
void allow_shared_bytes(const LoadedKernel& kernel, const std::string& name, std::int64_t bytes);

}  // namespace pluginkit
