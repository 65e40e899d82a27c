// Compares pluginkit's own header with NVIDIA's: sizes, offsets, enumerators, and the slot of every
// virtual function. export/compile/check_layout.py compiles and runs it.
//
// A pointer to a virtual member function is the function's offset in the vtable (Itanium C++ ABI,
// as in g++ on x86-64), so that vtables can be compared without objects.
#include <cstdint>
#include <cstdio>
#include <cstring>

// Pluginkit's header in a namespace of another name.
#undef PLUGINKIT_TENSORRT_HEADERS
#define nvinfer1 own
#define cudaStream_t own_cudaStream_t
#include "tensorrt.h"
#undef nvinfer1
#undef cudaStream_t

#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
#include <NvInferRuntime.h>

namespace {

int sFailures = 0;
int sCompared = 0;

template <typename Member>
std::intptr_t slot(Member member) {
    std::intptr_t word = 0;
    std::memcpy(&word, &member, sizeof word);
    return word;
}

void same(const char* what, std::intptr_t own, std::intptr_t theirs) {
    ++sCompared;
    if (own != theirs) {
        ++sFailures;
        std::printf("%s: %ld, but NVIDIA's %ld\n", what, static_cast<long>(own),
                    static_cast<long>(theirs));
    }
}

// Protected members, seen from a derived class.
template <typename Base>
struct Opened : Base {
    using Base::mImpl;
};

#define SIZE(type) \
    static_assert(sizeof(own::type) == sizeof(nvinfer1::type), #type); \
    static_assert(alignof(own::type) == alignof(nvinfer1::type), #type)
#define OFFSET(type, member) \
    static_assert(offsetof(own::type, member) == offsetof(nvinfer1::type, member), #type "::" #member)
#define VALUE(name) \
    static_assert(static_cast<int>(own::name) == static_cast<int>(nvinfer1::name), #name)
#define SLOT(type, method) \
    same(#type "::" #method, slot(&own::type::method), slot(&nvinfer1::type::method))
// As SLOT, for an overloaded function, whose type chooses the overload.
#define OVERLOAD(type, method, result, qualifiers, ...)                                      \
    {                                                                                        \
        std::intptr_t first, second;                                                         \
        {                                                                                    \
            using namespace own;                                                             \
            result (own::type::*member)(__VA_ARGS__) qualifiers = &own::type::method;        \
            first = slot(member);                                                            \
        }                                                                                    \
        {                                                                                    \
            using namespace nvinfer1;                                                        \
            result (nvinfer1::type::*member)(__VA_ARGS__) qualifiers = &nvinfer1::type::method; \
            second = slot(member);                                                           \
        }                                                                                    \
        same(#type "::" #method, first, second);                                             \
    }

SIZE(Dims);
OFFSET(Dims, nbDims);
OFFSET(Dims, d);
VALUE(Dims::MAX_DIMS);
SIZE(PluginTensorDesc);
OFFSET(PluginTensorDesc, dims);
OFFSET(PluginTensorDesc, type);
OFFSET(PluginTensorDesc, format);
OFFSET(PluginTensorDesc, scale);
SIZE(DynamicPluginTensorDesc);
OFFSET(DynamicPluginTensorDesc, desc);
OFFSET(DynamicPluginTensorDesc, min);
OFFSET(DynamicPluginTensorDesc, max);
SIZE(DimsExprs);
OFFSET(DimsExprs, nbDims);
OFFSET(DimsExprs, d);
SIZE(PluginField);
OFFSET(PluginField, name);
OFFSET(PluginField, data);
OFFSET(PluginField, type);
OFFSET(PluginField, length);
SIZE(PluginFieldCollection);
OFFSET(PluginFieldCollection, nbFields);
OFFSET(PluginFieldCollection, fields);
SIZE(IDimensionExpr);
SIZE(IExprBuilder);
SIZE(ILogger);
SIZE(ILoggerFinder);
SIZE(IPluginV2DynamicExt);
SIZE(IPluginCreator);
SIZE(DataType);
SIZE(TensorFormat);
SIZE(DimensionOperation);
SIZE(PluginFieldType);
VALUE(DataType::kFLOAT);
VALUE(DataType::kHALF);
VALUE(DataType::kINT8);
VALUE(DataType::kINT32);
VALUE(DataType::kBOOL);
VALUE(DataType::kUINT8);
VALUE(DataType::kFP8);
VALUE(TensorFormat::kLINEAR);
VALUE(PluginFieldType::kFLOAT16);
VALUE(PluginFieldType::kFLOAT32);
VALUE(PluginFieldType::kFLOAT64);
VALUE(PluginFieldType::kINT8);
VALUE(PluginFieldType::kINT16);
VALUE(PluginFieldType::kINT32);
VALUE(PluginFieldType::kCHAR);
VALUE(PluginFieldType::kDIMS);
VALUE(PluginFieldType::kUNKNOWN);
VALUE(DimensionOperation::kSUM);
VALUE(DimensionOperation::kPROD);
VALUE(DimensionOperation::kMAX);
VALUE(DimensionOperation::kMIN);
VALUE(DimensionOperation::kSUB);
VALUE(DimensionOperation::kEQUAL);
VALUE(DimensionOperation::kLESS);
VALUE(DimensionOperation::kFLOOR_DIV);
VALUE(DimensionOperation::kCEIL_DIV);
VALUE(ILogger::Severity::kINTERNAL_ERROR);
VALUE(ILogger::Severity::kERROR);
VALUE(ILogger::Severity::kWARNING);
VALUE(ILogger::Severity::kINFO);
VALUE(ILogger::Severity::kVERBOSE);
VALUE(PluginVersion::kV2_DYNAMICEXT);
#if PLUGINKIT_TENSORRT_MAJOR >= 10
OFFSET(DynamicPluginTensorDesc, opt);
SIZE(InterfaceInfo);
OFFSET(InterfaceInfo, kind);
OFFSET(InterfaceInfo, major);
OFFSET(InterfaceInfo, minor);
SIZE(IPluginV3);
SIZE(IPluginV3OneCore);
SIZE(IPluginV3OneBuild);
SIZE(IPluginV3OneRuntime);
SIZE(IPluginCreatorV3One);
VALUE(DataType::kBF16);
VALUE(DataType::kINT64);
VALUE(DataType::kINT4);
VALUE(PluginFieldType::kBF16);
VALUE(PluginFieldType::kINT64);
VALUE(PluginFieldType::kFP8);
VALUE(APILanguage::kCPP);
VALUE(APILanguage::kPYTHON);
VALUE(PluginCapabilityType::kCORE);
VALUE(PluginCapabilityType::kBUILD);
VALUE(PluginCapabilityType::kRUNTIME);
VALUE(TensorRTPhase::kBUILD);
VALUE(TensorRTPhase::kRUNTIME);
VALUE(IPluginV3OneBuild::kDEFAULT_FORMAT_COMBINATION_LIMIT);
#endif

void compare_expressions() {
    SLOT(apiv::VDimensionExpr, isConstant);
    SLOT(apiv::VDimensionExpr, getConstantValue);
    SLOT(apiv::VExprBuilder, constant);
    SLOT(apiv::VExprBuilder, operation);
#if PLUGINKIT_TENSORRT_MAJOR >= 10
    SLOT(apiv::VDimensionExpr, isSizeTensor);
    SLOT(apiv::VExprBuilder, declareSizeTensor);
#endif
    same("IDimensionExpr::mImpl", slot(&Opened<own::IDimensionExpr>::mImpl),
         slot(&Opened<nvinfer1::IDimensionExpr>::mImpl));
    same("IExprBuilder::mImpl", slot(&Opened<own::IExprBuilder>::mImpl),
         slot(&Opened<nvinfer1::IExprBuilder>::mImpl));
}

void compare_loggers() {
    SLOT(ILogger, log);
    SLOT(ILoggerFinder, findLogger);
#if PLUGINKIT_TENSORRT_MAJOR >= 11
    SLOT(ILogger, getInterfaceInfo);
    SLOT(ILoggerFinder, getInterfaceInfo);
#endif
}

void compare_v2() {
    SLOT(IPluginV2, getTensorRTVersion);
    SLOT(IPluginV2, getPluginType);
    SLOT(IPluginV2, getPluginVersion);
    SLOT(IPluginV2, getNbOutputs);
    SLOT(IPluginV2, getOutputDimensions);
    SLOT(IPluginV2, supportsFormat);
    SLOT(IPluginV2, configureWithFormat);
    SLOT(IPluginV2, initialize);
    SLOT(IPluginV2, terminate);
    SLOT(IPluginV2, getWorkspaceSize);
    SLOT(IPluginV2, enqueue);
    SLOT(IPluginV2, getSerializationSize);
    SLOT(IPluginV2, serialize);
    SLOT(IPluginV2, destroy);
    SLOT(IPluginV2, clone);
    SLOT(IPluginV2, setPluginNamespace);
    SLOT(IPluginV2, getPluginNamespace);
    SLOT(IPluginV2Ext, getOutputDataType);
    SLOT(IPluginV2Ext, configurePlugin);
    SLOT(IPluginV2Ext, attachToContext);
    SLOT(IPluginV2Ext, detachFromContext);
    SLOT(IPluginV2Ext, clone);
    SLOT(IPluginV2DynamicExt, clone);
    SLOT(IPluginV2DynamicExt, supportsFormatCombination);
    OVERLOAD(IPluginV2DynamicExt, getOutputDimensions, DimsExprs, noexcept, std::int32_t,
             const DimsExprs*, std::int32_t, IExprBuilder&);
    OVERLOAD(IPluginV2DynamicExt, configurePlugin, void, noexcept, const DynamicPluginTensorDesc*,
             std::int32_t, const DynamicPluginTensorDesc*, std::int32_t);
    OVERLOAD(IPluginV2DynamicExt, getWorkspaceSize, std::size_t, const noexcept,
             const PluginTensorDesc*, std::int32_t, const PluginTensorDesc*, std::int32_t);
    OVERLOAD(IPluginV2DynamicExt, enqueue, std::int32_t, noexcept, const PluginTensorDesc*,
             const PluginTensorDesc*, const void* const*, void* const*, void*, CUstream_st*);
    SLOT(IPluginCreator, getPluginName);
    SLOT(IPluginCreator, getPluginVersion);
    SLOT(IPluginCreator, getFieldNames);
    SLOT(IPluginCreator, createPlugin);
    SLOT(IPluginCreator, deserializePlugin);
    SLOT(IPluginCreator, setPluginNamespace);
    SLOT(IPluginCreator, getPluginNamespace);
#if PLUGINKIT_TENSORRT_MAJOR == 8
    SLOT(IPluginCreator, getTensorRTVersion);
#else
    SLOT(IPluginCreator, getAPILanguage);
    SLOT(IPluginCreator, getInterfaceInfo);
#endif
#if PLUGINKIT_TENSORRT_MAJOR <= 10
    SLOT(IPluginV2Ext, isOutputBroadcastAcrossBatch);
    SLOT(IPluginV2Ext, canBroadcastInputAcrossBatch);
#endif
}

#if PLUGINKIT_TENSORRT_MAJOR >= 10

void compare_v3() {
    SLOT(IVersionedInterface, getAPILanguage);
    SLOT(IVersionedInterface, getInterfaceInfo);
    SLOT(IPluginV3, getCapabilityInterface);
    SLOT(IPluginV3, clone);
    SLOT(IPluginV3OneCore, getPluginName);
    SLOT(IPluginV3OneCore, getPluginVersion);
    SLOT(IPluginV3OneCore, getPluginNamespace);
    SLOT(IPluginV3OneBuild, configurePlugin);
    SLOT(IPluginV3OneBuild, getOutputDataTypes);
    SLOT(IPluginV3OneBuild, getOutputShapes);
    SLOT(IPluginV3OneBuild, supportsFormatCombination);
    SLOT(IPluginV3OneBuild, getNbOutputs);
    SLOT(IPluginV3OneBuild, getWorkspaceSize);
    SLOT(IPluginV3OneBuild, getValidTactics);
    SLOT(IPluginV3OneBuild, getNbTactics);
    SLOT(IPluginV3OneBuild, getTimingCacheID);
    SLOT(IPluginV3OneBuild, getFormatCombinationLimit);
    SLOT(IPluginV3OneBuild, getMetadataString);
#if NV_TENSORRT_MAJOR > 10 || NV_TENSORRT_MINOR >= 3
    SIZE(IPluginV3OneBuildV2);
    SLOT(IPluginV3OneBuildV2, getAliasedInput);
#endif
    SLOT(IPluginV3OneRuntime, setTactic);
    SLOT(IPluginV3OneRuntime, onShapeChange);
    SLOT(IPluginV3OneRuntime, enqueue);
    SLOT(IPluginV3OneRuntime, attachToContext);
    SLOT(IPluginV3OneRuntime, getFieldsToSerialize);
    SLOT(IPluginCreatorV3One, createPlugin);
    SLOT(IPluginCreatorV3One, getFieldNames);
    SLOT(IPluginCreatorV3One, getPluginName);
    SLOT(IPluginCreatorV3One, getPluginVersion);
    SLOT(IPluginCreatorV3One, getPluginNamespace);
}

void compare_registry() {
    SLOT(IPluginRegistry, getAllCreators);
    SLOT(IPluginRegistry, getCreator);
    SLOT(IPluginRegistry, acquirePluginResource);
    SLOT(IPluginRegistry, releasePluginResource);
    OVERLOAD(IPluginRegistry, registerCreator, bool, noexcept, IPluginCreatorInterface&,
             const char*);
    OVERLOAD(IPluginRegistry, deregisterCreator, bool, noexcept, const IPluginCreatorInterface&);
}

#endif

void compare_old_registry() {
    SLOT(IPluginRegistry, setErrorRecorder);
    SLOT(IPluginRegistry, getErrorRecorder);
    SLOT(IPluginRegistry, isParentSearchEnabled);
    SLOT(IPluginRegistry, setParentSearchEnabled);
    SLOT(IPluginRegistry, loadLibrary);
    SLOT(IPluginRegistry, deregisterLibrary);
#if PLUGINKIT_TENSORRT_MAJOR <= 10
    SLOT(IPluginRegistry, getPluginCreatorList);
    SLOT(IPluginRegistry, getPluginCreator);
    OVERLOAD(IPluginRegistry, registerCreator, bool, noexcept, IPluginCreator&, const char*);
    OVERLOAD(IPluginRegistry, deregisterCreator, bool, noexcept, const IPluginCreator&);
#endif
}

}  // namespace

int main() {
    compare_expressions();
    compare_loggers();
    compare_v2();
#if PLUGINKIT_TENSORRT_MAJOR >= 10
    compare_v3();
    compare_registry();
#endif
    compare_old_registry();
    std::printf("%d places compared with TensorRT %d.%d.%d, %d differ\n", sCompared,
                NV_TENSORRT_MAJOR, NV_TENSORRT_MINOR, NV_TENSORRT_PATCH, sFailures);
    return sFailures == 0 ? 0 : 1;
}
