// Attributes between TensorRT's PluginFields and their wire form; pluginkit.trt.fields in C++.
#pragma once

#include <string>
#include <vector>

#include "attributes.h"
#include "tensorrt.h"

namespace pluginkit {

// Fields together with the buffers that they point into: whoever reads `collection` needs the block
// to live.
class FieldBlock {
public:
    explicit FieldBlock(const Wire& wire);
    FieldBlock(const FieldBlock&) = delete;
    FieldBlock& operator=(const FieldBlock&) = delete;

    const nvinfer1::PluginFieldCollection& collection() const { return mCollection; }

private:
    std::vector<std::string> mNames;
    std::vector<std::string> mBuffers;
    std::vector<nvinfer1::PluginField> mFields;
    nvinfer1::PluginFieldCollection mCollection;
};

// The wire form of the attributes in a collection, which comes from a model or a plan and is not
// trusted. Fields that the plugin does not know are left out. Refuses PK205 a field in which
// TensorRT has lost the value.
Wire wire_from_fields(const Program& program, const nvinfer1::PluginFieldCollection* fields,
                      const std::string& where);

// Empty values of all the fields that a plugin knows: the ONNX parser drops all others.
Wire announced_fields(const Program& program);

// What IPluginV2DynamicExt writes into a plan, as the Python plugins do: a JSON document.
std::string payload_from_wire(const Wire& wire);
// Refuses PK207 what cannot be read.
Wire wire_from_payload(const Program& program, const void* data, std::size_t size,
                       const std::string& where);

}  // namespace pluginkit
