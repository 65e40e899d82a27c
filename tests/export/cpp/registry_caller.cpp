// Calls plugins from a real TensorRT's registry, for tests/export/registry_caller.py.
//
// Python chooses the calls and owns the memory; every call of a plugin goes through the virtual
// functions that TensorRT itself calls. Compiled with pluginkit's own TensorRT header for the major
// version of the TensorRT that is opened.
#include <dlfcn.h>

#include "called_layer.h"

#define CALLER_EXPORT extern "C" __attribute__((visibility("default")))

namespace {

using caller::Context;
using caller::Layer;
using caller::Node;
using nvinfer1::IPluginCreatorInterface;
using nvinfer1::IPluginRegistry;
using nvinfer1::PluginTensorDesc;

thread_local std::string sReason;

// Returns the result of a function, or `failed`, with the reason stored for caller_reason.
template <typename Result, typename Function>
Result guarded(Result failed, Function&& function) noexcept {
    try {
        return function();
    } catch (const std::exception& error) {
        sReason = error.what();
        return failed;
    }
}

template <typename Function>
Function* symbol(void* library, const char* name) {
    void* found = dlsym(library, name);
    caller::expect(found != nullptr, std::string("dlsym of ") + name);
    return reinterpret_cast<Function*>(found);
}

// Stores everything that TensorRT and the plugins log.
class Log : public nvinfer1::ILogger {
public:
    void log(Severity severity, const char* message) noexcept override {
        if (severity <= Severity::kWARNING) {
            text += message;
            text += '\n';
        }
    }

    std::string text;
};

}  // namespace

// A TensorRT in this process.
struct TensorRT {
    IPluginRegistry* registry;
    std::int32_t version;
    Log log;
    std::string said;
};

CALLER_EXPORT const char* caller_reason() { return sReason.c_str(); }

CALLER_EXPORT TensorRT* caller_open(const char* path) {
    return guarded<TensorRT*>(nullptr, [&] {
        void* library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
        caller::expect(library != nullptr, std::string("dlopen of ") + path);
        auto* found = new TensorRT{};  // never freed: TensorRT keeps a pointer to its logger
        found->registry = symbol<IPluginRegistry*()>(library, "getPluginRegistry")();
        found->version = symbol<std::int32_t()>(library, "getInferLibVersion")();
        // TensorRT uses the logger of the first runtime.
        symbol<void*(void*, std::int32_t)>(library, "createInferRuntime_INTERNAL")(&found->log,
                                                                                 found->version);
        return found;
    });
}

CALLER_EXPORT std::int32_t caller_version(const TensorRT* tensorrt) { return tensorrt->version; }

// Returns the log since the last call.
CALLER_EXPORT const char* caller_said(TensorRT* tensorrt) {
    tensorrt->said = std::move(tensorrt->log.text);
    tensorrt->log.text.clear();
    return tensorrt->said.c_str();
}

CALLER_EXPORT void* caller_load_library(TensorRT* tensorrt, const char* path) {
    return tensorrt->registry->loadLibrary(path);
}

CALLER_EXPORT void caller_deregister_library(TensorRT* tensorrt, void* handle) {
    tensorrt->registry->deregisterLibrary(handle);
}

CALLER_EXPORT IPluginCreatorInterface* caller_creator(TensorRT* tensorrt, const char* name,
                                                      const char* version,
                                                      const char* name_space) {
    return tensorrt->registry->getCreator(name, version, name_space);
}

// Returns the interface of a creator's plugins: 2, 3, or 0 for another one.
CALLER_EXPORT std::int32_t caller_interface(const IPluginCreatorInterface* creator) {
    const std::string kind = creator->getInterfaceInfo().kind;
    return kind == "PLUGIN CREATOR_V3ONE" ? 3 : kind == "PLUGIN CREATOR_V1" ? 2 : 0;
}

// Builds a plugin of a node and stores what a plan stores; null if it refuses a step.
CALLER_EXPORT Layer* caller_build(IPluginCreatorInterface* creator, const Node* node) {
    return guarded<Layer*>(nullptr, [&] {
        caller::expect(node->output_count <= caller::kMostPorts, "so many outputs");
        switch (caller_interface(creator)) {
            case 2:
                return caller::layer_v2(static_cast<nvinfer1::IPluginCreator&>(*creator), *node)
                    .release();
            case 3:
                return caller::layer_v3(static_cast<nvinfer1::IPluginCreatorV3One&>(*creator),
                                        *node)
                    .release();
            default: throw caller::Refused("the creator's interface is unknown; it");
        }
    });
}

CALLER_EXPORT const caller::Answers* caller_answers(const Layer* layer) { return &layer->answers; }

CALLER_EXPORT void caller_forget(Layer* layer) { delete layer; }

CALLER_EXPORT Context* caller_attach(Layer* layer, std::int32_t tactic) {
    return guarded<Context*>(nullptr, [&] { return layer->attached(tactic).release(); });
}

CALLER_EXPORT void caller_detach(Context* context) { delete context; }

CALLER_EXPORT std::int32_t caller_announce(Context* context, const PluginTensorDesc* inputs,
                                           const PluginTensorDesc* outputs) {
    return guarded<std::int32_t>(-1, [&] {
        context->announce(inputs, outputs);
        return 0;
    });
}

CALLER_EXPORT std::int32_t caller_enqueue(Context* context, const PluginTensorDesc* inputs,
                                          const PluginTensorDesc* outputs,
                                          const void* const* sources, void* const* targets,
                                          void* workspace, cudaStream_t stream) {
    return guarded<std::int32_t>(-1, [&] {
        return context->enqueue(inputs, outputs, sources, targets, workspace, stream);
    });
}
