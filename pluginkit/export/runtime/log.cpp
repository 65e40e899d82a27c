#include "log.h"

#include <atomic>
#include <cstdio>

namespace pluginkit {

namespace {

std::atomic<nvinfer1::ILoggerFinder*> sFinder{nullptr};
std::atomic<nvinfer1::ILogger* (*)() noexcept> sGetLogger{nullptr};

void log(nvinfer1::ILogger::Severity severity, const std::string& text) noexcept {
    nvinfer1::ILogger* logger = nullptr;
    if (nvinfer1::ILoggerFinder* finder = sFinder.load()) {
        logger = finder->findLogger();
    } else if (auto* get_logger = sGetLogger.load()) {
        logger = get_logger();
    }
    if (logger != nullptr) {
        logger->log(severity, text.c_str());
    } else {
        std::fprintf(stderr, "%s\n", text.c_str());
    }
}

}  // namespace

void set_logger_finder(nvinfer1::ILoggerFinder* finder) noexcept { sFinder = finder; }

void set_logger_function(nvinfer1::ILogger* (*get_logger)() noexcept) noexcept {
    sGetLogger = get_logger;
}

void log_error(const std::string& text) noexcept {
    log(nvinfer1::ILogger::Severity::kERROR, text);
}

void log_warning(const std::string& text) noexcept {
    log(nvinfer1::ILogger::Severity::kWARNING, text);
}

}  // namespace pluginkit
