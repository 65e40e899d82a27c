// Division that takes less time: of small numbers, and by a number that is known before the launch.

#pragma once

// Return the quotient and the remainder of numbers that are not negative. In 32 bits, where they fit, that is several times
// as fast.
__device__ __forceinline__ longlong2 divided(long long number, long long by) {
    if ((number | by) >> 32 == 0) {
        const unsigned quotient = static_cast<unsigned>(number) / static_cast<unsigned>(by);
        return {quotient, static_cast<unsigned>(number) - quotient * static_cast<unsigned>(by)};
    }
    return {number / by, number % by};
}

// A number to divide by: below 2^31 the quotient is the upper word of twice the number times `factor`, without its last `shift`
// bits.
struct Divisor {
    long long count;
    unsigned int factor, shift;

    // Divide a number and return the remainder.
    template <typename Offset> __device__ __forceinline__ Offset split(Offset& number) const {
        const Offset whole = number;
        if (sizeof(Offset) == 4 || (whole | static_cast<Offset>(count)) >> 31 == 0) {  // several times as fast
            const unsigned int dividend = whole, quotient = __umulhi(2 * dividend, factor) >> shift;
            number = quotient;
            return dividend - quotient * static_cast<unsigned int>(count);
        }
        number = whole / static_cast<Offset>(count);
        return whole - number * static_cast<Offset>(count);
    }
};
