"""The names that people gave, from those that a C++ compiler or numba made of them."""

from __future__ import annotations

import re

_LOCAL = re.compile(r"E(\d+)([A-Za-z_]\w*?)(?:_\d+)?$")


def demangled(symbol: str) -> str:
    """The name of a function or a variable, without types and scopes.

    ``_Z5scalePfi`` is ``scale``, and ``_ZZ5scalePfiE4tile`` its ``tile``. What is no such name
    stays as it is.
    """
    if symbol.startswith("_ZZ"):
        for start in (match.start() for match in re.finditer("E", symbol)):
            found = _LOCAL.match(symbol, start)
            if found is not None and len(found[2]) == int(found[1]):
                return found[2]
        return symbol
    if symbol.startswith("_Z"):
        return _nested(symbol[3:]) if symbol[2] == "N" else _leading(symbol[2:]) or symbol
    return symbol


def _leading(rest: str) -> str:
    """The name that a count of its letters precedes."""
    digits = re.match(r"\d+", rest)
    if digits is None:
        return ""
    end = digits.end() + int(digits[0])
    return rest[digits.end() : end]


def _nested(rest: str) -> str:
    """The last name of several, of a namespace and what is in it."""
    name = ""
    while found := _leading(rest):
        name = found
        rest = rest[len(str(len(found))) + len(found) :]
    return name
