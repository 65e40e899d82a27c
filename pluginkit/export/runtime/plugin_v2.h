// IPluginV2DynamicExt and its creator: TensorRT 8.6, and later ones where it is asked for.
#pragma once

#include <memory>

#include "program.h"
#include "tensorrt.h"

namespace pluginkit {

std::unique_ptr<nvinfer1::IPluginCreator> creator_v2(const Program& program);

// What of a program IPluginV2DynamicExt cannot express, in words; "" where it can express all.
std::string needs_v3(const Program& program);

}  // namespace pluginkit
