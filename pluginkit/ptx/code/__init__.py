"""Prepare a kernel's code: expand calls, cut it into blocks, and turn these into operations."""
