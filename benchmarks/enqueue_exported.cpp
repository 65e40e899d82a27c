// Measures the host time of one enqueue of an exported IPluginV3, and of the driver alone.
//
//     enqueue_exported LIBRARY PLUGIN NAMESPACE IMAGE SYMBOL
//
// The plugin adds three float32 inputs of 1024 elements. IMAGE is the cubin or PTX of the same
// kernel, for the loop of the driver alone. Prints JSON, in microseconds. Exits with 1 if a result
// is wrong. Compiled with pluginkit's own TensorRT header: it needs a GPU, but neither TensorRT nor
// CUDA's headers.
#include <dlfcn.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "tensorrt.h"

namespace {

using nvinfer1::PluginTensorDesc;
using Pointer = unsigned long long;

constexpr long kCount = 1024;
constexpr unsigned kBlock = 256;
constexpr int kCalls = 200;    // between two synchronisations; fewer than the driver's queue holds
constexpr int kRounds = 200;

[[noreturn]] void fail(const std::string& reason) {
    std::fprintf(stderr, "%s\n", reason.c_str());
    std::exit(1);
}

void check(int status, const char* what) {
    if (status != 0) {
        fail(std::string(what) + " answers " + std::to_string(status));
    }
}

template <typename Function>
Function* symbol(void* library, const char* name) {
    void* found = dlsym(library, name);
    if (found == nullptr) {
        fail(std::string("no ") + name);
    }
    return reinterpret_cast<Function*>(found);
}

void* opened(const char* path) {
    void* library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (library == nullptr) {
        fail(dlerror());
    }
    return library;
}

// The driver's functions that the program calls.
struct Cuda {
    void* library = opened("libcuda.so.1");

    template <typename... Arguments>
    void operator()(const char* name, Arguments... arguments) const {
        check(symbol<int(Arguments...)>(library, name)(arguments...), name);
    }
};

double microseconds_since(std::chrono::steady_clock::time_point begin) {
    return std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - begin)
        .count();
}

// The time of one call, as the median of rounds of many.
template <typename Call>
double timed(const Cuda& cuda, cudaStream_t stream, Call&& call) {
    std::vector<double> rounds;
    for (int round = 0; round < kRounds; ++round) {
        cuda("cuStreamSynchronize", stream);
        const auto begin = std::chrono::steady_clock::now();
        for (int i = 0; i < kCalls; ++i) {
            call();
        }
        rounds.push_back(microseconds_since(begin) / kCalls);
    }
    cuda("cuStreamSynchronize", stream);
    std::nth_element(rounds.begin(), rounds.begin() + kRounds / 2, rounds.end());
    return rounds[kRounds / 2];
}

PluginTensorDesc vector_desc() {
    PluginTensorDesc desc{};
    desc.dims.nbDims = 1;
    desc.dims.d[0] = kCount;
    desc.type = nvinfer1::DataType::kFLOAT;
    desc.format = nvinfer1::TensorFormat::kLINEAR;
    desc.scale = 1.0F;
    return desc;
}

nvinfer1::IPluginV3* created(void* library, const char* name, const char* name_space) {
    std::int32_t count = 0;
    nvinfer1::IPluginCreatorInterface* const* creators =
        symbol<nvinfer1::IPluginCreatorInterface* const*(std::int32_t&)>(library,
                                                                         "getCreators")(count);
    for (std::int32_t i = 0; i < count; ++i) {
        auto* creator = static_cast<nvinfer1::IPluginCreatorV3One*>(creators[i]);
        if (std::strcmp(creator->getPluginName(), name) == 0 &&
            std::strcmp(creator->getPluginNamespace(), name_space) == 0) {
            const nvinfer1::PluginFieldCollection none{0, nullptr};
            return creator->createPlugin("add", &none, nvinfer1::TensorRTPhase::kRUNTIME);
        }
    }
    fail(std::string("the library has no ") + name);
}

}  // namespace

