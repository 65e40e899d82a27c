// The library's entry points, and what it does when it is loaded.
//
// PLUGINKIT_INTERFACE is 2 or 3: it chooses IPluginV2DynamicExt or IPluginV3 for the plugins that
// can be either. With PLUGINKIT_SELF_REGISTER the library has no entry points and registers its
// plugins when it is loaded with plain dlopen, as by Triton, ONNX Runtime, DeepStream and
// LD_PRELOAD. Without it, TensorRT's loadLibrary asks the entry points for the creators. A library
// that did both would register its plugins twice.
#include <dlfcn.h>

#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "log.h"
#include "plugin_v2.h"
#include "plugin_v3.h"
#include "program.h"
#include "tensorrt.h"

#ifndef PLUGINKIT_INTERFACE
#if PLUGINKIT_TENSORRT_MAJOR == 8
#define PLUGINKIT_INTERFACE 2
#else
#define PLUGINKIT_INTERFACE 3
#endif
#endif

#ifdef PLUGINKIT_STATIC_LIBSTDCXX
namespace __gnu_cxx {
void __freeres();
}

// A statically linked libstdc++ has its own memory pool for exceptions, which it does not free when
// the library is unloaded. A server that loads plans again and again would grow.
__attribute__((destructor)) static void free_memory_of_libstdcxx() { __gnu_cxx::__freeres(); }
#endif

#define PLUGINKIT_EXPORT extern "C" __attribute__((visibility("default")))

namespace pluginkit {

namespace {

#if PLUGINKIT_TENSORRT_MAJOR == 8
using Creator = nvinfer1::IPluginCreator;
#else
using Creator = nvinfer1::IPluginCreatorInterface;
#endif

// The result of getInferLibVersion: 8601, 101601 or 110400; 10701 for TensorRT-RTX 1.7.1.
constexpr std::int32_t kFirstRtx = 10000;
constexpr std::int32_t kFirstRtxLike11 = 10500;  // 1.4 has the layout of TensorRT 10
constexpr std::int32_t kFirstThreeParts = 100000;
constexpr std::int32_t kFirstWithAliases = 100300;

// The TensorRT in this process.
struct Loader {
    void* library = nullptr;
    std::int32_t version = 0;

    bool is_rtx() const { return version >= kFirstRtx && version < kFirstThreeParts; }

    // The TensorRT major version whose layout its interfaces have: 8, 10 or 11.
    std::int32_t layout() const {
        if (is_rtx()) {
            return version >= kFirstRtxLike11 ? 11 : 10;
        }
        return version / (version < kFirstRtx ? 1000 : 10000);
    }

    std::string name() const {
        const std::int32_t unit = version < kFirstRtx ? 1000 : 10000;
        return std::string(is_rtx() ? "TensorRT-RTX " : "TensorRT ") +
               std::to_string(version / unit) + "." + std::to_string(version % unit / 100) + "." +
               std::to_string(version % 100);
    }
};

// Returns the TensorRT whose code is at an address, or nothing if that is not TensorRT.
Loader loader_at(const void* address) {
    Dl_info info{};
    Loader loader;
    if (dladdr(address, &info) == 0 || info.dli_fname == nullptr) {
        return loader;
    }
    loader.library = dlopen(info.dli_fname, RTLD_LAZY | RTLD_NOLOAD);
    if (loader.library == nullptr) {
        return loader;
    }
    if (void* found = dlsym(loader.library, "getInferLibVersion")) {
        loader.version = reinterpret_cast<std::int32_t (*)() noexcept>(found)();
    }
    dlclose(loader.library);  // only the reference: the library stays loaded
    return loader;
}

// Returns why the library's plugins cannot work with a TensorRT, "" if they can.
std::string refusal_of(const Loader& loader) {
    if (loader.version == 0 || loader.layout() == PLUGINKIT_TENSORRT_MAJOR) {
        return "";
    }
    return "PK218 this plugin library was built for TensorRT " +
           std::to_string(PLUGINKIT_TENSORRT_MAJOR) +
           (PLUGINKIT_TENSORRT_MAJOR == 11 ? " and TensorRT-RTX 1.5 or later" : "") + "; this is " +
           loader.name() +
           ".\n  Fix:   export it again with --tensorrt for this version.";
}

struct MadeCreator {
    const Program* program;
    std::unique_ptr<Creator> creator;
};

std::vector<MadeCreator> made_creators(const Loader& loader) {
    std::vector<MadeCreator> creators;
    for (std::size_t i = 0; i < kProgramCount; ++i) {
        const Program& program = *kPrograms[i];
#if PLUGINKIT_TENSORRT_MAJOR == 8
        (void)loader;
        const std::string reason = needs_v3(program);
        if (!reason.empty()) {
            log_error("PK214 " + std::string(program.owner) +
                      " cannot be an IPluginV2DynamicExt: " + reason + ".");
            continue;
        }
        creators.push_back({&program, creator_v2(program)});
#else
        if (PLUGINKIT_INTERFACE == 2 && needs_v3(program).empty()) {
            creators.push_back({&program, creator_v2(program)});
        } else {
            const bool has_aliases = loader.is_rtx() || loader.version >= kFirstWithAliases;
            creators.push_back({&program, creator_v3(program, has_aliases)});
        }
#endif
    }
    return creators;
}

#ifndef PLUGINKIT_SELF_REGISTER

Creator* const* listed_creators(const void* caller, std::int32_t& count) noexcept {
    count = 0;
    try {
        const Loader loader = loader_at(caller);
        const std::string refusal = refusal_of(loader);
        if (!refusal.empty()) {
            // The layout of ILogger differs between versions, so report on stderr.
            std::fprintf(stderr, "%s\n", refusal.c_str());
            return nullptr;
        }
        // Created for the first TensorRT that asks; they live as long as the library.
        static const std::vector<MadeCreator> creators = made_creators(loader);
        static const std::vector<Creator*> pointers = [] {
            std::vector<Creator*> all;
            for (const MadeCreator& made : creators) {
                all.push_back(made.creator.get());
            }
            return all;
        }();
        count = static_cast<std::int32_t>(pointers.size());
        return pointers.data();
    } catch (const std::exception& error) {
        log_error(std::string("PK209 the plugin library makes no creators: ") + error.what());
        return nullptr;
    }
}

#endif

}  // namespace

}  // namespace pluginkit

