// Asks a plugin library for its creators as TensorRTs of several versions, and prints a line for
// each: the version, the number of creators, and, for Gather, the version of its build interface
// and the inputs that its three outputs alias.
//
//     versions LIBRARY SOME_TENSORRT VERSION...
#include "library_side.h"

using namespace nvinfer1;

int main(int count, char** arguments) {
    EXPECT(count > 3);
    side::Library tensorrt(arguments[2]);
    auto* const asked_by =
        tensorrt.function<void*(std::int32_t, void* (*)(std::int32_t&), std::int32_t*)>("asked_by");
    for (int i = 3; i < count; ++i) {
        side::Library library(arguments[1]);
        std::int32_t found = -1;
        void* creators = asked_by(std::atoi(arguments[i]),
                                  library.function<void*(std::int32_t&)>("getCreators"), &found);
        std::printf("%s %d", arguments[i], found);
        if (found == 2) {
            auto* const* listed = static_cast<IPluginCreatorInterface* const*>(creators);
            auto* gather = static_cast<IPluginCreatorV3One*>(listed[1]);
            const std::int32_t axis = 1;
            const PluginField fields[] = {
                {"axis", &axis, PluginFieldType::kINT32, 1},
                {"pluginkit_inputs", "x,k,kept", PluginFieldType::kCHAR, 9}};
            const PluginFieldCollection collection{2, fields};
            IPluginV3* plugin = gather->createPlugin("node", &collection, TensorRTPhase::kBUILD);
            EXPECT(plugin != nullptr);
            auto* build = static_cast<IPluginV3OneBuild*>(
                plugin->getCapabilityInterface(PluginCapabilityType::kBUILD));
            std::printf(" %d", build->getInterfaceInfo().major);
            if (build->getInterfaceInfo().major == 2) {
                auto* second = static_cast<IPluginV3OneBuildV2*>(build);
                for (std::int32_t output = 0; output < 3; ++output) {
                    std::printf(" %d", second->getAliasedInput(output));
                }
            }
            delete plugin;
        }
        std::printf("\n");
        library.close();
    }
    return 0;
}
