// Dimensions: integers that are known now, or that TensorRT knows only when an engine runs.
//
// Arithmetic follows Python: quotients are rounded down, and a result that does not fit in 64 bits
// is refused instead of wrapped. While a network is parsed, a dimension may be one of TensorRT's
// expressions. Arithmetic then builds a larger expression, and a comparison throws UnknownDim,
// which ends that first call of check() early. pluginkit.contract.dims is the same in Python.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <vector>

namespace pluginkit {

// A plugin refuses a call. The text is the whole message: "PK140 ScatterElements: ...".
class Refusal : public std::runtime_error {
public:
    using std::runtime_error::runtime_error;
};

// A comparison needs a dimension that is not known yet.
class UnknownDim : public Refusal {
public:
    UnknownDim()
        : Refusal("PK122 a dimension is known only at run time; its value was asked for.") {}
};

// TensorRT's operations on expressions, with the numbers of nvinfer1::DimensionOperation.
enum class DimOperation : std::int32_t {
    kSum = 0,
    kProd = 1,
    kMax = 2,
    kMin = 3,
    kSub = 4,
    kFloorDiv = 7,
    kCeilDiv = 8,
};

// Builds expressions. The runtime implements it with TensorRT's IExprBuilder.
class DimAlgebra {
public:
    using Expr = const void*;
    virtual Expr constant(std::int64_t value) = 0;
    virtual Expr operation(DimOperation operation, Expr a, Expr b) = 0;

protected:
    ~DimAlgebra() = default;
};

class Dim {
public:
    Dim() = default;
    Dim(std::int64_t value) : mValue(value) {}  // NOLINT: an int is a dimension
    Dim(int value) : mValue(value) {}           // NOLINT
    Dim(DimAlgebra& algebra, DimAlgebra::Expr expr) : mExpr(expr), mAlgebra(&algebra) {}

    bool is_known() const { return mExpr == nullptr; }

    // The number. Throws UnknownDim.
    std::int64_t value() const {
        if (!is_known()) {
            throw UnknownDim();
        }
        return mValue;
    }

    // The dimension as an expression; a number becomes a constant.
    DimAlgebra::Expr expr(DimAlgebra& algebra) const {
        return is_known() ? algebra.constant(mValue) : mExpr;
    }

    // The operation on two dimensions, at least one of which is an expression.
    static Dim combined(DimOperation operation, const Dim& a, const Dim& b) {
        DimAlgebra& algebra = a.is_known() ? *b.mAlgebra : *a.mAlgebra;
        return Dim(algebra, algebra.operation(operation, a.expr(algebra), b.expr(algebra)));
    }

private:
    std::int64_t mValue = 0;
    DimAlgebra::Expr mExpr = nullptr;
    DimAlgebra* mAlgebra = nullptr;
};

inline bool are_known(const Dim& a, const Dim& b) { return a.is_known() && b.is_known(); }

// Not inline: generated code calls them very often, and compiles much faster this way.
Dim operator+(const Dim& a, const Dim& b);
Dim operator-(const Dim& a, const Dim& b);
Dim operator*(const Dim& a, const Dim& b);
Dim operator-(const Dim& a);
Dim floor_div(const Dim& a, const Dim& b);  // a // b of Python: rounded down
Dim ceil_div(const Dim& a, const Dim& b);   // a / b rounded up
Dim operator%(const Dim& a, const Dim& b);  // a % b of Python: the sign of b
Dim dim_max(const Dim& a, const Dim& b);
Dim dim_min(const Dim& a, const Dim& b);

// Comparisons throw UnknownDim for expressions.
bool operator==(const Dim& a, const Dim& b);
bool operator!=(const Dim& a, const Dim& b);
bool operator<(const Dim& a, const Dim& b);
bool operator<=(const Dim& a, const Dim& b);
bool operator>(const Dim& a, const Dim& b);
bool operator>=(const Dim& a, const Dim& b);

// Python's a << b, a >> b, a & b, a | b, a ^ b, abs(a) and a.bit_length(); throw UnknownDim for
// expressions.
Dim operator<<(const Dim& a, const Dim& b);
Dim operator>>(const Dim& a, const Dim& b);
Dim operator&(const Dim& a, const Dim& b);
Dim operator|(const Dim& a, const Dim& b);
Dim operator^(const Dim& a, const Dim& b);
Dim abs(const Dim& a);
Dim bit_length(const Dim& a);

// pluginkit.where of Python: both `a` and `b` are computed.
Dim where(bool condition, const Dim& a, const Dim& b);

using Dims = std::vector<Dim>;

// The number of elements of a shape; 1 for the empty shape.
Dim product(const Dims& dims);

inline bool are_known(const Dims& dims) {
    return std::all_of(dims.begin(), dims.end(), [](const Dim& dim) { return dim.is_known(); });
}

}  // namespace pluginkit
