// IPluginV3 and its creator.
#pragma once

#include "program.h"
#include "tensorrt.h"

#if PLUGINKIT_TENSORRT_MAJOR >= 10

#include <memory>

namespace pluginkit {

// The creator of a program's plugins. `has_aliases`: whether the TensorRT at hand knows aliased
// outputs, which came with 10.3; elsewhere they have memory of their own.
std::unique_ptr<nvinfer1::IPluginCreatorInterface> creator_v3(const Program& program,
                                                              bool has_aliases);

}  // namespace pluginkit

#endif
