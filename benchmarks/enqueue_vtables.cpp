// Times enqueues through TensorRT's virtual functions; for enqueue_vtables.py, which compiles it
// together with the caller of tests/export/cpp.
#include <chrono>

#include "called_layer.h"

namespace {

using caller::Context;
using nvinfer1::PluginTensorDesc;
using Clock = std::chrono::steady_clock;
using Launch = int(void*, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned,
                   cudaStream_t, void**, void**);

double microseconds(Clock::time_point begin) {
    return std::chrono::duration<double, std::micro>(Clock::now() - begin).count();
}

}  // namespace

#define TIMES_EXPORT extern "C" __attribute__((visibility("default")))

// Returns the microseconds of an enqueue, in a loop of many; -1 if one fails.
TIMES_EXPORT double times_enqueue(Context* context, const PluginTensorDesc* inputs,
                                  const PluginTensorDesc* outputs, const void* const* sources,
                                  void* const* targets, void* workspace, cudaStream_t stream,
                                  std::int32_t count) {
    const Clock::time_point begin = Clock::now();
    for (std::int32_t i = 0; i < count; ++i) {
        if (context->enqueue(inputs, outputs, sources, targets, workspace, stream) != 0) {
            return -1;
        }
    }
    return microseconds(begin) / count;
}

// Returns the microseconds of announcing shapes and the first enqueue with them; -1 if that fails.
TIMES_EXPORT double times_new_shape(Context* context, const PluginTensorDesc* inputs,
                                    const PluginTensorDesc* outputs, const void* const* sources,
                                    void* const* targets, void* workspace, cudaStream_t stream) {
    const Clock::time_point begin = Clock::now();
    try {
        context->announce(inputs, outputs);
    } catch (const caller::Refused&) {
        return -1;
    }
    if (context->enqueue(inputs, outputs, sources, targets, workspace, stream) != 0) {
        return -1;
    }
    return microseconds(begin);
}

// Returns the microseconds of cuLaunchKernel, in a loop of many; -1 if one fails.
TIMES_EXPORT double times_driver(Launch* launch, void* function, std::int32_t grid,
                                 std::int32_t block, cudaStream_t stream, void** parameters,
                                 std::int32_t count) {
    const auto blocks = static_cast<unsigned>(grid);
    const auto threads = static_cast<unsigned>(block);
    const Clock::time_point begin = Clock::now();
    for (std::int32_t i = 0; i < count; ++i) {
        if (launch(function, blocks, 1, 1, threads, 1, 1, 0, stream, parameters, nullptr) != 0) {
            return -1;
        }
    }
    return microseconds(begin) / count;
}
