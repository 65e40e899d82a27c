"""Lines of Python, broken where ruff would break them."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Sequence

from pluginkit.contract.dtypes import FLOAT_TYPES, OUTPUT_TYPES, DType, bool_

WIDTH = 100


def call(begin: str, items: Sequence[str], end: str, indent: str = "") -> str:
    """``begin``, items between commas, ``end``: on one line, or on lines of their own."""
    one_line = f"{indent}{begin}{', '.join(items)}{end}"
    if len(one_line) <= WIDTH or not items:
        return one_line
    inner = f"{indent}    {', '.join(items)}"
    if len(inner) > WIDTH:
        inner = "\n".join(f"{indent}    {item}," for item in items)
    return f"{indent}{begin}\n{inner}\n{indent}{end}"


def imports(module: str, names: Iterable[str]) -> str:
    """An import of several names, in ruff's order."""
    ordered = sorted(set(names), key=_import_order)
    one_line = f"from {module} import {', '.join(ordered)}"
    if len(one_line) <= WIDTH:
        return one_line
    return f"from {module} import (\n" + "".join(f"    {name},\n" for name in ordered) + ")"


def _import_order(name: str) -> tuple[int, list[str | int]]:
    kind = 0 if name.isupper() else 1 if name[0].isupper() else 2
    parts = re.findall(r"\d+|\D+", name)
    return kind, [int(part) if part.isdigit() else part for part in parts]


def dtypes_expression(dtypes: Sequence[DType]) -> str:
    """Dtypes as a declaration has them."""
    if tuple(dtypes) == OUTPUT_TYPES:
        return "OUTPUT_TYPES"
    if tuple(dtypes) == FLOAT_TYPES:
        return "FLOAT_TYPES"
    if tuple(dtypes) == (*OUTPUT_TYPES, bool_):
        return "(*OUTPUT_TYPES, bool_)"
    names = [name_of(dtype) for dtype in dtypes]
    return f"({names[0]},)" if len(names) == 1 else f"({', '.join(names)})"


def name_of(dtype: DType) -> str:
    """What pluginkit exports a dtype as."""
    return "bool_" if dtype is bool_ else dtype.name


def section(title: str, lines: Iterable[str]) -> str:
    """A section of a plugin's docstring: its title, then text in a column of its own."""
    wrapped = [
        row
        for line in lines
        for row in textwrap.wrap(line, WIDTH - 17, subsequent_indent="    ") or [""]
    ]
    first, *rest = wrapped
    column = "\n".join(" " * 17 + row for row in rest)
    return f"    {title + ':':<13}{first}" + (f"\n{column}" if rest else "")
