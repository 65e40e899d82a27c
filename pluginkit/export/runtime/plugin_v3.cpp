#include "plugin_v3.h"

#if PLUGINKIT_TENSORRT_MAJOR >= 10

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

std::vector<Type> types_of(const PluginTensorDesc* descs, std::int32_t count) {
    std::vector<Type> types;
    for (std::int32_t i = 0; i < count; ++i) {
        types.push_back(need_type(descs[i].type));
    }
    return types;
}

std::vector<Type> types_of(const DynamicPluginTensorDesc* descs, std::int32_t count) {
    std::vector<Type> types;
    for (std::int32_t i = 0; i < count; ++i) {
        types.push_back(need_type(descs[i].desc.type));
    }
    return types;
}

std::vector<Shape> shapes_of(const PluginTensorDesc* descs, std::int32_t count) {
    std::vector<Shape> shapes;
    for (std::int32_t i = 0; i < count; ++i) {
        shapes.push_back(shape_from_dims(descs[i].dims));
    }
    return shapes;
}

std::vector<Shape> shapes_of(const DynamicPluginTensorDesc* descs, std::int32_t count,
                             nvinfer1::Dims DynamicPluginTensorDesc::*bound) {
    std::vector<Shape> shapes;
    for (std::int32_t i = 0; i < count; ++i) {
        shapes.push_back(shape_from_dims(descs[i].*bound));
    }
    return shapes;
}

// Returns a profile's min, opt and max shapes, the largest last.
std::vector<ProfileShapes> profile_shapes(const DynamicPluginTensorDesc* in, std::int32_t inputs,
                                          const DynamicPluginTensorDesc* out,
                                          std::int32_t outputs) {
    const std::pair<const char*, nvinfer1::Dims DynamicPluginTensorDesc::*> bounds[] = {
        {"min", &DynamicPluginTensorDesc::min},
        {"opt", &DynamicPluginTensorDesc::opt},
        {"max", &DynamicPluginTensorDesc::max}};
    std::vector<ProfileShapes> profiles;
    for (const auto& [label, bound] : bounds) {
        profiles.push_back({shapes_of(in, inputs, bound), shapes_of(out, outputs, bound), label});
    }
    return profiles;
}

