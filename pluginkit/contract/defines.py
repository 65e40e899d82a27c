"""Write the constants that a plugin's Python and its CUDA C++ share as C++ definitions."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Literal, get_args, get_origin


def cpp_definitions(defines: Mapping[str, Any]) -> str:
    """Return C++ that defines every name in the namespace ``pluginkit``; empty for no names.

    Args:
        defines: an int, a bool, or a float (a C++ ``float``) becomes a ``constexpr``; a Literal
            of strings, or a tuple of them, becomes an ``enum class``.

    Errors:
        ValueError: a name is no C++ identifier, or a value has no such form.
    """
    if not defines:
        return ""
    lines = [_definition(name, value) for name, value in defines.items()]
    return "\n".join(["namespace pluginkit {", *lines, "}", ""])


def _definition(name: str, value: Any) -> str:
    if not _is_identifier(name):
        raise ValueError(f"the name {name!r} is no C++ identifier")
    if isinstance(value, bool):
        return f"constexpr bool {name} = {str(value).lower()};"
    if isinstance(value, int):
        return f"constexpr {_integer_type(name, value)} {name} = {value};"
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError(f"'{name}' is {value}; expected a finite number")
        return f"constexpr float {name} = {value!r}f;"
    members = get_args(value) if get_origin(value) is Literal else value
    if isinstance(members, tuple) and members and all(map(_is_identifier, members)):
        return f"enum class {name} {{ {', '.join(members)} }};"
    raise ValueError(
        f"'{name}' is {value!r}; expected an int, bool, float or a Literal of C++ identifiers"
    )


def _integer_type(name: str, value: int) -> str:
    if -(2**31) < value < 2**31:
        return "int"
    if -(2**63) < value < 2**63:
        return "long long"
    raise ValueError(f"'{name}' is {value}; expected an integer of 64 bits")


def _is_identifier(name: Any) -> bool:
    return isinstance(name, str) and name.isascii() and name.isidentifier()
