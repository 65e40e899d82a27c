// Calls the plugins of programs.cpp as IPluginV3 objects, in TensorRT's order.
//
//     drive_v3 LIBRARY RECORDING_DRIVER cycle|corrupt=PAYLOADS|many
#include <algorithm>
#include <thread>

#include "library_side.h"

using namespace nvinfer1;
using side::desc;
using side::dynamic;
using side::holds;

namespace {

struct Test {
    side::Library library;
    side::Recording recording;
    side::LoggerFinder finder;
    IPluginCreatorV3One* scale = nullptr;
    IPluginCreatorV3One* gather = nullptr;

    Test(const char* library_path, const char* driver_path)
        : library(library_path), recording(driver_path) {
        library.function<void(ILoggerFinder*)>("setLoggerFinder")(&finder);
        std::int32_t count = 0;
        IPluginCreatorInterface* const* creators =
            library.function<IPluginCreatorInterface* const*(std::int32_t&)>("getCreators")(count);
        EXPECT(count == 2);
        EXPECT(std::strcmp(creators[0]->getInterfaceInfo().kind, "PLUGIN CREATOR_V3ONE") == 0);
        EXPECT(creators[0]->getAPILanguage() == APILanguage::kCPP);
        scale = static_cast<IPluginCreatorV3One*>(creators[0]);
        gather = static_cast<IPluginCreatorV3One*>(creators[1]);
        recording.parameters("scale_float", {8, 8, 8, 4});
    }
};

// A plugin with its capabilities, as TensorRT holds it.
struct Plugin {
    IPluginV3* object;
    IPluginV3OneCore* core;
    IPluginV3OneBuild* build;
    IPluginV3OneRuntime* runtime;

