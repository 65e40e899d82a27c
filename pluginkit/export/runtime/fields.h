// Converts attributes between TensorRT's PluginFields and their wire form, as pluginkit.trt.fields
// does in Python.
#pragma once

#include <string>
#include <vector>

#include "attributes.h"
#include "tensorrt.h"

namespace pluginkit {

// Fields together with the buffers that they point into. `collection` is valid as long as the block
// lives.
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

// Returns the wire form of the fields in a collection, which comes from a model or a plan and is
// not trusted. Fields that the plugin does not know are ignored. Refuses (PK205) a field whose
// value TensorRT has lost.
Wire wire_from_fields(const Program& program, const nvinfer1::PluginFieldCollection* fields,
                      const std::string& where);

// Returns the fields that a plugin knows, with empty values. The ONNX parser drops all others.
Wire announced_fields(const Program& program);

// Returns what IPluginV2DynamicExt writes into a plan: the same JSON document as in Python.
std::string payload_from_wire(const Wire& wire);
// Refuses (PK207) data that cannot be read.
Wire wire_from_payload(const Program& program, const void* data, std::size_t size,
                       const std::string& where);

}  // namespace pluginkit
