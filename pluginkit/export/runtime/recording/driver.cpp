// A double for libcuda.so.1 that runs nothing and records its calls.
//
// With it (PLUGINKIT_CUDA_DRIVER) an exported library runs without a GPU, and its launches can be
// compared, byte for byte, with those of the Python class. Every call that does work is recorded as
// a line of JSON:
//
//     {"call":"launch","function":"scale","grid":[4,1,1],"block":[256,1,1],"shared":0,"stream":7,
//      "arguments":["0010000000000000","..."]}
//     {"call":"copy","target":4096,"source":8192,"bytes":16,"stream":7}
//     {"call":"fill","target":4096,"byte":0,"bytes":16,"stream":7}
//     {"call":"load","module":1,"is_ptx":false}
//     {"call":"unload","module":1}
//     {"call":"function","module":1,"name":"scale"}
//     {"call":"shared","function":"scale","bytes":65536}
//
// A launch does not state how many parameters the kernel has, and their sizes:
// pluginkit_recording_parameters does. Without it the arguments of a function are recorded as null.
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <vector>

namespace {

using CUresult = int;

constexpr CUresult kSuccess = 0;
constexpr CUresult kInvalidValue = 1;
constexpr CUresult kInvalidContext = 201;
constexpr CUresult kNotFound = 500;
constexpr CUresult kInvalidHandle = 400;

struct Module {
    std::int64_t number;
    std::map<std::string, struct Function*> functions;
};

struct Function {
    std::string name;
    Module* module;
};

// The first members of a CUlaunchConfig.
struct LaunchConfig {
    unsigned grid[3];
    unsigned block[3];
    unsigned shared_bytes;
    void* stream;
};

struct State {
    std::mutex mutex;
    std::string records;
    bool is_recording = true;
    std::map<std::string, std::vector<std::int32_t>> parameters;
    std::map<std::string, std::pair<CUresult, std::int64_t>> failures;
    std::set<Module*> modules;
    std::int64_t loaded = 0;
    std::int64_t unloaded = 0;
    std::int64_t retained = 0;
    std::int64_t launches = 0;
    std::int32_t capability = 90;
    std::int32_t multiprocessors = 132;
    std::int32_t shared_bytes = 232448;
};

State& state() {
    static State& one = *new State;
    return one;
}

constexpr std::int32_t kDevices = 2;
char sContexts[kDevices];  // their addresses are the primary contexts
thread_local void* sCurrent = &sContexts[0];
thread_local std::vector<void*> sStack;

// Returns the device of a primary context, -1 for another context.
std::int32_t device_of(const void* context) {
    for (std::int32_t device = 0; device < kDevices; ++device) {
        if (context == &sContexts[device]) {
            return device;
        }
    }
    return -1;
}

// Returns the status that the next call of a function returns, and counts the call.
CUresult failure_of(const char* function) {
    const auto found = state().failures.find(function);
    if (found == state().failures.end()) {
        return kSuccess;
    }
    if (found->second.second > 0) {
        --found->second.second;
        return kSuccess;
    }
    return found->second.first;
}

std::string quoted(const std::string& text) {
    std::string all = "\"";
    for (const char c : text) {
        if (c == '"' || c == '\\') {
            all += '\\';
        }
        all += c;
    }
    return all + '"';
}

std::string member(const char* name, std::uint64_t value) {
    return std::string(",\"") + name + "\":" + std::to_string(value);
}

std::string triple(const char* name, unsigned x, unsigned y, unsigned z) {
    return std::string(",\"") + name + "\":[" + std::to_string(x) + "," + std::to_string(y) + "," +
           std::to_string(z) + "]";
}

void record(const std::string& call, const std::string& members) {
    if (state().is_recording) {
        state().records += "{\"call\":\"" + call + "\"" + members + "}\n";
    }
}

std::string hexadecimal(const void* data, std::int32_t size) {
    static const char kDigits[] = "0123456789abcdef";
    std::string all;
    for (std::int32_t i = 0; i < size; ++i) {
        const unsigned char byte = static_cast<const unsigned char*>(data)[i];
        all += kDigits[byte >> 4];
        all += kDigits[byte & 15];
    }
    return all;
}

std::string arguments_of(const Function& function, void** parameters) {
    const auto sizes = state().parameters.find(function.name);
    if (sizes == state().parameters.end()) {
        return "null";
    }
    std::string all = "[";
    for (std::size_t i = 0; i < sizes->second.size(); ++i) {
        all += (i == 0 ? "\"" : ",\"") + hexadecimal(parameters[i], sizes->second[i]) + "\"";
    }
    return all + "]";
}

const char* error_name(CUresult status) {
    switch (status) {
        case kSuccess: return "CUDA_SUCCESS";
        case kInvalidValue: return "CUDA_ERROR_INVALID_VALUE";
        case 209: return "CUDA_ERROR_NO_BINARY_FOR_GPU";
        case kInvalidContext: return "CUDA_ERROR_INVALID_CONTEXT";
        case kInvalidHandle: return "CUDA_ERROR_INVALID_HANDLE";
        case kNotFound: return "CUDA_ERROR_NOT_FOUND";
        case 700: return "CUDA_ERROR_ILLEGAL_ADDRESS";
        default: return "CUDA_ERROR_UNKNOWN";
    }
}

}  // namespace

