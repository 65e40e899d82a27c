// The interface between the generated code of a plugin and the runtime.
//
// A library has one Program for each plugin, and the runtime, which is the same in every library.
// The generated code computes types, shapes, workspace and launches. The runtime does the rest:
// TensorRT's interfaces, attributes, plans, modules, memory and errors. They share only this
// header, which mentions neither TensorRT nor CUDA.
//
// The generated file ends with:
//
//     namespace pluginkit {
//     const Program* const kPrograms[] = {&kScale, &kScatterElements};
//     const std::size_t kProgramCount = 2;
//     }
#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <utility>
#include <vector>

#include "dims.h"

namespace pluginkit {

// ---------------------------------------------------------------------------------------- types

// An element type that plugins take; the order is that of pluginkit.contract.dtypes.ALL.
enum class Type : std::int32_t {
    kFloat32,
    kFloat16,
    kBFloat16,
    kInt64,
    kInt32,
    kInt8,
    kUInt8,
    kBool,
};

std::int64_t item_bytes(Type type);
const char* type_name(Type type);  // "float32"
// Returns false if no type has that name.
bool type_from_name(const std::string& name, Type& type);

// ----------------------------------------------------------------------------------- attributes

// The type of an attribute's value, or of its elements.
enum class Kind : std::int32_t { kInt, kFloat, kString, kBool, kArray };

// A declared attribute.
struct Attribute {
    const char* name;
    Kind kind;             // of the value, or of a tuple's elements
    bool is_tuple;         // tuple[...]; never with kArray
    std::int64_t length;   // a tuple's exact length, -1 for any
    bool is_required;      // without a default
    bool is_optional;      // may be None, which is then its default
    const char* default_json;  // the default as a JSON document, an array in its wire form; nullptr
                               // if it is required, or None
    const char* choices_json;  // a JSON list of the allowed values; nullptr for all
    const char* expected;      // the type in Python's notation, for messages: "tuple[int, ...]"
};

// The value of an attribute: one scalar, a tuple of them, an array, or None.
struct Value {
    bool is_none = true;
    std::vector<std::int64_t> integers;  // kInt, and kBool as 0 and 1
    std::vector<double> numbers;         // kFloat
    std::vector<std::string> strings;    // kString, UTF-8
    std::string array_dtype;             // kArray: numpy's name of the dtype,
    std::vector<std::int64_t> array_shape;
    std::string array_bytes;             // and the little-endian elements

    // Of a scalar.
    std::int64_t integer() const { return integers.at(0); }
    double number() const { return numbers.at(0); }
    const std::string& string() const { return strings.at(0); }
    bool boolean() const { return integers.at(0) != 0; }
};

bool operator==(const Value& a, const Value& b);

// -------------------------------------------------------------------------------------- tensors

// A declared input.
struct Input {
    const char* name;
    bool is_optional;
    std::int64_t length;  // how many values a shape input has; -1 for every other input
    Type type;            // of a shape input; ignored for every other input
    std::int32_t lowest_rank;
    std::int32_t highest_rank;
};

// A declared output; size outputs come after the others.
struct Output {
    const char* name;
    bool is_size;
    std::int32_t aliases;  // the declared input whose memory it shares, -1 for none
};

// One input or output of a call. A shape input has values and no memory.
struct Tensor {
    const char* name = "";
    bool is_present = false;  // whether the node has the input; if not, the rest is meaningless
    Type type = Type::kFloat32;
    Dims shape;
    Dims values;  // of a shape input; expressions while a network is parsed

    std::int64_t ndim() const { return static_cast<std::int64_t>(shape.size()); }
    Dim size() const { return product(shape); }
    Dim nbytes() const { return size() * Dim(item_bytes(type)); }
};

// "x float32[2, 3]", as str() of a TensorDesc in Python; an unknown dimension is a question mark.
std::string text(const Tensor& tensor);
std::string text(const Dim& dim);
// "(2, 3)", as Python's repr of a tuple; "[2, 3]", as its repr of a list.
std::string tuple_text(const Dims& dims);
std::string list_text(const Dims& dims);
std::string text(double number);              // as Python's repr
std::string quoted(const std::string& text);  // as Python's repr

// A part of one of the enqueue's buffers.
struct View {
    enum class Buffer : std::int32_t { kInput, kOutput, kWorkspace };

