// The rows of data and of updates that a block takes, where the axis is the last dimension.

#pragma once

#include "../_cuda/division.cuh"
#include "places.cuh"

struct TileRows {
    long long first;
    int axis_size, cells, updates;  // of a row, and of all that are there
    Divisor count;                  // the updates of a row
    bool is_one;

    // `rows` is how many rows a block takes, of `outer` in all.
    __device__ __forceinline__ TileRows(int axis_size, Divisor count, int rows, int outer)
        : first(1LL * blockIdx.x * rows), axis_size(axis_size), count(count), is_one(rows == 1) {
        const int present = min(rows, static_cast<int>(outer - first));
        cells = present * axis_size;
        updates = present * static_cast<int>(count.count);
    }

    // Return the first cell of the row that has the update at a position.
    __device__ __forceinline__ int begin_of(int position) const {
        if (is_one) return 0;
        count.split(position);
        return position * axis_size;
    }

    // Return the cell of an index in a row that begins at a cell, or -1 if it is out of range.
    template <typename Tind> __device__ __forceinline__ int cell_of(Tind index, int begin) const {
        const int place = place_of(index, axis_size);
        return place < 0 ? place : begin + place;
    }
};
