// What several blocks that share a row find out about it.

#pragma once

#include "collect.cuh"

using pluginkit::MET_BYTES, pluginkit::STATE_BYTES;  // from launches.py

// All zero at the start.
struct Row {
    unsigned long long prefix;  // the known digits of the k-th key
    int above;                  // keys above it
    int counted;                // blocks that have counted a digit
    unsigned long long lowest;  // a key that the k-th is likely to reach, if there is advice
    Advice advice;
    int collected;    // how many keys have been collected
    int equal;        // how many equal `lowest`, where these are not collected
    int is_finished;  // whether the results are written
};
static_assert(sizeof(Row) == STATE_BYTES && sizeof(Met) == MET_BYTES);
