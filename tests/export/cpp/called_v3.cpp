#include "called_layer.h"

namespace caller {

namespace {

using nvinfer1::IPluginV3;
using nvinfer1::PluginCapabilityType;
using nvinfer1::PluginFieldCollection;
using nvinfer1::PluginFieldType;
using nvinfer1::TensorRTPhase;

// A plugin, which is deleted as TensorRT does, and one of its capabilities.
template <typename Capability>
class Held {
public:
    Held(IPluginV3* plugin, PluginCapabilityType type, const char* from) : mPlugin(plugin) {
        expect(plugin != nullptr, from);
        mCapability = static_cast<Capability*>(plugin->getCapabilityInterface(type));
        expect(mCapability != nullptr, "getCapabilityInterface");
    }
    Held(const Held&) = delete;
    Held& operator=(const Held&) = delete;
    ~Held() { delete mPlugin; }

    Capability* operator->() const { return mCapability; }
    IPluginV3& plugin() const { return *mPlugin; }

private:
    IPluginV3* mPlugin;
    Capability* mCapability = nullptr;
};

std::size_t width_of(PluginFieldType type) {
    switch (type) {
        case PluginFieldType::kFLOAT64:
        case PluginFieldType::kINT64: return 8;
        case PluginFieldType::kFLOAT32:
        case PluginFieldType::kINT32: return 4;
        case PluginFieldType::kFLOAT16:
        case PluginFieldType::kBF16:
        case PluginFieldType::kINT16: return 2;
        case PluginFieldType::kINT8:
        case PluginFieldType::kFP8:
        case PluginFieldType::kCHAR: return 1;
        default: throw Refused("getFieldsToSerialize has a field of an unknown type; it");
    }
}

// Fields as a plan stores them: names and values are copied.
class KeptFields {
public:
    explicit KeptFields(const PluginFieldCollection* given) {
        expect(given != nullptr, "getFieldsToSerialize");
        for (std::int32_t i = 0; i < given->nbFields; ++i) {
            const PluginField& field = given->fields[i];
            const auto* data = static_cast<const char*>(field.data);
            const std::size_t size = width_of(field.type) * static_cast<std::size_t>(field.length);
            mNames.push_back(std::make_unique<std::string>(field.name));
            mData.push_back(std::make_unique<std::vector<char>>(data, data + size));
            mFields.push_back(
                {mNames.back()->c_str(), mData.back()->data(), field.type, field.length});
        }
    }

    PluginFieldCollection collection() const {
        return {static_cast<std::int32_t>(mFields.size()), mFields.data()};
    }

private:
    std::vector<std::unique_ptr<std::string>> mNames;
    std::vector<std::unique_ptr<std::vector<char>>> mData;
    std::vector<PluginField> mFields;
};

using Building = Held<nvinfer1::IPluginV3OneBuild>;
using Running = Held<nvinfer1::IPluginV3OneRuntime>;

class ContextV3 : public Context {
public:
    ContextV3(IPluginV3* attached, std::int32_t tactic, std::int32_t inputs, std::int32_t outputs)
        : mPlugin(attached, PluginCapabilityType::kRUNTIME, "attachToContext"),
          mInputs(inputs),
          mOutputs(outputs) {
        expect(mPlugin->setTactic(tactic) == 0, "setTactic");
    }

    void announce(const PluginTensorDesc* inputs, const PluginTensorDesc* outputs) override {
        expect(mPlugin->onShapeChange(inputs, mInputs, outputs, mOutputs) == 0, "onShapeChange");
    }

