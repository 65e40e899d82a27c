"""The host side of radix_sort.cu: the constants of the sort."""

from __future__ import annotations

#: The sort is by digits of one byte.
DIGIT_BITS = 8
DIGITS = 2**DIGIT_BITS
SWEEP_THREADS = 384
#: How many keys a thread sorts where there are many, by the bytes of a key.
SWEEP_ITEMS = {4: 23, 8: 15}

#: The constants that radix_sort.cu shares with Python.
DEFINES = {
    "DIGIT_BITS": DIGIT_BITS,
    "SWEEP_THREADS": SWEEP_THREADS,
    "SWEEP_ITEMS_4B": SWEEP_ITEMS[4],
    "SWEEP_ITEMS_8B": SWEEP_ITEMS[8],
}


def sweep_blocks(items: int, each: int) -> int:
    """Return the blocks of one sweep whose threads take ``each`` keys."""
    return -(-items // (each * SWEEP_THREADS))
