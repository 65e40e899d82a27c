"""Read the ranges of a model's values from a file.

A range is the largest magnitude that is kept; int8 divides it into 127 steps on either side of 0.
"""

from __future__ import annotations

import math
import struct
from pathlib import Path

from pluginkit.atomic_files import read_file
from pluginkit.errors import UsageError

#: How TensorRT's calibration caches begin.
_CACHE = "TRT-"
_INT8_STEPS = 127


def read_ranges(path: Path) -> dict[str, float]:
    """Read a file with a line ``tensor: range`` for each value, or TensorRT's calibration cache.

    In a cache the first line names TensorRT's version, and a number is the scale, a hundred and
    twenty-seventh of the range, as eight hexadecimal digits of a float.

    Errors:
        PK617: the file cannot be read, or a line is of another form.
    """
    try:
        lines = read_file(path).decode().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError("PK617", f"ranges '{path}' cannot be read: {error}.") from error
    is_cache = bool(lines) and lines[0].startswith(_CACHE)
    found = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip() or line.startswith("#") or (is_cache and number == 1):
            continue
        name, _, text = line.rpartition(":")
        value = _scale(text.strip()) if is_cache else _number(text)
        if not name.strip() or not (math.isfinite(value) and value > 0):
            form = "8 hexadecimal digits" if is_cache else "a number above 0"
            raise UsageError(
                "PK617",
                f"line {number} of ranges '{path}' is '{line}'; expected 'tensor: range', where "
                f"the range is {form}.",
            )
        found[name.strip()] = value
    return found


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def _scale(text: str) -> float:
    try:
        return float(struct.unpack("!f", bytes.fromhex(text))[0]) * _INT8_STEPS
    except (ValueError, struct.error):
        return math.nan
