// Programs as the exporter generates them, written by hand, so that the runtime's tests do not need
// the exporter.
//
// Scale is the plugin of pluginkit's documentation. Gather has what Scale lacks: every kind of
// attribute, an optional input, a shape input, a size output, an alias, tactics, workspace, copies,
// fills, two launches, large shared memory, and refusals of each kind. The kernels are never run;
// their code is the text "code", which the recording driver accepts.
#include "program.h"

namespace pluginkit {

namespace {

// ----------------------------------------------------------------------------------------- Scale

namespace scale {

constexpr unsigned char kCode[] = "code";
constexpr Image kImages[] = {{90, false, kCode, sizeof kCode}, {80, true, kCode, sizeof kCode}};
constexpr Module kModules[] = {{kImages, 2}};
constexpr Kernel kKernels[] = {{"scale<{T}>", "scale<float>", "scale_float", 0},
                               {"scale<{T}>", "scale<__half>", "scale_half", 0}};
constexpr Attribute kAttributes[] = {
    {"factor", Kind::kFloat, false, -1, false, false, "1.0", nullptr, "float"}};
constexpr Input kInputs[] = {{"x", false, -1, Type::kFloat32, 0, 8}};
constexpr Output kOutputs[] = {{"y", false, -1}};
constexpr Type kTypes[] = {Type::kFloat32, Type::kFloat16};

std::string refuse(const Context&) { return ""; }

std::vector<Type> output_types(const Context& context) { return {context.inputs[0].type}; }

std::string check(const Context&) { return ""; }

std::vector<OutputShape> output_shapes(const Context& context) {
    const Tensor& x = context.inputs[0];
    return {OutputShape(x.shape.begin(), x.shape.end())};
}

Dim workspace_bytes(const Context&) { return 0; }

void steps(const Context& context, Recorder& recorder) {
    const Tensor& x = context.inputs[0];
    const Tensor& y = context.outputs[0];
    recorder.launch(x.type == Type::kFloat32 ? 0 : 1, {ceil_div(x.size(), 256)}, {256}, 0,
                    Arguments()
                        .pointer(output_view(0, y.nbytes()))
                        .pointer(input_view(0, x.nbytes()))
                        .int64(x.size())
                        .float32(context.attributes[0].number()));
}

constexpr Program kProgram = {
    "Scale", "Scale_PK", "1", "pluginkit",
    kAttributes, 1, kInputs, 1, kOutputs, 1, nullptr, 0, kTypes, 2,
    kModules, 1, kKernels, 2, false,
    refuse, output_types, check, output_shapes, workspace_bytes, steps};

}  // namespace scale

// ---------------------------------------------------------------------------------------- Gather

namespace gather {

constexpr unsigned char kCode[] = "code";
constexpr Image kImages[] = {{80, false, kCode, sizeof kCode},
                             {86, false, kCode, sizeof kCode},
                             {90, true, kCode, sizeof kCode}};
constexpr Image kWideImages[] = {{86, true, kCode, sizeof kCode}, {90, false, kCode, sizeof kCode}};
constexpr Module kModules[] = {{kImages, 3}, {kWideImages, 2}};
constexpr Kernel kKernels[] = {{"count<{T}>", "count<float>", "count", 0},
                               {"gather<{T}, {WIDE}>", "gather<float, true>", "gather_wide", 1,
                                true}};
constexpr Attribute kAttributes[] = {
    {"axis", Kind::kInt, false, -1, true, false, nullptr, nullptr, "int"},
    {"mode", Kind::kString, false, -1, false, false, "\"none\"", "[\"none\",\"add\"]",
     "'none' | 'add'"},
    {"pads", Kind::kInt, true, 2, false, false, "[0,0]", nullptr, "tuple[int, int]"},
    {"names", Kind::kString, true, -1, false, false, "[]", nullptr, "tuple[str, ...]"},
    {"flags", Kind::kBool, true, -1, false, false, "[true,false]", nullptr, "tuple[bool, ...]"},
    {"is_wide", Kind::kBool, false, -1, false, false, "false", nullptr, "bool"},
    {"weights", Kind::kFloat, true, -1, false, false, "[0.5]", nullptr, "tuple[float, ...]"},
    {"table", Kind::kArray, false, -1, false, false,
     "{\"dtype\":\"int16\",\"shape\":[2],\"data\":\"AQACAA==\"}", nullptr, "numpy.ndarray"},
    {"limit", Kind::kInt, false, -1, false, true, nullptr, nullptr, "int | None"}};
// The second output aliases the input `kept`; `bias` may be absent; `k` is a shape input.
constexpr Input kInputs[] = {{"x", false, -1, Type::kFloat32, 1, 4},
                             {"bias", true, -1, Type::kFloat32, 1, 1},
                             {"k", false, 1, Type::kInt64, 1, 1},
                             {"kept", false, -1, Type::kFloat32, 0, 8}};
constexpr Output kOutputs[] = {{"y", false, -1}, {"total", false, 3}, {"found", true, -1}};
constexpr Type kTypes[] = {
    Type::kFloat32, Type::kFloat32, Type::kInt64, Type::kFloat32,
    Type::kInt32,   Type::kFloat32, Type::kInt64, Type::kFloat32};
constexpr const char* kTactics[] = {"plain", "wide"};

std::string refuse(const Context& context) {
    const std::int64_t axis = context.attributes[0].integer();
    return axis >= -4 && axis < 4 ? ""
                                  : "PK803 Gather: the library was exported for axis -4 to 3; got " +
                                        std::to_string(axis) + ".";
}

std::vector<Type> output_types(const Context& context) {
    const bool adds = context.attributes[1].string() == "add";
    if (adds && context.inputs[0].type != Type::kFloat32) {
        throw Refusal("PK149 Gather adds floats alone.");
    }
    return {context.inputs[0].type, context.inputs[3].type, Type::kInt32};
}

std::string check(const Context& context) {
    const Tensor& x = context.inputs[0];
    const std::int64_t axis = context.attributes[0].integer();
    if (axis < -x.ndim() || axis >= x.ndim()) {
        return "PK126 axis " + std::to_string(axis) + " of 'x' is out of range for " + text(x) +
               ".";
    }
    if (context.inputs[2].values[0] > 1000) {
        return "PK155 Gather: k is " + text(context.inputs[2].values[0]) + "; expected up to 1000.";
    }
    return "";
}

std::vector<OutputShape> output_shapes(const Context& context) {
    const Tensor& x = context.inputs[0];
    const Tensor& kept = context.inputs[3];
    const std::vector<std::int64_t>& pads = context.attributes[2].integers;
    const Dim padded = x.shape[0] + pads[0] + pads[1];
    return {{OutputDim::value(context, 2, 0), OutputDim(2, padded, floor_div(padded, 2)),
             context.inputs[2].values[0] + 1},
            OutputShape(kept.shape.begin(), kept.shape.end()),
            {}};
}

Dim workspace_bytes(const Context& context) {
    const Dim bytes = context.inputs[0].size() * 4 + 256;
    return context.tactic == 1 ? bytes * 2 : bytes;
}

void steps(const Context& context, Recorder& recorder) {
    const Tensor& x = context.inputs[0];
    const Tensor& bias = context.inputs[1];
    const Tensor& kept = context.inputs[3];
    const Tensor& total = context.outputs[1];
    recorder.fill(workspace_view(0, 256), 0);
    recorder.copy(output_view(1, total.nbytes()), input_view(3, kept.nbytes()));
    recorder.launch(0, {ceil_div(x.size(), 128), 2}, {64, 2}, 0,
                    Arguments()
                        .pointer(input_view(0, x.nbytes()))
                        .pointer(workspace_view(256, x.size() * 4))
                        .pointer(output_view(2, 4))
                        .int32(x.shape[0])
                        .int32(Dims{1, 2, x.shape[0]}));
    Arguments arguments;
    arguments.pointer(output_view(0, context.outputs[0].nbytes()));
    if (bias.is_present) {
        arguments.pointer(input_view(1, bias.nbytes()));
    } else {
        arguments.null();
    }
    arguments.boolean(context.attributes[5].boolean()).int64(context.inputs[2].values[0]);
    recorder.launch(1, {x.shape[0]}, {32}, context.tactic == 1 ? 65536 : 1024, arguments);
}

constexpr Program kProgram = {
    "Gather", "Gather_PK", "2", "tests",
    kAttributes, 9, kInputs, 4, kOutputs, 3, kTactics, 2, kTypes, 2,
    kModules, 2, kKernels, 2, true,
    refuse, output_types, check, output_shapes, workspace_bytes, steps};

}  // namespace gather

}  // namespace

// With SCALE_VERSION_2 a library of the future: a new Scale, and the Gather that there was, or not.
#if SCALE_VERSION_2
constexpr Program renewed(Program program) {
    program.plugin_version = "2";
    return program;
}
constexpr Program kScale2 = renewed(scale::kProgram);
const Program* const kPrograms[] = {&kScale2, &gather::kProgram};
const std::size_t kProgramCount = SCALE_VERSION_2;
#else
const Program* const kPrograms[] = {&scale::kProgram, &gather::kProgram};
const std::size_t kProgramCount = 2;
#endif

}  // namespace pluginkit
