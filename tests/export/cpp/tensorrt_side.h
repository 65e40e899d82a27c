// What TensorRT passes to a plugin in a test: a logger, shape expressions and others.
#pragma once

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <initializer_list>
#include <limits>
#include <memory>
#include <string>
#include <type_traits>
#include <vector>

#include "tensorrt.h"

// Ends the program with a message unless the condition is true.
#define EXPECT(condition)                                                            \
    do {                                                                             \
        if (!(condition)) {                                                          \
            std::fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition); \
            std::exit(1);                                                            \
        }                                                                            \
    } while (false)

namespace side {

// Stores what plugins log.
class Logger : public nvinfer1::ILogger {
public:
    void log(Severity severity, const char* message) noexcept override {
        if (severity <= Severity::kWARNING) {
            last = message;
        }
    }

    // Whether the last message contains `part`; clears it.
    bool said(const char* part) {
        const bool holds = last.find(part) != std::string::npos;
        if (!holds) {
            std::fprintf(stderr, "the log says: %s\n", last.c_str());
        }
        last.clear();
        return holds;
    }

    std::string last;
};

class LoggerFinder : public nvinfer1::ILoggerFinder {
public:
    nvinfer1::ILogger* findLogger() override { return &logger; }

    Logger logger;
};

using Int = std::remove_extent_t<decltype(nvinfer1::Dims::d)>;

inline nvinfer1::Dims dims(std::initializer_list<long> sizes) {
    nvinfer1::Dims made{};
    for (const long size : sizes) {
        made.d[made.nbDims++] = static_cast<Int>(size);
    }
    return made;
}

inline nvinfer1::PluginTensorDesc desc(
    nvinfer1::DataType type, std::initializer_list<long> sizes,
    nvinfer1::TensorFormat format = nvinfer1::TensorFormat::kLINEAR) {
    return {dims(sizes), type, format, 1.0F};
}

inline nvinfer1::DynamicPluginTensorDesc dynamic(nvinfer1::DataType type,
                                                 std::initializer_list<long> sizes,
                                                 std::initializer_list<long> least,
                                                 std::initializer_list<long> most) {
    nvinfer1::DynamicPluginTensorDesc made{};
    made.desc = desc(type, sizes);
    made.min = dims(least);
    made.max = dims(most);
#if PLUGINKIT_TENSORRT_MAJOR >= 10
    made.opt = made.max;
#endif
    return made;
}

// An expression as text, "(a.0 + 3)", and its value for the current sizes, which a plugin may read
// only of constants.
class Implementation : public nvinfer1::apiv::VDimensionExpr {
public:
    bool isConstant() const noexcept override { return is_constant; }
    Int getConstantValue() const noexcept override {
        return is_constant ? value : std::numeric_limits<Int>::min();
    }
#if PLUGINKIT_TENSORRT_MAJOR >= 10
    bool isSizeTensor() const noexcept override { return false; }
#endif
    bool is_constant = false;
    Int value = 0;
    std::string text;
};

class Expression : public nvinfer1::IDimensionExpr {
public:
    Expression() { mImpl = &implementation; }
    ~Expression() override = default;

    Implementation implementation;
};

inline std::string text(const nvinfer1::IDimensionExpr* expr) {
    return static_cast<const Expression*>(expr)->implementation.text;
}

inline Int value(const nvinfer1::IDimensionExpr& expr) {
    return static_cast<const Expression&>(expr).implementation.value;
}

inline Int floor_div(Int a, Int b) { return a / b - ((a % b != 0 && (a < 0) != (b < 0)) ? 1 : 0); }

// Returns the result of an operation on two numbers; 0 for a division by 0.
inline Int result(nvinfer1::DimensionOperation operation, Int a, Int b) {
    using nvinfer1::DimensionOperation;
    switch (operation) {
        case DimensionOperation::kSUM: return a + b;
        case DimensionOperation::kPROD: return a * b;
        case DimensionOperation::kMAX: return std::max(a, b);
        case DimensionOperation::kMIN: return std::min(a, b);
        case DimensionOperation::kSUB: return a - b;
        case DimensionOperation::kEQUAL: return a == b ? 1 : 0;
        case DimensionOperation::kLESS: return a < b ? 1 : 0;
        case DimensionOperation::kFLOOR_DIV: return b == 0 ? 0 : floor_div(a, b);
        case DimensionOperation::kCEIL_DIV: return b == 0 ? 0 : -floor_div(-a, b);
    }
    return 0;
}

class Builder : public nvinfer1::IExprBuilder, private nvinfer1::apiv::VExprBuilder {
public:
    Builder() { mImpl = this; }
    ~Builder() noexcept override = default;

    const nvinfer1::IDimensionExpr* named(const std::string& name, Int value = 0) {
        made.emplace_back();
        made.back().implementation.text = name;
        made.back().implementation.value = value;
        return &made.back();
    }

    const nvinfer1::IDimensionExpr* number(Int value) { return mImpl->constant(value); }

    nvinfer1::DimsExprs exprs(std::initializer_list<const nvinfer1::IDimensionExpr*> all) {
        nvinfer1::DimsExprs found{};
        for (const auto* each : all) {
            found.d[found.nbDims++] = each;
        }
        return found;
    }

private:
    const nvinfer1::IDimensionExpr* constant(Int value) noexcept override {
        const auto* made_one = named(std::to_string(value), value);
        made.back().implementation.is_constant = true;
        return made_one;
    }

    const nvinfer1::IDimensionExpr* operation(nvinfer1::DimensionOperation operation,
                                              const nvinfer1::IDimensionExpr& first,
                                              const nvinfer1::IDimensionExpr& second)
        noexcept override {
        static const char* const kNames[] = {"+", "*", "max", "min", "-", "=", "<", "//", "/"};
        const auto* made_one =
            named("(" + text(&first) + " " + kNames[static_cast<int>(operation)] + " " +
                      text(&second) + ")",
                  result(operation, value(first), value(second)));
        made.back().implementation.is_constant = first.isConstant() && second.isConstant();
        return made_one;
    }

#if PLUGINKIT_TENSORRT_MAJOR >= 10
    const nvinfer1::IDimensionExpr* declareSizeTensor(std::int32_t output,
                                                      const nvinfer1::IDimensionExpr& opt,
                                                      const nvinfer1::IDimensionExpr& upper)
        noexcept override {
        return named(
            "size" + std::to_string(output) + " up to " + text(&upper) + ", " + text(&opt),
            value(upper));
    }
#endif

    std::deque<Expression> made;
};

}  // namespace side