int main(int count, char** arguments) {
    if (count != 6) {
        fail("usage: enqueue_exported LIBRARY PLUGIN NAMESPACE IMAGE SYMBOL");
    }
    const Cuda cuda;
    void* context = nullptr;
    void* module = nullptr;
    void* function = nullptr;
    cudaStream_t stream = nullptr;
    cuda("cuInit", 0U);
    cuda("cuDevicePrimaryCtxRetain", &context, 0);
    cuda("cuCtxSetCurrent", context);
    cuda("cuStreamCreate", &stream, 1U);  // without synchronisation with the default stream
    std::ifstream file(arguments[4], std::ios::binary);
    const std::string image{std::istreambuf_iterator<char>(file), {}};
    cuda("cuModuleLoadData", &module, static_cast<const void*>(image.c_str()));
    cuda("cuModuleGetFunction", &function, module, static_cast<const char*>(arguments[5]));

    Pointer memory[4];
    std::vector<float> host(kCount);
    for (int i = 0; i < 4; ++i) {
        cuda("cuMemAlloc_v2", &memory[i], kCount * sizeof(float));
        for (long j = 0; j < kCount; ++j) {
            host[j] = i < 3 ? static_cast<float>(j * (i + 1)) : std::nanf("");
        }
        cuda("cuMemcpyHtoD_v2", memory[i], static_cast<const void*>(host.data()),
             kCount * sizeof(float));
    }
    const auto is_right = [&] {
        cuda("cuStreamSynchronize", stream);
        cuda("cuMemcpyDtoH_v2", static_cast<void*>(host.data()), memory[3],
             kCount * sizeof(float));
        bool is_sum = true;
        for (long j = 0; j < kCount; ++j) {
            is_sum = is_sum && host[j] == static_cast<float>(6 * j);
        }
        const std::vector<float> poison(kCount, std::nanf(""));
        cuda("cuMemcpyHtoD_v2", memory[3], static_cast<const void*>(poison.data()),
             kCount * sizeof(float));
        return is_sum;
    };

    const auto begin = std::chrono::steady_clock::now();
    void* library = opened(arguments[1]);
    nvinfer1::IPluginV3* plugin = created(library, arguments[2], arguments[3]);
    if (plugin == nullptr) {
        fail("the plugin cannot be created");
    }
    auto* runtime = static_cast<nvinfer1::IPluginV3OneRuntime*>(
        plugin->getCapabilityInterface(nvinfer1::PluginCapabilityType::kRUNTIME));
    const PluginTensorDesc in[] = {vector_desc(), vector_desc(), vector_desc()};
    const PluginTensorDesc out[] = {vector_desc()};
    const void* inputs[] = {reinterpret_cast<void*>(memory[0]), reinterpret_cast<void*>(memory[1]),
                            reinterpret_cast<void*>(memory[2])};
    void* outputs[] = {reinterpret_cast<void*>(memory[3])};
    const auto enqueue = [&] {
        check(runtime->enqueue(in, out, inputs, outputs, nullptr, stream), "enqueue");
    };
    check(runtime->onShapeChange(in, 3, out, 1), "onShapeChange");
    enqueue();
    const double first = microseconds_since(begin);
    if (!is_right()) {
        fail("the first enqueue's result is wrong");
    }

    long long size = kCount;
    void* parameters[] = {&memory[0], &memory[1], &memory[2], &memory[3], &size};
    auto* const launch = symbol<int(void*, unsigned, unsigned, unsigned, unsigned, unsigned,
                                    unsigned, unsigned, cudaStream_t, void**, void**)>(
        cuda.library, "cuLaunchKernel");
    const auto driver_alone = [&] {
        check(launch(function, kCount / kBlock, 1, 1, kBlock, 1, 1, 0, stream, parameters, nullptr),
              "cuLaunchKernel");
    };
    timed(cuda, stream, driver_alone);  // warms up
    std::vector<double> alone, exported;
    for (int i = 0; i < 5; ++i) {  // alternating, so that a change of clocks affects both
        alone.push_back(timed(cuda, stream, driver_alone));
        exported.push_back(timed(cuda, stream, enqueue));
    }
    if (!is_right()) {
        fail("a later enqueue's result is wrong");
    }

    void* graph = nullptr;
    void* executable = nullptr;
    cuda("cuStreamBeginCapture_v2", stream, 0);
    enqueue();
    cuda("cuStreamEndCapture", stream, &graph);
    cuda("cuGraphInstantiateWithFlags", &executable, graph, 0ULL);
    cuda("cuGraphLaunch", executable, stream);
    if (!is_right()) {
        fail("the captured enqueue's result is wrong");
    }
    cuda("cuGraphLaunch", executable, stream);
    if (!is_right()) {
        fail("the replayed enqueue's result is wrong");
    }
    delete plugin;

    std::nth_element(alone.begin(), alone.begin() + 2, alone.end());
    std::nth_element(exported.begin(), exported.begin() + 2, exported.end());
    std::printf("{\"driver_alone_us\": %.3f, \"exported_us\": %.3f, \"ratio\": %.3f, "
                "\"load_to_first_enqueue_us\": %.1f}\n",
                alone[2], exported[2], exported[2] / alone[2], first);
    return 0;
}
