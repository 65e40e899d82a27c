// One plugin in TensorRT's order: built, stored as in a plan, and executed. The plugin comes from a
// real registry; only shape expressions are doubles.
#pragma once

#include <cstdint>
#include <cstring>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "tensorrt_side.h"

namespace caller {

using nvinfer1::Dims;
using nvinfer1::DynamicPluginTensorDesc;
using nvinfer1::PluginField;
using nvinfer1::PluginTensorDesc;

constexpr std::int32_t kMostPorts = 16;

// The plugin refuses a step.
class Refused : public std::runtime_error {
    using std::runtime_error::runtime_error;
};

inline void expect(bool is_so, const std::string& step) {
    if (!is_so) {
        throw Refused(step + " fails");
    }
}

// One node of a network; filled by tests/export/registry_caller.py.
struct Node {
    const char* name;
    const PluginField* fields;
    std::int32_t field_count;
    const DynamicPluginTensorDesc* inputs;
    std::int32_t input_count;
    const Dims* shape_inputs;  // the values of the shape inputs
    std::int32_t shape_input_count;
    const DynamicPluginTensorDesc* outputs;  // without types, which the plugin states
    std::int32_t output_count;
};

// The answers of a plugin while it was built.
struct Answers {
    std::int32_t output_types[kMostPorts];
    Dims output_shapes[kMostPorts];  // at the profile's opt
    std::int64_t workspace_bytes;
    std::int32_t aliased_inputs[kMostPorts];
    std::int32_t tactic_count;
};

// An execution context.
class Context {
public:
    virtual ~Context() = default;
    // Announces new shapes, as TensorRT does before the next enqueue.
    virtual void announce(const PluginTensorDesc* inputs, const PluginTensorDesc* outputs) = 0;
    virtual std::int32_t enqueue(const PluginTensorDesc* inputs, const PluginTensorDesc* outputs,
                                 const void* const* sources, void* const* targets, void* workspace,
                                 cudaStream_t stream) = 0;
};

// What a plan stores of one plugin; the plugin object of the build is destroyed.
class Layer {
public:
    virtual ~Layer() = default;
    virtual std::unique_ptr<Context> attached(std::int32_t tactic) = 0;

    Answers answers{};
};

// The dimensions of a profile as expressions, constants where min equals max.
inline nvinfer1::DimsExprs exprs_of(side::Builder& builder, const DynamicPluginTensorDesc& desc,
                                    const Dims& opt) {
    nvinfer1::DimsExprs found{};
    found.nbDims = opt.nbDims;
    for (std::int32_t axis = 0; axis < opt.nbDims; ++axis) {
        found.d[axis] = desc.desc.dims.d[axis] >= 0 ? builder.number(opt.d[axis])
                                                    : builder.named("dim", opt.d[axis]);
    }
    return found;
}

inline Dims values_of(const nvinfer1::DimsExprs& exprs) {
    Dims found{};
    found.nbDims = exprs.nbDims;
    for (std::int32_t axis = 0; axis < exprs.nbDims; ++axis) {
        found.d[axis] = side::value(*exprs.d[axis]);
    }
    return found;
}

// Inputs and outputs as one array, with the outputs' types that the plugin states.
inline std::vector<DynamicPluginTensorDesc> described(const Node& node, const Answers& answers) {
    std::vector<DynamicPluginTensorDesc> all(node.inputs, node.inputs + node.input_count);
    all.insert(all.end(), node.outputs, node.outputs + node.output_count);
    for (std::int32_t i = 0; i < node.output_count; ++i) {
        all[static_cast<std::size_t>(node.input_count + i)].desc.type =
            static_cast<nvinfer1::DataType>(answers.output_types[i]);
    }
    return all;
}

std::unique_ptr<Layer> layer_v2(nvinfer1::IPluginCreator& creator, const Node& node);
std::unique_ptr<Layer> layer_v3(nvinfer1::IPluginCreatorV3One& creator, const Node& node);

}  // namespace caller
