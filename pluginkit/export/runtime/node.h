// A plugin on one node of a network: its attributes and inputs, and what it answers about types,
// shapes and memory. It is immutable and shared by all TensorRT objects of that node.
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
    // Refuses PK104, PK109, PK110, and what the program's `refuse` does.
    Node(const Program& program, const Wire& wire, std::string name);

    const Program& program() const { return mProgram; }
    const std::string& name() const { return mName; }
    std::string owner() const { return mProgram.owner; }
    std::string where() const { return mName.empty() ? "" : "node '" + mName + "'"; }

    // The declared inputs that this node has and kernels see; those are what TensorRT counts.
    const std::vector<std::size_t>& device_inputs() const { return mDeviceInputs; }
    // The declared inputs that are shape inputs of this node.
    const std::vector<std::size_t>& shape_inputs() const { return mShapeInputs; }
    std::size_t output_count() const { return mProgram.output_count; }

    // The attributes and present inputs, as a plan keeps them.
    Wire wire() const;

    // A call with types and shapes of the device inputs. Shape inputs get their declared length
    // and values that are unknown. Refuses PK111 another number of inputs, PK112 a rank.
    Context context(const std::vector<Dims>& shapes, const std::vector<Type>& types,
                    std::int32_t tactic) const;

    // As context, for concrete shapes, with the values of shape inputs as the outputs' shapes tell
    // them; `told` has -1 for dimensions that only kernels know. Refuses PK119.
    Context concrete(const std::vector<Shape>& shapes, const std::vector<Type>& types,
                     const std::vector<Shape>& told, std::int32_t tactic) const;

    // Whether the library has kernels for the first device inputs having these types.
    bool has_kernels_for(const std::vector<Type>& types) const;
    // Refuses (PK112) types that it has no kernels for.
    void check_types(const std::vector<Type>& types) const;
    // The first types that the library has kernels for.
    std::vector<Type> first_types() const;
    // Refuses what the author's output_types refuses, and PK113.
    std::vector<Type> output_types(const std::vector<Type>& types) const;

    // The author's check, with its own message.
    void check(const Context& context) const;
    // Refuses PK114 a negative dimension or another number of outputs, PK118 a size output that
    // cannot hold its largest value.
    std::vector<OutputShape> output_shapes(const Context& context) const;
    // The context with outputs, dimensions that only kernels know at their largest.
    Context with_outputs(Context context) const;
    // Refuses PK115.
    std::int64_t workspace_bytes(const Context& context) const;
    // Of the tactic that needs most.
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
// "float32 [2, 3], int64 [4]"; "none" for none
std::string described(const std::vector<Shape>& shapes, const std::vector<Type>& types);

}  // namespace pluginkit
