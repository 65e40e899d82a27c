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

// A number to divide by, and how often it goes into 2^32 - 1.
struct Divisor {
    long long count, reciprocal;

    // Divide a number and return the remainder.
    template <typename Offset> __device__ __forceinline__ Offset split(Offset& number) const {
        const Offset whole = number;
        if (sizeof(Offset) == 4 || (whole | static_cast<Offset>(count)) >> 31 == 0) {  // several times as fast
            const unsigned int by = count;
            unsigned int quotient = __umulhi(whole, reciprocal), remainder = whole - quotient * by;
            if (remainder >= by) ++quotient, remainder -= by;
            number = quotient;
            return remainder;
        }
        number = whole / static_cast<Offset>(count);
        return whole - number * static_cast<Offset>(count);
    }
};
