#include "variants.h"

#include <utility>

namespace pluginkit {

namespace {

Value made() {
    Value value;
    value.is_none = false;
    return value;
}

bool is_within(const Dims& dims, const VariantInput& input) {
    if (static_cast<std::int32_t>(dims.size()) != input.count) {
        return false;
    }
    for (std::size_t i = 0; i < dims.size(); ++i) {
        const Range& range = input.ranges[i];
        if (dims[i].is_known() && (dims[i] < range.least || dims[i] > range.largest)) {
            return false;
        }
    }
    return true;
}

}  // namespace

Value none_value() { return Value(); }

Value integer_values(std::vector<std::int64_t> values) {
    Value value = made();
    value.integers = std::move(values);
    return value;
}

Value number_values(std::vector<double> values) {
    Value value = made();
    value.numbers = std::move(values);
    return value;
}

Value string_values(std::vector<std::string> values) {
    Value value = made();
    value.strings = std::move(values);
    return value;
}

Value array_value(const char* dtype, std::vector<std::int64_t> shape, std::string bytes) {
    Value value = made();
    value.array_dtype = dtype;
    value.array_shape = std::move(shape);
    value.array_bytes = std::move(bytes);
    return value;
}

bool Variants::has_inputs(const Variant& variant, const Context& context) const {
    for (std::size_t i = 0; i < mInputs; ++i) {
        if (variant.inputs[i].is_present != context.inputs.at(i).is_present) {
            return false;
        }
    }
    return true;
}

bool Variants::has_types(const Variant& variant, const Context& context) const {
    for (std::size_t i = 0; i < mInputs; ++i) {
        const Tensor& input = context.inputs.at(i);
        if (input.is_present && input.values.empty() && variant.inputs[i].type != input.type) {
            return false;
        }
    }
    return true;
}

bool Variants::has_shapes(const Variant& variant, const Context& context) const {
    for (std::size_t i = 0; i < mInputs; ++i) {
        const Tensor& input = context.inputs.at(i);
        const Dims& dims = input.values.empty() ? input.shape : input.values;
        if (input.is_present && !is_within(dims, variant.inputs[i])) {
            return false;
        }
    }
    return true;
}

const Variant& Variants::find(const Context& context, std::int32_t attributes) const {
    for (const Variant* variant = mFirst; variant != mFirst + mCount; ++variant) {
        if (variant->attributes == attributes && variant->tactic == context.tactic &&
            has_inputs(*variant, context) && has_types(*variant, context) &&
            has_shapes(*variant, context)) {
            return *variant;
        }
    }
    refuse_call(context, attributes);
}

const Variant& Variants::find_of_any_type(const Context& context, std::int32_t attributes) const {
    const Variant* found = nullptr;
    for (const Variant* variant = mFirst; variant != mFirst + mCount; ++variant) {
        if (variant->attributes != attributes || variant->tactic != context.tactic ||
            !has_inputs(*variant, context) || !has_shapes(*variant, context)) {
            continue;
        }
        if (has_types(*variant, context)) {
            return *variant;
        }
        found = found == nullptr ? variant : found;
    }
    if (found == nullptr) {
        refuse_call(context, attributes);
    }
    return *found;
}

std::string Variants::refuse(const Context& context, std::int32_t attributes) const {
    for (const Variant* variant = mFirst; variant != mFirst + mCount; ++variant) {
        if (variant->attributes == attributes && has_inputs(*variant, context)) {
            return "";
        }
    }
    std::string all = "PK219 " + std::string(mOwner) +
                      ": the library was not made for these attributes or inputs; expected one of:";
    std::string last;
    for (const Variant* variant = mFirst; variant != mFirst + mCount; ++variant) {
        const std::string one = mAttributes[variant->attributes];
        if (one != last) {
            all += "\n  " + one;
        }
        last = one;
    }
    return all + "\n  Fix:   export the plugin again for this node.";
}

void Variants::refuse_call(const Context& context, std::int32_t attributes) const {
    std::string all = "PK219 " + std::string(mOwner) + ": the library was not made for";
    for (std::size_t i = 0; i < mInputs; ++i) {
        const Tensor& input = context.inputs.at(i);
        if (input.is_present) {
            all += (i == 0 ? " " : ", ") + text(input);
        }
    }
    all += "; expected one of:";
    for (const Variant* variant = mFirst; variant != mFirst + mCount; ++variant) {
        if (variant->attributes == attributes && variant->tactic == context.tactic) {
            all += "\n  " + text_of(*variant);
        }
    }
    throw Refusal(all + "\n  Fix:   export the plugin again for these types and shapes.");
}

std::string Variants::text_of(const Variant& variant) const {
    std::string all;
    for (std::size_t i = 0; i < mInputs; ++i) {
        const VariantInput& input = variant.inputs[i];
        if (!input.is_present) {
            continue;
        }
        all += (all.empty() ? "" : ", ") + std::string(type_name(input.type)) + "[";
        for (std::int32_t axis = 0; axis < input.count; ++axis) {
            const Range& range = input.ranges[axis];
            all += axis == 0 ? "" : ", ";
            all += std::to_string(range.least);
            if (range.largest != range.least) {
                all += ".." + std::to_string(range.largest);
            }
        }
        all += "]";
    }
    return all;
}

}  // namespace pluginkit
