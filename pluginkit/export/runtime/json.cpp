#include "json.h"

#include <charconv>
#include <cmath>
#include <limits>

namespace pluginkit {

namespace {

constexpr int kDeepest = 64;

class Parser {
public:
    explicit Parser(std::string_view text) : mText(text) {}

    Json document() {
        Json json = value(0);
        skip_space();
        if (mAt != mText.size()) {
            fail("more text after the document");
        }
        return json;
    }

private:
    [[noreturn]] void fail(const char* problem) const {
        throw JsonError(std::string(problem) + " at byte " + std::to_string(mAt));
    }

    bool is_at(char wanted) const { return mAt < mText.size() && mText[mAt] == wanted; }

    void skip_space() {
        while (is_at(' ') || is_at('\t') || is_at('\n') || is_at('\r')) {
            ++mAt;
        }
    }

    bool take(std::string_view word) {
        if (mText.substr(mAt, word.size()) != word) {
            return false;
        }
        mAt += word.size();
        return true;
    }

    void need(char wanted) {
        skip_space();
        if (!is_at(wanted)) {
            fail("unexpected character");
        }
        ++mAt;
    }

    Json value(int depth) {
        if (depth > kDeepest) {
            fail("nested too deeply");
        }
        skip_space();
        if (is_at('{')) {
            return object(depth);
        }
        if (is_at('[')) {
            return list(depth);
        }
        if (is_at('"')) {
            return Json::of(string());
        }
        return word();
    }

    Json word() {
        Json json;
        if (take("null")) {
            return json;
        }
        if (take("true")) {
            json.integer = 1;
            json.type = Json::Type::kBool;
            return json;
        }
        if (take("false")) {
            json.type = Json::Type::kBool;
            return json;
        }
        if (take("NaN")) {
            return Json::of(std::numeric_limits<double>::quiet_NaN());
        }
        if (take("Infinity")) {
            return Json::of(std::numeric_limits<double>::infinity());
        }
        if (take("-Infinity")) {
            return Json::of(-std::numeric_limits<double>::infinity());
        }
        return number();
    }

    std::size_t digits() {
        const std::size_t first = mAt;
        while (mAt < mText.size() && mText[mAt] >= '0' && mText[mAt] <= '9') {
            ++mAt;
        }
        if (mAt == first) {
            fail("a digit is missing");
        }
        return mAt - first;
    }

    Json number() {
        const std::size_t begin = mAt;
        bool is_float = false;
        if (is_at('-')) {
            ++mAt;
        }
        const bool has_leading_zero = is_at('0');
        if (digits() > 1 && has_leading_zero) {
            fail("a number begins with 0");
        }
        if (is_at('.')) {
            is_float = true;
            ++mAt;
            digits();
        }
        if (is_at('e') || is_at('E')) {
            is_float = true;
            ++mAt;
            if (is_at('+') || is_at('-')) {
                ++mAt;
            }
            digits();
        }
        const char* first = mText.data() + begin;
        const char* last = mText.data() + mAt;
        if (is_float) {
            double number = 0.0;  // from_chars ignores the process's locale; strtod does not
            const auto error = std::from_chars(first, last, number).ec;
            if (error == std::errc::result_out_of_range) {
                fail("a number is out of range");
            }
            return Json::of(number);
        }
        std::int64_t integer = 0;
        if (std::from_chars(first, last, integer).ec != std::errc()) {
            fail("an integer does not fit in 64 bits");
        }
        return Json::of(integer);
    }

    unsigned hex4() {
        if (mText.size() - mAt < 4) {
            fail("an escape is cut off");
        }
        unsigned code = 0;
        const char* first = mText.data() + mAt;
        const auto result = std::from_chars(first, first + 4, code, 16);
        if (result.ec != std::errc() || result.ptr != first + 4) {
            fail("an escape is damaged");
        }
        mAt += 4;
        return code;
    }

