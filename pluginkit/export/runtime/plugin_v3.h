// IPluginV3 and its creator.
#pragma once

#include "program.h"
#include "tensorrt.h"

#if PLUGINKIT_TENSORRT_MAJOR >= 10

#include <memory>

namespace pluginkit {

// Returns the creator of a program's plugins. `has_aliases`: whether this TensorRT supports aliased
// outputs, which 10.3 added; without them such outputs have their own memory.
std::unique_ptr<nvinfer1::IPluginCreatorInterface> creator_v3(const Program& program,
                                                              bool has_aliases);

}  // namespace pluginkit

#endif
