// The part of TensorRT's plugin interface that an exported library uses.
//
// A library can be built without a TensorRT SDK, so this header repeats the layout of the
// interfaces that concern plugins: the order of virtual functions, the members of structs, the
// values of enumerators. Names are TensorRT's.
//
// PLUGINKIT_TENSORRT_MAJOR chooses the layout:
//
//     8    TensorRT 8.6: IPluginV2DynamicExt alone, dimensions of 32 bits
//     10   TensorRT 10, and TensorRT-RTX 1.4
//     11   TensorRT 11, and TensorRT-RTX from 1.5 on
//
// With PLUGINKIT_TENSORRT_HEADERS defined, NVIDIA's own headers are used instead. The runtime
// compiles with either; layout/layout.cpp compares them.
#pragma once

#include <cstddef>
#include <cstdint>

#ifndef PLUGINKIT_TENSORRT_MAJOR
#define PLUGINKIT_TENSORRT_MAJOR 10
#endif

#if PLUGINKIT_TENSORRT_MAJOR != 8 && PLUGINKIT_TENSORRT_MAJOR != 10 && \
    PLUGINKIT_TENSORRT_MAJOR != 11
#error "PLUGINKIT_TENSORRT_MAJOR must be 8, 10 or 11"
#endif

#ifdef PLUGINKIT_TENSORRT_HEADERS

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
#pragma GCC diagnostic ignored "-Wunused-parameter"
#include <NvInferRuntime.h>
#pragma GCC diagnostic pop

static_assert(NV_TENSORRT_MAJOR == PLUGINKIT_TENSORRT_MAJOR,
              "the headers are of another major version than PLUGINKIT_TENSORRT_MAJOR");
#define PLUGINKIT_TENSORRT_VERSION NV_TENSORRT_VERSION
#if NV_TENSORRT_MAJOR > 10 || (NV_TENSORRT_MAJOR == 10 && NV_TENSORRT_MINOR >= 3)
#define PLUGINKIT_HAS_ALIASES  // IPluginV3OneBuildV2 is there
#endif

#else

// The result of IPluginV2::getTensorRTVersion(): the first version with this layout.
#if PLUGINKIT_TENSORRT_MAJOR == 8
#define PLUGINKIT_TENSORRT_VERSION 8600
#elif PLUGINKIT_TENSORRT_MAJOR == 10
#define PLUGINKIT_TENSORRT_VERSION 100000
#else
#define PLUGINKIT_TENSORRT_VERSION 110000
#endif

#if PLUGINKIT_TENSORRT_MAJOR >= 10
#define PLUGINKIT_HAS_ALIASES
#endif

extern "C" {
struct cudnnContext;
struct cublasContext;
struct CUstream_st;
}
using cudaStream_t = CUstream_st*;

namespace nvinfer1 {

using AsciiChar = char;

enum class DataType : std::int32_t {
    kFLOAT = 0,
    kHALF = 1,
    kINT8 = 2,
    kINT32 = 3,
    kBOOL = 4,
    kUINT8 = 5,
    kFP8 = 6,
#if PLUGINKIT_TENSORRT_MAJOR >= 10
    kBF16 = 7,
    kINT64 = 8,
    kINT4 = 9,
#endif
};

enum class TensorFormat : std::int32_t { kLINEAR = 0 };  // plugins take no other
using PluginFormat = TensorFormat;

#if PLUGINKIT_TENSORRT_MAJOR == 8
class Dims32 {
public:
    static constexpr std::int32_t MAX_DIMS = 8;
    std::int32_t nbDims;
    std::int32_t d[MAX_DIMS];
};
using Dims = Dims32;
#else
class Dims64 {
public:
    static constexpr std::int32_t MAX_DIMS = 8;
    std::int32_t nbDims;
    std::int64_t d[MAX_DIMS];
};
using Dims = Dims64;
#endif

struct PluginTensorDesc {
    Dims dims;
    DataType type;
    TensorFormat format;
    float scale;
};

struct DynamicPluginTensorDesc {
    PluginTensorDesc desc;
    Dims min;
    Dims max;
#if PLUGINKIT_TENSORRT_MAJOR >= 10
    Dims opt;
#endif
};

enum class PluginFieldType : std::int32_t {
    kFLOAT16 = 0,
    kFLOAT32 = 1,
    kFLOAT64 = 2,
    kINT8 = 3,
    kINT16 = 4,
    kINT32 = 5,
    kCHAR = 6,
    kDIMS = 7,
    kUNKNOWN = 8,
#if PLUGINKIT_TENSORRT_MAJOR >= 10
    kBF16 = 9,
    kINT64 = 10,
    kFP8 = 11,
#endif
};

class PluginField {
public:
    const AsciiChar* name;
    const void* data;
    PluginFieldType type;
    std::int32_t length;

