// Division by a number that is known before the launch.

#pragma once

// A number to divide by, and how often it goes into 2^32 - 1.
struct Divisor {
    long long count, reciprocal;

    // Divide a number and return the remainder.
    __device__ __forceinline__ int split(int& number) const {
        const unsigned int whole = number, by = count;
        unsigned int quotient = __umulhi(whole, reciprocal), remainder = whole - quotient * by;
        if (remainder >= by) ++quotient, remainder -= by;
        number = quotient;
        return remainder;
    }
    __device__ __forceinline__ long long split(long long& number) const {
        const long long whole = number;
        if ((whole | count) >> 31 == 0) {  // several times as fast
            int near = static_cast<int>(whole);
            const int remainder = split(near);
            number = near;
            return remainder;
        }
        number = whole / count;
        return whole - number * count;
    }
};
