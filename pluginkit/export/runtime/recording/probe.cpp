// An entry point to exported plugins, for the comparison with the Python class.
//
// The comparison builds the library once more with this file. Requests and answers are JSON:
//
//     {"plugin": "Scale_PK", "attributes": {"factor": 2.0},      the wire form
//      "dtypes": ["float32"], "shapes": [[2, 3]], "trt_outputs": [[2, 3]], "tactic": 0,
//      "inputs": [4096], "outputs": [8192], "workspace": 0, "stream": 7}
//     {"outputs": [[[2, 3], "float32"]], "workspace_bytes": 0,
//      "attributes": {"factor": 2.0}}                            as a plan would keep them
//
// "trt_outputs" has the outputs' shapes as TensorRT would state them, with -1 for dimensions that
// only kernels know. With "inputs" the steps are enqueued too, on the recording driver or on a GPU.
// With "is_kept" the plugin outlives the request, so that a CUDA graph that captured its enqueue
// can be replayed. A refusal is {"error": "PK140 ..."}.
#include <cstring>
#include <memory>
#include <vector>

#include "instance.h"

namespace pluginkit {

namespace {

const Program& program_called(const std::string& name) {
    for (std::size_t i = 0; i < kProgramCount; ++i) {
        if (name == kPrograms[i]->plugin_name) {
            return *kPrograms[i];
        }
    }
    throw JsonError("no plugin is called " + name);
}

std::vector<Shape> shapes_from(const Json& json) {
    std::vector<Shape> shapes;
    for (const Json& each : json.as_list()) {
        shapes.emplace_back();
        for (const Json& dim : each.as_list()) {
            shapes.back().push_back(dim.as_int(-1));
        }
    }
    return shapes;
}

std::vector<void*> pointers_from(const Json& json) {
    std::vector<void*> pointers;
    for (const Json& each : json.as_list()) {
        pointers.push_back(reinterpret_cast<void*>(each.as_int(0)));
    }
    return pointers;
}

Json json_from_output(const Tensor& output) {
    Json shape = Json::list();
    for (const Dim& dim : output.shape) {
        shape.items.push_back(Json::of(dim.value()));
    }
    Json json = Json::list();
    json.items.push_back(std::move(shape));
    json.items.push_back(Json::of(std::string(type_name(output.type))));
    return json;
}

Json answer(const Json& request) {
    const Program& program = program_called(request.at("plugin").as_string());
    const Json& attributes = request.at("attributes");
    Wire wire;
    for (std::size_t i = 0; i < attributes.items.size(); ++i) {
        wire[attributes.keys[i]] = attributes.items[i];
    }
    auto owner = std::make_unique<Instance>(program, wire, "probed");
    Instance& instance = *owner;
    std::vector<Type> types;
    for (const Json& name : request.at("dtypes").as_list()) {
        types.emplace_back();
        if (!type_from_name(name.as_string(), types.back())) {
            throw JsonError("no type is called " + name.string);
        }
    }
    const std::vector<Shape> shapes = shapes_from(request.at("shapes"));
    const std::vector<Shape> trt_outputs = shapes_from(request.at("trt_outputs"));
    const auto tactic = static_cast<std::int32_t>(request.at("tactic").as_int(0));
    const Node& node = instance.node();
    node.check_types(types);
    Context context = node.concrete(shapes, types, trt_outputs, tactic);
    node.check(context);
    context = node.with_outputs(std::move(context));

    Json outputs = Json::list();
    for (const Tensor& output : context.outputs) {
        outputs.items.push_back(json_from_output(output));
    }
    Json json = Json::object();
    json.add("outputs", std::move(outputs));
    json.add("workspace_bytes", Json::of(node.workspace_bytes(context)));
    Json kept = Json::object();
    for (const auto& [name, value] : node.wire()) {
        kept.add(name, value);
    }
    json.add("attributes", std::move(kept));
    if (request.find("inputs") != nullptr) {
        instance.set_tactic(program.tactic_count == 0 ? 0 : tactic + 1);
        instance.prepare(shapes, types, trt_outputs);
        const std::vector<void*> in = pointers_from(request.at("inputs"));
        std::vector<void*> out = pointers_from(request.at("outputs"));
        instance.prepared()->enqueue(in.data(), out.data(),
                                     reinterpret_cast<void*>(request.at("workspace").as_int(0)),
                                     reinterpret_cast<CUstream>(request.at("stream").as_int(0)));
    }
    if (request.find("is_kept") != nullptr) {
        static std::vector<std::unique_ptr<Instance>> kept_instances;
        kept_instances.push_back(std::move(owner));
    }
    return json;
}

}  // namespace

}  // namespace pluginkit

// Returns the answer to a request; valid until the next request of the same thread.
extern "C" __attribute__((visibility("default"))) const char* pluginkit_probe(
    const char* request) {
    static thread_local std::string text;
    pluginkit::Json json;
    try {
        json = pluginkit::answer(pluginkit::json_from_text(request));
    } catch (const std::exception& error) {
        json = pluginkit::Json::object();
        json.add("error", pluginkit::Json::of(std::string(error.what())));
    }
    text = pluginkit::text_from_json(json);
    return text.c_str();
}
