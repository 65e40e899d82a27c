// JSON documents, in which plans store plugins, and fields store some attribute values.
//
// The texts come from plan files and are not trusted: every read is bounds-checked, nesting is
// limited, and malformed JSON throws JsonError. Accepts what Python's json module accepts, Infinity
// and NaN included.
#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace pluginkit {

class JsonError : public std::runtime_error {
public:
    using std::runtime_error::runtime_error;
};

struct Json {
    enum class Type : std::uint8_t { kNull, kBool, kInt, kFloat, kString, kList, kObject };

    Type type = Type::kNull;
    std::int64_t integer = 0;  // kInt, and kBool as 0 and 1
    double number = 0.0;       // kFloat
    std::string string;        // kString, UTF-8
    std::vector<Json> items;   // kList, and the values of kObject
    std::vector<std::string> keys;  // kObject

    static Json of(std::int64_t value);
    static Json of(double value);
    static Json of(std::string value);
    static Json list();
    static Json object();

    bool is(Type wanted) const { return type == wanted; }
    // The value of an object's key, the last one if it occurs several times; nullptr without one.
    const Json* find(std::string_view key) const&;
    // As find, but a missing key throws JsonError.
    const Json& at(std::string_view key) const&;
    const Json& at(std::string_view key) && = delete;  // the reference would outlive the temporary
    // The value as an integer; throws JsonError for other values, and below `lowest`.
    std::int64_t as_int(std::int64_t lowest) const;
    const std::string& as_string() const&;
    const std::vector<Json>& as_list() const&;
    const std::vector<Json>& as_list() && = delete;
    void add(std::string key, Json value);
};

// Throws JsonError.
Json json_from_text(std::string_view text);

// As Python's json.dumps with separators=(",", ":").
std::string text_from_json(const Json& json);

// A finite number with the fewest digits that give the same number again, as Python's repr.
std::string shortest(double value);

}  // namespace pluginkit
