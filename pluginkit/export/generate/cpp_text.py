"""The building blocks of generated C++ files: tables and functions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pluginkit.contract.dtypes import ALL

#: The member of the runtime's ``Type`` for each dtype.
TYPES = {
    dtype: f"Type::k{name}"
    for dtype, name in zip(
        ALL,
        ("Float32", "Float16", "BFloat16", "Int64", "Int32", "Int8", "UInt8", "Bool"),
        strict=True,
    )
}


def table(declaration: str, rows: Iterable[str]) -> str:
    """Return the definition of an array, with a line for each element."""
    lines = "\n".join(f"    {row}," for row in rows)
    return f"{declaration} = {{\n{lines}\n}};"


def function(signature: str, lines: Sequence[str]) -> str:
    """Return the definition of a function."""
    return "\n".join([f"{signature} {{", *(f"    {line}" for line in lines), "}"])
