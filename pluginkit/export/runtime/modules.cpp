#include "modules.h"

#include <algorithm>
#include <map>
#include <mutex>
#include <vector>

#include "attributes.h"

namespace pluginkit {

namespace {

std::mutex sModulesMutex;
// The loaded modules by device. An entry whose plugins are all gone is replaced.
std::map<std::pair<CUdevice, const Module*>, std::weak_ptr<LoadedModule>> sModules;

void check(CUresult status) {
    if (status != CUDA_SUCCESS) {
        throw Refusal("PK323 the CUDA driver answers " + cuda_error(status) + ".");
    }
}

std::string capability_text(std::int32_t capability) {
    return std::to_string(capability / 10) + "." + std::to_string(capability % 10);
}

// Returns the images that can run on a device, the best first: cubins of its major version with a
// minor version up to its own, then PTX of a capability up to its own.
std::vector<const Image*> candidates(const Module& module, std::int32_t capability) {
    std::vector<const Image*> found;
    for (std::size_t i = 0; i < module.image_count; ++i) {
        const Image& image = module.images[i];
        const bool is_same_major = image.compute_capability / 10 == capability / 10;
        if (image.compute_capability <= capability && (image.is_ptx || is_same_major)) {
            found.push_back(&image);
        }
    }
    std::stable_sort(found.begin(), found.end(), [](const Image* a, const Image* b) {
        return a->is_ptx != b->is_ptx ? b->is_ptx : a->compute_capability > b->compute_capability;
    });
    return found;
}

std::string listed(const Module& module) {
    std::string all;
    for (std::size_t i = 0; i < module.image_count; ++i) {
        all += (all.empty() ? "" : ", ") + capability_text(module.images[i].compute_capability) +
               (module.images[i].is_ptx ? " (PTX)" : "");
    }
    return all;
}

// Whether to try the next image after this status.
bool is_about_image(CUresult status) {
    return status == CUDA_ERROR_NO_BINARY_FOR_GPU || status == CUDA_ERROR_INVALID_PTX ||
           status == CUDA_ERROR_UNSUPPORTED_PTX_VERSION || status == CUDA_ERROR_INVALID_SOURCE;
}

// A module, and the compute capability that its code was made for.
struct LoadedImage {
    CUmodule module;
    std::int32_t compute_capability;
};

LoadedImage load_image(const Program& program, const Kernel& kernel, std::int32_t capability) {
    const Module& module = program.modules[kernel.module];
    const std::string subject =
        std::string(program.owner) + ": kernel '" + kernel.expression + "'";
    std::string cause;
    for (const Image* image : candidates(module, capability)) {
        CUmodule loaded = nullptr;
        const CUresult status = driver().cuModuleLoadData(&loaded, image->data);
        if (status == CUDA_SUCCESS) {
            return {loaded, image->compute_capability};
        }
        cause = "the code for " + capability_text(image->compute_capability) +
                (image->is_ptx ? " (PTX)" : "") + ": " + cuda_error(status);
        if (!is_about_image(status)) {
            throw Refusal(message("PK323 " + subject + " does not load.", "", cause, ""));
        }
    }
    throw Refusal(message("PK321 " + subject + " has no code for this GPU, compute capability " +
                              capability_text(capability) + "; the library has " +
                              listed(module) + ".",
                          "", cause,
                          "export it again with --compute-capability " +
                              capability_text(capability) + "."));
}

}  // namespace

class LoadedModule {
public:
    LoadedModule(const Program& program, const Kernel& kernel, const CurrentDevice& device)
        : mContext(device.context) {
        const LoadedImage image = load_image(program, kernel, device.facts.compute_capability);
        mModule = image.module;
        mComputeCapability = image.compute_capability;
    }

    LoadedModule(const LoadedModule&) = delete;
    LoadedModule& operator=(const LoadedModule&) = delete;

    ~LoadedModule() {
        // Statuses are ignored: at process exit the driver or the context may be gone already.
        if (driver().cuCtxPushCurrent(mContext->handle()) == CUDA_SUCCESS) {
            driver().cuModuleUnload(mModule);
            CUcontext popped = nullptr;
            driver().cuCtxPopCurrent(&popped);
        }
    }

    std::int32_t compute_capability() const { return mComputeCapability; }