// One object serves all capabilities. `Build` is the version of the build interface.
template <typename Build>
class PluginV3 final : public nvinfer1::IPluginV3,
                       public nvinfer1::IPluginV3OneCore,
                       public Build,
                       public nvinfer1::IPluginV3OneRuntime {
public:
    explicit PluginV3(const Instance& instance) : mInstance(instance) {}
    PluginV3(const Program& program, const Wire& wire, const std::string& name)
        : mInstance(program, wire, name) {}

    nvinfer1::IPluginCapability* getCapabilityInterface(
        nvinfer1::PluginCapabilityType type) noexcept override {
        switch (type) {
            case nvinfer1::PluginCapabilityType::kCORE:
                return static_cast<nvinfer1::IPluginV3OneCore*>(this);
            case nvinfer1::PluginCapabilityType::kBUILD: return static_cast<Build*>(this);
            case nvinfer1::PluginCapabilityType::kRUNTIME:
                return static_cast<nvinfer1::IPluginV3OneRuntime*>(this);
        }
        return nullptr;
    }

    nvinfer1::IPluginV3* clone() noexcept override {
        return mInstance.guarded<nvinfer1::IPluginV3*>(
            Failure::kTransient, "IPluginV3.clone", nullptr,
            [&] { return new PluginV3(mInstance); });
    }

    nvinfer1::IPluginV3* attachToContext(nvinfer1::IPluginResourceContext*) noexcept override {
        return clone();
    }

    const char* getPluginName() const noexcept override {
        return mInstance.program().plugin_name;
    }
    const char* getPluginVersion() const noexcept override {
        return mInstance.program().plugin_version;
    }
    const char* getPluginNamespace() const noexcept override {
        return mInstance.program().plugin_namespace;
    }

    std::int32_t getNbOutputs() const noexcept override {
        return static_cast<std::int32_t>(mInstance.program().output_count);
    }

    std::int32_t getOutputDataTypes(DataType* output_types, std::int32_t output_count,
                                    const DataType* input_types,
                                    std::int32_t input_count) const noexcept override {
        return mInstance.guarded(Failure::kPersistent, "IPluginV3.getOutputDataTypes", -1, [&] {
            const std::vector<DataType> found = mInstance.output_types(input_types, input_count);
            check_output_count(output_count);
            std::copy(found.begin(), found.end(), output_types);
            return 0;
        });
    }

    std::int32_t getOutputShapes(const DimsExprs* inputs, std::int32_t input_count,
                                 const DimsExprs* shape_inputs, std::int32_t shape_input_count,
                                 DimsExprs* outputs, std::int32_t output_count,
                                 nvinfer1::IExprBuilder& builder) noexcept override {
        return mInstance.guarded(Failure::kPersistent, "IPluginV3.getOutputShapes", -1, [&] {
            check_output_count(output_count);
            mInstance.output_shapes(inputs, input_count, shape_inputs, shape_input_count, outputs,
                                    builder);
            return 0;
        });
    }

    bool supportsFormatCombination(std::int32_t position, const DynamicPluginTensorDesc* in_out,
                                   std::int32_t input_count, std::int32_t) noexcept override {
        return mInstance.guarded(
            Failure::kPersistent, "IPluginV3.supportsFormatCombination", false, [&] {
                std::vector<PluginTensorDesc> proposed;
                for (std::int32_t i = 0; i <= position; ++i) {
                    proposed.push_back(in_out[i].desc);
                }
                return mInstance.supports(proposed, input_count);
            });
    }

    std::int32_t configurePlugin(const DynamicPluginTensorDesc* in, std::int32_t input_count,
                                 const DynamicPluginTensorDesc* out,
                                 std::int32_t output_count) noexcept override {
        return mInstance.guarded(Failure::kPersistent, "IPluginV3.configurePlugin", -1, [&] {
            mInstance.check_profile(profile_shapes(in, input_count, out, output_count),
                                    types_of(in, input_count));
            return 0;
        });
    }

    std::size_t getWorkspaceSize(const DynamicPluginTensorDesc* inputs, std::int32_t input_count,
                                 const DynamicPluginTensorDesc* outputs,
                                 std::int32_t output_count) const noexcept override {
        return mInstance.guarded<std::size_t>(
            Failure::kPersistent, "IPluginV3.getWorkspaceSize", 0, [&] {
                return static_cast<std::size_t>(mInstance.workspace_bytes(
                    profile_shapes(inputs, input_count, outputs, output_count),
                    types_of(inputs, input_count)));
            });
    }

    std::int32_t getNbTactics() noexcept override {
        return static_cast<std::int32_t>(mInstance.program().tactic_count);
    }

    std::int32_t getValidTactics(std::int32_t* tactics, std::int32_t count) noexcept override {
        for (std::int32_t i = 0; i < count; ++i) {
            tactics[i] = i + 1;  // 0 is TensorRT's own default
        }
        return 0;
    }

    // Overrides that of IPluginV3OneBuildV2; IPluginV3OneBuild has no such function.
    std::int32_t getAliasedInput(std::int32_t output) noexcept {
        return mInstance.aliased_input(output);
    }

    std::int32_t setTactic(std::int32_t tactic) noexcept override {
        return mInstance.guarded(Failure::kPersistent, "IPluginV3.setTactic", -1, [&] {
            mInstance.set_tactic(tactic);
            return 0;
        });
    }

    std::int32_t onShapeChange(const PluginTensorDesc* in, std::int32_t input_count,
                               const PluginTensorDesc* out,
                               std::int32_t output_count) noexcept override {
        return mInstance.guarded(Failure::kTransient, "IPluginV3.onShapeChange", -1, [&] {
            mInstance.prepare(shapes_of(in, input_count), types_of(in, input_count),
                              shapes_of(out, output_count));
            return 0;
        });
    }

    std::int32_t enqueue(const PluginTensorDesc* input_desc, const PluginTensorDesc* output_desc,
                         const void* const* inputs, void* const* outputs, void* workspace,
                         cudaStream_t stream) noexcept override {
        return mInstance.guarded(Failure::kTransient, "IPluginV3.enqueue", -1, [&] {
            if (mInstance.prepared() == nullptr) {
                const auto in = static_cast<std::int32_t>(mInstance.node().device_inputs().size());
                mInstance.prepare(shapes_of(input_desc, in), types_of(input_desc, in),
                                  shapes_of(output_desc, getNbOutputs()));
            }
            mInstance.prepared()->enqueue(inputs, outputs, workspace,
                                          reinterpret_cast<CUstream>(stream));
            return 0;
        });
    }

    const nvinfer1::PluginFieldCollection* getFieldsToSerialize() noexcept override {
        return mInstance.guarded<const nvinfer1::PluginFieldCollection*>(
            Failure::kPersistent, "IPluginV3.getFieldsToSerialize", nullptr, [&] {
                mFields = std::make_unique<FieldBlock>(mInstance.wire());
                return &mFields->collection();
            });
    }

private:
    void check_output_count(std::int32_t count) const {
        if (count != getNbOutputs()) {
            throw Refusal("PK111 " + mInstance.node().owner() + ": asked for " +
                          std::to_string(count) + " outputs; expected " +
                          std::to_string(getNbOutputs()) + ".");
        }
    }

    mutable Instance mInstance;
    std::unique_ptr<FieldBlock> mFields;
};

class CreatorV3 final : public nvinfer1::IPluginCreatorV3One {
public:
    CreatorV3(const Program& program, bool has_aliases)
        : mProgram(program), mHasAliases(has_aliases), mFields(announced_fields(program)) {}

    const char* getPluginName() const noexcept override { return mProgram.plugin_name; }
    const char* getPluginVersion() const noexcept override { return mProgram.plugin_version; }
    const char* getPluginNamespace() const noexcept override { return mProgram.plugin_namespace; }
    const nvinfer1::PluginFieldCollection* getFieldNames() noexcept override {
        return &mFields.collection();
    }

    nvinfer1::IPluginV3* createPlugin(const char* name,
                                      const nvinfer1::PluginFieldCollection* fields,
                                      nvinfer1::TensorRTPhase) noexcept override {
        const std::string node = name != nullptr ? name : "";
        try {
            const Wire wire = wire_from_fields(mProgram, fields, "node '" + node + "'");
#ifdef PLUGINKIT_HAS_ALIASES
            if (mHasAliases) {
                return new PluginV3<nvinfer1::IPluginV3OneBuildV2>(mProgram, wire, node);
            }
#endif
            return new PluginV3<nvinfer1::IPluginV3OneBuild>(mProgram, wire, node);
        } catch (const std::exception& error) {
            log_error(error.what());
            return nullptr;
        }
    }

private:
    const Program& mProgram;
    [[maybe_unused]] bool mHasAliases;
    FieldBlock mFields;
};

bool aliases_something(const Program& program) {
    for (std::size_t i = 0; i < program.output_count; ++i) {
        if (program.outputs[i].aliases >= 0) {
            return true;
        }
    }
    return false;
}

}  // namespace

std::unique_ptr<nvinfer1::IPluginCreatorInterface> creator_v3(const Program& program,
                                                              bool has_aliases) {
    return std::make_unique<CreatorV3>(program, has_aliases && aliases_something(program));
}

}  // namespace pluginkit

#endif
