// The rows of data and of updates that a block takes, where the axis is the last dimension.

#pragma once

#include "../_cuda/division.cuh"
#include "places.cuh"

// The row of an update: its first cell, and how many updates of the row are before.
struct RowPlace {
    int begin, before;
};

struct TileRows {
    long long first;
    int axis_size, cells, updates;  // of a row, and of all that are there
    Divisor count;                  // the updates of a row
    bool is_one, is_whole;  // whether it takes one row, and as many as other blocks

    // `rows` is how many rows a block takes, of `outer` in all.
    __device__ __forceinline__ TileRows(int axis_size, Divisor count, int rows, int outer)
        : first(1LL * blockIdx.x * rows), axis_size(axis_size), count(count), is_one(rows == 1) {
        const int present = min(rows, static_cast<int>(outer - first));
        is_whole = present == rows;
        cells = present * axis_size;
        updates = present * static_cast<int>(count.count);
    }

    // Return the row of the update at a position.
    __device__ __forceinline__ RowPlace row_of(int position) const {
        if (is_one) return {0, position};
        const int before = count.split(position);
        return {position * axis_size, before};
    }

    // Go on to the next update.
    __device__ __forceinline__ void advance(RowPlace& row) const {
        if (++row.before == static_cast<int>(count.count)) row.before = 0, row.begin += axis_size;
    }

    // Return the cell of an index in a row that begins at a cell, or -1 if it is out of range.
    template <typename Tind> __device__ __forceinline__ int cell_of(Tind index, int begin) const {
        const int place = place_of(index, axis_size);
        return place < 0 ? place : begin + place;
    }
};
