// Attributes between their wire form and the values that a plugin has; pluginkit.attributes in C++.
//
// An ONNX node, TensorRT's fields and a plan carry an attribute as an int of 32 bits, a float, a
// string, or a list of ints or floats; what these cannot carry exactly is text, "json:" and a JSON
// document. A Json holds any of these forms.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "json.h"
#include "program.h"

namespace pluginkit {

// What a field can hold beside the attributes.
inline constexpr const char* kInputsField = "pluginkit_inputs";
inline constexpr const char* kRecordedSizesField = "pluginkit_recorded_sizes";

// Wire forms by attribute name, and the two above.
using Wire = std::map<std::string, Json>;

// The value behind a wire form. Refuses (PK104) what the declaration does not allow. `where` is
// "node 'Pad_12'" or "".
Value value_from_wire(const Program& program, const Attribute& attribute, const Json& wire,
                      const std::string& where);

// The value of every declared attribute. Refuses PK104, and PK109 a required one that is missing.
std::vector<Value> values_from_wire(const Program& program, const Wire& wire,
                                    const std::string& where);

// The wire form of a value that is not None.
Json wire_from_value(const Attribute& attribute, const Value& value);

// Which declared inputs a node has. Refuses PK110.
std::vector<bool> present_from_wire(const Program& program, const Wire& wire,
                                    const std::string& where);

// Attributes and present inputs, as a plan keeps them.
Wire wire_from_values(const Program& program, const std::vector<Value>& values,
                      const std::vector<bool>& present);

// A message in the form of pluginkit's errors: the first line, then what is not empty.
std::string message(const std::string& first, const std::string& where, const std::string& cause,
                    const std::string& fix);

}  // namespace pluginkit