#define PLUGINKIT_EXPORT extern "C" __attribute__((visibility("default")))

// ------------------------------------------------------------------------- control by the caller

PLUGINKIT_EXPORT void pluginkit_recording_clear() {
    const std::lock_guard<std::mutex> lock(state().mutex);
    state().records.clear();
}

// Returns the records so far; valid until the next call of the driver.
PLUGINKIT_EXPORT const char* pluginkit_recording_text() {
    const std::lock_guard<std::mutex> lock(state().mutex);
    return state().records.c_str();
}

// Turns recording on or off; calls are always counted.
PLUGINKIT_EXPORT void pluginkit_recording_enable(std::int32_t is_recording) {
    const std::lock_guard<std::mutex> lock(state().mutex);
    state().is_recording = is_recording != 0;
}

PLUGINKIT_EXPORT void pluginkit_recording_parameters(const char* function,
                                                     const std::int32_t* sizes,
                                                     std::int32_t count) {
    const std::lock_guard<std::mutex> lock(state().mutex);
    state().parameters[function].assign(sizes, sizes + count);
}

PLUGINKIT_EXPORT void pluginkit_recording_device(std::int32_t capability,
                                                 std::int32_t multiprocessors,
                                                 std::int32_t shared_bytes) {
    const std::lock_guard<std::mutex> lock(state().mutex);
    state().capability = capability;
    state().multiprocessors = multiprocessors;
    state().shared_bytes = shared_bytes;
}

// Makes a function of the driver return `status` from its call number `after` on, counted from 0.
// Status 0 ends that.
PLUGINKIT_EXPORT void pluginkit_recording_fail(const char* function, std::int32_t status,
                                               std::int64_t after) {
    const std::lock_guard<std::mutex> lock(state().mutex);
    state().failures.erase(function);
    if (status != kSuccess) {
        state().failures[function] = {status, after};
    }
}

// Returns a count: "loaded" or "unloaded" modules, "retained" primary contexts, or "launches".
PLUGINKIT_EXPORT std::int64_t pluginkit_recording_count(const char* what) {
    const std::lock_guard<std::mutex> lock(state().mutex);
    const std::string wanted = what;
    return wanted == "loaded"     ? state().loaded
           : wanted == "unloaded" ? state().unloaded
           : wanted == "retained" ? state().retained
           : wanted == "launches" ? state().launches
                                  : -1;
}

// ------------------------------------------------------------------------------- the driver

