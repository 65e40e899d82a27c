// What IPluginV2DynamicExt and IPluginV3 objects have in common; pluginkit.trt.adapter in C++.
//
// One plugin object of TensorRT: the node that it belongs to, its types as far as known, and the
// launches prepared for its shapes.
#pragma once

#include <cstdint>
#include <list>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "node.h"
#include "prepared.h"
#include "recorded_sizes.h"
#include "tensorrt.h"

namespace pluginkit {

// A set of shapes with the outputs that TensorRT told for it.
struct End {
    std::vector<Shape> shapes;
    std::vector<Shape> told;
    const char* label;  // "min", "opt", "max"
};

class Instance {
public:
    // A plugin from a wire form: of an ONNX node's fields or of a plan. Refuses as Node does, and
    // PK207 and PK216 what a plan holds.
    Instance(const Program& program, const Wire& wire, std::string name);
    // The same plugin for another layer or context; nothing prepared is shared.
    Instance(const Instance& other);
    Instance& operator=(const Instance&) = delete;

    const Node& node() const { return *mNode; }
    const Program& program() const { return mNode->program(); }

    // What TensorRT's callbacks ask.

    std::vector<nvinfer1::DataType> output_types(const nvinfer1::DataType* inputs,
                                                 std::int32_t count);
    void output_shapes(const nvinfer1::DimsExprs* inputs, std::int32_t count,
                       const nvinfer1::DimsExprs* shape_inputs, std::int32_t shape_input_count,
                       nvinfer1::DimsExprs* outputs, nvinfer1::IExprBuilder& builder);
    // Whether the plugin takes what TensorRT proposes for the last of `in_out`; those before it are
    // decided.
    bool supports(const std::vector<nvinfer1::PluginTensorDesc>& in_out, std::int32_t input_count);
    // Runs the author's check and shape function on concrete shapes; unknown ones are left out.
    void check_shapes(const End& end, const std::vector<Type>& types);
    std::int64_t workspace_bytes(const std::vector<End>& ends, const std::vector<Type>& types);
    void set_tactic(std::int32_t tactic);
    std::int32_t aliased_input(std::int32_t output) const;
    // The attributes, and what the plugin said of its memory.
    Wire wire() const;

    // Makes all ready that an enqueue for such inputs needs. `told`: the outputs' shapes, -1 for
    // what only kernels know.
    void prepare(const std::vector<Shape>& shapes, const std::vector<Type>& types,
                 const std::vector<Shape>& told);
    // What was prepared last; nullptr before and after release().
    Prepared* prepared() const { return mPrepared.get(); }
    void release();

    bool has_failed() const { return !mFailure.empty(); }

    // Whether a callback's failure makes later ones refuse. It does while an engine is built, so
    // that no wrong engine comes out; a request that is refused must not spoil the next.
    enum class Failure { kLasts, kPasses };

    // Runs a callback's body. What it throws is logged with the callback's name; the result is then
    // `otherwise`.
    template <typename Result, typename Body>
    Result guarded(Failure failure, const char* callback, Result otherwise,
                   Body&& body) noexcept {
        try {
            return body();
        } catch (const std::exception& error) {
            fail(failure, callback, error.what());
        } catch (...) {
            fail(failure, callback, "an exception of unknown type");
        }
        return otherwise;
    }

private:
    struct Known {
        std::vector<Shape> shapes;
        std::vector<Type> types;
        std::vector<Shape> told;
        std::shared_ptr<Prepared> prepared;
    };

    void fail(Failure failure, const char* callback, const char* reason) noexcept;
    void refuse_after_failure() const;
    // Before TensorRT has said them: ones that the library has kernels for.
    std::vector<Type> known_types() const;

    std::shared_ptr<const Node> mNode;
    std::vector<Type> mTypes;  // of the inputs, as last told; empty before
    std::int32_t mTactic = 0;
    RecordedSizes mSizes;
    mutable std::mutex mMutex;  // of mSizes: a builder may ask several threads' worth at once
    std::string mFailure;
    std::shared_ptr<Prepared> mPrepared;
    std::list<Known> mKnown;  // the last used first
};

// TensorRT's type as pluginkit's; false for a type that plugins do not take.
bool type_from_tensorrt(nvinfer1::DataType from, Type& to);
nvinfer1::DataType tensorrt_from_type(Type type);
// As type_from_tensorrt; refuses PK120.
Type need_type(nvinfer1::DataType from);

Shape shape_from_dims(const nvinfer1::Dims& dims);

}  // namespace pluginkit
