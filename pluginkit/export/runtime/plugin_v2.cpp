#include "plugin_v2.h"

#include <cstring>
#include <string>
#include <vector>

#include "fields.h"
#include "instance.h"
#include "log.h"

namespace pluginkit {

namespace {

using nvinfer1::DataType;
using nvinfer1::DimsExprs;
using nvinfer1::DynamicPluginTensorDesc;
using nvinfer1::PluginTensorDesc;
using Failure = Instance::Failure;

class PluginV2 final : public nvinfer1::IPluginV2DynamicExt {
public:
    PluginV2(const Program& program, const Wire& wire, const std::string& name)
        : mInstance(program, wire, name), mNamespace(program.plugin_namespace) {}

    PluginV2(const PluginV2& other)
        : nvinfer1::IPluginV2DynamicExt(),
          mInstance(other.mInstance),
          mNamespace(other.mNamespace),
          mIsInitialized(other.mIsInitialized) {}

    const char* getPluginType() const noexcept override { return mInstance.program().plugin_name; }
    const char* getPluginVersion() const noexcept override {
        return mInstance.program().plugin_version;
    }
    void setPluginNamespace(const char* name) noexcept override {
        try {
            mNamespace = name != nullptr ? name : "";
        } catch (...) {
            // Out of memory: the old one stays.
        }
    }
    const char* getPluginNamespace() const noexcept override { return mNamespace.c_str(); }
    std::int32_t getNbOutputs() const noexcept override {
        return static_cast<std::int32_t>(mInstance.program().output_count);
    }

    nvinfer1::IPluginV2DynamicExt* clone() const noexcept override {
        return mInstance.guarded<nvinfer1::IPluginV2DynamicExt*>(
            Failure::kTransient, "IPluginV2DynamicExt.clone", nullptr,
            [&] { return new PluginV2(*this); });
    }

    DataType getOutputDataType(std::int32_t index, const DataType* input_types,
                               std::int32_t input_count) const noexcept override {
        return mInstance.guarded(
            Failure::kPersistent, "IPluginV2DynamicExt.getOutputDataType", DataType::kFLOAT, [&] {
                return mInstance.output_types(input_types, input_count)
                    .at(static_cast<std::size_t>(index));
            });
    }

    DimsExprs getOutputDimensions(std::int32_t index, const DimsExprs* inputs,
                                  std::int32_t input_count,
                                  nvinfer1::IExprBuilder& builder) noexcept override {
        const DimsExprs none{0, {}};
        return mInstance.guarded(
            Failure::kPersistent, "IPluginV2DynamicExt.getOutputDimensions", none, [&] {
                std::vector<DimsExprs> all(mInstance.program().output_count);
                mInstance.output_shapes(inputs, input_count, nullptr, 0, all.data(), builder);
                return all.at(static_cast<std::size_t>(index));
            });
    }

    bool supportsFormatCombination(std::int32_t position, const PluginTensorDesc* in_out,
                                   std::int32_t input_count, std::int32_t) noexcept override {
        return mInstance.guarded(
            Failure::kPersistent, "IPluginV2DynamicExt.supportsFormatCombination", false, [&] {
                return mInstance.supports(
                    std::vector<PluginTensorDesc>(in_out, in_out + position + 1), input_count);
            });
    }

    void configurePlugin(const DynamicPluginTensorDesc* in, std::int32_t input_count,
                         const DynamicPluginTensorDesc*, std::int32_t) noexcept override {
        mInstance.release();
        ProfileShapes least{{}, {}, "min"};
        ProfileShapes most{{}, {}, "max"};
        bool is_known = mIsInitialized;
        for (std::int32_t i = 0; i < input_count; ++i) {
            least.shapes.push_back(shape_from_dims(in[i].min));
            most.shapes.push_back(shape_from_dims(in[i].max));
            for (const std::int64_t dim : shape_from_dims(in[i].desc.dims)) {
                is_known = is_known && dim >= 0;
            }
        }
        if (is_known) {  // the execution phase: enqueue will have these shapes
            const char* callback = "IPluginV2DynamicExt.configurePlugin";
            mInstance.guarded(Failure::kTransient, callback, false, [&] {
                std::vector<PluginTensorDesc> descs;
                for (std::int32_t i = 0; i < input_count; ++i) {
                    descs.push_back(in[i].desc);
                }
                prepare(descs.data(), descs.size());
                return true;
            });
            return;
        }
        mSmallest = least.shapes;
        mInstance.guarded(Failure::kPersistent, "IPluginV2DynamicExt.configurePlugin", false, [&] {
            std::vector<Type> types;
            for (std::int32_t i = 0; i < input_count; ++i) {
                types.push_back(need_type(in[i].desc.type));
            }
            mInstance.check_profile({least, most}, types);
            return true;
        });
    }

    std::size_t getWorkspaceSize(const PluginTensorDesc* inputs, std::int32_t input_count,
                                 const PluginTensorDesc*, std::int32_t) const noexcept override {
        return mInstance.guarded<std::size_t>(
            Failure::kPersistent, "IPluginV2DynamicExt.getWorkspaceSize", 0, [&] {
                ProfileShapes least{mSmallest, {}, "min"};
                ProfileShapes most{{}, {}, "max"};
                std::vector<Type> types;
                for (std::int32_t i = 0; i < input_count; ++i) {
                    types.push_back(need_type(inputs[i].type));
                    most.shapes.push_back(shape_from_dims(inputs[i].dims));
                }
                if (least.shapes.size() != most.shapes.size()) {
                    least.shapes = most.shapes;
                }
                return static_cast<std::size_t>(mInstance.workspace_bytes({least, most}, types));
            });
    }

