// IPluginV2DynamicExt and its creator, for TensorRT 8.6, and for later versions on request.
#pragma once

#include <memory>

#include "program.h"
#include "tensorrt.h"

namespace pluginkit {

std::unique_ptr<nvinfer1::IPluginCreator> creator_v2(const Program& program);

// Returns what IPluginV2DynamicExt cannot express of a program, for a message; "" if nothing.
std::string needs_v3(const Program& program);

}  // namespace pluginkit
