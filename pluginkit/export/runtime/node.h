// A plugin on one node of a network: its attributes and inputs, and its answers about types, shapes
// and memory. It is immutable, and all TensorRT objects of that node share it.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "attributes.h"
#include "program.h"

namespace pluginkit {

using Shape = std::vector<std::int64_t>;

class Node {
public:
    // Refuses wrong attributes and inputs (PK104, PK109, PK110), and what the program's `refuse`
    // refuses.
    Node(const Program& program, const Wire& wire, std::string name);

    const Program& program() const { return mProgram; }
    const std::string& name() const { return mName; }
    std::string owner() const { return mProgram.owner; }
    std::string where() const { return mName.empty() ? "" : "node '" + mName + "'"; }

    // The declared inputs that this node has in device memory, in the order of TensorRT's inputs.
    const std::vector<std::size_t>& device_inputs() const { return mDeviceInputs; }
    // The declared inputs that are shape inputs of this node.
    const std::vector<std::size_t>& shape_inputs() const { return mShapeInputs; }
    std::size_t output_count() const { return mProgram.output_count; }

    // The attributes and present inputs, as a plan stores them.
    Wire wire() const;

    // Returns a call with the types and shapes of the device inputs. Shape inputs get their
    // declared length and unknown values. Refuses another number of inputs (PK111) and a wrong rank
    // (PK112).
    Context context(const std::vector<Dims>& shapes, const std::vector<Type>& types,
                    std::int32_t tactic) const;

    // As context, for concrete shapes. The values of shape inputs are taken from `trt_outputs`, the
    // output shapes that TensorRT states, with -1 for dimensions that only kernels know. Refuses
    // (PK119) if they do not follow from it.
    Context concrete(const std::vector<Shape>& shapes, const std::vector<Type>& types,
                     const std::vector<Shape>& trt_outputs, std::int32_t tactic) const;

    // Whether the library has kernels whose first device inputs have these types.
    bool has_kernels_for(const std::vector<Type>& types) const;
    // Refuses (PK112) types that the library has no kernels for.
    void check_types(const std::vector<Type>& types) const;
    // The first types that the library has kernels for.
    std::vector<Type> first_types() const;
    // Refuses what the author's output_types refuses, and a wrong result of it (PK113).
    std::vector<Type> output_types(const std::vector<Type>& types) const;

    // Runs the author's check; a refusal has the author's message.
    void check(const Context& context) const;
    // Refuses a negative dimension or another number of outputs (PK114), and a size output whose
    // type cannot hold its largest value (PK118).
    std::vector<OutputShape> output_shapes(const Context& context) const;
    // Returns the context with outputs; dimensions that only kernels know have their upper bound.
    Context with_outputs(Context context) const;
    // Refuses a negative size (PK115).
    std::int64_t workspace_bytes(const Context& context) const;
    // The workspace of the tactic that needs most.
    std::int64_t largest_workspace_bytes(Context context) const;

private:
    std::vector<Tensor> tensors(const std::vector<Dims>& shapes,
                                const std::vector<Type>& types) const;

    const Program& mProgram;
    std::string mName;
    std::vector<Value> mAttributes;
    std::vector<bool> mPresent;
    std::vector<std::size_t> mDeviceInputs;
    std::vector<std::size_t> mShapeInputs;
};

// "float32 [2, 3]"
std::string described(const Shape& shape, Type type);
// "float32 [2, 3], int64 [4]", or "none"
std::string described(const std::vector<Shape>& shapes, const std::vector<Type>& types);

}  // namespace pluginkit