    Buffer buffer;
    std::int32_t index;  // the declared input or output; 0 for the workspace
    Dim offset;          // in bytes
    Dim nbytes;          // the runtime checks that it lies inside the buffer
};

inline View input_view(std::int32_t index, const Dim& nbytes, const Dim& offset = 0) {
    return {View::Buffer::kInput, index, offset, nbytes};
}
inline View output_view(std::int32_t index, const Dim& nbytes, const Dim& offset = 0) {
    return {View::Buffer::kOutput, index, offset, nbytes};
}
inline View workspace_view(const Dim& offset, const Dim& nbytes) {
    return {View::Buffer::kWorkspace, 0, offset, nbytes};
}

// -------------------------------------------------------------------------------------- kernels

// A cubin, or PTX, in the library.
struct Image {
    std::int32_t compute_capability;  // 87 for 8.7
    bool is_ptx;                      // PTX is zero-terminated; `bytes` includes the zero
    const unsigned char* data;
    std::size_t bytes;
};

// Code that is loaded as a whole. The runtime uses the best cubin for the device, or the PTX if
// none fits.
struct Module {
    const Image* images;
    std::size_t image_count;
};

// One kernel for one set of types and constants: one specialisation.
struct Kernel {
    const char* name;        // the kernel's declared name, for messages: "scale<{T}>"
    const char* expression;  // of this specialisation: "scale<float>"
    const char* symbol;      // in the module
    std::int32_t module;     // index in Program::modules
    // Whether it may begin before the launch that precedes it has ended, from compute capability
    // 9.0.
    bool overlaps = false;
};

// ---------------------------------------------------------------------------------------- steps

// The arguments of a launch, in the order of the kernel's parameters:
//
//     Arguments().pointer(output_view(0, y.nbytes())).int64(x.size()).float32(factor)
//
// Values that do not fit the type are refused (PK303). A list becomes one parameter, a struct with
// an array, as CUDA C++ kernels take it. For a numba kernel, call once for each element.
class Arguments {
public:
    Arguments& pointer(const View& view);
    Arguments& null();
    Arguments& boolean(bool value);
    Arguments& int8(const Dim& value) { return integers(1, true, {value}); }
    Arguments& int32(const Dim& value) { return integers(4, true, {value}); }
    Arguments& int64(const Dim& value) { return integers(8, true, {value}); }
    Arguments& uint8(const Dim& value) { return integers(1, false, {value}); }
    Arguments& uint32(const Dim& value) { return integers(4, false, {value}); }
    Arguments& uint64(const Dim& value) { return integers(8, false, {value}); }
    Arguments& int8(const Dims& values) { return integers(1, true, values); }
    Arguments& int32(const Dims& values) { return integers(4, true, values); }
    Arguments& int64(const Dims& values) { return integers(8, true, values); }
    Arguments& uint8(const Dims& values) { return integers(1, false, values); }
    Arguments& uint32(const Dims& values) { return integers(4, false, values); }
    Arguments& uint64(const Dims& values) { return integers(8, false, values); }
    Arguments& float32(double value);
    Arguments& float16(double value);
    Arguments& bfloat16(double value);
    // Bytes that the exporter has packed.
    Arguments& bytes(const void* data, std::size_t size);
    // A numba array: meminfo, parent, nitems, itemsize, data, shape, strides.
    Arguments& array(const View& view, const Dims& shape, std::int64_t itemsize);

    // One parameter: `view` if it is a pointer, otherwise `bytes`.
    struct Parameter {
        bool is_pointer;
        View view;
        std::string bytes;
    };
    const std::vector<Parameter>& parameters() const { return mParameters; }

    // Why a number does not fit its type; "" if all do. Ignored by a launch without blocks.
    const std::string& refusal() const { return mRefusal; }

private:
    Arguments& integers(std::size_t width, bool is_signed, const Dims& values);