    PluginField(const AsciiChar* name_ = nullptr, const void* data_ = nullptr,
                PluginFieldType type_ = PluginFieldType::kUNKNOWN,
                std::int32_t length_ = 0) noexcept
        : name(name_), data(data_), type(type_), length(length_) {}
};

struct PluginFieldCollection {
    std::int32_t nbFields;
    const PluginField* fields;
};

// ------------------------------------------------------------------- interfaces with a version

#if PLUGINKIT_TENSORRT_MAJOR >= 10

using InterfaceKind = const char*;

class InterfaceInfo {
public:
    InterfaceKind kind;
    std::int32_t major;
    std::int32_t minor;
};

enum class APILanguage : std::int32_t { kCPP = 0, kPYTHON = 1 };

class IVersionedInterface {
public:
    virtual APILanguage getAPILanguage() const noexcept { return APILanguage::kCPP; }
    virtual InterfaceInfo getInterfaceInfo() const noexcept = 0;
    virtual ~IVersionedInterface() noexcept = default;
};

#endif

// ---------------------------------------------------------------------------------------- logger

#if PLUGINKIT_TENSORRT_MAJOR >= 11
class ILogger : public IVersionedInterface {
public:
    InterfaceInfo getInterfaceInfo() const noexcept override { return {"ILogger", 1, 0}; }
#else
class ILogger {
public:
#endif
    enum class Severity : std::int32_t {
        kINTERNAL_ERROR = 0,
        kERROR = 1,
        kWARNING = 2,
        kINFO = 3,
        kVERBOSE = 4,
    };
    virtual void log(Severity severity, const AsciiChar* message) noexcept = 0;
#if PLUGINKIT_TENSORRT_MAJOR <= 10
    virtual ~ILogger() = default;
#endif
};

#if PLUGINKIT_TENSORRT_MAJOR >= 11
class ILoggerFinder : public IVersionedInterface {
public:
    InterfaceInfo getInterfaceInfo() const noexcept override { return {"ILoggerFinder", 1, 0}; }
#else
class ILoggerFinder {
public:
#endif
    virtual ILogger* findLogger() = 0;

protected:
    virtual ~ILoggerFinder() = default;
};

// --------------------------------------------------------------------------- shape expressions

enum class DimensionOperation : std::int32_t {
    kSUM = 0,
    kPROD = 1,
    kMAX = 2,
    kMIN = 3,
    kSUB = 4,
    kEQUAL = 5,
    kLESS = 6,
    kFLOOR_DIV = 7,
    kCEIL_DIV = 8,
};

#if PLUGINKIT_TENSORRT_MAJOR == 8
using ExprInt = std::int32_t;
#else
using ExprInt = std::int64_t;
#endif

class IDimensionExpr;

namespace apiv {

class VDimensionExpr {
public:
    virtual ~VDimensionExpr() noexcept = default;
    virtual bool isConstant() const = 0;
    virtual ExprInt getConstantValue() const = 0;
#if PLUGINKIT_TENSORRT_MAJOR >= 10
    virtual bool isSizeTensor() const = 0;
#endif
};

class VExprBuilder {
public:
    virtual ~VExprBuilder() noexcept = default;
    virtual const IDimensionExpr* constant(ExprInt value) = 0;
    virtual const IDimensionExpr* operation(DimensionOperation operation,
                                            const IDimensionExpr& first,
                                            const IDimensionExpr& second) = 0;
#if PLUGINKIT_TENSORRT_MAJOR >= 10
    virtual const IDimensionExpr* declareSizeTensor(std::int32_t outputIndex,
                                                    const IDimensionExpr& opt,
                                                    const IDimensionExpr& upper) = 0;
#endif
};

}  // namespace apiv

class IDimensionExpr {
public:
    bool isConstant() const noexcept { return mImpl->isConstant(); }
    ExprInt getConstantValue() const noexcept { return mImpl->getConstantValue(); }

protected:
    virtual ~IDimensionExpr() noexcept = default;
    apiv::VDimensionExpr* mImpl = nullptr;
};

class IExprBuilder {
public:
    const IDimensionExpr* constant(ExprInt value) noexcept { return mImpl->constant(value); }
    const IDimensionExpr* operation(DimensionOperation operation, const IDimensionExpr& first,
                                    const IDimensionExpr& second) noexcept {
        return mImpl->operation(operation, first, second);
    }
#if PLUGINKIT_TENSORRT_MAJOR >= 10
    const IDimensionExpr* declareSizeTensor(std::int32_t outputIndex, const IDimensionExpr& opt,
                                            const IDimensionExpr& upper) {
        return mImpl->declareSizeTensor(outputIndex, opt, upper);
    }
#endif

protected:
    virtual ~IExprBuilder() noexcept = default;
    apiv::VExprBuilder* mImpl = nullptr;
};

class DimsExprs {
public:
    std::int32_t nbDims;
    const IDimensionExpr* d[Dims::MAX_DIMS];
};

// ----------------------------------------------------------------------- IPluginV2DynamicExt

class IGpuAllocator;
class IErrorRecorder;

enum class PluginVersion : std::uint8_t { kV2_DYNAMICEXT = 3 };

class IPluginV2 {
public:
    virtual std::int32_t getTensorRTVersion() const noexcept = 0;
    virtual const AsciiChar* getPluginType() const noexcept = 0;
    virtual const AsciiChar* getPluginVersion() const noexcept = 0;
    virtual std::int32_t getNbOutputs() const noexcept = 0;
    virtual Dims getOutputDimensions(std::int32_t, const Dims*, std::int32_t) noexcept = 0;
    virtual bool supportsFormat(DataType, PluginFormat) const noexcept = 0;
    virtual void configureWithFormat(const Dims*, std::int32_t, const Dims*, std::int32_t,
                                     DataType, PluginFormat, std::int32_t) noexcept = 0;
    virtual std::int32_t initialize() noexcept = 0;
    virtual void terminate() noexcept = 0;
    virtual std::size_t getWorkspaceSize(std::int32_t) const noexcept = 0;
    virtual std::int32_t enqueue(std::int32_t, const void* const*, void* const*, void*,
                                 cudaStream_t) noexcept = 0;
    virtual std::size_t getSerializationSize() const noexcept = 0;
    virtual void serialize(void* buffer) const noexcept = 0;
    virtual void destroy() noexcept = 0;
    virtual IPluginV2* clone() const noexcept = 0;
    virtual void setPluginNamespace(const AsciiChar* pluginNamespace) noexcept = 0;
    virtual const AsciiChar* getPluginNamespace() const noexcept = 0;
    virtual ~IPluginV2() noexcept = default;
};

class IPluginV2Ext : public IPluginV2 {
public:
    virtual DataType getOutputDataType(std::int32_t index, const DataType* inputTypes,
                                       std::int32_t nbInputs) const noexcept = 0;
#if PLUGINKIT_TENSORRT_MAJOR <= 10
    virtual bool isOutputBroadcastAcrossBatch(std::int32_t, const bool*,
                                              std::int32_t) const noexcept = 0;
    virtual bool canBroadcastInputAcrossBatch(std::int32_t) const noexcept = 0;
#endif
    virtual void configurePlugin(const Dims*, std::int32_t, const Dims*, std::int32_t,
                                 const DataType*, const DataType*, const bool*, const bool*,
                                 PluginFormat, std::int32_t) noexcept = 0;
    virtual void attachToContext(cudnnContext*, cublasContext*, IGpuAllocator*) noexcept {}
    virtual void detachFromContext() noexcept {}
    IPluginV2Ext* clone() const noexcept override = 0;

protected:
    void configureWithFormat(const Dims*, std::int32_t, const Dims*, std::int32_t, DataType,
                             PluginFormat, std::int32_t) noexcept override {}
};

class IPluginV2DynamicExt : public IPluginV2Ext {
public:
    IPluginV2DynamicExt* clone() const noexcept override = 0;
    virtual DimsExprs getOutputDimensions(std::int32_t outputIndex, const DimsExprs* inputs,
                                          std::int32_t nbInputs,
                                          IExprBuilder& exprBuilder) noexcept = 0;
    virtual bool supportsFormatCombination(std::int32_t pos, const PluginTensorDesc* inOut,
                                           std::int32_t nbInputs,
                                           std::int32_t nbOutputs) noexcept = 0;
    virtual void configurePlugin(const DynamicPluginTensorDesc* in, std::int32_t nbInputs,
                                 const DynamicPluginTensorDesc* out,
                                 std::int32_t nbOutputs) noexcept = 0;
    virtual std::size_t getWorkspaceSize(const PluginTensorDesc* inputs, std::int32_t nbInputs,
                                         const PluginTensorDesc* outputs,
                                         std::int32_t nbOutputs) const noexcept = 0;
    virtual std::int32_t enqueue(const PluginTensorDesc* inputDesc,
                                 const PluginTensorDesc* outputDesc, const void* const* inputs,
                                 void* const* outputs, void* workspace,
                                 cudaStream_t stream) noexcept = 0;

protected:
    std::int32_t getTensorRTVersion() const noexcept override {
        return static_cast<std::int32_t>(PluginVersion::kV2_DYNAMICEXT) << 24 |
               (PLUGINKIT_TENSORRT_VERSION & 0xFFFFFF);
    }

private:  // from before dynamic shapes; TensorRT does not call these
    void configurePlugin(const Dims*, std::int32_t, const Dims*, std::int32_t, const DataType*,
                         const DataType*, const bool*, const bool*, PluginFormat,
                         std::int32_t) noexcept final {}
    bool supportsFormat(DataType, PluginFormat) const noexcept final { return false; }
    Dims getOutputDimensions(std::int32_t, const Dims*, std::int32_t) noexcept final {
        return Dims{-1, {}};
    }
#if PLUGINKIT_TENSORRT_MAJOR <= 10
    bool isOutputBroadcastAcrossBatch(std::int32_t, const bool*,
                                      std::int32_t) const noexcept final {
        return false;
    }
    bool canBroadcastInputAcrossBatch(std::int32_t) const noexcept final { return true; }
#endif
    std::size_t getWorkspaceSize(std::int32_t) const noexcept final { return 0; }
    std::int32_t enqueue(std::int32_t, const void* const*, void* const*, void*,
                         cudaStream_t) noexcept final {
        return 1;
    }
};

#if PLUGINKIT_TENSORRT_MAJOR == 8

class IPluginCreator {
public:
    virtual std::int32_t getTensorRTVersion() const noexcept { return PLUGINKIT_TENSORRT_VERSION; }
#else

class IPluginCreatorInterface : public IVersionedInterface {};

class IPluginCreator : public IPluginCreatorInterface {
public:
    InterfaceInfo getInterfaceInfo() const noexcept override {
        return {"PLUGIN CREATOR_V1", 1, 0};
    }
#endif
    virtual const AsciiChar* getPluginName() const noexcept = 0;
    virtual const AsciiChar* getPluginVersion() const noexcept = 0;
    virtual const PluginFieldCollection* getFieldNames() noexcept = 0;
    virtual IPluginV2* createPlugin(const AsciiChar* name,
                                    const PluginFieldCollection* fields) noexcept = 0;
    virtual IPluginV2* deserializePlugin(const AsciiChar* name, const void* serialData,
                                         std::size_t serialLength) noexcept = 0;
    virtual void setPluginNamespace(const AsciiChar* pluginNamespace) noexcept = 0;
    virtual const AsciiChar* getPluginNamespace() const noexcept = 0;
#if PLUGINKIT_TENSORRT_MAJOR == 8
    virtual ~IPluginCreator() = default;
#endif
};

// --------------------------------------------------------------------------------- IPluginV3

#if PLUGINKIT_TENSORRT_MAJOR >= 10

enum class PluginCapabilityType : std::int32_t { kCORE = 0, kBUILD = 1, kRUNTIME = 2 };
enum class TensorRTPhase : std::int32_t { kBUILD = 0, kRUNTIME = 1 };

class IPluginResource;
class IPluginResourceContext;

class IPluginCapability : public IVersionedInterface {};

class IPluginV3 : public IVersionedInterface {
public:
    InterfaceInfo getInterfaceInfo() const noexcept override { return {"PLUGIN", 1, 0}; }
    virtual IPluginCapability* getCapabilityInterface(PluginCapabilityType type) noexcept = 0;
    virtual IPluginV3* clone() noexcept = 0;
};

class IPluginV3OneCore : public IPluginCapability {
public:
    InterfaceInfo getInterfaceInfo() const noexcept override {
        return {"PLUGIN_V3ONE_CORE", 1, 0};
    }
    virtual const AsciiChar* getPluginName() const noexcept = 0;
    virtual const AsciiChar* getPluginVersion() const noexcept = 0;
    virtual const AsciiChar* getPluginNamespace() const noexcept = 0;
};

class IPluginV3OneBuild : public IPluginCapability {
public:
    static constexpr std::int32_t kDEFAULT_FORMAT_COMBINATION_LIMIT = 100;

