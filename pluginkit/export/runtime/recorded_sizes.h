// The memory sizes that a plugin stated during the build, which are stored in the plan and compared
// when it is loaded, as in pluginkit.trt.recorded_sizes.
//
// TensorRT allocates outputs and workspace by these sizes. A library with another version of the
// plugin could write past that memory. So the plan stores the sizes at each profile's min, opt and
// max shapes, and the plugin must still state the same.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "node.h"

namespace pluginkit {

// The memory that a plugin needs for inputs of one set of shapes and types.
struct MemoryNeeds {
    std::vector<Shape> shapes;  // of the inputs in device memory
    std::vector<Type> types;
    std::vector<Shape> trt_outputs;  // the outputs' shapes as TensorRT states them, -1 for unknown
    std::vector<Shape> outputs;  // dimensions that only kernels know have their upper bound
    std::vector<Type> output_types;
    std::int64_t workspace_bytes = 0;  // of the tactic that needs most
};

bool operator==(const MemoryNeeds& a, const MemoryNeeds& b);

// The shapes at a profile's end, with what is reserved in place of sizes without a limit, as values
// in the model give them.
std::vector<Shape> reserved(std::vector<Shape> shapes);

// The memory needs that one plugin has stated, in order and without repetitions.
class RecordedSizes {
public:
    bool empty() const { return mNeeds.empty(); }

    // Stores the plugin's answer for concrete shapes, reserved() ones.
    void record(const Node& node, const std::vector<Shape>& shapes, const std::vector<Type>& types,
                const std::vector<Shape>& trt_outputs);

    // The largest workspace for inputs of these types; nothing if none was recorded.
    std::optional<std::int64_t> workspace_bytes(const std::vector<Type>& types) const;

    // Refuses (PK216) if the plugin now states other sizes.
    void check_unchanged(const Node& node) const;

    // Refuses (PK217) inputs that need more workspace than TensorRT was asked for.
    void check_workspace(const Node& node, const Context& context) const;

    // The text that a plan stores.
    std::string text() const;

    // Refuses (PK207) text that cannot be read.
    static RecordedSizes from_text(const Node& node, const std::string& text);

private:
    std::vector<MemoryNeeds> mNeeds;
};

}  // namespace pluginkit
