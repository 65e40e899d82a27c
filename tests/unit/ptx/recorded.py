"""Read and write a GPU's results of the conformance set.

The file is an .npz with two arrays. ``about`` is JSON: where and when it was recorded, and for each
case its title, a checksum of its inputs and how many results it has. ``bits`` holds the results of
all cases, one after the other.
"""

import json
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

H200_RESULTS = Path(__file__).parent / "h200_results.npz"


@dataclass(frozen=True)
class Results:
    """A GPU's results of one case, one for each row, and the checksum of the rows."""

    bits: list[int]
    checksum: int


def checksum(case):
    """Return a checksum of a case's input: rows of operands, or the source and its words."""
    given = getattr(case, "rows", None) or (
        case.source, case.grid, case.block, case.words.tolist(),
    )  # fmt: skip
    return zlib.crc32(repr(given).encode())


def save(path, where, results):
    """Write results by title; ``where`` says which GPU computed them and when."""
    listed = [[title, each.checksum, len(each.bits)] for title, each in results.items()]
    bits = np.array([bits for each in results.values() for bits in each.bits], np.uint64)
    np.savez_compressed(path, about=json.dumps({**where, "cases": listed}), bits=bits)


def load(path=H200_RESULTS):
    """Return where the results come from, and the results by title."""
    with np.load(path) as file:
        about, bits = json.loads(str(file["about"])), file["bits"].tolist()
    results, start = {}, 0
    for title, of_rows, count in about.pop("cases"):
        results[title] = Results(bits[start : start + count], of_rows)
        start += count
    return about, results
