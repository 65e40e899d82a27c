// Base64 with padding, as Python's base64.b64encode writes it.
#pragma once

#include <string>

namespace pluginkit {

std::string base64_from_bytes(const std::string& bytes);

// Throws JsonError for text that base64_from_bytes cannot have made.
std::string bytes_from_base64(const std::string& text);

}  // namespace pluginkit
