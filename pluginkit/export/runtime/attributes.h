// Converts attributes between their wire form and a plugin's values, as
// pluginkit.contract.attribute_values does in Python.
//
// ONNX nodes, TensorRT's fields and plans store an attribute as a 32-bit int, a float, a string, or
// a list of ints or floats. A value that none of these can store exactly becomes a string: "json:",
// followed by a JSON document. A Json object holds any of these forms.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "json.h"
#include "program.h"

namespace pluginkit {

// The names of the fields that are not attributes.
inline constexpr const char* kInputsField = "pluginkit_inputs";
inline constexpr const char* kRecordedSizesField = "pluginkit_recorded_sizes";

// The wire form of each attribute, and of the two fields above, by name.
using Wire = std::map<std::string, Json>;

// Returns the value of a wire form. Refuses (PK104) values that the declaration does not allow.
// `where` is "node 'Pad_12'" or "".
Value value_from_wire(const Program& program, const Attribute& attribute, const Json& wire,
                      const std::string& where);

// Returns the value of every declared attribute. Refuses wrong values (PK104), and missing ones
// (PK109).
std::vector<Value> values_from_wire(const Program& program, const Wire& wire,
                                    const std::string& where);

// Returns the wire form of a value other than None.
Json wire_from_value(const Attribute& attribute, const Value& value);

// Returns which declared inputs a node has. Refuses (PK110) a list that does not fit.
std::vector<bool> present_from_wire(const Program& program, const Wire& wire,
                                    const std::string& where);

// Returns the attributes and present inputs as a plan stores them.
Wire wire_from_values(const Program& program, const std::vector<Value>& values,
                      const std::vector<bool>& present);

// Returns a message in the form of pluginkit's errors: the first line, then the parts that are not
// empty.
std::string message(const std::string& first, const std::string& where, const std::string& cause,
                    const std::string& fix);

}  // namespace pluginkit
