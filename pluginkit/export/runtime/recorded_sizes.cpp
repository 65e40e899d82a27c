#include "promises.h"

#include <algorithm>

namespace pluginkit {

namespace {

Type type_from_json(const Json& json) {
    Type type;
    if (!type_from_name(json.as_string(), type)) {
        throw JsonError("'" + json.string + "' is no type");
    }
    return type;
}

Promise asked(const Node& node, const std::vector<Shape>& shapes, const std::vector<Type>& types,
              const std::vector<Shape>& told) {
    const Context context = node.with_outputs(node.concrete(shapes, types, told, 0));
    Promise promise{shapes, types, told, {}, {}, 0};
    for (const Tensor& output : context.outputs) {
        Shape shape;
        for (const Dim& dim : output.shape) {
            shape.push_back(dim.value());
        }
        promise.outputs.push_back(std::move(shape));
        promise.output_types.push_back(output.type);
    }
    promise.workspace_bytes = node.largest_workspace_bytes(context);
    return promise;
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

Json json_from_promise(const Promise& promise) {
    Json types = Json::list();
    for (const Type type : promise.types) {
        types.items.push_back(Json::of(std::string(type_name(type))));
    }
    Json outputs = Json::list();
    for (std::size_t i = 0; i < promise.outputs.size(); ++i) {
        Json output = Json::list();
        output.items.push_back(json_from_shape(promise.outputs[i]));
        output.items.push_back(Json::of(std::string(type_name(promise.output_types[i]))));
        outputs.items.push_back(std::move(output));
    }
    Json json = Json::object();
    json.add("shapes", json_from_shapes(promise.shapes));
    json.add("dtypes", std::move(types));
    json.add("told", json_from_shapes(promise.told));
    json.add("outputs", std::move(outputs));
    json.add("workspace_bytes", Json::of(promise.workspace_bytes));
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

Promise promise_from_json(const Json& json, std::size_t output_count) {
    Promise promise;
    promise.shapes = shapes_from_json(json.at("shapes"), 0);
    for (const Json& name : json.at("dtypes").as_list()) {
        promise.types.push_back(type_from_json(name));
    }
    promise.told = shapes_from_json(json.at("told"), -1);
    for (const Json& output : json.at("outputs").as_list()) {
        if (output.as_list().size() != 2) {
            throw JsonError("an output is no shape and type");
        }
        promise.outputs.push_back(shape_from_json(output.items[0], 0));
        promise.output_types.push_back(type_from_json(output.items[1]));
    }
    promise.workspace_bytes = json.at("workspace_bytes").as_int(0);
    if (promise.shapes.size() != promise.types.size() || promise.outputs.size() != output_count) {
        throw JsonError("shapes, types and outputs differ in number");
    }
    return promise;
}

Refusal stale(const Node& node, const std::string& what, const std::string& cause) {
    return Refusal(message("PK216 " + node.owner() + ": " + what, node.where(), cause,
                           "build the plan again, or use the version of the library that it was "
                           "built with."));
}

}  // namespace

bool operator==(const Promise& a, const Promise& b) {
    return a.shapes == b.shapes && a.types == b.types && a.told == b.told &&
           a.outputs == b.outputs && a.output_types == b.output_types &&
           a.workspace_bytes == b.workspace_bytes;
}

void Promises::ask(const Node& node, const std::vector<Shape>& shapes,
                   const std::vector<Type>& types, const std::vector<Shape>& told) {
    Promise promise = asked(node, shapes, types, told);
    if (std::find(mSaid.begin(), mSaid.end(), promise) == mSaid.end()) {
        mSaid.push_back(std::move(promise));
    }
}

std::optional<std::int64_t> Promises::workspace_bytes(const std::vector<Type>& types) const {
    std::optional<std::int64_t> most;
    for (const Promise& promise : mSaid) {
        if (promise.types == types) {
            most = std::max(most.value_or(0), promise.workspace_bytes);
        }
    }
    return most;
}

void Promises::check(const Node& node) const {
    static const char* const kCause =
        "the plugin was changed after the build; TensorRT allocates what it said then.";
    for (const Promise& then : mSaid) {
        const std::string inputs = "for inputs of " + described(then.shapes, then.types);
        Promise now;
        try {
            now = asked(node, then.shapes, then.types, then.told);
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

void Promises::check_workspace(const Node& node, const Context& context) const {
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
        throw Refusal(message(
            "PK217 " + node.owner() + " needs " + std::to_string(needed) +
                " bytes of workspace for inputs of " + seen + "; TensorRT was asked for " +
                std::to_string(*given) + ".",
            node.where(), "its workspace_bytes gives less for larger shapes.",
            "let workspace_bytes give as much for the profile's largest shapes."));
    }
}

std::string Promises::text() const {
    Json json = Json::list();
    for (const Promise& promise : mSaid) {
        json.items.push_back(json_from_promise(promise));
    }
    return text_from_json(json);
}

Promises Promises::from_text(const Node& node, const std::string& text) {
    Promises promises;
    try {
        const Json document = json_from_text(text);
        for (const Json& each : document.as_list()) {
            promises.mSaid.push_back(promise_from_json(each, node.output_count()));
        }
    } catch (const JsonError& error) {
        throw Refusal(message("PK207 " + node.owner() +
                                  ": what the plan holds of the build cannot be read (" +
                                  error.what() + ").",
                              node.where(), "", "build the plan again with this library."));
    }
    return promises;
}

}  // namespace pluginkit
