// Calls the Scale of programs.cpp as an IPluginV2DynamicExt, in TensorRT's order.
//
//     drive_v2 LIBRARY RECORDING_DRIVER cycle|corrupt=PAYLOADS|many
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
    IPluginCreator* scale = nullptr;

    Test(const char* library_path, const char* driver_path)
        : library(library_path), recording(driver_path) {
        library.function<void(ILoggerFinder*)>("setLoggerFinder")(&finder);
        std::int32_t count = 0;
#if PLUGINKIT_TENSORRT_MAJOR == 8
        // Gather has a size output and a shape input, which TensorRT 8.6 does not support.
        scale = library.function<IPluginCreator* const*(std::int32_t&)>("getPluginCreators")(
            count)[0];
        EXPECT(count == 1);
        EXPECT(finder.logger.said("PK214 Gather cannot be an IPluginV2DynamicExt"));
        EXPECT(scale->getTensorRTVersion() / 100 == 86);
#else
        IPluginCreatorInterface* const* creators =
            library.function<IPluginCreatorInterface* const*(std::int32_t&)>("getCreators")(count);
        EXPECT(count == 2);
        EXPECT(std::strcmp(creators[0]->getInterfaceInfo().kind, "PLUGIN CREATOR_V1") == 0);
        EXPECT(std::strcmp(creators[1]->getInterfaceInfo().kind, "PLUGIN CREATOR_V3ONE") == 0);
        scale = static_cast<IPluginCreator*>(creators[0]);
#endif
        EXPECT(std::strcmp(scale->getPluginName(), "Scale_PK") == 0);
        EXPECT(std::strcmp(scale->getPluginVersion(), "1") == 0);
        EXPECT(std::strcmp(scale->getPluginNamespace(), "pluginkit") == 0);
        EXPECT(scale->getFieldNames()->nbFields == 1);
        EXPECT(std::strcmp(scale->getFieldNames()->fields[0].name, "factor") == 0);
        recording.parameters("scale_float", {8, 8, 8, 4});
    }
};

IPluginV2DynamicExt* created(const Test& test, float factor) {
    const PluginField field{"factor", &factor, PluginFieldType::kFLOAT32, 1};
    const PluginFieldCollection fields{1, &field};
    IPluginV2* made = test.scale->createPlugin("node", &fields);
    EXPECT(made != nullptr);
    return static_cast<IPluginV2DynamicExt*>(made);
}

std::string serialized(const IPluginV2* plugin) {
    std::string payload(plugin->getSerializationSize(), '\0');
    plugin->serialize(payload.data());
    return payload;
}

std::int32_t enqueued(IPluginV2DynamicExt* plugin, std::initializer_list<long> sizes) {
    const PluginTensorDesc x = desc(DataType::kFLOAT, sizes);
    const void* inputs[] = {reinterpret_cast<void*>(0x1000)};
    void* outputs[] = {reinterpret_cast<void*>(0x2000)};
    return plugin->enqueue(&x, &x, inputs, outputs, nullptr, nullptr);
}

std::string configured_payload(const Test& test) {
    IPluginV2DynamicExt* parsed = created(test, 0.1F);
    IPluginV2DynamicExt* plugin = parsed->clone();
    parsed->destroy();
    EXPECT(plugin->getNbOutputs() == 1);
    EXPECT((static_cast<IPluginV2*>(plugin)->getTensorRTVersion() >> 24) == 3);
    const DataType half = DataType::kHALF;
    EXPECT(plugin->getOutputDataType(0, &half, 1) == DataType::kHALF);
    side::Builder builder;
    const DimsExprs shape = builder.exprs({builder.named("n"), builder.number(4)});
    const DimsExprs found = plugin->getOutputDimensions(0, &shape, 1, builder);
    EXPECT(found.nbDims == 2 && found.d[0] == shape.d[0]);
    PluginTensorDesc both[] = {desc(DataType::kFLOAT, {8, 4}), desc(DataType::kFLOAT, {8, 4})};
    EXPECT(plugin->supportsFormatCombination(0, both, 1, 1));
    EXPECT(plugin->supportsFormatCombination(1, both, 1, 1));
    both[1].type = DataType::kINT8;
    EXPECT(!plugin->supportsFormatCombination(1, both, 1, 1));
    const DynamicPluginTensorDesc profile[] = {
        dynamic(DataType::kFLOAT, {-1, 4}, {1, 4}, {8, 4}),
        dynamic(DataType::kFLOAT, {-1, 4}, {1, 4}, {8, 4})};
    plugin->configurePlugin(profile, 1, profile + 1, 1);
    EXPECT(plugin->getWorkspaceSize(both, 1, both + 1, 1) == 0);
    const std::string payload = serialized(plugin);
    plugin->destroy();
    return payload;
}