    explicit Plugin(IPluginV3* made)
        : object(made),
          core(static_cast<IPluginV3OneCore*>(
              made->getCapabilityInterface(PluginCapabilityType::kCORE))),
          build(static_cast<IPluginV3OneBuild*>(
              made->getCapabilityInterface(PluginCapabilityType::kBUILD))),
          runtime(static_cast<IPluginV3OneRuntime*>(
              made->getCapabilityInterface(PluginCapabilityType::kRUNTIME))) {}
};

Plugin created(IPluginCreatorV3One* creator, std::vector<PluginField> fields,
               TensorRTPhase phase = TensorRTPhase::kBUILD) {
    const PluginFieldCollection collection{static_cast<std::int32_t>(fields.size()),
                                           fields.data()};
    IPluginV3* plugin = creator->createPlugin("node", &collection, phase);
    EXPECT(plugin != nullptr);
    return Plugin(plugin);
}

std::string text_field(const PluginFieldCollection& fields, const char* name) {
    for (std::int32_t i = 0; i < fields.nbFields; ++i) {
        const PluginField& field = fields.fields[i];
        if (std::strcmp(field.name, name) == 0 && field.type == PluginFieldType::kCHAR) {
            return static_cast<const char*>(field.data);
        }
    }
    return "";
}

void cycle_of_scale(Test& test) {
    const float factor = 2.5F;
    Plugin parsed = created(test.scale, {{"factor", &factor, PluginFieldType::kFLOAT32, 1}});
    EXPECT(std::strcmp(parsed.core->getPluginName(), "Scale_PK") == 0);
    EXPECT(std::strcmp(parsed.core->getPluginVersion(), "1") == 0);
    EXPECT(std::strcmp(parsed.core->getPluginNamespace(), "pluginkit") == 0);
    EXPECT(std::strcmp(parsed.core->getInterfaceInfo().kind, "PLUGIN_V3ONE_CORE") == 0);
    EXPECT(std::strcmp(parsed.build->getInterfaceInfo().kind, "PLUGIN_V3ONE_BUILD") == 0);
    EXPECT(std::strcmp(parsed.runtime->getInterfaceInfo().kind, "PLUGIN_V3ONE_RUNTIME") == 0);
    EXPECT(std::strcmp(parsed.object->getInterfaceInfo().kind, "PLUGIN") == 0);

    Plugin plugin(parsed.object->clone());
    delete parsed.object;
    EXPECT(plugin.build->getNbOutputs() == 1);
    DataType in = DataType::kHALF;
    DataType out = DataType::kFLOAT;
    EXPECT(plugin.build->getOutputDataTypes(&out, 1, &in, 1) == 0);
    EXPECT(out == DataType::kHALF);
    side::Builder builder;
    const DimsExprs shape = builder.exprs({builder.named("n"), builder.number(4)});
    DimsExprs found{};
    EXPECT(plugin.build->getOutputShapes(&shape, 1, nullptr, 0, &found, 1, builder) == 0);
    EXPECT(found.nbDims == 2 && found.d[0] == shape.d[0]);
    EXPECT(found.d[1]->getConstantValue() == 4);

    DynamicPluginTensorDesc both[2] = {dynamic(DataType::kFLOAT, {-1, 4}, {1, 4}, {8, 4}),
                                       dynamic(DataType::kFLOAT, {-1, 4}, {1, 4}, {8, 4})};
    EXPECT(plugin.build->supportsFormatCombination(0, both, 1, 1));
    EXPECT(plugin.build->supportsFormatCombination(1, both, 1, 1));
    both[1].desc.type = DataType::kHALF;
    EXPECT(!plugin.build->supportsFormatCombination(1, both, 1, 1));
    both[1].desc.type = DataType::kFLOAT;
    both[1].desc.format = static_cast<TensorFormat>(2);
    EXPECT(!plugin.build->supportsFormatCombination(1, both, 1, 1));
    both[1].desc.format = TensorFormat::kLINEAR;
    both[0].desc.type = DataType::kINT32;
    EXPECT(!plugin.build->supportsFormatCombination(0, both, 1, 1));
    both[0].desc.type = DataType::kFLOAT;
    EXPECT(plugin.build->getNbTactics() == 0);
    EXPECT(plugin.build->getFormatCombinationLimit() == 100);
    EXPECT(plugin.build->getTimingCacheID() == nullptr);
    EXPECT(plugin.build->getMetadataString() == nullptr);
    EXPECT(plugin.build->configurePlugin(both, 1, both + 1, 1) == 0);
    EXPECT(plugin.build->getWorkspaceSize(both, 1, both + 1, 1) == 0);

    const PluginFieldCollection* fields = plugin.runtime->getFieldsToSerialize();
    EXPECT(fields->nbFields == 2);
    EXPECT(*static_cast<const float*>(fields->fields[0].data) == 2.5F);
    EXPECT(text_field(*fields, "pluginkit_recorded_sizes") ==
           R"([{"shapes":[[1,4]],"dtypes":["float32"],"trt_outputs":[[1,4]],"outputs":[[[1,4],"float32"]],)"
           R"("workspace_bytes":0},{"shapes":[[8,4]],"dtypes":["float32"],"trt_outputs":[[8,4]],)"
           R"("outputs":[[[8,4],"float32"]],"workspace_bytes":0}])");
    IPluginV3* loaded = test.scale->createPlugin("node", fields, TensorRTPhase::kRUNTIME);
    EXPECT(loaded != nullptr);
    delete plugin.object;

    Plugin attached(Plugin(loaded).runtime->attachToContext(nullptr));
    delete loaded;
    test.recording.taken();
    const PluginTensorDesc x = desc(DataType::kFLOAT, {3, 4});
    EXPECT(attached.runtime->setTactic(0) == 0);
    EXPECT(attached.runtime->onShapeChange(&x, 1, &x, 1) == 0);
    EXPECT(holds(test.recording.taken(), R"({"call":"load","module":)"));
    const void* inputs[] = {reinterpret_cast<void*>(0x1000)};
    void* outputs[] = {reinterpret_cast<void*>(0x2000)};
    auto* stream = reinterpret_cast<cudaStream_t>(7);
    EXPECT(attached.runtime->enqueue(&x, &x, inputs, outputs, nullptr, stream) == 0);
    EXPECT(test.recording.taken() ==
           R"({"call":"launch","function":"scale_float","grid":[1,1,1],"block":[256,1,1],)"
           R"("shared":0,"stream":7,"arguments":["0020000000000000","0010000000000000",)"
           R"("0c00000000000000","00002040"]})"
           "\n");
    const PluginTensorDesc empty = desc(DataType::kFLOAT, {0, 4});
    EXPECT(attached.runtime->onShapeChange(&empty, 1, &empty, 1) == 0);
    EXPECT(attached.runtime->enqueue(&empty, &empty, inputs, outputs, nullptr, stream) == 0);
    EXPECT(test.recording.taken().find("launch") == std::string::npos);
    delete attached.object;
    EXPECT(test.recording.count("loaded") == test.recording.count("unloaded"));
    EXPECT(test.recording.count("retained") == 0);
}

const std::int32_t kAxis = 1;

std::vector<PluginField> gather_fields() {
    static const std::int32_t pads[] = {1, 2};
    return {{"axis", &kAxis, PluginFieldType::kINT32, 1},
            {"pads", pads, PluginFieldType::kINT32, 2},
            {"names", "a\0bc", PluginFieldType::kCHAR, 5},
            {"limit", "json:12345678901", PluginFieldType::kCHAR, 17},
            {"weights", "json:[0.1,NaN]", PluginFieldType::kCHAR, 15},
            {"is_wide", &kAxis, PluginFieldType::kINT32, 1},
            {"unknown", "x", PluginFieldType::kCHAR, 2},
            {"pluginkit_inputs", "x,k,kept", PluginFieldType::kCHAR, 9}};
}

void cycle_of_gather(Test& test) {
    Plugin plugin = created(test.gather, gather_fields());
    EXPECT(std::strcmp(plugin.core->getPluginVersion(), "2") == 0);
    const DataType in[] = {DataType::kFLOAT, DataType::kFLOAT};
    DataType types[3]{};
    EXPECT(plugin.build->getOutputDataTypes(types, 3, in, 2) == 0);
    EXPECT(types[0] == DataType::kFLOAT && types[2] == DataType::kINT32);

    side::Builder builder;
    const DimsExprs shapes[] = {builder.exprs({builder.named("n"), builder.number(4)}),
                                builder.exprs({builder.named("m")})};
    const DimsExprs k = builder.exprs({builder.named("k")});
    DimsExprs found[3]{};
    EXPECT(plugin.build->getOutputShapes(shapes, 2, &k, 1, found, 3, builder) == 0);
    EXPECT(found[0].nbDims == 3 && found[0].d[0] == k.d[0]);
    EXPECT(side::text(found[0].d[2]) == "(k + 1)");
    EXPECT(side::text(found[0].d[1]) ==
           "size2 up to ((n + 1) + 2), (((n + 1) + 2) // 2)");
    EXPECT(found[1].nbDims == 1 && found[1].d[0] == shapes[1].d[0]);
    EXPECT(found[2].nbDims == 0);

    // x, kept; y, total, found
    DynamicPluginTensorDesc all[5] = {dynamic(DataType::kFLOAT, {-1, 4}, {1, 4}, {8, 4}),
                                      dynamic(DataType::kFLOAT, {6}, {6}, {6}),
                                      dynamic(DataType::kFLOAT, {-1, -1, -1}, {2, -1, 3}, {5, -1, 6}),
                                      dynamic(DataType::kFLOAT, {6}, {6}, {6}),
                                      dynamic(DataType::kINT32, {}, {}, {})};
    for (std::int32_t position = 0; position < 5; ++position) {
        EXPECT(plugin.build->supportsFormatCombination(position, all, 2, 3));
    }
    EXPECT(plugin.build->getNbTactics() == 2);
    std::int32_t tactics[2]{};
    EXPECT(plugin.build->getValidTactics(tactics, 2) == 0);
    EXPECT(tactics[0] == 1 && tactics[1] == 2);
    EXPECT(plugin.build->configurePlugin(all, 2, all + 2, 3) == 0);
    EXPECT(plugin.build->getWorkspaceSize(all, 2, all + 2, 3) == 2 * (8 * 4 * 4 + 256));
    const PluginFieldCollection* fields = plugin.runtime->getFieldsToSerialize();
    EXPECT(text_field(*fields, "limit") == "json:12345678901");
    EXPECT(text_field(*fields, "weights") == "json:[0.1,NaN]");
    EXPECT(text_field(*fields, "names") == R"(json:["a","bc"])");
    EXPECT(text_field(*fields, "mode") == "none");
    EXPECT(text_field(*fields, "table") ==
           R"(json:{"dtype":"int16","shape":[2],"data":"AQACAA=="})");
    EXPECT(text_field(*fields, "pluginkit_inputs") == "x,k,kept");

    IPluginV3* loaded = test.gather->createPlugin("node", fields, TensorRTPhase::kRUNTIME);
    EXPECT(loaded != nullptr);
    delete plugin.object;
    Plugin attached(Plugin(loaded).runtime->attachToContext(nullptr));
    delete loaded;
    EXPECT(attached.runtime->setTactic(3) != 0);
    EXPECT(test.finder.logger.said("PK215"));
    delete attached.object;

    plugin = created(test.gather, gather_fields());
    EXPECT(plugin.runtime->setTactic(2) == 0);
    test.recording.parameters("count", {8, 8, 8, 4, 12});
    test.recording.parameters("gather_wide", {8, 8, 1, 8});
    const PluginTensorDesc inputs_desc[] = {desc(DataType::kFLOAT, {3, 4}),
                                            desc(DataType::kFLOAT, {6})};
    const PluginTensorDesc outputs_desc[] = {desc(DataType::kFLOAT, {9, -1, 10}),
                                             desc(DataType::kFLOAT, {6}),
                                             desc(DataType::kINT32, {})};
    EXPECT(plugin.runtime->onShapeChange(inputs_desc, 2, outputs_desc, 3) == 0);
    EXPECT(holds(test.recording.taken(),
                 R"({"call":"shared","function":"gather_wide","bytes":65536})"));
    const void* inputs[] = {reinterpret_cast<void*>(0x1000), reinterpret_cast<void*>(0x2000)};
    void* outputs[] = {reinterpret_cast<void*>(0x3000), reinterpret_cast<void*>(0x4000),
                       reinterpret_cast<void*>(0x5000)};
    EXPECT(plugin.runtime->enqueue(inputs_desc, outputs_desc, inputs, outputs,
                                   reinterpret_cast<void*>(0x6000),
                                   reinterpret_cast<cudaStream_t>(7)) == 0);
    EXPECT(test.recording.taken() ==
           R"({"call":"fill","target":24576,"byte":0,"bytes":256,"stream":7})"
           "\n"
           R"({"call":"copy","target":16384,"source":8192,"bytes":24,"stream":7})"
           "\n"
           R"({"call":"launch","function":"count","grid":[1,2,1],"block":[64,2,1],"shared":0,)"
           R"("stream":7,"arguments":["0010000000000000","0061000000000000",)"
           R"("0050000000000000","03000000","010000000200000003000000"]})"
           "\n"
           R"({"call":"launch","function":"gather_wide","grid":[3,1,1],"block":[32,1,1],)"
           R"("shared":65536,"stream":7,"arguments":["0030000000000000","0000000000000000","01",)"
           R"("0900000000000000"]})"
           "\n");
    delete plugin.object;
    EXPECT(test.recording.count("loaded") == test.recording.count("unloaded"));
    EXPECT(test.recording.count("retained") == 0);
}

// A device without an image of its own uses PTX, or refuses with a message; an error of the driver
// names plugin, node, step and reason; a refused request does not affect the next.
void refusals(Test& test) {
    side::Logger& log = test.finder.logger;
    const std::int32_t far = 9;
    PluginField field{"axis", &far, PluginFieldType::kINT32, 1};
    PluginFieldCollection one{1, &field};
    EXPECT(test.gather->createPlugin("node", &one, TensorRTPhase::kBUILD) == nullptr);
    EXPECT(log.said("PK803 Gather: the library was exported for axis -4 to 3; got 9."));
    field.name = "axes";
    EXPECT(test.gather->createPlugin("node", &one, TensorRTPhase::kBUILD) == nullptr);
    EXPECT(log.said("PK109 Gather: attribute 'axis' is missing; expected int."));
    const PluginField pair[] = {{"axis", &kAxis, PluginFieldType::kINT32, 1},
                                {"mode", "mul", PluginFieldType::kCHAR, 4}};
    const PluginFieldCollection two{2, pair};
    EXPECT(test.gather->createPlugin("node", &two, TensorRTPhase::kBUILD) == nullptr);
    EXPECT(log.said("PK104 Gather: attribute 'mode' is 'mul'; expected 'none' | 'add'."));
    field = {"factor", "x", PluginFieldType::kFLOAT16, 1};
    EXPECT(test.scale->createPlugin("node", &one, TensorRTPhase::kBUILD) == nullptr);
    EXPECT(log.said("PK205"));

    Plugin plugin = created(test.gather, gather_fields());
    const PluginTensorDesc in[] = {desc(DataType::kFLOAT, {3}), desc(DataType::kFLOAT, {6})};
    PluginTensorDesc out[] = {desc(DataType::kFLOAT, {9, -1, 10}), desc(DataType::kFLOAT, {6}),
                              desc(DataType::kINT32, {})};
    EXPECT(plugin.runtime->onShapeChange(in, 2, out, 3) != 0);
    EXPECT(log.said("Gather.IPluginV3.onShapeChange, node 'node': PK126 axis 1 of 'x' is out of "
                    "range for x float32[3]."));
    const PluginTensorDesc good[] = {desc(DataType::kFLOAT, {3, 4}), in[1]};
    out[0] = desc(DataType::kFLOAT, {1001, -1, 1002});
    EXPECT(plugin.runtime->onShapeChange(good, 2, out, 3) != 0);
    EXPECT(log.said("PK155 Gather: k is 1001"));
    const void* inputs[] = {nullptr, nullptr};
    void* outputs[] = {nullptr, nullptr, nullptr};
    EXPECT(plugin.runtime->enqueue(good, out, inputs, outputs, nullptr, nullptr) != 0);
    EXPECT(log.said("IPluginV3.enqueue, node 'node': PK155"));
    out[0] = desc(DataType::kFLOAT, {9, -1, 10});
    EXPECT(plugin.runtime->onShapeChange(good, 2, out, 3) == 0);
    EXPECT(log.last.empty());

    test.recording.fail("cuLaunchKernel", 700);
    EXPECT(plugin.runtime->enqueue(good, out, inputs, outputs, nullptr, nullptr) != 0);
    EXPECT(log.said("IPluginV3.enqueue, node 'node': PK330 Gather: step 3 of 4, launch of "
                    "'count<{T}>', grid (1, 2), block (64, 2): CUDA_ERROR_ILLEGAL_ADDRESS"));
    test.recording.fail("cuLaunchKernel", 0);
    EXPECT(plugin.runtime->enqueue(good, out, inputs, outputs, nullptr, nullptr) == 0);

    // The second launch may begin before the first has ended, in code for 9.0.
    test.recording.fail("cuLaunchKernelEx", 700);
    EXPECT(plugin.runtime->enqueue(good, out, inputs, outputs, nullptr, nullptr) != 0);
    EXPECT(log.said("PK330 Gather: step 4 of 4, launch of 'gather<{T}, {WIDE}>'"));
    delete plugin.object;
    for (const std::int32_t with_code_for_8_6 : {86, 100}) {
        test.recording.device(with_code_for_8_6);
        plugin = created(test.gather, gather_fields());
        EXPECT(plugin.runtime->onShapeChange(good, 2, out, 3) == 0);
        EXPECT(plugin.runtime->enqueue(good, out, inputs, outputs, nullptr, nullptr) == 0);
        delete plugin.object;
    }
    test.recording.device(90);
    test.recording.fail("cuLaunchKernelEx", 0);

    const PluginTensorDesc x = desc(DataType::kFLOAT, {4});
    plugin = created(test.scale, {});
    test.recording.taken();
    test.recording.device(86);
    EXPECT(plugin.runtime->onShapeChange(&x, 1, &x, 1) == 0);
    EXPECT(holds(test.recording.taken(), R"("is_ptx":true)"));
    delete plugin.object;
    plugin = created(test.scale, {});
    test.recording.device(75);
    EXPECT(plugin.runtime->onShapeChange(&x, 1, &x, 1) != 0);
    EXPECT(log.said("PK321 Scale: kernel 'scale<float>' has no code for this GPU, compute "
                    "capability 7.5; the library has 9.0, 8.0 (PTX)."));
    test.recording.device(90);
    test.recording.fail("cuModuleLoadData", 209);
    EXPECT(plugin.runtime->onShapeChange(&x, 1, &x, 1) != 0);
    EXPECT(log.said("CUDA_ERROR_NO_BINARY_FOR_GPU"));
    test.recording.fail("cuModuleLoadData", 0);
    EXPECT(plugin.runtime->onShapeChange(&x, 1, &x, 1) == 0);
    delete plugin.object;

    // If a callback fails while an engine is built, the plan does not load.
    plugin = created(test.scale, {});
    DataType wrong = DataType::kFP8;
    EXPECT(plugin.build->getOutputDataTypes(&wrong, 1, &wrong, 1) != 0);
    EXPECT(log.said("PK120"));
    EXPECT(test.scale->createPlugin("node", plugin.runtime->getFieldsToSerialize(),
                                    TensorRTPhase::kRUNTIME) == nullptr);
    EXPECT(log.said("PK207"));
    delete plugin.object;

    // A plan with other memory sizes than the plugin now states.
    const std::string sizes =
        R"([{"shapes":[[1,4]],"dtypes":["float32"],"trt_outputs":[[1,4]],"outputs":[[[2,4],"float32"]],)"
        R"("workspace_bytes":0}])";
    field = {"pluginkit_recorded_sizes", sizes.c_str(), PluginFieldType::kCHAR,
             static_cast<std::int32_t>(sizes.size() + 1)};
    EXPECT(test.scale->createPlugin("node", &one, TensorRTPhase::kRUNTIME) == nullptr);
    EXPECT(log.said("PK216 Scale: the plan was built with y float32 [2, 4]; the plugin has "
                    "float32 [1, 4] now, for inputs of float32 [1, 4]."));
}

// Each device has its own modules; a thread without a context gets that of device 0; a context that
// is not a primary one is refused.
void devices(Test& test) {
    const PluginTensorDesc x = desc(DataType::kFLOAT, {4});
    const std::int64_t loaded = test.recording.count("loaded");
    const auto modules = [&] {
        return test.recording.count("loaded") - test.recording.count("unloaded");
    };
    Plugin first = created(test.scale, {});
    EXPECT(first.runtime->onShapeChange(&x, 1, &x, 1) == 0);
    test.recording.set_current(test.recording.primary_context(1));
    Plugin second(first.object->clone());
    EXPECT(second.runtime->onShapeChange(&x, 1, &x, 1) == 0);
    EXPECT(test.recording.count("loaded") == loaded + 2 && modules() == 2);
    Plugin third(second.object->clone());
    EXPECT(third.runtime->onShapeChange(&x, 1, &x, 1) == 0);
    EXPECT(modules() == 2);
    delete first.object;
    EXPECT(modules() == 1);
    delete second.object;
    delete third.object;
    EXPECT(modules() == 0);
    EXPECT(test.recording.current() == test.recording.primary_context(1));

    test.recording.set_current(nullptr);
    Plugin plugin = created(test.scale, {});
    EXPECT(plugin.runtime->onShapeChange(&x, 1, &x, 1) == 0);
    EXPECT(test.recording.current() == test.recording.primary_context(0));
    delete plugin.object;

    int foreign = 0;
    test.recording.set_current(&foreign);
    plugin = created(test.scale, {});
    EXPECT(plugin.runtime->onShapeChange(&x, 1, &x, 1) != 0);
    EXPECT(test.finder.logger.said("PK331"));
    delete plugin.object;
    test.recording.set_current(test.recording.primary_context(0));
    EXPECT(test.recording.count("retained") == 0);
}

// Creates plugins from fields that are damaged in every way that a plan can be.
void corrupt(Test& test, int payloads) {
    Plugin plugin = created(test.gather, gather_fields());
    DynamicPluginTensorDesc all[5] = {dynamic(DataType::kFLOAT, {-1, 4}, {1, 4}, {8, 4}),
                                      dynamic(DataType::kFLOAT, {6}, {6}, {6}),
                                      dynamic(DataType::kFLOAT, {-1, -1, -1}, {2, -1, 3}, {5, -1, 6}),
                                      dynamic(DataType::kFLOAT, {6}, {6}, {6}),
                                      dynamic(DataType::kINT32, {}, {}, {})};
    EXPECT(plugin.build->getWorkspaceSize(all, 2, all + 2, 3) > 0);
    const PluginFieldCollection* fields = plugin.runtime->getFieldsToSerialize();
    side::Random random;
    int refused = 0;
    for (int round = 0; round < payloads; ++round) {
        std::vector<PluginField> damaged(fields->fields, fields->fields + fields->nbFields);
        std::vector<std::vector<char>> buffers(damaged.size());
        const std::uint32_t changes = 1 + random.next(4);
        for (std::size_t i = 0; i < damaged.size(); ++i) {
            const std::size_t width = damaged[i].type == PluginFieldType::kCHAR ? 1 : 4;
            const auto* data = static_cast<const char*>(damaged[i].data);
            const auto length = static_cast<std::size_t>(damaged[i].length);
            buffers[i].assign(data, data + length * width);
        }
        for (std::uint32_t change = 0; change < changes; ++change) {
            const std::uint32_t i = random.next(static_cast<std::uint32_t>(damaged.size()));
            std::vector<char>& buffer = buffers[i];
            const auto size = static_cast<std::uint32_t>(buffer.size());
            switch (random.next(6)) {
                case 0: damaged[i].type = static_cast<PluginFieldType>(random.next(15)); break;
                case 1: buffer.resize(random.next(size + 1)); break;
                case 2: damaged[i].name = "names"; break;
                case 3: buffer.insert(buffer.begin() + random.next(size + 1), "[{,\"9-\\e"[random.next(8)]); break;
                default:
                    if (size > 0) {
                        buffer[random.next(size)] = static_cast<char>(random.next(256));
                    }
            }
        }
        for (std::size_t i = 0; i < damaged.size(); ++i) {
            static const std::size_t kWidths[] = {2, 4, 8, 1, 2, 4, 1, 72, 1, 2, 8, 1, 1, 1, 1};
            const std::size_t width = kWidths[static_cast<int>(damaged[i].type)];
            buffers[i].shrink_to_fit();
            damaged[i].data = buffers[i].data();
            damaged[i].length = static_cast<std::int32_t>(buffers[i].size() / width);
        }
        const PluginFieldCollection collection{static_cast<std::int32_t>(damaged.size()),
                                               damaged.data()};
        IPluginV3* made =
            test.gather->createPlugin("node", &collection, TensorRTPhase::kRUNTIME);
        refused += made == nullptr ? 1 : 0;
        delete made;
    }
    delete plugin.object;
    EXPECT(refused > payloads / 4 && refused < payloads);  // both outcomes occur
    std::printf("%d of %d refused\n", refused, payloads);
}

void enqueue_of(const Plugin& plugin, long size) {
    const PluginTensorDesc x = desc(DataType::kFLOAT, {size});
    const void* inputs[] = {reinterpret_cast<void*>(0x1000)};
    void* outputs[] = {reinterpret_cast<void*>(0x2000)};
    EXPECT(plugin.runtime->onShapeChange(&x, 1, &x, 1) == 0);
    EXPECT(plugin.runtime->enqueue(&x, &x, inputs, outputs, nullptr, nullptr) == 0);
}

// 100,000 shape changes, 1,000 contexts, several threads: nothing grows, modules are shared.
void many(Test& test) {
    test.recording.enable(false);
    Plugin engine = created(test.scale, {});
    std::vector<Plugin> contexts;
    for (int i = 0; i < 1000; ++i) {
        contexts.emplace_back(engine.runtime->attachToContext(nullptr));
        enqueue_of(contexts.back(), 100);
    }
    EXPECT(test.recording.count("loaded") - test.recording.count("unloaded") == 1);
    for (const Plugin& context : contexts) {
        delete context.object;
    }
    EXPECT(test.recording.count("loaded") == test.recording.count("unloaded"));
    Plugin context(engine.runtime->attachToContext(nullptr));
    for (long i = 0; i < 1000; ++i) {
        enqueue_of(context, 1 + i % 100);
    }
    const long before = side::resident();
    for (long i = 0; i < 100000; ++i) {
        enqueue_of(context, 1 + i % 5000);
    }
    for (int i = 0; i < 1000; ++i) {
        Plugin other(engine.runtime->attachToContext(nullptr));
        enqueue_of(other, 1 + i);
        delete other.object;
    }
    const long grown = side::resident() - before;
    EXPECT(test.recording.count("loaded") - test.recording.count("unloaded") == 1);
    EXPECT(grown < 256);
    std::vector<std::thread> threads;
    for (int i = 0; i < 8; ++i) {
        threads.emplace_back([&] {
            for (long round = 0; round < 200; ++round) {
                Plugin own(engine.runtime->attachToContext(nullptr));
                for (long size = 1; size < 40; ++size) {
                    enqueue_of(own, size);
                }
                delete own.object;
            }
        });
    }
    for (std::thread& thread : threads) {
        thread.join();
    }
    delete context.object;
    delete engine.object;
    EXPECT(test.recording.count("loaded") == test.recording.count("unloaded"));
    EXPECT(test.recording.count("retained") == 0);
    std::printf("grown by %ld KiB, %lld modules loaded\n", grown,
                static_cast<long long>(test.recording.count("loaded")));
}

}  // namespace

int main(int count, char** arguments) {
    EXPECT(count == 4);
    Test test(arguments[1], arguments[2]);
    const std::string what = arguments[3];
    if (what == "cycle") {
        cycle_of_scale(test);
        cycle_of_gather(test);
        refusals(test);
        devices(test);
    } else if (what.rfind("corrupt=", 0) == 0) {
        corrupt(test, std::atoi(what.c_str() + 8));
    } else {
        EXPECT(what == "many");
        many(test);
    }
    test.library.close();
    return 0;
}
