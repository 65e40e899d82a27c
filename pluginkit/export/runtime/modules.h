// Kernels on the GPU. A module is loaded once for a device, is shared by all plugins of the
// process that come from this library, and is unloaded with the last of them.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "driver.h"
#include "program.h"

namespace pluginkit {

class LoadedModule;

// A kernel in the primary context of a device. Keeps its module loaded.
struct LoadedKernel {
    CUfunction function = nullptr;
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

// The current device; where no context is current, device 0's primary one is made so, as CUDA's
// runtime does. Refuses PK311 without a GPU and PK331 where another context is current.
CurrentDevice current_device();

// The kernel on the current device. Refuses PK321 where the library has no code for the device, and
// PK323 where the driver does not take it.
LoadedKernel load_kernel(const Program& program, std::int32_t kernel, const CurrentDevice& device);

// Lets launches of a kernel use this much dynamic shared memory. Refuses PK323.
void allow_shared_bytes(const LoadedKernel& kernel, const std::string& name, std::int64_t bytes);

}  // namespace pluginkit
