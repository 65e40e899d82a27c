// Sort a linked list, so that floating-point results do not depend on the order in which threads added to it.

#pragma once

// Sort the list that starts at `head` by position, with bottom-up merges in place. END ends a list. Return the new
// head.
template <typename Link, Link END> __device__ int sorted_list(int head, Link* next) {
    for (int width = 1;; width *= 2) {
        int rest = head, tail = -1, merges = 0;
        head = -1;
        while (rest != -1) {
            ++merges;
            int left = rest, left_size = 0;
            while (left_size < width && rest != -1) {
                ++left_size;
                rest = next[rest] == END ? -1 : next[rest];
            }
            int right = rest, right_size = width;
            while (left_size > 0 || (right_size > 0 && right != -1)) {
                const bool from_left = left_size > 0 && (right_size == 0 || right == -1 || left < right);
                const int taken = from_left ? left : right;
                int& source = from_left ? left : right;
                source = next[taken] == END ? -1 : next[taken];
                --(from_left ? left_size : right_size);
                if (tail == -1) head = taken;
                else next[tail] = static_cast<Link>(taken);
                tail = taken;
            }
            rest = right;
        }
        next[tail] = END;
        if (merges <= 1) return head;
    }
}