    std::int32_t initialize() noexcept override {
        mIsInitialized = true;
        return 0;
    }
    void terminate() noexcept override { mInstance.release(); }
    void destroy() noexcept override { delete this; }

    std::int32_t enqueue(const PluginTensorDesc* input_desc, const PluginTensorDesc*,
                         const void* const* inputs, void* const* outputs, void* workspace,
                         cudaStream_t stream) noexcept override {
        return mInstance.guarded(Failure::kTransient, "IPluginV2DynamicExt.enqueue", -1, [&] {
            if (!is_prepared_for(input_desc)) {
                prepare(input_desc, mInstance.node().device_inputs().size());
            }
            mInstance.prepared()->enqueue(inputs, outputs, workspace,
                                          reinterpret_cast<CUstream>(stream));
            return 0;
        });
    }

    std::size_t getSerializationSize() const noexcept override {
        return mInstance.guarded<std::size_t>(
            Failure::kPersistent, "IPluginV2DynamicExt.getSerializationSize", 0,
            [&] { return payload_from_wire(mInstance.wire()).size(); });
    }

    void serialize(void* buffer) const noexcept override {
        mInstance.guarded(Failure::kPersistent, "IPluginV2DynamicExt.serialize", false, [&] {
            const std::string payload = payload_from_wire(mInstance.wire());
            std::memcpy(buffer, payload.data(), payload.size());
            return true;
        });
    }

private:
    // TensorRT calls configurePlugin only before the first enqueue with new shapes, not when it
    // returns to earlier ones. Comparing a few dimensions costs nothing compared to a launch.
    bool is_prepared_for(const PluginTensorDesc* descs) const {
        if (mInstance.prepared() == nullptr) {
            return false;
        }
        for (std::size_t i = 0; i < mPrepared.size(); ++i) {
            const nvinfer1::Dims& now = descs[i].dims;
            const nvinfer1::Dims& then = mPrepared[i].dims;
            if (descs[i].type != mPrepared[i].type || now.nbDims != then.nbDims ||
                !std::equal(now.d, now.d + then.nbDims, then.d)) {
                return false;
            }
        }
        return true;
    }

    void prepare(const PluginTensorDesc* descs, std::size_t count) {
        std::vector<Shape> shapes;
        std::vector<Type> types;
        for (std::size_t i = 0; i < count; ++i) {
            shapes.push_back(shape_from_dims(descs[i].dims));
            types.push_back(need_type(descs[i].type));
        }
        mInstance.prepare(shapes, types, {});
        mPrepared.assign(descs, descs + count);
    }

    mutable Instance mInstance;
    std::string mNamespace;
    bool mIsInitialized = false;
    std::vector<Shape> mSmallest;              // the shapes at the configured profile's minimum
    std::vector<PluginTensorDesc> mPrepared;  // the tensors of the last preparation
};

class CreatorV2 final : public nvinfer1::IPluginCreator {
public:
    explicit CreatorV2(const Program& program)
        : mProgram(program),
          mNamespace(program.plugin_namespace),
          mFields(announced_fields(program)) {}

    const char* getPluginName() const noexcept override { return mProgram.plugin_name; }
    const char* getPluginVersion() const noexcept override { return mProgram.plugin_version; }
    const nvinfer1::PluginFieldCollection* getFieldNames() noexcept override {
        return &mFields.collection();
    }
    void setPluginNamespace(const char* name) noexcept override {
        try {
            mNamespace = name != nullptr ? name : "";
        } catch (...) {
            // Out of memory: the old one stays.
        }
    }
    const char* getPluginNamespace() const noexcept override { return mNamespace.c_str(); }

    nvinfer1::IPluginV2* createPlugin(
        const char* name, const nvinfer1::PluginFieldCollection* fields) noexcept override {
        return made(name, [&](const std::string& where) {
            return wire_from_fields(mProgram, fields, where);
        });
    }

    nvinfer1::IPluginV2* deserializePlugin(const char* name, const void* data,
                                           std::size_t size) noexcept override {
        return made(name, [&](const std::string& where) {
            return wire_from_payload(mProgram, data, size, where);
        });
    }

private:
    template <typename GetWire>
    nvinfer1::IPluginV2* made(const char* name, GetWire&& get_wire) const noexcept {
        const std::string node = name != nullptr ? name : "";
        try {
            auto plugin =
                std::make_unique<PluginV2>(mProgram, get_wire("node '" + node + "'"), node);
            plugin->setPluginNamespace(mNamespace.c_str());
            return plugin.release();
        } catch (const std::exception& error) {
            log_error(error.what());
            return nullptr;
        }
    }

    const Program& mProgram;
    std::string mNamespace;
    FieldBlock mFields;
};

}  // namespace

std::unique_ptr<nvinfer1::IPluginCreator> creator_v2(const Program& program) {
    return std::make_unique<CreatorV2>(program);
}

std::string needs_v3(const Program& program) {
    for (std::size_t i = 0; i < program.output_count; ++i) {
        if (program.outputs[i].is_size) {
            return std::string("output '") + program.outputs[i].name +
                   "' makes a shape depend on data";
        }
    }
    for (std::size_t i = 0; i < program.input_count; ++i) {
        if (program.inputs[i].length >= 0) {
            return std::string("'") + program.inputs[i].name + "' is a shape input";
        }
    }
    return "";
}

}  // namespace pluginkit
