// The arithmetic of dimensions.
#include "dims.h"

namespace pluginkit {

namespace {

[[noreturn]] void refuse_overflow() { throw Refusal("PK121 shape expression exceeds 64 bits."); }

}  // namespace

Dim operator+(const Dim& a, const Dim& b) {
    if (!are_known(a, b)) {
        return Dim::combined(DimOperation::kSum, a, b);
    }
    std::int64_t result = 0;
    if (__builtin_add_overflow(a.value(), b.value(), &result)) {
        refuse_overflow();
    }
    return result;
}

Dim operator-(const Dim& a, const Dim& b) {
    if (!are_known(a, b)) {
        return Dim::combined(DimOperation::kSub, a, b);
    }
    std::int64_t result = 0;
    if (__builtin_sub_overflow(a.value(), b.value(), &result)) {
        refuse_overflow();
    }
    return result;
}

Dim operator*(const Dim& a, const Dim& b) {
    if (!are_known(a, b)) {
        return Dim::combined(DimOperation::kProd, a, b);
    }
    std::int64_t result = 0;
    if (__builtin_mul_overflow(a.value(), b.value(), &result)) {
        refuse_overflow();
    }
    return result;
}

Dim operator-(const Dim& a) { return Dim(0) - a; }

// a // b of Python: rounded down.
Dim floor_div(const Dim& a, const Dim& b) {
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
Dim ceil_div(const Dim& a, const Dim& b) {
    if (!are_known(a, b)) {
        return Dim::combined(DimOperation::kCeilDiv, a, b);
    }
    return -floor_div(-a, b);
}

// a % b of Python: the sign of b.
Dim operator%(const Dim& a, const Dim& b) { return a - floor_div(a, b) * b; }

Dim dim_max(const Dim& a, const Dim& b) {
    return are_known(a, b) ? Dim(std::max(a.value(), b.value()))
                           : Dim::combined(DimOperation::kMax, a, b);
}

Dim dim_min(const Dim& a, const Dim& b) {
    return are_known(a, b) ? Dim(std::min(a.value(), b.value()))
                           : Dim::combined(DimOperation::kMin, a, b);
}

// Comparisons throw UnknownDim for expressions.
bool operator==(const Dim& a, const Dim& b) { return a.value() == b.value(); }
bool operator!=(const Dim& a, const Dim& b) { return a.value() != b.value(); }
bool operator<(const Dim& a, const Dim& b) { return a.value() < b.value(); }
bool operator<=(const Dim& a, const Dim& b) { return a.value() <= b.value(); }
bool operator>(const Dim& a, const Dim& b) { return a.value() > b.value(); }
bool operator>=(const Dim& a, const Dim& b) { return a.value() >= b.value(); }

// Python's a << b, a >> b, a & b, a | b, a ^ b, abs(a) and a.bit_length(); throw UnknownDim for
// expressions.
Dim operator<<(const Dim& a, const Dim& b) {
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
Dim operator>>(const Dim& a, const Dim& b) {
    if (b.value() < 0) {
        throw Refusal("PK121 negative shift count.");
    }
    return a.value() >> std::min<std::int64_t>(b.value(), 63);
}
Dim operator&(const Dim& a, const Dim& b) { return a.value() & b.value(); }
Dim operator|(const Dim& a, const Dim& b) { return a.value() | b.value(); }
Dim operator^(const Dim& a, const Dim& b) { return a.value() ^ b.value(); }
Dim abs(const Dim& a) { return a < 0 ? -a : a; }
Dim bit_length(const Dim& a) {
    const std::int64_t value = a.value();
    std::uint64_t bits = value < 0 ? 0 - static_cast<std::uint64_t>(value)
                                   : static_cast<std::uint64_t>(value);
    std::int64_t length = 0;
    for (; bits != 0; bits >>= 1) {
        ++length;
    }
    return length;
}

Dim where(bool condition, const Dim& a, const Dim& b) { return condition ? a : b; }

Dim product(const Dims& dims) {
    Dim total = 1;
    for (const Dim& dim : dims) {
        total = total * dim;
    }
    return total;
}

}  // namespace pluginkit