    std::int32_t enqueue(const PluginTensorDesc* inputs, const PluginTensorDesc* outputs,
                         const void* const* sources, void* const* targets, void* workspace,
                         cudaStream_t stream) override {
        return mPlugin->enqueue(inputs, outputs, sources, targets, workspace, stream);
    }

private:
    Running mPlugin;
    std::int32_t mInputs;
    std::int32_t mOutputs;
};

void ask_shapes(Building& plugin, const Node& node, Answers& answers) {
    std::vector<nvinfer1::DataType> in;
    side::Builder builder;
    std::vector<nvinfer1::DimsExprs> shapes, values;
    for (std::int32_t i = 0; i < node.input_count; ++i) {
        in.push_back(node.inputs[i].desc.type);
        shapes.push_back(exprs_of(builder, node.inputs[i], node.inputs[i].opt));
    }
    for (std::int32_t i = 0; i < node.shape_input_count; ++i) {
        DynamicPluginTensorDesc unknown{};
        std::fill_n(unknown.desc.dims.d, +Dims::MAX_DIMS, -1);
        values.push_back(exprs_of(builder, unknown, node.shape_inputs[i]));
    }
    std::vector<nvinfer1::DataType> types(static_cast<std::size_t>(node.output_count));
    expect(plugin->getOutputDataTypes(types.data(), node.output_count, in.data(),
                                      node.input_count) == 0,
           "getOutputDataTypes");
    std::vector<nvinfer1::DimsExprs> found(types.size());
    expect(plugin->getOutputShapes(shapes.data(), node.input_count, values.data(),
                                   node.shape_input_count, found.data(), node.output_count,
                                   builder) == 0,
           "getOutputShapes");
    for (std::size_t i = 0; i < types.size(); ++i) {
        answers.output_types[i] = static_cast<std::int32_t>(types[i]);
        answers.output_shapes[i] = values_of(found[i]);
    }
}

void ask_aliases(Building& plugin, const Node& node, Answers& answers) {
    std::fill_n(answers.aliased_inputs, kMostPorts, -1);
    if (plugin->getInterfaceInfo().major >= 2) {
        auto& build = static_cast<nvinfer1::IPluginV3OneBuildV2&>(*plugin.operator->());
        for (std::int32_t i = 0; i < node.output_count; ++i) {
            answers.aliased_inputs[i] = build.getAliasedInput(i);
        }
    }
}

class LayerV3 : public Layer {
public:
    LayerV3(nvinfer1::IPluginCreatorV3One& creator, const Node& node)
        : mCreator(creator),
          mName(node.name),
          mInputs(node.input_count),
          mOutputs(node.output_count) {
        const PluginFieldCollection fields{node.field_count, node.fields};
        const Building parsed(creator.createPlugin(node.name, &fields, TensorRTPhase::kBUILD),
                              PluginCapabilityType::kBUILD, "createPlugin");
        Building plugin(parsed.plugin().clone(), PluginCapabilityType::kBUILD, "clone");
        expect(plugin->getNbOutputs() == node.output_count, "getNbOutputs");
        ask_shapes(plugin, node, answers);
        ask_aliases(plugin, node, answers);
        const std::vector<DynamicPluginTensorDesc> all = described(node, answers);
        for (std::int32_t i = 0; i < node.input_count + node.output_count; ++i) {
            expect(plugin->supportsFormatCombination(i, all.data(), node.input_count,
                                                     node.output_count),
                   "supportsFormatCombination(" + std::to_string(i) + ")");
        }
        const DynamicPluginTensorDesc* outputs = all.data() + node.input_count;
        expect(plugin->configurePlugin(all.data(), node.input_count, outputs,
                                       node.output_count) == 0,
               "configurePlugin");
        answers.tactic_count = plugin->getNbTactics();
        std::vector<std::int32_t> tactics(static_cast<std::size_t>(answers.tactic_count));
        expect(plugin->getValidTactics(tactics.data(), answers.tactic_count) == 0,
               "getValidTactics");
        answers.workspace_bytes = static_cast<std::int64_t>(plugin->getWorkspaceSize(
            all.data(), node.input_count, outputs, node.output_count));
        auto* runtime = static_cast<nvinfer1::IPluginV3OneRuntime*>(
            plugin.plugin().getCapabilityInterface(PluginCapabilityType::kRUNTIME));
        mFields = std::make_unique<KeptFields>(runtime->getFieldsToSerialize());
    }

    std::unique_ptr<Context> attached(std::int32_t tactic) override {
        const PluginFieldCollection fields = mFields->collection();
        const Running loaded(
            mCreator.createPlugin(mName.c_str(), &fields, TensorRTPhase::kRUNTIME),
            PluginCapabilityType::kRUNTIME, "createPlugin of serialized fields");
        return std::make_unique<ContextV3>(loaded->attachToContext(nullptr), tactic, mInputs,
                                           mOutputs);
    }

private:
    nvinfer1::IPluginCreatorV3One& mCreator;
    std::string mName;
    std::int32_t mInputs;
    std::int32_t mOutputs;
    std::unique_ptr<KeptFields> mFields;
};

}  // namespace

std::unique_ptr<Layer> layer_v3(nvinfer1::IPluginCreatorV3One& creator, const Node& node) {
    return std::make_unique<LayerV3>(creator, node);
}

}  // namespace caller
