// What a plugin said about its memory, kept in the plan and compared when the plan is loaded;
// pluginkit.trt.recorded_sizes in C++.
//
// TensorRT allocates outputs and workspace from what the plugin said during the build. A library
// with another version of the plugin could write past that memory. So the plan records the sizes
// for the shapes at the ends of each profile, and the plugin must still give them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "node.h"

namespace pluginkit {

// The memory that a plugin needs for inputs of one set of shapes and types.
struct MemoryNeeds {
    std::vector<Shape> shapes;  // of the inputs that kernels see
    std::vector<Type> types;
    std::vector<Shape> told;     // the outputs' shapes as TensorRT gave them, -1 for unknown
    std::vector<Shape> outputs;  // dimensions that only kernels know at their largest
    std::vector<Type> output_types;
    std::int64_t workspace_bytes = 0;  // the most that a tactic needs
};

bool operator==(const MemoryNeeds& a, const MemoryNeeds& b);

// The memory needs that one plugin has stated, in order and without repetitions.
class RecordedSizes {
public:
    bool empty() const { return mNeeds.empty(); }

    // Asks the plugin for concrete shapes and keeps the answer.
    void record(const Node& node, const std::vector<Shape>& shapes, const std::vector<Type>& types,
                const std::vector<Shape>& told);

    // The largest workspace for inputs of these types; nothing if none was recorded.
    std::optional<std::int64_t> workspace_bytes(const std::vector<Type>& types) const;

    // Asks the plugin again and compares. Refuses PK216 where it says something else.
    void check_unchanged(const Node& node) const;

    // Refuses (PK217) inputs that need more workspace than TensorRT was asked for.
    void check_workspace(const Node& node, const Context& context) const;

    // What a plan holds.
    std::string text() const;

    // Refuses PK207 what cannot be read.
    static RecordedSizes from_text(const Node& node, const std::string& text);

private:
    std::vector<MemoryNeeds> mNeeds;
};

}  // namespace pluginkit