    CUfunction function(const std::string& owner, const Kernel& kernel) {
        const std::lock_guard<std::mutex> lock(mMutex);
        const auto known = mFunctions.find(kernel.symbol);
        if (known != mFunctions.end()) {
            return known->second;
        }
        CUfunction found = nullptr;
        CUresult status = driver().cuModuleGetFunction(&found, mModule, kernel.symbol);
        if (status == CUDA_SUCCESS && driver().cuFuncLoad != nullptr) {
            // Otherwise the first launch would load it, which a CUDA graph cannot capture.
            status = driver().cuFuncLoad(found);
        }
        if (status != CUDA_SUCCESS) {
            throw Refusal("PK323 " + owner + ": kernel '" + kernel.expression +
                          "' does not load: " + cuda_error(status) + ".");
        }
        mFunctions[kernel.symbol] = found;
        return found;
    }

    void allow_shared_bytes(CUfunction function, const std::string& name, std::int64_t bytes) {
        const std::lock_guard<std::mutex> lock(mMutex);
        // 48 KiB need no permission, but static shared memory counts too.
        std::int64_t& allowed = mSharedBytes[function];
        if (bytes <= allowed) {
            return;
        }
        const CUresult status =
            driver().cuFuncSetAttribute(function, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES,
                                        static_cast<int>(bytes));
        if (status != CUDA_SUCCESS) {
            throw Refusal(message("PK323 kernel '" + name + "' asks for " + std::to_string(bytes) +
                                      " bytes of shared memory a block: " + cuda_error(status) +
                                      ".",
                                  "", "",
                                  "ask for less; most GPUs allow about 99 KB, some 227 KB."));
        }
        allowed = bytes;
    }

private:
    std::shared_ptr<const PrimaryContext> mContext;
    CUmodule mModule = nullptr;
    std::int32_t mComputeCapability = 0;
    std::mutex mMutex;
    std::map<std::string, CUfunction> mFunctions;
    std::map<CUfunction, std::int64_t> mSharedBytes;
};

PrimaryContext::PrimaryContext(CUdevice device) : mDevice(device) {
    check(driver().cuDevicePrimaryCtxRetain(&mHandle, device));
}

PrimaryContext::~PrimaryContext() { driver().cuDevicePrimaryCtxRelease(mDevice); }

CurrentDevice current_device() {
    const Driver& cuda = driver();
    CUcontext current = nullptr;
    check(cuda.cuCtxGetCurrent(&current));
    CurrentDevice device;
    if (current != nullptr) {
        check(cuda.cuCtxGetDevice(&device.ordinal));
    }
    device.context = std::make_shared<PrimaryContext>(device.ordinal);
    if (current == nullptr) {
        check(cuda.cuCtxSetCurrent(device.context->handle()));
    } else if (current != device.context->handle()) {
        throw Refusal(message("PK331 the current CUDA context is not its device's primary one; "
                              "expected that one.",
                              "", "CUDA's runtime, TensorRT's too, uses the primary context.",
                              "do not push a context of your own around TensorRT's calls."));
    }
    const auto attribute = [&](int which) {
        int value = 0;
        check(cuda.cuDeviceGetAttribute(&value, which, device.ordinal));
        return value;
    };
    device.facts.compute_capability =
        10 * attribute(CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR) +
        attribute(CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR);
    device.facts.multiprocessors = attribute(CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT);
    device.facts.shared_bytes_per_block =
        attribute(CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN);
    return device;
}

LoadedKernel load_kernel(const Program& program, std::int32_t kernel,
                         const CurrentDevice& device) {
    const Kernel& wanted = program.kernels[kernel];
    const Module* module = &program.modules[wanted.module];
    LoadedKernel loaded;
    {
        const std::lock_guard<std::mutex> lock(sModulesMutex);
        std::weak_ptr<LoadedModule>& known = sModules[{device.ordinal, module}];
        loaded.module = known.lock();
        if (loaded.module == nullptr) {
            loaded.module = std::make_shared<LoadedModule>(program, wanted, device);
            known = loaded.module;
        }
    }
    loaded.function = loaded.module->function(program.owner, wanted);
    loaded.compute_capability = loaded.module->compute_capability();
    return loaded;
}

void allow_shared_bytes(const LoadedKernel& kernel, const std::string& name, std::int64_t bytes) {
    kernel.module->allow_shared_bytes(kernel.function, name, bytes);
}

}  // namespace pluginkit
