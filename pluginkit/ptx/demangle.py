"""Demangle the symbols of a C++ compiler or numba: the names that the author wrote."""

from __future__ import annotations

import re

#: Names that compilers invent for variables without one in PTX.
_INVENTED = {
    "__local_depot": "a local array",
    "_cudapy_smem": "a shared array",
    "_cudapy_lmem": "a local array",
}
_LOCAL = re.compile(r"E(\d+)([A-Za-z_]\w*?)(?:_\d+)?$")


def demangled(symbol: str) -> str:
    """Return the name of a function or a variable, without types and scopes.

    ``_Z5scalePfi`` gives ``scale``, and ``_ZZ5scalePfiE4tile`` gives ``tile``. A variable without a
    name gets a description, any other symbol that is not mangled is returned unchanged.
    """
    for invented, description in _INVENTED.items():
        if symbol.startswith(invented):
            return description
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
    """Return the name that follows the count of its letters."""
    digits = re.match(r"\d+", rest)
    if digits is None:
        return ""
    end = digits.end() + int(digits[0])
    return rest[digits.end() : end]


def _nested(rest: str) -> str:
    """Return the last part of a nested name, which follows its namespaces."""
    name = ""
    while found := _leading(rest):
        name = found
        rest = rest[len(str(len(found))) + len(found) :]
    return name
