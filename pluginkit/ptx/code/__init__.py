"""Prepare a kernel: inline its calls, split it into basic blocks, and decode these."""
