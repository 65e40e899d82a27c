"""Numbers in the words of a sentence."""

from __future__ import annotations


def counted(number: int, noun: str) -> str:
    """Return a number with its noun in the singular or the plural.

    >>> counted(1, "set of shapes"), counted(2, "set of shapes"), counted(0, "call")
    ('1 set of shapes', '2 sets of shapes', '0 calls')
    """
    head, space, rest = noun.partition(" ")
    return f"{number} {head}{'' if number == 1 else 's'}{space}{rest}"


def bytes_text(size: int) -> str:
    """Return a size in bytes, KiB, MiB or GiB.

    >>> bytes_text(512), bytes_text(16 * 1024), bytes_text(3 * 2**20)
    ('512 bytes', '16.0 KiB', '3.0 MiB')
    """
    if size < 1024:
        return counted(size, "byte")
    for power, unit in ((3, "GiB"), (2, "MiB")):
        if size >= 1024**power:
            return f"{size / 1024**power:.1f} {unit}"
    return f"{size / 1024:.1f} KiB"
