// Appends a value's bytes to a string.
#pragma once

#include <cstring>
#include <string>

namespace pluginkit {

template <typename T>
void append_bytes(std::string& to, T item) {
    char bytes[sizeof item];
    std::memcpy(bytes, &item, sizeof item);
    to.append(bytes, sizeof item);
}

}  // namespace pluginkit
