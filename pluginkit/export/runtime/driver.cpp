#include "driver.h"

#include <dlfcn.h>

#include <cstdlib>
#include <mutex>

#include "attributes.h"
#include "dims.h"

namespace pluginkit {

namespace {

std::mutex sDriverMutex;
Driver sDriver;
bool sIsLoaded = false;

[[noreturn]] void refuse(const std::string& reason) {
    throw Refusal(message("PK311 no CUDA GPU: " + reason + ".", "", "",
                          "run kernels on a machine with an NVIDIA GPU and driver; builds need "
                          "none."));
}

template <typename Function>
void find(void* library, const char* symbol, Function*& function) {
    void* found = dlsym(library, symbol);
    if (found == nullptr) {
        refuse(std::string("the driver has no ") + symbol);
    }
    function = reinterpret_cast<Function*>(found);
}

void load() {
    const char* named = std::getenv("PLUGINKIT_CUDA_DRIVER");
    const char* path = named != nullptr && *named != '\0' ? named : "libcuda.so.1";
    void* library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (library == nullptr) {
        const char* reason = dlerror();
        refuse(reason != nullptr ? reason : path);
    }
    Driver found;
#define PLUGINKIT_FIND(name, symbol, parameters) find(library, symbol, found.name);
    PLUGINKIT_CUDA_FUNCTIONS(PLUGINKIT_FIND)
#undef PLUGINKIT_FIND
    found.cuFuncLoad = reinterpret_cast<CUresult (*)(CUfunction)>(dlsym(library, "cuFuncLoad"));
    sDriver = found;
    const CUresult status = found.cuInit(0);
    if (status != CUDA_SUCCESS) {
        refuse(cuda_error(status));
    }
}

}  // namespace

const Driver& driver() {
    const std::lock_guard<std::mutex> lock(sDriverMutex);
    if (!sIsLoaded) {
        load();  // tried again after a failure, which may have been a missing library path
        sIsLoaded = true;
    }
    return sDriver;
}

std::string cuda_error(CUresult status) {
    const char* name = nullptr;
    const char* text = nullptr;
    sDriver.cuGetErrorName(status, &name);
    sDriver.cuGetErrorString(status, &text);
    return (name != nullptr ? name : "CUDA error " + std::to_string(status)) + " (" +
           (text != nullptr ? text : "unknown") + ")";
}

}  // namespace pluginkit
