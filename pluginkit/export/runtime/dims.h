// Dimensions: integers that are known now, or that TensorRT knows only when an engine runs.
//
// A Dim computes as a Python int does: a quotient is rounded down, and a result that 64 bits cannot
// hold is refused instead of wrapped. While a network is parsed a dimension may be an expression of
// TensorRT's; arithmetic then makes a larger expression, and a comparison throws UnknownDim, which
// ends the first call of check() early. This is pluginkit.dims in C++.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <vector>

namespace pluginkit {

// What a plugin refuses. The text is the whole message: "PK140 ScatterElements: ...".
class Refusal : public std::runtime_error {
public:
    using std::runtime_error::runtime_error;
};

// A question about a dimension that is not known yet.
class UnknownDim : public Refusal {
public:
    UnknownDim()
        : Refusal("PK122 a dimension is known only at run time; its value was asked for.") {}
};

// TensorRT's operations on expressions, by its own numbers (nvinfer1::DimensionOperation).
enum class DimOperation : std::int32_t {
    kSum = 0,
    kProd = 1,
    kMax = 2,
    kMin = 3,
    kSub = 4,
    kFloorDiv = 7,
    kCeilDiv = 8,
};

// Makes expressions. The runtime implements it with TensorRT's IExprBuilder.
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

    // The expression, a constant one for a number.
    DimAlgebra::Expr expr(DimAlgebra& algebra) const {
        return is_known() ? algebra.constant(mValue) : mExpr;
    }

    // What op gives for two dimensions, at least one of which is an expression.
    static Dim combined(DimOperation operation, const Dim& a, const Dim& b) {
        DimAlgebra& algebra = a.is_known() ? *b.mAlgebra : *a.mAlgebra;
        return Dim(algebra, algebra.operation(operation, a.expr(algebra), b.expr(algebra)));
    }

private:
    std::int64_t mValue = 0;
    DimAlgebra::Expr mExpr = nullptr;
    DimAlgebra* mAlgebra = nullptr;
};

[[noreturn]] inline void refuse_overflow() {
    throw Refusal("PK121 shape expression exceeds 64 bits.");
}

inline bool are_known(const Dim& a, const Dim& b) { return a.is_known() && b.is_known(); }

inline Dim operator+(const Dim& a, const Dim& b) {
    if (!are_known(a, b)) {
        return Dim::combined(DimOperation::kSum, a, b);
    }
    std::int64_t result = 0;
    if (__builtin_add_overflow(a.value(), b.value(), &result)) {
        refuse_overflow();
    }
    return result;
}

inline Dim operator-(const Dim& a, const Dim& b) {
    if (!are_known(a, b)) {
        return Dim::combined(DimOperation::kSub, a, b);
    }
    std::int64_t result = 0;
    if (__builtin_sub_overflow(a.value(), b.value(), &result)) {
        refuse_overflow();
    }
    return result;
}

inline Dim operator*(const Dim& a, const Dim& b) {
    if (!are_known(a, b)) {
        return Dim::combined(DimOperation::kProd, a, b);
    }
    std::int64_t result = 0;
    if (__builtin_mul_overflow(a.value(), b.value(), &result)) {
        refuse_overflow();
    }
    return result;
}

inline Dim operator-(const Dim& a) { return Dim(0) - a; }

// a // b of Python: rounded down.
inline Dim floor_div(const Dim& a, const Dim& b) {
    if (!are_known(a, b)) {
        return Dim::combined(DimOperation::kFloorDiv, a, b);
    }
    const std::int64_t x = a.value();
    const std::int64_t y = b.value();
    if (y == 0) {
        throw Refusal("PK121 shape expression divides by a dimension of 0.");
    }
    if (y == -1) {
        return -a;
    }
    return x / y - ((x % y != 0 && (x < 0) != (y < 0)) ? 1 : 0);
}

// a / b rounded up.
inline Dim ceil_div(const Dim& a, const Dim& b) {
    if (!are_known(a, b)) {
        return Dim::combined(DimOperation::kCeilDiv, a, b);
    }
    return -floor_div(-a, b);
}

// a % b of Python: the sign of b.
inline Dim operator%(const Dim& a, const Dim& b) { return a - floor_div(a, b) * b; }

inline Dim dim_max(const Dim& a, const Dim& b) {
    return are_known(a, b) ? Dim(std::max(a.value(), b.value()))
                           : Dim::combined(DimOperation::kMax, a, b);
}

inline Dim dim_min(const Dim& a, const Dim& b) {
    return are_known(a, b) ? Dim(std::min(a.value(), b.value()))
                           : Dim::combined(DimOperation::kMin, a, b);
}

// Questions: answered for numbers, UnknownDim for expressions.
inline bool operator==(const Dim& a, const Dim& b) { return a.value() == b.value(); }
inline bool operator!=(const Dim& a, const Dim& b) { return a.value() != b.value(); }
inline bool operator<(const Dim& a, const Dim& b) { return a.value() < b.value(); }
inline bool operator<=(const Dim& a, const Dim& b) { return a.value() <= b.value(); }
inline bool operator>(const Dim& a, const Dim& b) { return a.value() > b.value(); }
inline bool operator>=(const Dim& a, const Dim& b) { return a.value() >= b.value(); }

// a << b, a >> b, a & b, a | b, a ^ b, abs(a) and a.bit_length() of Python, for numbers alone.
inline Dim operator<<(const Dim& a, const Dim& b) {
    if (b.value() < 0) {
        throw Refusal("PK121 negative shift count.");
    }
    if (a.value() == 0) {
        return 0;
    }
    if (b.value() > 62) {
        refuse_overflow();
    }
    return a * Dim(std::int64_t{1} << b.value());
}
inline Dim operator>>(const Dim& a, const Dim& b) {
    if (b.value() < 0) {
        throw Refusal("PK121 negative shift count.");
    }
    return a.value() >> std::min<std::int64_t>(b.value(), 63);
}
inline Dim operator&(const Dim& a, const Dim& b) { return a.value() & b.value(); }
inline Dim operator|(const Dim& a, const Dim& b) { return a.value() | b.value(); }
inline Dim operator^(const Dim& a, const Dim& b) { return a.value() ^ b.value(); }
inline Dim abs(const Dim& a) { return a < 0 ? -a : a; }
inline Dim bit_length(const Dim& a) {
    const std::int64_t value = a.value();
    std::uint64_t bits = value < 0 ? 0 - static_cast<std::uint64_t>(value)
                                   : static_cast<std::uint64_t>(value);
    std::int64_t length = 0;
    for (; bits != 0; bits >>= 1) {
        ++length;
    }
    return length;
}

using Dims = std::vector<Dim>;

// The number of elements of a shape; 1 for the empty shape.
inline Dim product(const Dims& dims) {
    Dim total = 1;
    for (const Dim& dim : dims) {
        total = total * dim;
    }
    return total;
}

inline bool are_known(const Dims& dims) {
    return std::all_of(dims.begin(), dims.end(), [](const Dim& dim) { return dim.is_known(); });
}

}  // namespace pluginkit
