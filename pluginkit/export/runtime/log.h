// Logs through TensorRT's logger, or on stderr if there is none.
#pragma once

#include <string>

#include "tensorrt.h"

namespace pluginkit {

// Sets where TensorRT's logger is found; may be called at any time.
void set_logger_finder(nvinfer1::ILoggerFinder* finder) noexcept;

// Sets TensorRT's own getLogger(), for a library that registers itself.
void set_logger_function(nvinfer1::ILogger* (*get_logger)() noexcept) noexcept;

void log_error(const std::string& text) noexcept;
void log_warning(const std::string& text) noexcept;

}  // namespace pluginkit