PLUGINKIT_EXPORT CUresult cuInit(unsigned) {
    const std::lock_guard<std::mutex> lock(state().mutex);
    return failure_of("cuInit");
}

PLUGINKIT_EXPORT CUresult cuGetErrorName(CUresult status, const char** name) {
    *name = error_name(status);
    return kSuccess;
}

PLUGINKIT_EXPORT CUresult cuGetErrorString(CUresult status, const char** text) {
    *text = status == kSuccess ? "no error" : "recorded error";
    return kSuccess;
}

PLUGINKIT_EXPORT CUresult cuCtxGetCurrent(void** context) {
    *context = sCurrent;
    return kSuccess;
}

PLUGINKIT_EXPORT CUresult cuCtxSetCurrent(void* context) {
    sCurrent = context;
    return kSuccess;
}

PLUGINKIT_EXPORT CUresult cuCtxPushCurrent_v2(void* context) {
    if (device_of(context) < 0) {
        return kInvalidContext;
    }
    sStack.push_back(sCurrent);
    sCurrent = context;
    return kSuccess;
}

PLUGINKIT_EXPORT CUresult cuCtxPopCurrent_v2(void** context) {
    if (sStack.empty()) {
        return kInvalidContext;
    }
    *context = sCurrent;
    sCurrent = sStack.back();
    sStack.pop_back();
    return kSuccess;
}

PLUGINKIT_EXPORT CUresult cuCtxGetDevice(std::int32_t* device) {
    const std::int32_t found = device_of(sCurrent);
    *device = found < 0 ? 0 : found;  // other contexts belong to device 0
    return sCurrent != nullptr ? kSuccess : kInvalidContext;
}

PLUGINKIT_EXPORT CUresult cuDevicePrimaryCtxRetain(void** context, std::int32_t device) {
    const std::lock_guard<std::mutex> lock(state().mutex);
    if (device < 0 || device >= kDevices) {
        return kInvalidValue;
    }
    ++state().retained;
    *context = &sContexts[device];
    return kSuccess;
}

PLUGINKIT_EXPORT CUresult cuDevicePrimaryCtxRelease_v2(std::int32_t) {
    const std::lock_guard<std::mutex> lock(state().mutex);
    --state().retained;
    return kSuccess;
}

PLUGINKIT_EXPORT CUresult cuDeviceGetAttribute(std::int32_t* value, std::int32_t attribute,
                                               std::int32_t) {
    const std::lock_guard<std::mutex> lock(state().mutex);
    switch (attribute) {
        case 16: *value = state().multiprocessors; return kSuccess;
        case 75: *value = state().capability / 10; return kSuccess;
        case 76: *value = state().capability % 10; return kSuccess;
        case 97: *value = state().shared_bytes; return kSuccess;
        default: return kInvalidValue;
    }
}

PLUGINKIT_EXPORT CUresult cuModuleLoadData(void** module, const void* image) {
    const std::lock_guard<std::mutex> lock(state().mutex);
    if (const CUresult status = failure_of("cuModuleLoadData")) {
        return status;
    }
    const bool is_ptx = std::memcmp(image, "\x7F" "ELF", 4) != 0;
    auto* made = new Module{++state().loaded, {}};
    state().modules.insert(made);
    record("load", member("module", static_cast<std::uint64_t>(made->number)) +
                       ",\"is_ptx\":" + (is_ptx ? "true" : "false"));
    *module = made;
    return kSuccess;
}

PLUGINKIT_EXPORT CUresult cuModuleUnload(void* handle) {
    const std::lock_guard<std::mutex> lock(state().mutex);
    auto* module = static_cast<Module*>(handle);
    if (state().modules.erase(module) == 0) {
        return kInvalidHandle;
    }
    ++state().unloaded;
    record("unload", member("module", static_cast<std::uint64_t>(module->number)));
    for (const auto& [name, function] : module->functions) {
        delete function;
    }
    delete module;
    return kSuccess;
}

