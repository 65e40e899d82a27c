#include "called_layer.h"

namespace caller {

namespace {

using nvinfer1::IPluginV2;
using nvinfer1::IPluginV2DynamicExt;

struct Destroy {
    void operator()(IPluginV2DynamicExt* plugin) const { plugin->destroy(); }
};
using Held = std::unique_ptr<IPluginV2DynamicExt, Destroy>;

Held held(IPluginV2* plugin, const char* from) {
    expect(plugin != nullptr, from);
    return Held(static_cast<IPluginV2DynamicExt*>(plugin));
}

std::vector<PluginTensorDesc> descs_of(const std::vector<DynamicPluginTensorDesc>& all) {
    std::vector<PluginTensorDesc> descs;
    for (const DynamicPluginTensorDesc& one : all) {
        descs.push_back(one.desc);
    }
    return descs;
}

class ContextV2 : public Context {
public:
    // `all` describes inputs and outputs within the profile.
    ContextV2(IPluginV2DynamicExt* clone, std::vector<DynamicPluginTensorDesc> all,
              std::int32_t inputs)
        : mPlugin(held(clone, "clone")), mAll(std::move(all)), mInputs(inputs) {
        configure();
        expect(mPlugin->initialize() == 0, "initialize");
    }
    ContextV2(const ContextV2&) = delete;
    ContextV2& operator=(const ContextV2&) = delete;
    ~ContextV2() override { mPlugin->terminate(); }

    void announce(const PluginTensorDesc* inputs, const PluginTensorDesc* outputs) override {
        for (std::int32_t i = 0; i < static_cast<std::int32_t>(mAll.size()); ++i) {
            mAll[static_cast<std::size_t>(i)].desc =
                i < mInputs ? inputs[i] : outputs[i - mInputs];
        }
        configure();
    }

    std::int32_t enqueue(const PluginTensorDesc* inputs, const PluginTensorDesc* outputs,
                         const void* const* sources, void* const* targets, void* workspace,
                         cudaStream_t stream) override {
        return mPlugin->enqueue(inputs, outputs, sources, targets, workspace, stream);
    }

private:
    void configure() {
        const auto outputs = static_cast<std::int32_t>(mAll.size()) - mInputs;
        mPlugin->configurePlugin(mAll.data(), mInputs, mAll.data() + mInputs, outputs);
    }

    Held mPlugin;
    std::vector<DynamicPluginTensorDesc> mAll;
    std::int32_t mInputs;
};

class LayerV2 : public Layer {
public:
    LayerV2(nvinfer1::IPluginCreator& creator, const Node& node)
        : mCreator(creator), mName(node.name), mInputs(node.input_count) {
        std::fill_n(answers.aliased_inputs, kMostPorts, -1);
        const nvinfer1::PluginFieldCollection fields{node.field_count, node.fields};
        const Held parsed = held(creator.createPlugin(node.name, &fields), "createPlugin");
        const Held plugin = held(parsed->clone(), "clone");
        expect(plugin->getNbOutputs() == node.output_count, "getNbOutputs");
        side::Builder builder;
        std::vector<nvinfer1::DataType> types;
        std::vector<nvinfer1::DimsExprs> shapes;
        for (std::int32_t i = 0; i < node.input_count; ++i) {
            types.push_back(node.inputs[i].desc.type);
            shapes.push_back(exprs_of(builder, node.inputs[i], node.inputs[i].opt));
        }
        for (std::int32_t i = 0; i < node.output_count; ++i) {
            answers.output_shapes[i] = values_of(
                plugin->getOutputDimensions(i, shapes.data(), node.input_count, builder));
            answers.output_types[i] = static_cast<std::int32_t>(
                plugin->getOutputDataType(i, types.data(), node.input_count));
        }
        mAll = described(node, answers);
        std::vector<PluginTensorDesc> descs = descs_of(mAll);
        for (std::int32_t i = 0; i < node.input_count + node.output_count; ++i) {
            expect(plugin->supportsFormatCombination(i, descs.data(), node.input_count,
                                                     node.output_count),
                   "supportsFormatCombination(" + std::to_string(i) + ")");
        }
        plugin->configurePlugin(mAll.data(), node.input_count, mAll.data() + node.input_count,
                                node.output_count);
        for (std::size_t i = 0; i < descs.size(); ++i) {
            descs[i].dims = mAll[i].max;
        }
        answers.workspace_bytes = static_cast<std::int64_t>(
            plugin->getWorkspaceSize(descs.data(), node.input_count,
                                     descs.data() + node.input_count, node.output_count));
        mPayload.resize(plugin->getSerializationSize());
        plugin->serialize(mPayload.data());
    }

    std::unique_ptr<Context> attached(std::int32_t) override {
        const std::vector<char> exact(mPayload);
        const Held loaded =
            held(mCreator.deserializePlugin(mName.c_str(), exact.data(), exact.size()),
                 "deserializePlugin");
        return std::make_unique<ContextV2>(loaded->clone(), mAll, mInputs);
    }

private:
    nvinfer1::IPluginCreator& mCreator;
    std::string mName;
    std::int32_t mInputs;
    std::vector<DynamicPluginTensorDesc> mAll;
    std::vector<char> mPayload;
};

}  // namespace

std::unique_ptr<Layer> layer_v2(nvinfer1::IPluginCreator& creator, const Node& node) {
    return std::make_unique<LayerV2>(creator, node);
}

}  // namespace caller
