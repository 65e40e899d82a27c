// The variants that a library was made for: attributes, inputs, types, ranks and ranges of shapes.
//
// The generated code has one Variant for each, with its functions, and uses Variants to find the
// one of a call.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "program.h"

namespace pluginkit {

// The least and the largest size of a dimension, or value of a shape input.
struct Range {
    std::int64_t least;
    std::int64_t largest;
};

// One declared input of a variant.
struct VariantInput {
    bool is_present;
    Type type;           // not used for a shape input
    std::int32_t count;  // dimensions; of a shape input, values
    const Range* ranges;
};

struct Variant {
    std::int32_t attributes;  // index of the attribute values
    std::int32_t tactic;      // index in Program::tactics
    const VariantInput* inputs;
    std::string (*check)(const Context& context);
    std::vector<OutputShape> (*output_shapes)(const Context& context);
    Dim (*workspace_bytes)(const Context& context);
    void (*launches)(const Context& context, Recorder& recorder, const std::int32_t* kernels);
    const std::int32_t* kernels;  // the kernels of `launches`, as indices in Program::kernels
};

// Attribute values that a call is compared with.
Value none_value();
Value integer_values(std::vector<std::int64_t> values);
Value number_values(std::vector<double> values);
Value string_values(std::vector<std::string> values);
Value array_value(const char* dtype, std::vector<std::int64_t> shape, std::string bytes);

// All variants of a plugin.
class Variants {
public:
    Variants(const char* owner, const char* const* attributes, const Variant* first,
             std::size_t count, std::size_t inputs)
        : mOwner(owner), mAttributes(attributes), mFirst(first), mCount(count), mInputs(inputs) {}

    // Returns the variant of a call; unknown dimensions match any range. Refuses (PK219) a call
    // that no variant covers.
    const Variant& find(const Context& context, std::int32_t attributes) const;
    // As find, but if no variant has the types, returns one that fits otherwise: TensorRT may not
    // have stated the types yet.
    const Variant& find_of_any_type(const Context& context, std::int32_t attributes) const;
    // Returns why no variant has these attributes and inputs; "" if one has.
    std::string refuse(const Context& context, std::int32_t attributes) const;

private:
    bool has_inputs(const Variant& variant, const Context& context) const;
    bool has_types(const Variant& variant, const Context& context) const;
    bool has_shapes(const Variant& variant, const Context& context) const;
    [[noreturn]] void refuse_call(const Context& context, std::int32_t attributes) const;
    std::string text_of(const Variant& variant) const;

    const char* mOwner;
    const char* const* mAttributes;  // the text of each set of attribute values, for messages
    const Variant* mFirst;
    std::size_t mCount;
    std::size_t mInputs;
};

}  // namespace pluginkit