PLUGINKIT_EXPORT CUresult cuModuleGetFunction(void** function, void* handle, const char* name) {
    const std::lock_guard<std::mutex> lock(state().mutex);
    if (const CUresult status = failure_of("cuModuleGetFunction")) {
        return status;
    }
    auto* module = static_cast<Module*>(handle);
    if (state().modules.count(module) == 0) {
        return kInvalidHandle;
    }
    Function*& known = module->functions[name];
    if (known == nullptr) {
        known = new Function{name, module};
    }
    record("function", member("module", static_cast<std::uint64_t>(module->number)) +
                           ",\"name\":" + quoted(name));
    *function = known;
    return kSuccess;
}

PLUGINKIT_EXPORT CUresult cuFuncSetAttribute(void* handle, std::int32_t, std::int32_t value) {
    const std::lock_guard<std::mutex> lock(state().mutex);
    if (const CUresult status = failure_of("cuFuncSetAttribute")) {
        return status;
    }
    if (value > state().shared_bytes) {
        return kInvalidValue;
    }
    record("shared", ",\"function\":" + quoted(static_cast<Function*>(handle)->name) +
                         member("bytes", static_cast<std::uint64_t>(value)));
    return kSuccess;
}

PLUGINKIT_EXPORT CUresult cuLaunchKernel(void* handle, unsigned grid_x, unsigned grid_y,
                                         unsigned grid_z, unsigned block_x, unsigned block_y,
                                         unsigned block_z, unsigned shared, void* stream,
                                         void** parameters, void**) {
    const std::lock_guard<std::mutex> lock(state().mutex);
    if (const CUresult status = failure_of("cuLaunchKernel")) {
        return status;
    }
    const Function& function = *static_cast<Function*>(handle);
    if (state().modules.count(function.module) == 0) {
        return kInvalidHandle;
    }
    ++state().launches;
    if (state().is_recording) {
        record("launch", ",\"function\":" + quoted(function.name) +
                             triple("grid", grid_x, grid_y, grid_z) +
                             triple("block", block_x, block_y, block_z) +
                             member("shared", shared) +
                             member("stream", reinterpret_cast<std::uint64_t>(stream)) +
                             ",\"arguments\":" + arguments_of(function, parameters));
    }
    return kSuccess;
}

// Records a launch as any other; of a CUlaunchConfig the attributes are left out.
PLUGINKIT_EXPORT CUresult cuLaunchKernelEx(const LaunchConfig* config, void* handle,
                                           void** parameters, void** extra) {
    {
        const std::lock_guard<std::mutex> lock(state().mutex);
        if (const CUresult status = failure_of("cuLaunchKernelEx")) {
            return status;
        }
    }
    return cuLaunchKernel(handle, config->grid[0], config->grid[1], config->grid[2],
                          config->block[0], config->block[1], config->block[2],
                          config->shared_bytes, config->stream, parameters, extra);
}

PLUGINKIT_EXPORT CUresult cuMemcpyDtoDAsync_v2(std::uint64_t target, std::uint64_t source,
                                               std::size_t bytes, void* stream) {
    const std::lock_guard<std::mutex> lock(state().mutex);
    if (const CUresult status = failure_of("cuMemcpyDtoDAsync_v2")) {
        return status;
    }
    record("copy", member("target", target) + member("source", source) + member("bytes", bytes) +
                       member("stream", reinterpret_cast<std::uint64_t>(stream)));
    return kSuccess;
}

PLUGINKIT_EXPORT CUresult cuMemsetD8Async(std::uint64_t target, unsigned char byte,
                                          std::size_t bytes, void* stream) {
    const std::lock_guard<std::mutex> lock(state().mutex);
    if (const CUresult status = failure_of("cuMemsetD8Async")) {
        return status;
    }
    record("fill", member("target", target) + member("byte", byte) + member("bytes", bytes) +
                       member("stream", reinterpret_cast<std::uint64_t>(stream)));
    return kSuccess;
}
