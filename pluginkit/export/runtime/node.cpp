#include "node.h"

#include <algorithm>
#include <limits>

namespace pluginkit {

namespace {

// An algebra of unknown values: every result is unknown too.
class UnknownValues : public DimAlgebra {
public:
    Expr constant(std::int64_t) override { return this; }
    Expr operation(DimOperation, Expr, Expr) override { return this; }
};

}  // namespace

Node::Node(const Program& program, const Wire& wire, std::string name)
    : mProgram(program), mName(std::move(name)) {
    mAttributes = values_from_wire(program, wire, where());
    mPresent = present_from_wire(program, wire, where());
    for (std::size_t i = 0; i < program.input_count; ++i) {
        if (mPresent[i]) {
            (program.inputs[i].length < 0 ? mDeviceInputs : mShapeInputs).push_back(i);
        }
    }
    Context context;
    context.attributes = mAttributes;
    context.inputs = tensors({}, {});
    const std::string refusal = program.refuse(context);
    if (!refusal.empty()) {
        throw Refusal(message(refusal, where(), "", ""));
    }
}

Wire Node::wire() const { return wire_from_values(mProgram, mAttributes, mPresent); }

std::vector<Tensor> Node::tensors(const std::vector<Dims>& shapes,
                                  const std::vector<Type>& types) const {
    static UnknownValues unknown;
    std::vector<Tensor> inputs(mProgram.input_count);
    std::size_t seen = 0;
    for (std::size_t i = 0; i < mProgram.input_count; ++i) {
        const Input& declared = mProgram.inputs[i];
        Tensor& input = inputs[i];
        input.name = declared.name;
        input.is_present = mPresent[i];
        if (!input.is_present) {
            continue;
        }
        if (declared.length >= 0) {
            input.type = declared.type;
            input.shape = {declared.length};
            input.values.assign(static_cast<std::size_t>(declared.length), Dim(unknown, &unknown));
            continue;
        }
        if (seen < types.size()) {
            input.type = types[seen];
        }
        if (seen < shapes.size()) {
            input.shape = shapes[seen];
        }
        ++seen;
    }
    return inputs;
}

Context Node::context(const std::vector<Dims>& shapes, const std::vector<Type>& types,
                      std::int32_t tactic) const {
    if (shapes.size() != mDeviceInputs.size() || types.size() != mDeviceInputs.size()) {
        throw Refusal(message("PK111 " + owner() + ": got " + std::to_string(shapes.size()) +
                                  " inputs; expected " + std::to_string(mDeviceInputs.size()) +
                                  ".",
                              where(), "", ""));
    }
    Context context;
    context.attributes = mAttributes;
    context.inputs = tensors(shapes, types);
    context.tactic = tactic;
    for (const std::size_t index : mDeviceInputs) {
        const Input& declared = mProgram.inputs[index];
        const Tensor& input = context.inputs[index];
        if (input.ndim() < declared.lowest_rank || input.ndim() > declared.highest_rank) {
            throw Refusal(message("PK112 " + owner() + ": input " + text(input) + " has rank " +
                                      std::to_string(input.ndim()) + "; expected " +
                                      std::to_string(declared.lowest_rank) + " to " +
                                      std::to_string(declared.highest_rank) + ".",
                                  where(), "", ""));
        }
    }
    return context;
}

Context Node::concrete(const std::vector<Shape>& shapes, const std::vector<Type>& types,
                       const std::vector<Shape>& trt_outputs, std::int32_t tactic) const {
    std::vector<Dims> dims;
    for (const Shape& shape : shapes) {
        dims.emplace_back(shape.begin(), shape.end());
    }
    Context found = context(dims, types, tactic);
    if (mShapeInputs.empty()) {
        return found;
    }
    const std::vector<OutputShape> symbolic = output_shapes(found);
    for (std::size_t i = 0; i < symbolic.size() && i < trt_outputs.size(); ++i) {
        const std::size_t axes = std::min(symbolic[i].size(), trt_outputs[i].size());
        for (std::size_t axis = 0; axis < axes; ++axis) {
            const OutputDim& dim = symbolic[i][axis];
            if (dim.shape_input >= 0) {
                found.inputs.at(static_cast<std::size_t>(dim.shape_input))
                    .values.at(static_cast<std::size_t>(dim.value_index)) = trt_outputs[i][axis];
            }
        }
    }
    for (const std::size_t index : mShapeInputs) {
        const Tensor& input = found.inputs[index];
        for (std::size_t i = 0; i < input.values.size(); ++i) {
            if (!input.values[i].is_known()) {
                throw Refusal(message("PK119 " + owner() + ": value " + std::to_string(i) +
                                          " of shape input '" + input.name +
                                          "' is no dimension of an output; expected one that is "
                                          "this value and nothing else.",
                                      where(), "", ""));
            }
        }
    }
    return found;
}

bool Node::has_kernels_for(const std::vector<Type>& types) const {
    if (types.size() > mDeviceInputs.size()) {
        return false;
    }
    for (std::size_t row = 0; row < mProgram.input_type_rows; ++row) {
        const Type* declared = mProgram.input_types + row * mProgram.input_count;
        bool fits = true;
        for (std::size_t i = 0; i < types.size(); ++i) {
            fits = fits && declared[mDeviceInputs[i]] == types[i];
        }
        if (fits) {
            return true;
        }
    }
    return false;
}

void Node::check_types(const std::vector<Type>& types) const {
    if (has_kernels_for(types)) {
        return;
    }
    std::string got;
    for (const Type type : types) {
        got += (got.empty() ? "" : ", ") + std::string(type_name(type));
    }
    std::string rows;
    for (std::size_t row = 0; row < mProgram.input_type_rows; ++row) {
        rows += rows.empty() ? "" : " or ";
        for (std::size_t i = 0; i < mDeviceInputs.size(); ++i) {
            rows += (i == 0 ? "" : ", ") +
                    std::string(type_name(
                        mProgram.input_types[row * mProgram.input_count + mDeviceInputs[i]]));
        }
    }
    throw Refusal(message("PK112 " + owner() + ": inputs are " + got + "; expected " + rows + ".",
                          where(), "the library was exported for these types.", ""));
}

std::vector<Type> Node::first_types() const {
    std::vector<Type> types;
    for (const std::size_t index : mDeviceInputs) {
        types.push_back(mProgram.input_types[index]);
    }
    return types;
}

std::vector<Type> Node::output_types(const std::vector<Type>& types) const {
    Context context;
    context.attributes = mAttributes;
    context.inputs = tensors({}, types);
    std::vector<Type> found = mProgram.output_types(context);
    if (types.size() != mDeviceInputs.size() || found.size() != mProgram.output_count) {
        throw Refusal(message("PK113 " + owner() + ".output_types returned " +
                                  std::to_string(found.size()) + " types; expected " +
                                  std::to_string(mProgram.output_count) + ".",
                              where(), "", ""));
    }
    return found;
}

void Node::check(const Context& context) const {
    try {
        const std::string refusal = mProgram.check(context);
        if (!refusal.empty()) {
            throw Refusal(refusal);
        }
    } catch (const UnknownDim&) {
        for (const Tensor& input : context.inputs) {
            if (!are_known(input.shape) || !are_known(input.values)) {
                return;  // it is called again once shapes are known
            }
        }
        throw;
    }
}

std::vector<OutputShape> Node::output_shapes(const Context& context) const {
    std::vector<OutputShape> shapes = mProgram.output_shapes(context);
    const std::string subject = "PK114 " + owner() + ".output_shapes returned ";
    if (shapes.size() != mProgram.output_count) {
        throw Refusal(message(subject + std::to_string(shapes.size()) + " shapes; expected " +
                                  std::to_string(mProgram.output_count) + ".",
                              where(), "", ""));
    }
    for (const OutputShape& shape : shapes) {
        for (const OutputDim& dim : shape) {
            if (dim.dim.is_known() && dim.dim < 0) {
                throw Refusal(message(subject + "a dimension of " + text(dim.dim) +
                                          "; expected a shape.",
                                      where(), "", "return a tuple of dimensions for each output."));
            }
        }
    }
    return shapes;
}

Context Node::with_outputs(Context context) const {
    std::vector<Type> types;
    for (const std::size_t index : mDeviceInputs) {
        types.push_back(context.inputs[index].type);
    }
    const std::vector<Type> found = output_types(types);
    const std::vector<OutputShape> shapes = output_shapes(context);
    context.outputs.resize(mProgram.output_count);
    for (std::size_t i = 0; i < shapes.size(); ++i) {
        Tensor& output = context.outputs[i];
        output.name = mProgram.outputs[i].name;
        output.is_present = true;
        output.type = found[i];
        for (const OutputDim& dim : shapes[i]) {
            output.shape.push_back(dim.dim);
            if (dim.size < 0 || !dim.dim.is_known()) {
                continue;
            }
            const auto size = static_cast<std::size_t>(dim.size);
            const std::int64_t bits = 8 * item_bytes(found.at(size)) - 1;
            const std::int64_t limit = bits == 63 ? std::numeric_limits<std::int64_t>::max()
                                                  : (std::int64_t{1} << bits) - 1;
            if (dim.dim > limit) {
                const std::string name = mProgram.outputs[size].name;
                throw Refusal(message("PK118 " + owner() + ": size output '" + name +
                                          "' may become " + text(dim.dim) +
                                          "; expected at most " + std::to_string(limit) + ".",
                                      where(), "",
                                      "declare " + name + " = SizeOutput(int64)."));
            }
        }
    }
    return context;
}

std::int64_t Node::workspace_bytes(const Context& context) const {
    const Dim bytes = mProgram.has_workspace ? mProgram.workspace_bytes(context) : Dim(0);
    if (bytes < 0) {
        throw Refusal(message("PK115 " + owner() + ".workspace_bytes returned " + text(bytes) +
                                  "; expected bytes, an int >= 0.",
                              where(), "TensorRT would silently take it as 0.", ""));
    }
    return bytes.value();
}

std::int64_t Node::largest_workspace_bytes(Context context) const {
    const auto count = static_cast<std::int32_t>(std::max<std::size_t>(mProgram.tactic_count, 1));
    std::int64_t largest = 0;
    for (context.tactic = 0; context.tactic < count; ++context.tactic) {
        largest = std::max(largest, workspace_bytes(context));
    }
    return largest;
}

std::string described(const Shape& shape, Type type) {
    return std::string(type_name(type)) + " " + list_text(Dims(shape.begin(), shape.end()));
}

std::string described(const std::vector<Shape>& shapes, const std::vector<Type>& types) {
    std::string all;
    for (std::size_t i = 0; i < shapes.size(); ++i) {
        all += (all.empty() ? "" : ", ") + described(shapes[i], types[i]);
    }
    return all.empty() ? "none" : all;
}

}  // namespace pluginkit