    std::vector<Parameter> mParameters;
    std::string mRefusal;
};

// A grid or a block: one to three dimensions.
using Extent = Dims;

// Receives the steps of one enqueue, in the order in which the stream will run them. Launches
// without blocks, and copies and fills of no bytes, are left out. Refuses views outside their
// buffers (PK303), a wrong grid, block or shared memory (PK304), and wrong copies and fills
// (PK305).
class Recorder {
public:
    // `kernel` is an index in Program::kernels.
    virtual void launch(std::int32_t kernel, const Extent& grid, const Extent& block,
                        const Dim& shared_bytes, const Arguments& arguments) = 0;
    // The views have equal sizes, except that a workspace may be larger than the source.
    virtual void copy(const View& target, const View& source) = 0;
    virtual void fill(const View& target, const Dim& byte) = 0;

protected:
    ~Recorder() = default;
};

// --------------------------------------------------------------------------------------- a call

// The device that an engine runs on.
struct Device {
    std::int32_t compute_capability = 0;  // 87 for 8.7
    std::int32_t multiprocessors = 0;
    std::int64_t shared_bytes_per_block = 0;  // with opt-in
};

// The call that a function answers for: one plugin on one node.
struct Context {
    std::vector<Value> attributes;  // one for each declared attribute
    std::vector<Tensor> inputs;     // one for each declared input
    std::vector<Tensor> outputs;    // one for each declared output; only set in steps(). Dimensions
                                    // that only kernels know have their upper bound
    std::int32_t tactic = 0;        // index in Program::tactics
    std::int64_t workspace_bytes = 0;  // the result of workspace_bytes(); only set in steps()
    const Device* device = nullptr;    // only set in steps()
};

// A dimension of an output. If only kernels know it, it names the size output that they write, and
// `dim` is its upper bound.
struct OutputDim {
    OutputDim(const Dim& known) : dim(known) {}  // NOLINT: a Dim is a dimension of an output
    OutputDim(std::int64_t known) : dim(known) {}  // NOLINT
    OutputDim(int known) : dim(known) {}           // NOLINT
    OutputDim(std::int32_t size_output, const Dim& upper, const Dim& optimum)
        : dim(upper), size(size_output), opt(optimum) {}
    // A dimension that is exactly a value of a shape input. From these dimensions the runtime knows
    // the values when an engine runs.
    static OutputDim value(const Context& context, std::int32_t input, std::int32_t index) {
        OutputDim made(context.inputs.at(input).values.at(index));
        made.shape_input = input;
        made.value_index = index;
        return made;
    }

    Dim dim;
    std::int32_t size = -1;  // the size output that holds it, -1 for known dimensions
    Dim opt = 0;
    std::int32_t shape_input = -1;  // the declared input whose value it is, or -1
    std::int32_t value_index = -1;
};

using OutputShape = std::vector<OutputDim>;

// ------------------------------------------------------------------------------------- a plugin

// Everything about one plugin. The functions throw only Refusal deliberately, and keep no state,
// since TensorRT calls them from several threads.
struct Program {
    const char* owner;  // the plugin class's name, for messages: "ScatterElements"
    const char* plugin_name;
    const char* plugin_version;
    const char* plugin_namespace;

    const Attribute* attributes;
    std::size_t attribute_count;
    const Input* inputs;
    std::size_t input_count;
    const Output* outputs;
    std::size_t output_count;
    const char* const* tactics;
    std::size_t tactic_count;

    // The combinations of input types that the library has kernels for: rows of one Type for each
    // declared input. The entries of absent inputs and of shape inputs are ignored.
    const Type* input_types;
    std::size_t input_type_rows;

    const Module* modules;
    std::size_t module_count;
    const Kernel* kernels;
    std::size_t kernel_count;

    bool has_workspace;  // whether the class defines workspace_bytes

    // Why this library has no plugin with these attribute values and present inputs; "" if it has
    // one. Called when a plugin is created; only `attributes` and `is_present` of inputs are set.
    std::string (*refuse)(const Context& context);

    // The outputs' types for any input types. Throws Refusal for types that the attribute values do
    // not allow. Shapes are not set.
    std::vector<Type> (*output_types)(const Context& context);

    // The author's check: the whole message of its error, or "". Dimensions may be unknown.
    std::string (*check)(const Context& context);

    // The outputs' shapes, an empty one for each size output. Dimensions may be unknown.
    std::vector<OutputShape> (*output_shapes)(const Context& context);

    // Scratch memory for concrete inputs and the context's tactic.
    Dim (*workspace_bytes)(const Context& context);

    // The steps of one enqueue, for concrete shapes.
    void (*steps)(const Context& context, Recorder& recorder);
};

// Defined by the generated code: the library's plugins.
extern const Program* const kPrograms[];
extern const std::size_t kProgramCount;

}  // namespace pluginkit