    InterfaceInfo getInterfaceInfo() const noexcept override {
        return {"PLUGIN_V3ONE_BUILD", 1, 0};
    }
    virtual std::int32_t configurePlugin(const DynamicPluginTensorDesc* in, std::int32_t nbInputs,
                                         const DynamicPluginTensorDesc* out,
                                         std::int32_t nbOutputs) noexcept = 0;
    virtual std::int32_t getOutputDataTypes(DataType* outputTypes, std::int32_t nbOutputs,
                                            const DataType* inputTypes,
                                            std::int32_t nbInputs) const noexcept = 0;
    virtual std::int32_t getOutputShapes(const DimsExprs* inputs, std::int32_t nbInputs,
                                         const DimsExprs* shapeInputs,
                                         std::int32_t nbShapeInputs, DimsExprs* outputs,
                                         std::int32_t nbOutputs,
                                         IExprBuilder& exprBuilder) noexcept = 0;
    virtual bool supportsFormatCombination(std::int32_t pos, const DynamicPluginTensorDesc* inOut,
                                           std::int32_t nbInputs,
                                           std::int32_t nbOutputs) noexcept = 0;
    virtual std::int32_t getNbOutputs() const noexcept = 0;
    virtual std::size_t getWorkspaceSize(const DynamicPluginTensorDesc*, std::int32_t,
                                         const DynamicPluginTensorDesc*,
                                         std::int32_t) const noexcept {
        return 0;
    }
    virtual std::int32_t getValidTactics(std::int32_t*, std::int32_t) noexcept { return 0; }
    virtual std::int32_t getNbTactics() noexcept { return 0; }
    virtual const char* getTimingCacheID() noexcept { return nullptr; }
    virtual std::int32_t getFormatCombinationLimit() noexcept {
        return kDEFAULT_FORMAT_COMBINATION_LIMIT;
    }
    virtual const char* getMetadataString() noexcept { return nullptr; }
};

class IPluginV3OneBuildV2 : public IPluginV3OneBuild {  // since 10.3
public:
    InterfaceInfo getInterfaceInfo() const noexcept override {
        return {"PLUGIN_V3ONE_BUILD", 2, 0};
    }
    virtual std::int32_t getAliasedInput(std::int32_t) noexcept { return -1; }
};

class IPluginV3OneRuntime : public IPluginCapability {
public:
    InterfaceInfo getInterfaceInfo() const noexcept override {
        return {"PLUGIN_V3ONE_RUNTIME", 1, 0};
    }
    virtual std::int32_t setTactic(std::int32_t) noexcept { return 0; }
    virtual std::int32_t onShapeChange(const PluginTensorDesc* in, std::int32_t nbInputs,
                                       const PluginTensorDesc* out,
                                       std::int32_t nbOutputs) noexcept = 0;
    virtual std::int32_t enqueue(const PluginTensorDesc* inputDesc,
                                 const PluginTensorDesc* outputDesc, const void* const* inputs,
                                 void* const* outputs, void* workspace,
                                 cudaStream_t stream) noexcept = 0;
    virtual IPluginV3* attachToContext(IPluginResourceContext* context) noexcept = 0;
    virtual const PluginFieldCollection* getFieldsToSerialize() noexcept = 0;
};

class IPluginCreatorV3One : public IPluginCreatorInterface {
public:
    InterfaceInfo getInterfaceInfo() const noexcept override {
        return {"PLUGIN CREATOR_V3ONE", 1, 0};
    }
    virtual IPluginV3* createPlugin(const AsciiChar* name, const PluginFieldCollection* fields,
                                    TensorRTPhase phase) noexcept = 0;
    virtual const PluginFieldCollection* getFieldNames() noexcept = 0;
    virtual const AsciiChar* getPluginName() const noexcept = 0;
    virtual const AsciiChar* getPluginVersion() const noexcept = 0;
    virtual const AsciiChar* getPluginNamespace() const noexcept = 0;
};

#endif

// ---------------------------------------------------------------------------------- registry

class IPluginRegistry {
public:
    using PluginLibraryHandle = void*;

#if PLUGINKIT_TENSORRT_MAJOR <= 10
    virtual bool registerCreator(IPluginCreator& creator,
                                 const AsciiChar* pluginNamespace) noexcept = 0;
    virtual IPluginCreator* const* getPluginCreatorList(std::int32_t* count) const noexcept = 0;
    virtual IPluginCreator* getPluginCreator(const AsciiChar* name, const AsciiChar* version,
                                             const AsciiChar* pluginNamespace = "") noexcept = 0;
#endif

protected:
    virtual ~IPluginRegistry() noexcept = default;

public:
    virtual void setErrorRecorder(IErrorRecorder* recorder) noexcept = 0;
    virtual IErrorRecorder* getErrorRecorder() const noexcept = 0;
#if PLUGINKIT_TENSORRT_MAJOR <= 10
    virtual bool deregisterCreator(const IPluginCreator& creator) noexcept = 0;
#endif
    virtual bool isParentSearchEnabled() const = 0;
    virtual void setParentSearchEnabled(bool enabled) = 0;
    virtual PluginLibraryHandle loadLibrary(const AsciiChar* pluginPath) noexcept = 0;
    virtual void deregisterLibrary(PluginLibraryHandle handle) noexcept = 0;
#if PLUGINKIT_TENSORRT_MAJOR >= 10
    virtual bool registerCreator(IPluginCreatorInterface& creator,
                                 const AsciiChar* pluginNamespace) noexcept = 0;
    virtual IPluginCreatorInterface* const* getAllCreators(std::int32_t* count) const noexcept = 0;
    virtual IPluginCreatorInterface* getCreator(const AsciiChar* name, const AsciiChar* version,
                                                const AsciiChar* pluginNamespace = "") noexcept = 0;
    virtual bool deregisterCreator(const IPluginCreatorInterface& creator) noexcept = 0;
    virtual IPluginResource* acquirePluginResource(const AsciiChar* key,
                                                   IPluginResource* resource) noexcept = 0;
    virtual std::int32_t releasePluginResource(const AsciiChar* key) noexcept = 0;
#endif
};

}  // namespace nvinfer1

#endif