    void append_utf8(std::string& to, unsigned code) const {
        if (code < 0x80) {
            to += static_cast<char>(code);
        } else if (code < 0x800) {
            to += static_cast<char>(0xC0 | code >> 6);
            to += static_cast<char>(0x80 | (code & 0x3F));
        } else if (code < 0x10000) {
            to += static_cast<char>(0xE0 | code >> 12);
            to += static_cast<char>(0x80 | (code >> 6 & 0x3F));
            to += static_cast<char>(0x80 | (code & 0x3F));
        } else {
            to += static_cast<char>(0xF0 | code >> 18);
            to += static_cast<char>(0x80 | (code >> 12 & 0x3F));
            to += static_cast<char>(0x80 | (code >> 6 & 0x3F));
            to += static_cast<char>(0x80 | (code & 0x3F));
        }
    }

    void escape(std::string& to) {
        if (mAt == mText.size()) {
            fail("an escape is cut off");
        }
        const char kind = mText[mAt++];
        switch (kind) {
            case '"':
            case '\\':
            case '/': to += kind; return;
            case 'b': to += '\b'; return;
            case 'f': to += '\f'; return;
            case 'n': to += '\n'; return;
            case 'r': to += '\r'; return;
            case 't': to += '\t'; return;
            case 'u': break;
            default: fail("an escape is damaged");
        }
        unsigned code = hex4();
        if (code >= 0xD800 && code < 0xDC00) {
            if (!take("\\u")) {
                fail("a surrogate is alone");
            }
            const unsigned low = hex4();
            if (low < 0xDC00 || low > 0xDFFF) {
                fail("a surrogate is alone");
            }
            code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
        } else if (code >= 0xDC00 && code <= 0xDFFF) {
            fail("a surrogate is alone");
        }
        append_utf8(to, code);
    }

    std::string string() {
        need('"');
        std::string found;
        while (true) {
            if (mAt == mText.size()) {
                fail("a string is cut off");
            }
            const char c = mText[mAt++];
            if (c == '"') {
                return found;
            }
            if (c == '\\') {
                escape(found);
            } else if (static_cast<unsigned char>(c) < 0x20) {
                fail("a string holds a control character");
            } else {
                found += c;
            }
        }
    }

    Json list(int depth) {
        Json json = Json::list();
        need('[');
        skip_space();
        if (is_at(']')) {
            ++mAt;
            return json;
        }
        while (true) {
            json.items.push_back(value(depth + 1));
            skip_space();
            if (is_at(']')) {
                ++mAt;
                return json;
            }
            need(',');
        }
    }

    Json object(int depth) {
        Json json = Json::object();
        need('{');
        skip_space();
        if (is_at('}')) {
            ++mAt;
            return json;
        }
        while (true) {
            skip_space();
            std::string key = string();
            need(':');
            json.add(std::move(key), value(depth + 1));
            skip_space();
            if (is_at('}')) {
                ++mAt;
                return json;
            }
            need(',');
        }
    }

