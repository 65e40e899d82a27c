"""Measures plugins on a GPU: right first, then device time, host time and bytes, beside peers."""
