#include "recorded_sizes.h"

#include <algorithm>

namespace pluginkit {

namespace {

// The largest size that a profile can have, and what is reserved for a size without a limit.
constexpr std::int64_t kLargest = 2147483647, kReserved = 1 << 20;

bool has_reserved(const MemoryNeeds& needs) {
    return std::any_of(needs.shapes.begin(), needs.shapes.end(), [](const Shape& shape) {
        return std::find(shape.begin(), shape.end(), kReserved) != shape.end();
    });
}

Type type_from_json(const Json& json) {
    Type type;
    if (!type_from_name(json.as_string(), type)) {
        throw JsonError("'" + json.string + "' is no type");
    }
    return type;
}

MemoryNeeds needs_of(const Node& node, const std::vector<Shape>& shapes,
                     const std::vector<Type>& types, const std::vector<Shape>& trt_outputs) {
    const Context context = node.with_outputs(node.concrete(shapes, types, trt_outputs, 0));
    MemoryNeeds needs{shapes, types, trt_outputs, {}, {}, 0};
    for (const Tensor& output : context.outputs) {
        Shape shape;
        for (const Dim& dim : output.shape) {
            shape.push_back(dim.value());
        }
        needs.outputs.push_back(std::move(shape));
        needs.output_types.push_back(output.type);
    }
    needs.workspace_bytes = node.largest_workspace_bytes(context);
    return needs;
}

Json json_from_shape(const Shape& shape) {
    Json json = Json::list();
    for (const std::int64_t dim : shape) {
        json.items.push_back(Json::of(dim));
    }
    return json;
}

Json json_from_shapes(const std::vector<Shape>& shapes) {
    Json json = Json::list();
    for (const Shape& shape : shapes) {
        json.items.push_back(json_from_shape(shape));
    }
    return json;
}

Json json_from_needs(const MemoryNeeds& needs) {
    Json types = Json::list();
    for (const Type type : needs.types) {
        types.items.push_back(Json::of(std::string(type_name(type))));
    }
    Json outputs = Json::list();
    for (std::size_t i = 0; i < needs.outputs.size(); ++i) {
        Json output = Json::list();
        output.items.push_back(json_from_shape(needs.outputs[i]));
        output.items.push_back(Json::of(std::string(type_name(needs.output_types[i]))));
        outputs.items.push_back(std::move(output));
    }
    Json json = Json::object();
    json.add("shapes", json_from_shapes(needs.shapes));
    json.add("dtypes", std::move(types));
    json.add("trt_outputs", json_from_shapes(needs.trt_outputs));
    json.add("outputs", std::move(outputs));
    json.add("workspace_bytes", Json::of(needs.workspace_bytes));
    return json;
}

Shape shape_from_json(const Json& json, std::int64_t lowest) {
    constexpr std::size_t kMaxRank = 8;
    Shape shape;
    for (const Json& dim : json.as_list()) {
        shape.push_back(dim.as_int(lowest));
    }
    if (shape.size() > kMaxRank) {
        throw JsonError("a shape has " + std::to_string(shape.size()) + " dimensions");
    }
    return shape;
}

std::vector<Shape> shapes_from_json(const Json& json, std::int64_t lowest) {
    std::vector<Shape> shapes;
    for (const Json& shape : json.as_list()) {
        shapes.push_back(shape_from_json(shape, lowest));
    }
    return shapes;
}

MemoryNeeds needs_from_json(const Json& json, std::size_t output_count) {
    MemoryNeeds needs;
    needs.shapes = shapes_from_json(json.at("shapes"), 0);
    for (const Json& name : json.at("dtypes").as_list()) {
        needs.types.push_back(type_from_json(name));
    }
    needs.trt_outputs = shapes_from_json(json.at("trt_outputs"), -1);
    for (const Json& output : json.at("outputs").as_list()) {
        if (output.as_list().size() != 2) {
            throw JsonError("an output is no shape and type");
        }
        needs.outputs.push_back(shape_from_json(output.items[0], 0));
        needs.output_types.push_back(type_from_json(output.items[1]));
    }
    needs.workspace_bytes = json.at("workspace_bytes").as_int(0);
    if (needs.shapes.size() != needs.types.size() || needs.outputs.size() != output_count) {
        throw JsonError("shapes, types and outputs differ in number");
    }
    return needs;
}

Refusal stale(const Node& node, const std::string& what, const std::string& cause) {
    return Refusal(message("PK216 " + node.owner() + ": " + what, node.where(), cause,
                           "build the plan again, or use the version of the library that it was "
                           "built with."));
}

}  // namespace

std::vector<Shape> reserved(std::vector<Shape> shapes) {
    for (Shape& shape : shapes) {
        std::replace_if(
            shape.begin(), shape.end(), [](std::int64_t dim) { return dim > kLargest; }, kReserved);
    }
    return shapes;
}

bool operator==(const MemoryNeeds& a, const MemoryNeeds& b) {
    return a.shapes == b.shapes && a.types == b.types && a.trt_outputs == b.trt_outputs &&
           a.outputs == b.outputs && a.output_types == b.output_types &&
           a.workspace_bytes == b.workspace_bytes;
}

void RecordedSizes::record(const Node& node, const std::vector<Shape>& shapes,
                   const std::vector<Type>& types, const std::vector<Shape>& trt_outputs) {
    MemoryNeeds needs = needs_of(node, reserved(shapes), types, reserved(trt_outputs));
    if (std::find(mNeeds.begin(), mNeeds.end(), needs) == mNeeds.end()) {
        mNeeds.push_back(std::move(needs));
    }
}

std::optional<std::int64_t> RecordedSizes::workspace_bytes(const std::vector<Type>& types) const {
    std::optional<std::int64_t> most;
    for (const MemoryNeeds& needs : mNeeds) {
        if (needs.types == types) {
            most = std::max(most.value_or(0), needs.workspace_bytes);
        }
    }
    return most;
}

void RecordedSizes::check_unchanged(const Node& node) const {
    static const char* const kCause =
        "the plugin was changed after the build; TensorRT allocates what the plugin said then.";
    for (const MemoryNeeds& then : mNeeds) {
        const std::string inputs = "for inputs of " + described(then.shapes, then.types);
        MemoryNeeds now;
        try {
            now = needs_of(node, then.shapes, then.types, then.trt_outputs);
        } catch (const Refusal& refusal) {
            throw stale(node, "the plan was built " + inputs + ", which the plugin refuses now.",
                        refusal.what());
        }
        const auto refuse = [&](const std::string& before, const std::string& after) {
            throw stale(node,
                        "the plan was built with " + before + "; the plugin has " + after +
                            " now, " + inputs + ".",
                        kCause);
        };
        for (std::size_t i = 0; i < then.outputs.size(); ++i) {
            if (then.outputs[i] != now.outputs[i] || then.output_types[i] != now.output_types[i]) {
                refuse(std::string(node.program().outputs[i].name) + " " +
                           described(then.outputs[i], then.output_types[i]),
                       described(now.outputs[i], now.output_types[i]));
            }
        }
        const std::int64_t given = workspace_bytes(then.types).value_or(0);
        if (now.workspace_bytes > given) {
            refuse(std::to_string(given) + " bytes of workspace",
                   std::to_string(now.workspace_bytes));
        }
    }
}

void RecordedSizes::check_workspace(const Node& node, const Context& context) const {
    std::vector<Type> types;
    std::string seen;
    for (const std::size_t index : node.device_inputs()) {
        types.push_back(context.inputs[index].type);
        seen += (seen.empty() ? "" : ", ") + pluginkit::text(context.inputs[index]);
    }
    const std::optional<std::int64_t> given = workspace_bytes(types);
    if (!given) {
        return;
    }
    const std::int64_t needed = node.workspace_bytes(context);
    if (needed > *given) {
        const bool is_unlimited = std::any_of(mNeeds.begin(), mNeeds.end(), has_reserved);
        throw Refusal(message(
            "PK217 " + node.owner() + " needs " + std::to_string(needed) +
                " bytes of workspace for inputs of " + seen + "; TensorRT was asked for " +
                std::to_string(*given) + ".",
            node.where(),
            is_unlimited ? "a size follows from values, and " + std::to_string(kReserved) +
                               " was reserved for it."
                         : "its workspace_bytes returns less for larger shapes.",
            is_unlimited ? "run it on smaller inputs."
                         : "let workspace_bytes return as much for the profile's largest shapes."));
    }
}

std::string RecordedSizes::text() const {
    Json json = Json::list();
    for (const MemoryNeeds& needs : mNeeds) {
        json.items.push_back(json_from_needs(needs));
    }
    return text_from_json(json);
}

RecordedSizes RecordedSizes::from_text(const Node& node, const std::string& text) {
    RecordedSizes sizes;
    try {
        const Json document = json_from_text(text);
        for (const Json& each : document.as_list()) {
            sizes.mNeeds.push_back(needs_from_json(each, node.output_count()));
        }
    } catch (const JsonError& error) {
        throw Refusal(message("PK207 " + node.owner() +
                                  ": the sizes that the plan recorded cannot be read (" +
                                  error.what() + ").",
                              node.where(), "", "build the plan again with this library."));
    }
    return sizes;
}

}  // namespace pluginkit
