// The memory that the sort moves keys and positions through, and what is known of the keys.

#pragma once

using pluginkit::LAST_SWEEP, pluginkit::STATE_BYTES;  // from launches.py

// Before the sort all zero.
struct State {
    unsigned long long highest_complement;  // the highest complement of an element's key
    int half[LAST_SWEEP + 2];    // see below
    int out_of_order;            // whether a key is smaller than the one before it
    int in_order;                // whether the last sort has found its keys in order
    int is_dense;                // whether keys are so close to each other that dense.cu needs no sort
    unsigned long long highest;  // the highest key of an element
};
static_assert(sizeof(State) <= STATE_BYTES);

// A sweep that would not move keys, because all have the same digit or are in order, is skipped. So half[s] says in which half of their
// memory keys and positions are before sweep s, and half[s + 1] where afterwards. half[AFTER] says it of the whole
// sort. Sweep LAST_SWEEP goes from the first half to the second.
constexpr int AFTER = LAST_SWEEP - 1;