    std::string_view mText;
    std::size_t mAt = 0;
};

// Returns the code point at `at` and advances `at`; invalid UTF-8 gives U+FFFD.
unsigned next_code_point(const std::string& text, std::size_t& at) {
    const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
    const unsigned first = byte(at++);
    if (first < 0x80) {
        return first;
    }
    const int more = first >= 0xF0 ? 3 : first >= 0xE0 ? 2 : 1;
    if (first < 0xC2 || first > 0xF4 || text.size() - at < static_cast<std::size_t>(more)) {
        return 0xFFFD;
    }
    unsigned code = first & (0x3F >> more);
    for (int i = 0; i < more; ++i) {
        if ((byte(at) & 0xC0) != 0x80) {
            return 0xFFFD;
        }
        code = code << 6 | (byte(at++) & 0x3F);
    }
    return code;
}

void append_unit(std::string& to, unsigned unit) {
    static const char kDigits[] = "0123456789abcdef";
    to += "\\u";
    for (int shift = 12; shift >= 0; shift -= 4) {
        to += kDigits[unit >> shift & 0xF];
    }
}

void append_string(std::string& to, const std::string& text) {
    to += '"';
    for (std::size_t at = 0; at < text.size();) {
        const unsigned code = next_code_point(text, at);
        switch (code) {
            case '"': to += "\\\""; break;
            case '\\': to += "\\\\"; break;
            case '\b': to += "\\b"; break;
            case '\f': to += "\\f"; break;
            case '\n': to += "\\n"; break;
            case '\r': to += "\\r"; break;
            case '\t': to += "\\t"; break;
            default:
                if (code >= 0x20 && code < 0x7F) {
                    to += static_cast<char>(code);
                } else if (code < 0x10000) {
                    append_unit(to, code);
                } else {
                    append_unit(to, 0xD800 + ((code - 0x10000) >> 10));
                    append_unit(to, 0xDC00 + ((code - 0x10000) & 0x3FF));
                }
        }
    }
    to += '"';
}

void append(std::string& to, const Json& json) {
    switch (json.type) {
        case Json::Type::kNull: to += "null"; return;
        case Json::Type::kBool: to += json.integer != 0 ? "true" : "false"; return;
        case Json::Type::kInt: to += std::to_string(json.integer); return;
        case Json::Type::kString: append_string(to, json.string); return;
        case Json::Type::kFloat:
            if (std::isnan(json.number)) {
                to += "NaN";
            } else if (std::isinf(json.number)) {
                to += json.number > 0 ? "Infinity" : "-Infinity";
            } else {
                to += shortest(json.number);
            }
            return;
        case Json::Type::kList:
            to += '[';
            for (std::size_t i = 0; i < json.items.size(); ++i) {
                to += i == 0 ? "" : ",";
                append(to, json.items[i]);
            }
            to += ']';
            return;
        case Json::Type::kObject:
            to += '{';
            for (std::size_t i = 0; i < json.items.size(); ++i) {
                to += i == 0 ? "" : ",";
                append_string(to, json.keys[i]);
                to += ':';
                append(to, json.items[i]);
            }
            to += '}';
            return;
    }
}

}  // namespace

std::string shortest(double value) {
    char buffer[32];
    const double size = std::fabs(value);
    const bool is_plain = size == 0.0 || (size >= 1e-4 && size < 1e16);
    const auto format = is_plain ? std::chars_format::fixed : std::chars_format::scientific;
    const auto result = std::to_chars(buffer, buffer + sizeof buffer, value, format);
    std::string text(buffer, result.ptr);
    return is_plain && text.find('.') == std::string::npos ? text + ".0" : text;
}

Json Json::of(std::int64_t value) {
    Json json;
    json.type = Type::kInt;
    json.integer = value;
    return json;
}

Json Json::of(double value) {
    Json json;
    json.type = Type::kFloat;
    json.number = value;
    return json;
}

Json Json::of(std::string value) {
    Json json;
    json.type = Type::kString;
    json.string = std::move(value);
    return json;
}

Json Json::list() {
    Json json;
    json.type = Type::kList;
    return json;
}

Json Json::object() {
    Json json;
    json.type = Type::kObject;
    return json;
}

const Json* Json::find(std::string_view key) const& {
    for (std::size_t i = keys.size(); i > 0; --i) {
        if (keys[i - 1] == key) {
            return &items[i - 1];
        }
    }
    return nullptr;
}

const Json& Json::at(std::string_view key) const& {
    const Json* found = is(Type::kObject) ? find(key) : nullptr;
    if (found == nullptr) {
        throw JsonError("'" + std::string(key) + "' is missing");
    }
    return *found;
}

std::int64_t Json::as_int(std::int64_t lowest) const {
    if (!is(Type::kInt) || integer < lowest) {
        throw JsonError("an integer of at least " + std::to_string(lowest) + " is missing");
    }
    return integer;
}

const std::string& Json::as_string() const& {
    if (!is(Type::kString)) {
        throw JsonError("a string is missing");
    }
    return string;
}

const std::vector<Json>& Json::as_list() const& {
    if (!is(Type::kList)) {
        throw JsonError("a list is missing");
    }
    return items;
}

void Json::add(std::string key, Json value) {
    keys.push_back(std::move(key));
    items.push_back(std::move(value));
}

Json json_from_text(std::string_view text) { return Parser(text).document(); }

std::string text_from_json(const Json& json) {
    std::string text;
    append(text, json);
    return text;
}

}  // namespace pluginkit
