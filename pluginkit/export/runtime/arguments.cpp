// Packs kernel arguments as the driver takes them: bytes for each parameter. Pointers are filled in
// at each enqueue.
#include <cmath>
#include <cstring>

#include "bytes.h"
#include "program.h"

namespace pluginkit {

namespace {

bool fits(std::int64_t value, std::size_t width, bool is_signed) {
    if (!is_signed && value < 0) {
        return false;
    }
    if (width == sizeof value) {
        return true;
    }
    const std::int64_t bound = std::int64_t{1} << (8 * width - (is_signed ? 1 : 0));
    return value < bound && (!is_signed || value >= -bound);
}

// A double rounded to float16, halfway cases to the even one, as numpy does.
std::uint16_t half_bits(double value) {
    const std::uint16_t sign = std::signbit(value) ? 0x8000 : 0;
    const double size = std::fabs(value);
    if (std::isnan(value)) {
        return sign | 0x7E00;
    }
    if (size >= 65520.0) {  // halfway between the largest finite number and the next power of two
        return sign | 0x7C00;
    }
    if (size < 6.103515625e-05) {  // subnormal: multiples of 2^-24
        return static_cast<std::uint16_t>(sign | static_cast<int>(std::nearbyint(size * 0x1p24)));
    }
    int exponent = 0;
    const double fraction = std::frexp(size, &exponent);  // 0.5 <= fraction < 1
    const int mantissa = static_cast<int>(std::nearbyint(fraction * 0x1p11));  // 1024 to 2048
    return static_cast<std::uint16_t>(sign | (((exponent + 13) << 10) + mantissa));
}

std::uint16_t bfloat16_bits(double value) {
    const float single = static_cast<float>(value);
    std::uint32_t bits = 0;
    std::memcpy(&bits, &single, sizeof bits);
    if (std::isnan(single)) {
        return static_cast<std::uint16_t>((bits >> 16 & 0x8000) | 0x7FC0);
    }
    return static_cast<std::uint16_t>((bits + 0x7FFF + (bits >> 16 & 1)) >> 16);
}

}  // namespace

Arguments& Arguments::pointer(const View& view) {
    mParameters.push_back({true, view, {}});
    return *this;
}

Arguments& Arguments::bytes(const void* data, std::size_t size) {
    mParameters.push_back(
        {false, input_view(0, 0), std::string(static_cast<const char*>(data), size)});
    return *this;
}

Arguments& Arguments::null() { return int64(0); }

Arguments& Arguments::boolean(bool value) {
    const unsigned char byte = value ? 1 : 0;
    return bytes(&byte, 1);
}

Arguments& Arguments::float32(double value) {
    const float single = static_cast<float>(value);
    return bytes(&single, sizeof single);
}

Arguments& Arguments::float16(double value) {
    const std::uint16_t bits = half_bits(value);
    return bytes(&bits, sizeof bits);
}

Arguments& Arguments::bfloat16(double value) {
    const std::uint16_t bits = bfloat16_bits(value);
    return bytes(&bits, sizeof bits);
}

Arguments& Arguments::integers(std::size_t width, bool is_signed, const Dims& values) {
    std::string all;
    for (const Dim& value : values) {
        if (!fits(value.value(), width, is_signed) && mRefusal.empty()) {
            mRefusal = "PK303 a kernel's argument is " + text(value) + "; expected " +
                       std::to_string(8 * width) + " bits" +
                       (is_signed ? "." : ", without a sign.");
        }
        std::string word;
        append_bytes(word, value.value());
        all += word.substr(0, width);  // little-endian, as every host of a GPU
    }
    return bytes(all.data(), all.size());
}

Arguments& Arguments::array(const View& view, const Dims& shape, std::int64_t itemsize) {
    null().null().int64(product(shape)).int64(itemsize).pointer(view);
    for (const Dim& dim : shape) {
        int64(dim);
    }
    Dims strides(shape.size());
    Dim stride = itemsize;
    for (std::size_t axis = shape.size(); axis > 0; --axis) {
        strides[axis - 1] = stride;
        stride = stride * shape[axis - 1];
    }
    for (const Dim& each : strides) {
        int64(each);
    }
    return *this;
}

}  // namespace pluginkit
