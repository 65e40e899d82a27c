"""The host side of radix_sort.cu: the constants of the sort."""

from __future__ import annotations

from pluginkit import CudaKernel, Dim, KernelArgument, Launch, Workspace, int32

#: The sort is by digits of one byte, or where a caller asks for that of one bit more.
DIGIT_BITS, WIDE_BITS = 8, 9
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


def sweep_launch(
    kernel: CudaKernel,
    sweep: int,
    blocks: Dim,
    *,
    pairs: tuple[KernelArgument, ...],
    shared: tuple[Workspace, Workspace, Workspace],
    items: int,
    each: int,
    state: Workspace | None = None,
    bits: int | None = None,
) -> Launch:
    """Return the launch that sorts by one digit.

    Args:
        kernel: ``sweep`` of radix_sort.cu.
        sweep: the number of the digit, from the lowest one on.
        blocks: those of this launch; 0 leaves it out.
        pairs: the keys and values that are written, then those that are read.
        shared: for all digits, what counts them, what blocks look back at, and the tickets.
        items: the number of keys.
        each: how many keys a thread takes.
        state: says on the device that nothing is to be sorted; None if that cannot be.
        bits: those of a digit, for a kernel that lets the caller choose them.
    """
    digits, looked_back, tickets = shared
    own_bits = DIGIT_BITS if bits is None else bits
    row = 2**own_bits * sweep
    return Launch(
        kernel,
        blocks,
        SWEEP_THREADS,
        (
            *pairs,
            digits.at(4 * row),
            looked_back.at(4 * row * sweep_blocks(items, each)),
            tickets.at(4 * sweep),
            *(int32(items), int32(own_bits * sweep), state),
        ),
        constants={"ITEMS": each} if bits is None else {"ITEMS": each, "BITS": bits},
    )