void cycle(Test& test) {
    const std::string payload = configured_payload(test);
    EXPECT(payload ==
           R"({"pluginkit":1,"attributes":{"factor":0.10000000149011612,"pluginkit_recorded_sizes":)"
           R"("[{\"shapes\":[[1,4]],\"dtypes\":[\"float32\"],\"trt_outputs\":[],\"outputs\":[[[1,4],)"
           R"(\"float32\"]],\"workspace_bytes\":0},{\"shapes\":[[8,4]],\"dtypes\":[\"float32\"],)"
           R"(\"trt_outputs\":[],\"outputs\":[[[8,4],\"float32\"]],\"workspace_bytes\":0}]"}})");
    IPluginV2* loaded = test.scale->deserializePlugin("node", payload.data(), payload.size());
    EXPECT(loaded != nullptr);
    EXPECT(serialized(loaded) == payload);
    auto* plugin = static_cast<IPluginV2DynamicExt*>(loaded);
    EXPECT(std::strcmp(plugin->getPluginType(), "Scale_PK") == 0);
    plugin->setPluginNamespace("other");
    EXPECT(std::strcmp(plugin->getPluginNamespace(), "other") == 0);
    EXPECT(plugin->initialize() == 0);
    IPluginV2DynamicExt* context = plugin->clone();
    EXPECT(std::strcmp(context->getPluginNamespace(), "other") == 0);
    context->attachToContext(nullptr, nullptr, nullptr);
    const DynamicPluginTensorDesc now[] = {dynamic(DataType::kFLOAT, {3, 4}, {1, 4}, {8, 4}),
                                           dynamic(DataType::kFLOAT, {3, 4}, {1, 4}, {8, 4})};
    test.recording.taken();
    context->configurePlugin(now, 1, now + 1, 1);
    EXPECT(holds(test.recording.taken(), R"("call":"load")"));
    EXPECT(enqueued(context, {3, 4}) == 0);
    EXPECT(holds(test.recording.taken(), R"("grid":[1,1,1],"block":[256,1,1],"shared":0,"stream":0)"
                                         R"(,"arguments":["0020000000000000","0010000000000000",)"
                                         R"("0c00000000000000","cdcccc3d"]})"));
    // Shapes that TensorRT did not announce are prepared, too.
    EXPECT(enqueued(context, {8, 400}) == 0);
    EXPECT(holds(test.recording.taken(), R"("grid":[13,1,1])"));
    context->detachFromContext();
    context->terminate();
    context->destroy();
    EXPECT(test.recording.count("loaded") == test.recording.count("unloaded"));
    plugin->destroy();

    EXPECT(test.scale->deserializePlugin("node", payload.data(), payload.size() - 1) == nullptr);
    EXPECT(test.finder.logger.said("PK207 Scale: the plan holds 3"));
    const std::string other = R"({"pluginkit":2,"attributes":{}})";
    EXPECT(test.scale->deserializePlugin("node", other.data(), other.size()) == nullptr);
    EXPECT(test.finder.logger.said("format 2; expected 1"));
}

void corrupt(Test& test, int payloads) {
    const std::string payload = configured_payload(test);
    side::Random random;
    int refused = 0;
    for (int round = 0; round < payloads; ++round) {
        std::string damaged = payload;
        for (std::uint32_t change = 1 + random.next(3); change > 0; --change) {
            const auto size = static_cast<std::uint32_t>(damaged.size());
            switch (random.next(5)) {
                case 0: damaged.resize(random.next(size + 1)); break;
                case 1: damaged.insert(random.next(size + 1), 1, "[{,\"9-\\e"[random.next(8)]); break;
                default:
                    if (size > 0) {
                        damaged[random.next(size)] = static_cast<char>(random.next(256));
                    }
            }
        }
        const std::vector<char> exact(damaged.begin(), damaged.end());
        IPluginV2* made = test.scale->deserializePlugin("node", exact.data(), exact.size());
        refused += made == nullptr ? 1 : 0;
        if (made != nullptr) {
            made->destroy();
        }
    }
    EXPECT(refused > payloads / 4 && refused < payloads);
    std::printf("%d of %d refused\n", refused, payloads);
}

void many(Test& test) {
    test.recording.enable(false);
    IPluginV2DynamicExt* engine = created(test, 2.0F);
    EXPECT(engine->initialize() == 0);
    IPluginV2DynamicExt* context = engine->clone();
    for (long i = 0; i < 1000; ++i) {
        EXPECT(enqueued(context, {1 + i % 100}) == 0);
    }
    const long before = side::resident();
    for (long i = 0; i < 100000; ++i) {
        EXPECT(enqueued(context, {1 + i % 5000}) == 0);
    }
    for (int i = 0; i < 1000; ++i) {
        IPluginV2DynamicExt* other = engine->clone();
        EXPECT(enqueued(other, {1 + i}) == 0);
        other->destroy();
    }
    const long grown = side::resident() - before;
    EXPECT(test.recording.count("loaded") - test.recording.count("unloaded") == 1);
    EXPECT(grown < 256);
    context->destroy();
    engine->destroy();
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
        cycle(test);
    } else if (what.rfind("corrupt=", 0) == 0) {
        corrupt(test, std::atoi(what.c_str() + 8));
    } else {
        EXPECT(what == "many");
        many(test);
    }
    test.library.close();
    return 0;
}
