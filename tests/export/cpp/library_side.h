// The plugin library and the recording driver of a test, loaded as TensorRT and CUDA load them.
#pragma once

#include <dlfcn.h>

#include <cstdint>
#include <cstring>
#include <fstream>
#include <string>

#include "tensorrt_side.h"

namespace side {

class Library {
public:
    explicit Library(const char* path) : mHandle(dlopen(path, RTLD_NOW | RTLD_LOCAL)) {
        if (mHandle == nullptr) {
            std::fprintf(stderr, "%s\n", dlerror());
            std::exit(1);
        }
    }

    template <typename Function>
    Function* function(const char* name) const {
        void* found = dlsym(mHandle, name);
        EXPECT(found != nullptr);
        return reinterpret_cast<Function*>(found);
    }

    void close() { EXPECT(dlclose(mHandle) == 0); }

private:
    void* mHandle;
};

class Recording {
public:
    explicit Recording(const char* path) : mLibrary(path) {}

    // Returns the records since the last call.
    std::string taken() const {
        const std::string text = mLibrary.function<const char*()>("pluginkit_recording_text")();
        mLibrary.function<void()>("pluginkit_recording_clear")();
        return text;
    }

    std::int64_t count(const char* what) const {
        return mLibrary.function<std::int64_t(const char*)>("pluginkit_recording_count")(what);
    }

    void enable(bool is_recording) const {
        mLibrary.function<void(std::int32_t)>("pluginkit_recording_enable")(is_recording);
    }

    void parameters(const char* function, std::initializer_list<std::int32_t> sizes) const {
        mLibrary.function<void(const char*, const std::int32_t*, std::int32_t)>(
            "pluginkit_recording_parameters")(function, sizes.begin(),
                                              static_cast<std::int32_t>(sizes.size()));
    }

    void device(std::int32_t capability) const {
        mLibrary.function<void(std::int32_t, std::int32_t, std::int32_t)>(
            "pluginkit_recording_device")(capability, 132, 232448);
    }

    // Makes a context current in this thread.
    void set_current(void* context) const {
        EXPECT(mLibrary.function<int(void*)>("cuCtxSetCurrent")(context) == 0);
    }

    void* current() const {
        void* context = nullptr;
        EXPECT(mLibrary.function<int(void**)>("cuCtxGetCurrent")(&context) == 0);
        return context;
    }

    void* primary_context(std::int32_t device) const {
        void* context = nullptr;
        EXPECT(mLibrary.function<int(void**, std::int32_t)>("cuDevicePrimaryCtxRetain")(
                   &context, device) == 0);
        EXPECT(mLibrary.function<int(std::int32_t)>("cuDevicePrimaryCtxRelease_v2")(device) == 0);
        return context;
    }

    void fail(const char* function, std::int32_t status) const {
        mLibrary.function<void(const char*, std::int32_t, std::int64_t)>(
            "pluginkit_recording_fail")(function, status, 0);
    }

private:
    Library mLibrary;
};

inline bool holds(const std::string& text, const std::string& part) {
    const bool is_there = text.find(part) != std::string::npos;
    if (!is_there) {
        std::fprintf(stderr, "no '%s' in:\n%s\n", part.c_str(), text.c_str());
    }
    return is_there;
}

// The memory of this process in KiB.
inline long resident() {
    std::ifstream status("/proc/self/statm");
    long pages = 0;
    status >> pages >> pages;
    return pages * 4;
}

// A pseudo-random sequence that is the same everywhere.
class Random {
public:
    std::uint32_t next(std::uint32_t below) {
        mState = mState * 6364136223846793005ULL + 1442695040888963407ULL;
        return static_cast<std::uint32_t>(mState >> 33) % below;
    }

private:
    std::uint64_t mState = 20260;
};

}  // namespace side
