// What IPluginV2DynamicExt and IPluginV3 objects have in common, as pluginkit.trt.adapter in
// Python.
//
// An Instance belongs to one plugin object of TensorRT. It has the node, its input types once they
// are known, and the launches that were prepared for its shapes.
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

// The input shapes at a profile's min, opt or max, and the output shapes that TensorRT states for
// them.
struct ProfileShapes {
    std::vector<Shape> shapes;
    std::vector<Shape> trt_outputs;
    const char* label;  // "min", "opt", "max"
};

class Instance {
public:
    // Makes a plugin from the wire form of a node's fields or of a plan. Refuses what Node refuses,
    // and a plan's recorded sizes that cannot be read (PK207) or no longer hold (PK216).
    Instance(const Program& program, const Wire& wire, std::string name);
    // Makes the same plugin for another layer or context. Prepared launches are not shared.
    Instance(const Instance& other);
    Instance& operator=(const Instance&) = delete;

    const Node& node() const { return *mNode; }
    const Program& program() const { return mNode->program(); }

    // Answers for TensorRT's callbacks.

    std::vector<nvinfer1::DataType> output_types(const nvinfer1::DataType* inputs,
                                                 std::int32_t count);
    void output_shapes(const nvinfer1::DimsExprs* inputs, std::int32_t count,
                       const nvinfer1::DimsExprs* shape_inputs, std::int32_t shape_input_count,
                       nvinfer1::DimsExprs* outputs, nvinfer1::IExprBuilder& builder);
    // Whether the plugin supports the type and format that TensorRT proposes for the last of
    // `in_out`; those before it are already decided.
    bool supports(const std::vector<nvinfer1::PluginTensorDesc>& in_out, std::int32_t input_count);
    // Runs the author's check and shape function on the shapes of a profile, the largest last: on
    // opt only if an end is not known, since TensorRT guesses the opt of what data decide. Where it
    // knows no bound of a size, shapes are checked when they are known, at an enqueue.
    void check_profile(const std::vector<ProfileShapes>& ends, const std::vector<Type>& types);
    std::int64_t workspace_bytes(const std::vector<ProfileShapes>& profiles,
                                 const std::vector<Type>& types);
    void set_tactic(std::int32_t tactic);
    std::int32_t aliased_input(std::int32_t output) const;
    // The attributes, and the recorded memory sizes.
    Wire wire() const;

    // Prepares the launches of an enqueue for these inputs. `trt_outputs` are the outputs' shapes,
    // with -1 for dimensions that only kernels know.
    void prepare(const std::vector<Shape>& shapes, const std::vector<Type>& types,
                 const std::vector<Shape>& trt_outputs);
    // The launches that were prepared last; nullptr before that, and after release().
    Prepared* prepared() const { return mPrepared.get(); }
    void release();

    bool has_failed() const { return !mFailure.empty(); }

    // Whether later callbacks refuse after one has failed. They do while an engine is built, so
    // that no wrong engine is built. At run time a failed request must not make the next one fail.
    enum class Failure { kPersistent, kTransient };

    // Runs a callback's body. If it throws, logs the error with the callback's name and returns
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
    struct PreparedBefore {
        std::vector<Shape> shapes;
        std::vector<Type> types;
        std::vector<Shape> trt_outputs;
        std::shared_ptr<Prepared> prepared;
    };

    void fail(Failure failure, const char* callback, const char* reason) noexcept;
    void refuse_after_failure() const;
    // Runs the author's check and shape function on shapes that are concrete.
    void check_shapes(const ProfileShapes& profile, const std::vector<Type>& types);
    // The input types. Before TensorRT has stated them, types that the library has kernels for.
    std::vector<Type> known_types() const;

    std::shared_ptr<const Node> mNode;
    std::vector<Type> mTypes;  // of the inputs, as TensorRT last stated them; empty before
    std::int32_t mTactic = 0;
    RecordedSizes mSizes;
    mutable std::mutex mMutex;  // protects mSizes: a builder may call from several threads
    std::string mFailure;
    std::shared_ptr<Prepared> mPrepared;
    std::list<PreparedBefore> mPreparedBefore;  // most recently used first
};

// Converts TensorRT's type; returns false for a type that plugins do not take.
bool type_from_tensorrt(nvinfer1::DataType from, Type& to);
nvinfer1::DataType tensorrt_from_type(Type type);
// As type_from_tensorrt, but refuses such a type (PK120).
Type need_type(nvinfer1::DataType from);

Shape shape_from_dims(const nvinfer1::Dims& dims);

}  // namespace pluginkit