#ifndef PLUGINKIT_SELF_REGISTER

#if PLUGINKIT_TENSORRT_MAJOR == 8
// An entry point of later versions; it is defined to refuse them with a message.
PLUGINKIT_EXPORT const void* getCreators(std::int32_t& count) {
    std::int32_t refused = 0;
    pluginkit::listed_creators(__builtin_return_address(0), refused);
    count = 0;
    return nullptr;
}

PLUGINKIT_EXPORT nvinfer1::IPluginCreator* const* getPluginCreators(std::int32_t& count) {
#else
PLUGINKIT_EXPORT nvinfer1::IPluginCreatorInterface* const* getCreators(std::int32_t& count) {
#endif
    return pluginkit::listed_creators(__builtin_return_address(0), count);
}

PLUGINKIT_EXPORT void setLoggerFinder(nvinfer1::ILoggerFinder* finder) {
    const auto loader = pluginkit::loader_at(__builtin_return_address(0));
    if (pluginkit::refusal_of(loader).empty()) {
        pluginkit::set_logger_finder(finder);
    }
}

#else

namespace pluginkit {

namespace {

// Where to look for TensorRT if its symbols are not global, as in Python.
constexpr const char* kLibraries[] = {
#if PLUGINKIT_TENSORRT_MAJOR == 8
    "libnvinfer.so.8", "libnvinfer_lean.so.8", "libnvinfer_dispatch.so.8",
#elif PLUGINKIT_TENSORRT_MAJOR == 10
    "libnvinfer.so.10", "libnvinfer_lean.so.10", "libnvinfer_dispatch.so.10",
#else
    "libnvinfer.so.11", "libnvinfer_lean.so.11", "libnvinfer_dispatch.so.11",
    "libtensorrt_rtx.so.1",
#endif
    // Other major versions, so that the refusal can name them.
    "libnvinfer.so.8", "libnvinfer.so.10", "libnvinfer.so.11", "libnvinfer_lean.so.8",
    "libnvinfer_lean.so.10", "libnvinfer_lean.so.11", "libtensorrt_rtx.so.1"};

void* registry_function() {
    if (void* found = dlsym(RTLD_DEFAULT, "getPluginRegistry")) {
        return found;
    }
    for (const char* name : kLibraries) {
        if (void* library = dlopen(name, RTLD_LAZY | RTLD_NOLOAD)) {
            void* found = dlsym(library, "getPluginRegistry");
            dlclose(library);
            if (found != nullptr) {
                return found;
            }
        }
    }
    return nullptr;
}

void register_all() {
    void* const function = registry_function();
    if (function == nullptr) {
        log_error("PK209 this plugin library registers itself, but no TensorRT is loaded.\n  Fix:   "
                  "load TensorRT first, or load the other library through loadLibrary.");
        return;
    }
    const Loader loader = loader_at(function);
    const std::string refusal = refusal_of(loader);
    if (!refusal.empty()) {
        std::fprintf(stderr, "%s\n", refusal.c_str());
        return;
    }
    if (void* found = dlsym(loader.library, "getLogger")) {
        set_logger_function(reinterpret_cast<nvinfer1::ILogger* (*)() noexcept>(found));
    }
    nvinfer1::IPluginRegistry* registry =
        reinterpret_cast<nvinfer1::IPluginRegistry* (*)() noexcept>(function)();
    if (registry == nullptr) {
        log_error("PK209 TensorRT has no plugin registry.");
        return;
    }
    // Never destroyed: the registry keeps pointers to them, and may be destroyed later.
    static const auto& creators = *new std::vector<MadeCreator>(made_creators(loader));
    for (const MadeCreator& made : creators) {
        const Program& program = *made.program;
        if (!registry->registerCreator(*made.creator, program.plugin_namespace)) {
            log_warning(std::string("PK208 ") + program.owner +
                        ": the registry already holds '" + program.plugin_name + "', version '" +
                        program.plugin_version + "', namespace '" + program.plugin_namespace +
                        "', or does not take it; that one stays.");
        }
    }
}

// Runs when the library is loaded, which is linked with -z nodelete.
[[maybe_unused]] const bool kIsRegistered = [] {
    try {
        register_all();
    } catch (const std::exception& error) {
        log_error(std::string("PK209 the plugin library does not register: ") + error.what());
    }
    return true;
}();

}  // namespace

}  // namespace pluginkit

#endif
