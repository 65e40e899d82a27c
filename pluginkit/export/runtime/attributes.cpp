#include "attributes.h"

#include <cmath>
#include <limits>

#include "base64.h"
#include "bytes.h"

namespace pluginkit {

namespace {

constexpr std::string_view kText = "json:";

// A value is not allowed by the declaration. The text is the cause, which may be empty.
struct NotAllowed {
    std::string cause;
};

std::string shown(const Json& wire) {
    std::string all;
    if (wire.is(Json::Type::kString)) {
        all = quoted(wire.string);
    } else if (wire.is(Json::Type::kNull)) {
        all = "None";
    } else {
        all = text_from_json(wire);
    }
    return all.size() <= 80 ? all : all.substr(0, 77) + "...";
}

[[noreturn]] void refuse(const Program& program, const Attribute& attribute, const Json& wire,
                         const std::string& cause, const std::string& where) {
    const std::string name = attribute.name;
    throw Refusal(message("PK104 " + std::string(program.owner) + ": attribute '" + name + "' is " +
                              shown(wire) + "; expected " + attribute.expected + ".",
                          where, cause,
                          "give '" + name + "' a value that the declaration in " + program.owner +
                              " allows."));
}

bool is_bit(const Json& json) {
    return (json.is(Json::Type::kInt) && (json.integer == 0 || json.integer == 1)) ||
           (json.is(Json::Type::kFloat) && (json.number == 0.0 || json.number == 1.0));
}

// Adds one scalar of the attribute's kind.
void append_scalar(const Attribute& attribute, const Json& json, bool is_in_list, Value& value) {
    switch (attribute.kind) {
        case Kind::kInt:
            if (!json.is(Json::Type::kInt)) {
                throw NotAllowed{"is not an integer"};
            }
            value.integers.push_back(json.integer);
            return;
        case Kind::kFloat:
            if (json.is(Json::Type::kInt)) {
                value.numbers.push_back(static_cast<double>(json.integer));
            } else if (json.is(Json::Type::kFloat)) {
                value.numbers.push_back(json.number);
            } else {
                throw NotAllowed{"is not a float"};
            }
            return;
        case Kind::kString:
            if (!json.is(Json::Type::kString)) {
                throw NotAllowed{"is not a string"};
            }
            value.strings.push_back(json.string);
            return;
        case Kind::kBool:
            if (json.is(Json::Type::kBool)) {
                value.integers.push_back(json.integer);
            } else if (is_bit(json) && (is_in_list || json.is(Json::Type::kInt))) {
                value.integers.push_back(json.is(Json::Type::kInt) ? json.integer
                                                                    : json.number != 0.0);
            } else {
                throw NotAllowed{"is not a bool"};
            }
            return;
        case Kind::kArray: throw NotAllowed{"is not an array"};
    }
}

std::int64_t array_item_bytes(const std::string& dtype) {
    static const std::pair<const char*, std::int64_t> kSizes[] = {
        {"bool", 1},    {"int8", 1},    {"uint8", 1},   {"int16", 2},    {"uint16", 2},
        {"float16", 2}, {"bfloat16", 2}, {"int32", 4},   {"uint32", 4},   {"float32", 4},
        {"int64", 8},   {"uint64", 8},  {"float64", 8}, {"complex64", 8}, {"complex128", 16}};
    for (const auto& [name, bytes] : kSizes) {
        if (dtype == name) {
            return bytes;
        }
    }
    throw NotAllowed{"has dtype " + dtype + ", which cannot travel"};
}

// Reads an array from the document {"dtype": ..., "shape": [...], "data": base64}.
Value array_from_document(const Json& json) {
    Value value;
    value.is_none = false;
    value.array_dtype = json.at("dtype").as_string();
    Dim elements = 1;
    for (const Json& dim : json.at("shape").as_list()) {
        value.array_shape.push_back(dim.as_int(0));
        elements = elements * value.array_shape.back();
    }
    value.array_bytes = bytes_from_base64(json.at("data").as_string());
    const Dim expected = elements * array_item_bytes(value.array_dtype);
    if (expected != static_cast<std::int64_t>(value.array_bytes.size())) {
        throw NotAllowed{"has " + std::to_string(value.array_bytes.size()) + " bytes of data"};
    }
    return value;
}

// Reads an array from a number or a list of numbers, as numpy does: int64 or float64.
Value array_from_numbers(const Json& json) {
    const std::vector<Json> one = {json};
    const bool is_list = json.is(Json::Type::kList);
    const std::vector<Json>& items = is_list ? json.items : one;
    Value value;
    value.is_none = false;
    value.array_dtype = "int64";
    for (const Json& item : items) {
        if (item.is(Json::Type::kFloat)) {
            value.array_dtype = "float64";
        } else if (!item.is(Json::Type::kInt)) {
            throw NotAllowed{"is not an array"};
        }
    }
    if (items.empty()) {
        value.array_dtype = "float64";
    }
    if (is_list) {
        value.array_shape.push_back(static_cast<std::int64_t>(items.size()));
    }
    for (const Json& item : items) {
        if (value.array_dtype == "int64") {
            append_bytes(value.array_bytes, item.integer);
        } else {
            append_bytes(value.array_bytes, item.is(Json::Type::kFloat)
                                                ? item.number
                                                : static_cast<double>(item.integer));
        }
    }
    return value;
}

// Returns the value of a document, which is the wire form without its "json:".
Value value_from_document(const Attribute& attribute, const Json& json) {
    if (json.is(Json::Type::kNull) && attribute.is_optional) {
        return {};
    }
    if (attribute.kind == Kind::kArray) {
        return json.is(Json::Type::kObject) ? array_from_document(json) : array_from_numbers(json);
    }
    Value value;
    value.is_none = false;
    if (!attribute.is_tuple) {
        append_scalar(attribute, json, false, value);
        return value;
    }
    if (!json.is(Json::Type::kList)) {
        throw NotAllowed{"not a sequence"};
    }
    for (const Json& item : json.items) {
        append_scalar(attribute, item, true, value);
    }
    const auto count = static_cast<std::int64_t>(json.items.size());
    if (attribute.length >= 0 && count != attribute.length) {
        throw NotAllowed{"has " + std::to_string(count) + " elements, not " +
                         std::to_string(attribute.length)};
    }
    return value;
}

bool is_chosen(const Attribute& attribute, const Value& value) {
    const Json choices = json_from_text(attribute.choices_json);
    for (const Json& choice : choices.as_list()) {
        if (value_from_document(attribute, choice) == value) {
            return true;
        }
    }
    return false;
}

bool fits_float32(double value) {
    return std::isfinite(value) && std::fabs(value) <= std::numeric_limits<float>::max() &&
           static_cast<double>(static_cast<float>(value)) == value;
}

bool fits_int32(std::int64_t value) {
    return value >= std::numeric_limits<std::int32_t>::min() &&
           value <= std::numeric_limits<std::int32_t>::max();
}

Json as_text(const Json& document) {
    return Json::of(std::string(kText) + text_from_json(document));
}

// Returns the scalars of a value as documents.
std::vector<Json> scalars(const Attribute& attribute, const Value& value) {
    std::vector<Json> all;
    for (const std::int64_t integer : value.integers) {
        all.push_back(Json::of(integer));
        if (attribute.kind == Kind::kBool) {
            all.back().type = Json::Type::kBool;
        }
    }
    for (const double number : value.numbers) {
        all.push_back(Json::of(number));
    }
    for (const std::string& string : value.strings) {
        all.push_back(Json::of(string));
    }
    return all;
}

Json document_from_array(const Value& value) {
    Json shape = Json::list();
    for (const std::int64_t dim : value.array_shape) {
        shape.items.push_back(Json::of(dim));
    }
    Json document = Json::object();
    document.add("dtype", Json::of(value.array_dtype));
    document.add("shape", std::move(shape));
    document.add("data", Json::of(base64_from_bytes(value.array_bytes)));
    return document;
}

// Whether a field can store the scalar exactly.
bool travels(const Attribute& attribute, const Json& scalar) {
    switch (attribute.kind) {
        case Kind::kInt: return fits_int32(scalar.integer);
        case Kind::kFloat: return fits_float32(scalar.number);
        case Kind::kBool: return true;
        case Kind::kString:
            return !attribute.is_tuple && scalar.string.compare(0, kText.size(), kText) != 0 &&
                   scalar.string.find('\0') == std::string::npos;
        case Kind::kArray: return false;
    }
    return false;
}

}  // namespace

std::string message(const std::string& first, const std::string& where, const std::string& cause,
                    const std::string& fix) {
    std::string all = first;
    all += where.empty() ? "" : "\n  Where: " + where;
    all += cause.empty() ? "" : "\n  Cause: " + cause;
    all += fix.empty() ? "" : "\n  Fix:   " + fix;
    return all;
}

Value value_from_wire(const Program& program, const Attribute& attribute, const Json& wire,
                      const std::string& where) {
    try {
        const bool is_text = wire.is(Json::Type::kString) &&
                             wire.string.compare(0, kText.size(), kText) == 0;
        Value value = is_text ? value_from_document(
                                    attribute, json_from_text(std::string_view(wire.string).substr(
                                                   kText.size())))
                              : value_from_document(attribute, wire);
        if (attribute.choices_json != nullptr && !value.is_none && !is_chosen(attribute, value)) {
            throw NotAllowed{""};
        }
        return value;
    } catch (const NotAllowed& problem) {
        refuse(program, attribute, wire, problem.cause, where);
    } catch (const JsonError& error) {
        refuse(program, attribute, wire, std::string("damaged text form: ") + error.what(), where);
    }
}

std::vector<Value> values_from_wire(const Program& program, const Wire& wire,
                                    const std::string& where) {
    std::vector<Value> values;
    for (std::size_t i = 0; i < program.attribute_count; ++i) {
        const Attribute& attribute = program.attributes[i];
        const auto found = wire.find(attribute.name);
        if (found != wire.end()) {
            values.push_back(value_from_wire(program, attribute, found->second, where));
        } else if (attribute.is_required) {
            throw Refusal(message("PK109 " + std::string(program.owner) + ": attribute '" +
                                      attribute.name + "' is missing; expected " +
                                      attribute.expected + ".",
                                  where, "", ""));
        } else if (attribute.default_json == nullptr) {
            values.emplace_back();
        } else {
            values.push_back(value_from_document(attribute, json_from_text(attribute.default_json)));
        }
    }
    return values;
}

Json wire_from_value(const Attribute& attribute, const Value& value) {
    if (attribute.kind == Kind::kArray) {
        return as_text(document_from_array(value));
    }
    std::vector<Json> all = scalars(attribute, value);
    bool is_plain = !all.empty();
    for (const Json& scalar : all) {
        is_plain = is_plain && travels(attribute, scalar);
    }
    Json list = Json::list();
    list.items = std::move(all);
    if (!is_plain) {
        return as_text(attribute.is_tuple ? list : list.items.at(0));
    }
    for (Json& scalar : list.items) {
        if (scalar.is(Json::Type::kBool)) {
            scalar.type = Json::Type::kInt;
        }
    }
    return attribute.is_tuple ? list : list.items[0];
}

std::vector<bool> present_from_wire(const Program& program, const Wire& wire,
                                    const std::string& where) {
    const auto found = wire.find(kInputsField);
    std::vector<bool> present(program.input_count, found == wire.end());
    if (found == wire.end()) {
        return present;
    }
    const std::string owner = program.owner;
    if (!found->second.is(Json::Type::kString)) {
        throw Refusal(message("PK110 " + owner + ": the names of its inputs are no text.", where,
                              "", ""));
    }
    const std::string& names = found->second.string;
    for (std::size_t begin = 0; begin <= names.size();) {
        const std::size_t end = std::min(names.find(',', begin), names.size());
        const std::string name = names.substr(begin, end - begin);
        begin = end + 1;
        std::size_t index = 0;
        while (index < program.input_count && name != program.inputs[index].name) {
            ++index;
        }
        if (index == program.input_count) {
            throw Refusal(message("PK110 " + owner + " has no input '" + name + "'.", where, "",
                                  ""));
        }
        present[index] = true;
    }
    for (std::size_t i = 0; i < program.input_count; ++i) {
        if (!present[i] && !program.inputs[i].is_optional) {
            throw Refusal(message("PK110 " + owner + ": input '" + program.inputs[i].name +
                                      "' is required and absent.",
                                  where, "", ""));
        }
    }
    return present;
}

Wire wire_from_values(const Program& program, const std::vector<Value>& values,
                      const std::vector<bool>& present) {
    Wire wire;
    for (std::size_t i = 0; i < program.attribute_count; ++i) {
        if (!values[i].is_none) {
            wire[program.attributes[i].name] = wire_from_value(program.attributes[i], values[i]);
        }
    }
    std::string names;
    bool has_optional = false;
    for (std::size_t i = 0; i < program.input_count; ++i) {
        has_optional = has_optional || program.inputs[i].is_optional;
        if (present[i]) {
            names += (names.empty() ? "" : ",") + std::string(program.inputs[i].name);
        }
    }
    if (has_optional) {
        wire[kInputsField] = Json::of(names);
    }
    return wire;
}

}  // namespace pluginkit
