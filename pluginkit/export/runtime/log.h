// Messages through TensorRT's logger, or on stderr where TensorRT gave none.
#pragma once

#include <string>

#include "tensorrt.h"

namespace pluginkit {

// Where TensorRT's logger is found; it may be set at any time.
void set_logger_finder(nvinfer1::ILoggerFinder* finder) noexcept;

// For a library that registers itself: TensorRT's own getLogger().
void set_logger_function(nvinfer1::ILogger* (*get_logger)() noexcept) noexcept;

void log_error(const std::string& text) noexcept;
void log_warning(const std::string& text) noexcept;

}  // namespace pluginkit
