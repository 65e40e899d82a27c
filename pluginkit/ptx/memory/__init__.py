"""Memory, its checks, and the order of accesses."""
