#include "program.h"

#include <cmath>
#include <cstdio>
#include <iterator>

#include "json.h"

namespace pluginkit {

namespace {

struct TypeFacts {
    const char* name;
    std::int64_t bytes;
};

// In the order of Type.
constexpr TypeFacts kTypes[] = {{"float32", 4}, {"float16", 2}, {"bfloat16", 2}, {"int64", 8},
                                {"int32", 4},   {"int8", 1},    {"uint8", 1},    {"bool", 1}};

std::string joined(const Dims& dims) {
    std::string all;
    for (const Dim& dim : dims) {
        all += (all.empty() ? "" : ", ") + text(dim);
    }
    return all;
}

}  // namespace

std::int64_t item_bytes(Type type) { return kTypes[static_cast<int>(type)].bytes; }

const char* type_name(Type type) { return kTypes[static_cast<int>(type)].name; }

bool type_from_name(const std::string& name, Type& type) {
    for (std::size_t i = 0; i < std::size(kTypes); ++i) {
        if (name == kTypes[i].name) {
            type = static_cast<Type>(i);
            return true;
        }
    }
    return false;
}

bool operator==(const Value& a, const Value& b) {
    return a.is_none == b.is_none && a.integers == b.integers && a.numbers == b.numbers &&
           a.strings == b.strings && a.array_dtype == b.array_dtype &&
           a.array_shape == b.array_shape && a.array_bytes == b.array_bytes;
}

std::string text(const Dim& dim) { return dim.is_known() ? std::to_string(dim.value()) : "?"; }

std::string text(const Tensor& tensor) {
    return std::string(tensor.name) + " " + type_name(tensor.type) + list_text(tensor.shape);
}

std::string list_text(const Dims& dims) { return "[" + joined(dims) + "]"; }

std::string tuple_text(const Dims& dims) {
    return "(" + joined(dims) + (dims.size() == 1 ? ",)" : ")");
}

std::string text(double number) {
    if (std::isnan(number)) {
        return "nan";
    }
    if (std::isinf(number)) {
        return number > 0 ? "inf" : "-inf";
    }
    return shortest(number);
}

std::string quoted(const std::string& text) {
    const bool has_single = text.find('\'') != std::string::npos;
    const char quote = has_single && text.find('"') == std::string::npos ? '"' : '\'';
    std::string all(1, quote);
    for (const char c : text) {
        const auto byte = static_cast<unsigned char>(c);
        if (c == quote || c == '\\') {
            all += '\\';
            all += c;
        } else if (c == '\n' || c == '\r' || c == '\t') {
            all += c == '\n' ? "\\n" : c == '\r' ? "\\r" : "\\t";
        } else if (byte < 0x20 || byte == 0x7F) {
            char escape[5];
            std::snprintf(escape, sizeof escape, "\\x%02x", byte);
            all += escape;
        } else {
            all += c;
        }
    }
    return all + quote;
}

}  // namespace pluginkit
