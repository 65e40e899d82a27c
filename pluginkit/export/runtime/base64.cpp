#include "base64.h"

#include <cstdint>
#include <cstring>

#include "json.h"

namespace pluginkit {

namespace {

constexpr char kDigits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

std::uint32_t digit(char c) {
    const void* found = c == '\0' ? nullptr : std::memchr(kDigits, c, 64);
    if (found == nullptr) {
        throw JsonError("damaged base64");
    }
    return static_cast<std::uint32_t>(static_cast<const char*>(found) - kDigits);
}

}  // namespace

std::string base64_from_bytes(const std::string& bytes) {
    std::string text;
    text.reserve((bytes.size() + 2) / 3 * 4);
    for (std::size_t at = 0; at < bytes.size(); at += 3) {
        const std::size_t count = std::min<std::size_t>(3, bytes.size() - at);
        std::uint32_t group = 0;
        for (std::size_t i = 0; i < 3; ++i) {
            group = group << 8 | (i < count ? static_cast<unsigned char>(bytes[at + i]) : 0U);
        }
        for (std::size_t i = 0; i < 4; ++i) {
            text += i <= count ? kDigits[group >> (18 - 6 * i) & 0x3F] : '=';
        }
    }
    return text;
}

std::string bytes_from_base64(const std::string& text) {
    if (text.size() % 4 != 0) {
        throw JsonError("damaged base64");
    }
    std::string bytes;
    bytes.reserve(text.size() / 4 * 3);
    for (std::size_t at = 0; at < text.size(); at += 4) {
        const bool is_last = at + 4 == text.size();
        const std::size_t padding =
            !is_last || text[at + 3] != '=' ? 0 : text[at + 2] == '=' ? 2 : 1;
        std::uint32_t group = 0;
        for (std::size_t i = 0; i < 4; ++i) {
            group = group << 6 | (i < 4 - padding ? digit(text[at + i]) : 0U);
        }
        for (std::size_t i = 0; i < 3 - padding; ++i) {
            bytes += static_cast<char>(group >> (16 - 8 * i) & 0xFF);
        }
    }
    return bytes;
}

}  // namespace pluginkit
