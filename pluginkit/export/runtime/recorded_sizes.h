// What a plugin said of its memory at the build, which the plan keeps; pluginkit.trt.promises in
// C++.
//
// TensorRT allocates outputs and workspace by what the plugin said at the build. A library with
// another version of the plugin would write where it must not; so when a plan is loaded the plugin
// is asked again, for the inputs at the ends of each profile.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "node.h"

namespace pluginkit {

// What a plugin says of its memory, for inputs of one set of shapes and types.
struct Promise {
    std::vector<Shape> shapes;  // of the inputs that kernels see
    std::vector<Type> types;
    std::vector<Shape> told;    // the outputs' shapes as TensorRT said them, -1 for unknown
    std::vector<Shape> outputs; // dimensions that only kernels know at their largest
    std::vector<Type> output_types;
    std::int64_t workspace_bytes = 0;  // the most that a tactic needs
};

bool operator==(const Promise& a, const Promise& b);

class Promises {
public:
    bool empty() const { return mSaid.empty(); }

    // Asks the plugin, for concrete shapes, and keeps the answer.
    void ask(const Node& node, const std::vector<Shape>& shapes, const std::vector<Type>& types,
             const std::vector<Shape>& told);

    // The most workspace that was said for inputs of these types; nothing if it was not asked.
    std::optional<std::int64_t> workspace_bytes(const std::vector<Type>& types) const;

    // Asks the plugin the same again. Refuses PK216 where it says something else.
    void check(const Node& node) const;

    // Refuses (PK217) a plugin that needs more workspace than it has ever said.
    void check_workspace(const Node& node, const Context& context) const;

    // What a plan holds.
    std::string text() const;

    // Refuses PK207 what cannot be read.
    static Promises from_text(const Node& node, const std::string& text);

private:
    std::vector<Promise> mSaid;
};

}  // namespace pluginkit
