"""From traced plugins to C++17 that computes the same."""
